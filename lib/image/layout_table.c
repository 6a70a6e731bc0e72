/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/layout_table.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "image/layout_text.h"

#ifndef GOW_SYSCONFDIR
#define GOW_SYSCONFDIR "/etc"
#endif

enum {
	FILE_SIZE_MAX = 64 * 1024, /* of a layout file; they are of some hundred bytes */
	ROWS_MAX = 256             /* more files than that are nobody's collection of layouts */
};

#define SUFFIX ".layout"

/* ---- tables ------------------------------------------------------------------------------ */

const struct gow_layout *gow_layouts_rows(const struct gow_layouts *layouts, size_t *count)
{
	*count = layouts ? layouts->count : gow_layout_count;
	return layouts ? layouts->rows : gow_layouts;
}

void gow_layouts_free(struct gow_layouts *layouts)
{
	if (!layouts)
		return;
	for (size_t i = 0; i < layouts->count; i++)
		gow_layout_variants_free(layouts->rows[i].variants);
	free(layouts->rows);
	free(layouts);
}

static int new_table(struct gow_layouts **layouts, gow_error *error)
{
	struct gow_layouts *made = calloc(1, sizeof *made);

	if (made)
		made->rows = calloc(ROWS_MAX, sizeof *made->rows);
	if (!made || !made->rows) {
		free(made);
		return gow_fail_memory(error, ROWS_MAX * sizeof(struct gow_layout));
	}
	*layouts = made;
	return GOW_OK;
}

int gow_layouts_add(struct gow_layouts *layouts, const struct gow_layout *row, gow_error *error)
{
	struct gow_layout *added = &layouts->rows[layouts->count];
	int code = GOW_OK;

	if (layouts->count == ROWS_MAX)
		return gow_fail(error, GOW_ERR_LIMIT, "there are more than %d layouts", ROWS_MAX);
	*added = *row;
	added->variants = NULL;
	if (row->per_logical_block)
		code = gow_layout_variants_new(&added->variants, error);
	if (!code)
		layouts->count++;
	return code;
}

int gow_layouts_of_row(const struct gow_layout *row, struct gow_layouts **layouts, gow_error *error)
{
	struct gow_layouts *made = NULL;
	int code = new_table(&made, error);

	if (code)
		return code;
	made->given = true;
	code = gow_layouts_add(made, row, error);
	if (code) {
		gow_layouts_free(made);
		return code;
	}
	*layouts = made;
	return GOW_OK;
}

/* ---- files ------------------------------------------------------------------------------- */

/* The last part of path, without its suffix, unless the text gave a name. */
static void name_after_file(struct gow_layout *row, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t length = strlen(base);

	if (*row->name)
		return;
	if (length > strlen(SUFFIX) && strcmp(base + length - strlen(SUFFIX), SUFFIX) == 0)
		length -= strlen(SUFFIX);
	(void)snprintf(row->name, sizeof row->name, "%.*s",
	               (int)gow_min(length, sizeof row->name - 1), base);
}

static int read_text(struct gow_file *file, char *text, size_t *size, gow_error *error)
{
	int code = gow_file_read(file, 0, text, FILE_SIZE_MAX, size, error);

	if (!code && *size == FILE_SIZE_MAX)
		code = gow_fail(error, GOW_ERR_DAMAGED, "is too long for a layout");
	return code;
}

static int load_file(const char *path, struct gow_layout *row, gow_error *error)
{
	char *text = malloc(FILE_SIZE_MAX);
	struct gow_file *file = NULL;
	size_t size = 0;
	int code = text ? gow_file_open(path, 0, &file, error)
	                : gow_fail_memory(error, FILE_SIZE_MAX);

	if (!code)
		code = read_text(file, text, &size, error);
	if (!code)
		code = gow_layout_parse(text, size, row, error);
	if (!code)
		name_after_file(row, path);
	(void)gow_file_close(file, NULL);
	free(text);
	return code ? gow_fail_in_file(error, code, path) : GOW_OK;
}

/* ---- directories ------------------------------------------------------------------------- */

enum { DIRECTORIES = 2, PATH_SIZE = 4096 };

/* The user's, then the system's: the first that has a name wins. false: there is none such. */
static bool directory_path(unsigned which, char path[PATH_SIZE])
{
	const char *config = secure_getenv("XDG_CONFIG_HOME");
	const char *home = secure_getenv("HOME");
	int length = -1;

	if (which == 1)
		length = snprintf(path, PATH_SIZE, "%s/gow/layouts.d", GOW_SYSCONFDIR);
	else if (config && *config == '/')
		length = snprintf(path, PATH_SIZE, "%s/gow/layouts.d", config);
	else if (home && *home)
		length = snprintf(path, PATH_SIZE, "%s/.config/gow/layouts.d", home);
	return length > 0 && length < PATH_SIZE;
}

static int is_layout_file(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return *entry->d_name != '.' && length > strlen(SUFFIX) &&
	       strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) == 0;
}

struct search {
	const char *name; /* the one looked for; NULL: all with a magic are added to layouts */
	const gow_monitor *monitor;
	struct gow_layouts *layouts;
	bool found;
	struct gow_layout row;
};

static bool is_named(const struct search *search, const struct gow_layout *row, const char *file)
{
	size_t length = strlen(search->name);

	return strcmp(row->name, search->name) == 0 ||
	       (strncmp(file, search->name, length) == 0 && strcmp(file + length, SUFFIX) == 0);
}

