/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/open.h"

#include "image/session.h"

/* ---- reading ----------------------------------------------------------------------------- */

/* Adds what is known of an interrupted change. */
static int find_record(struct gow_unchecked *unchecked, gow_error *error)
{
	int code = gow_pending_find(unchecked->file, &unchecked->header, &unchecked->pending,
	                            error);

	if (code)
		gow_unchecked_release(unchecked);
	return code;
}

int gow_journal_begin(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                      struct gow_unchecked *unchecked, gow_error *error)
{
	int code = gow_unchecked_begin(file, rows, row_count, unchecked, error);

	return code ? code : find_record(unchecked, error);
}

static int begin_as(struct gow_file *file, const struct gow_layout *layout,
                    struct gow_unchecked *unchecked, gow_error *error)
{
	int code = gow_unchecked_begin_as(file, layout, unchecked, error);

	return code ? code : find_record(unchecked, error);
}

/* ---- judging ----------------------------------------------------------------------------- */

/* What opening finds out. */
struct opened {
	struct gow_map map;
	bool damaged; /* it had corrupt findings, or is read as it was before */
};

/* Judges what was loaded. Only a clean pass yields a map, unless somebody wants what is left. */
static int judge(struct gow_unchecked *unchecked, const struct gow_image_policy *policy,
                 struct opened *opened, gow_error *error)
{
	struct gow_verdict verdict;
	int code;

	if (!policy->salvage)
		return gow_map_judge(unchecked, policy->numbers, &opened->map, error);
	code = gow_judge(unchecked, &verdict, error);
	if (code)
		return code;
	opened->damaged |= policy->assume || gow_verdict_first(&verdict, GOW_CORRUPT);
	return gow_map_salvage(unchecked, &verdict, policy->lost, policy->lost_context,
	                       &opened->map, error);
}

static int read_map(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                    const struct gow_image_policy *policy, struct opened *opened, gow_error *error)
{
	struct gow_unchecked unchecked = { .file = file };
	int code = policy->assume ? begin_as(file, policy->assume, &unchecked, error)
	                          : gow_journal_begin(file, rows, row_count, &unchecked, error);

	if (!code)
		code = judge(&unchecked, policy, opened, error);
	gow_unchecked_release(&unchecked);
	return code;
}

int gow_journal_read_map(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                         enum gow_numbers numbers, struct gow_map *map, gow_error *error)
{
	const struct gow_image_policy policy = { .numbers = numbers };
	struct opened opened = { .damaged = false };
	int code = read_map(file, rows, row_count, &policy, &opened, error);

	if (!code)
		*map = opened.map;
	return code;
}

/* ---- opening ----------------------------------------------------------------------------- */

/* Has a pending image read as it was before the change that was interrupted, where its record
 * has the old bytes. *file is another one then, which owns the one before. */
static int look_back(struct gow_file **file, const struct gow_layout *rows, size_t row_count,
                     bool *damaged, gow_error *error)
{
	struct gow_file *view = NULL;
	struct gow_header header;
	int code = gow_header_read(*file, rows, row_count, &header, error);

	if (code) /* judged by whoever reads it next */
		return code == GOW_ERR_NOT_GOW ? GOW_OK : code;
	if (header.pending)
		code = gow_pending_view(*file, &header, &view, error);
	if (view) {
		*file = view;
		*damaged = true;
	}
	return code;
}

int gow_image_from_file(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                        const struct gow_image_policy *policy, gow_image **image, gow_error *error)
{
	struct opened opened = { .damaged = false };
	gow_image *made;
	int code = GOW_OK;

	/* A session builds on what it finds, so that has to be on the disk; and it writes entries
	 * again. */
	if (policy->write)
		code = gow_file_settle(file, error);
	(void)gow_file_doubt(file, policy->write);
	if (!code && policy->salvage)
		code = look_back(&file, rows, row_count, &opened.damaged, error);
	if (!code)
		code = read_map(file, rows, row_count, policy, &opened, error);
	if (code) {
		(void)gow_file_close(file, NULL);
		return code;
	}
	code = gow_image_make(file, &opened.map, opened.damaged, &made, error);
	if (code)
		return code;
	if (policy->write)
		code = gow_session_begin(made, error);
	(void)gow_file_doubt(file, false);
	if (code)
		gow_image_close(made);
	else
		*image = made;
	return code;
}

/* ---- by name or descriptor ----------------------------------------------------------------- */

/* Makes an image of a file that was opened and locked, which it owns, also when it fails. */
static int image_of_opened(struct gow_file *file, const struct gow_lock *lock,
                           const gow_open_options *options, const struct gow_image_policy *policy,
                           gow_image **image, gow_error *error)
{
	struct gow_layouts *layouts = NULL;
	const struct gow_layout *rows;
	size_t count;
	int code = gow_layouts_load_for(&options->common, file, policy->find_layout, &layouts,
	                                error);

	if (!code)
		code = gow_pending_layouts(file, &layouts, error);
	if (code) {
		gow_layouts_free(layouts);
		(void)gow_file_close(file, NULL);
		return code;
	}
	rows = gow_layouts_rows(layouts, &count);
	code = gow_image_from_file(file, rows, count, policy, image, error);
	if (code) {
		gow_layouts_free(layouts);
		return code;
	}
	gow_header_warn_rounded(gow_image_file(*image), gow_image_map(*image)->layout,
	                        options->common.monitor);
	*gow_image_lock(*image) = *lock;
	gow_image_own_layouts(*image, layouts);
	return GOW_OK;
}

int gow_image_open_policy(const char *path, const gow_open_options *options,
                          const struct gow_image_policy *policy, gow_image **image,
                          gow_error *error)
{
	struct gow_file *file;
	struct gow_lock lock;
	int code = gow_open_locked(path, policy->write ? GOW_FILE_WRITE : 0, options, &file, &lock,
	                           error);

	return code ? code : image_of_opened(file, &lock, options, policy, image, error);
}

int gow_image_adopt_policy(int fd, const char *name, const gow_open_options *options,
                           const struct gow_image_policy *policy, gow_image **image,
                           gow_error *error)
{
	struct gow_file *file;
	struct gow_lock lock;
	int code = gow_adopt_locked(fd, name, policy->write ? GOW_FILE_WRITE : 0, options, &file,
	                            &lock, error);

	return code ? code : image_of_opened(file, &lock, options, policy, image, error);
}