/* A file that cannot be used is no reason to stop: it may be meant for another release. */
static int visit_file(struct search *search, const char *path, const char *name, gow_error *error)
{
	gow_error why;
	struct gow_layout row;
	int code = load_file(path, &row, &why);
	char text[1024];

	if (code == GOW_ERR_MEMORY) {
		if (error)
			*error = why;
		return code;
	}
	if (code) {
		gow_note(search->monitor, GOW_NOTE_WARNING, path, "is left out: %s",
		         gow_error_text(&why, text, sizeof text));
		return GOW_OK;
	}
	if (!search->name)
		return gow_layout_has_magic(&row) ? gow_layouts_add(search->layouts, &row, error)
		                                  : GOW_OK;
	if (!search->found && is_named(search, &row, name)) {
		search->found = true;
		search->row = row;
	}
	return GOW_OK;
}

static int search_directory(struct search *search, const char *path, gow_error *error)
{
	struct dirent **names;
	int count = scandir(path, &names, is_layout_file, alphasort);
	int code = GOW_OK;

	if (count < 0 && errno == ENOMEM)
		return gow_fail_memory(error, 0);
	for (int i = 0; i < count; i++) {
		char file[PATH_SIZE + 256 + 2];

		(void)snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
		if (!code)
			code = visit_file(search, file, names[i]->d_name, error);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return code;
}

static int search_all(struct search *search, gow_error *error)
{
	char path[PATH_SIZE];
	int code = GOW_OK;

	for (unsigned i = 0; i < DIRECTORIES && !code && !search->found; i++)
		if (directory_path(i, path))
			code = search_directory(search, path, error);
	return code;
}

/* ---- choices ----------------------------------------------------------------------------- */

static int load_automatic(const gow_monitor *monitor, struct gow_layouts **layouts,
                          gow_error *error)
{
	struct search search = { .monitor = monitor };
	int code = new_table(&search.layouts, error);

	if (code)
		return code;
	for (size_t i = 0; i < gow_layout_count && !code; i++)
		code = gow_layouts_add(search.layouts, &gow_layouts[i], error);
	if (!code)
		code = search_all(&search, error);
	if (code) {
		gow_layouts_free(search.layouts);
		return code;
	}
	*layouts = search.layouts;
	return GOW_OK;
}

static bool find_builtin(const char *name, struct gow_layout *row)
{
	for (size_t i = 0; i < gow_layout_count; i++)
		if (strcmp(gow_layouts[i].name, name) == 0) {
			*row = gow_layouts[i];
			return true;
		}
	return false;
}

static int unknown_name(const char *name, gow_error *error)
{
	return gow_fail(
		error, GOW_ERR_ARGUMENT,
		"there is no layout '%s': give a file, or one of gow1, gow2, gow3 and those in "
		"%s/gow/layouts.d and ~/.config/gow/layouts.d",
		name, GOW_SYSCONFDIR);
}

static int find_chosen(const char *choice, const gow_monitor *monitor, struct gow_layout *row,
                       gow_error *error)
{
	struct search search = { .name = choice, .monitor = monitor };
	gow_error why;
	int code;

	if (strchr(choice, '/'))
		return load_file(choice, row, error);
	if (find_builtin(choice, row))
		return GOW_OK;
	code = search_all(&search, error);
	if (code)
		return code;
	if (search.found) {
		*row = search.row;
		return GOW_OK;
	}
	code = load_file(choice, row, &why);
	if (code && why.sys_errno == ENOENT)
		return unknown_name(choice, error);
	if (code && error)
		*error = why;
	return code;
}

bool gow_layouts_are_inferred(const char *choice)
{
	return choice && strcmp(choice, "auto") == 0;
}

int gow_layouts_check_writing(const char *choice, gow_error *error)
{
	if (!gow_layouts_are_inferred(choice))
		return GOW_OK;
	return gow_fail(
		error, GOW_ERR_ARGUMENT,
		"--layout auto is for reading only, and what is inferred may be wrong: keep what "
		"gow-probe prints in a file, look at it, and say --layout FILE; or make a new "
		"image with gow-convert --layout auto");
}

int gow_layouts_load(const char *choice, const gow_monitor *monitor, struct gow_layouts **layouts,
                     gow_error *error)
{
	struct gow_layout row;
	int code;

	if (!choice)
		return load_automatic(monitor, layouts, error);
	code = gow_layouts_check_writing(choice, error);
	if (!code)
		code = find_chosen(choice, monitor, &row, error);
	return code ? code : gow_layouts_of_row(&row, layouts, error);
}

int gow_layouts_load_for(const gow_common *common, struct gow_file *file, gow_layouts_finder find,
                         struct gow_layouts **layouts, gow_error *error)
{
	return find ? find(file, common, layouts, error)
	            : gow_layouts_load(common->layout, common->monitor, layouts, error);
}

int gow_layouts_find_known(struct gow_file *file, const gow_common *common,
                           struct gow_layouts **layouts, gow_error *error)
{
	const char *choice = gow_layouts_are_inferred(common->layout) ? NULL : common->layout;

	(void)file;
	return gow_layouts_load(choice, common->monitor, layouts, error);
}
