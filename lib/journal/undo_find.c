/* SPDX-License-Identifier: BSD-2-Clause */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "journal/undo.h"
#include "journal/undo_format.h"

/* Damage is no failure here: it is told in doubt. */
static bool is_doubt(int code)
{
	return code == GOW_ERR_MISMATCH || code == GOW_ERR_IO || code == GOW_ERR_UNSUPPORTED ||
	       code == GOW_ERR_CHANGED;
}

/* Some repairs leave GOW! where they found it. Such an image is as its repair left it, and not in
 * the middle of anything that we know of. */
static int is_over(const struct gow_undo *undo, struct gow_file *image, bool *over,
                   gow_error *error)
{
	int code;

	*over = false;
	if (!undo->done || undo->undone || undo->spoilt)
		return GOW_OK;
	code = gow_undo_check_done(undo, image, error);
	*over = !code;
	return code == GOW_ERR_CHANGED ? GOW_OK : code;
}

/* What a layer that is whole says of its change. */
struct ending {
	bool done; /* it came to its end, */
	bool over; /* and the image is as it left it */
};

/* Whether the image has the magic of a layout that only the layer tells of: what it does not have is
 * not written into it. */
static int check_magic(const struct gow_undo *undo, struct gow_file *image, bool *fits,
                       gow_error *error)
{
	const struct gow_layout *layout = undo->layout;
	uint8_t magic[GOW_MAGIC_SIZE];
	int code;

	if (layout != &undo->recorded)
		return GOW_OK;
	code = gow_file_read_padded(image, layout->magic_offset, magic, sizeof magic, error);
	*fits = *fits && (memcmp(magic, layout->magic, sizeof magic) == 0 ||
	                  memcmp(magic, layout->magic_pending, sizeof magic) == 0);
	return code;
}

static int try_layer(const struct gow_undo_place *place, struct gow_file *image, uint32_t layer,
                     bool write, struct gow_undo **undo, struct ending *ending, gow_error *error)
{
	struct gow_undo *found;
	bool restores = false;
	int code = gow_undo_open(place, layer, write, &found, error);

	*ending = (struct ending){ .done = false };
	if (code)
		return code;
	code = is_over(found, image, &ending->over, error);
	ending->done = found->done && !found->spoilt && !found->undone;
	/* Even if it says that all is undone: the magic may not have got its turn. */
	if (!code && !ending->over)
		code = gow_undo_restores(found, image, &restores, error);
	if (!code)
		code = check_magic(found, image, &restores, error);
	if (!code && !restores)
		code = gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_CHANGED,
		                                 "does not belong to this image as it is now"),
		                        found->file->name);
	if (code)
		gow_undo_close(found);
	else
		*undo = found;
	return code;
}

/* Whether a layer is a pointer that leads nowhere. */
static bool leads_nowhere(const gow_error *error)
{
	return error->sys_errno == ENOENT || error->sys_errno == ENOTDIR;
}

/* Notes what speaks against a layer. What cannot be read comes before what does not belong here,
 * and the newest before the others. */
static void note_doubt(struct gow_undo_search *found, const gow_error *why, int code, bool *unread)
{
	char text[sizeof why->what + 128];

	if (!found->doubt[0] || (code != GOW_ERR_CHANGED && !*unread))
		(void)snprintf(found->doubt, sizeof found->doubt, "%.250s: %s", why->file,
		               gow_error_text(why, text, sizeof text));
	found->missing = found->missing || leads_nowhere(why);
	*unread = *unread || code != GOW_ERR_CHANGED;
}

/* Another user's layer neither counts nor stands in the way. But it may be the record, of an image
 * that went to another owner since: it is named where nothing else is. */
static int name_untrusted(const struct gow_undo_place *place, struct gow_undo_search *found,
                          gow_error *error)
{
	uint32_t *layers = NULL;
	size_t count = 0;
	bool unread = false;
	int code = gow_undo_list_layers(place, true, &layers, &count, error);

	for (size_t i = 0; i < count && !code && !found->doubt[0]; i++) {
		struct gow_undo *undo = NULL;
		gow_error why = { .file = "" };
		int opened = gow_undo_open(place, layers[i], false, &undo, &why);

		if (opened)
			note_doubt(found, &why, opened, &unread);
		gow_undo_close(undo);
	}
	found->missing = false;
	free(layers);
	return code;
}

int gow_undo_find(const struct gow_undo_place *place, struct gow_file *image, bool write,
                  struct gow_undo_search *found, gow_error *error)
{
	uint32_t *layers = NULL;
	size_t count = 0;
	bool unread = false, was_over = false;
	int code;

	*found = (struct gow_undo_search){ .undo = NULL };
	code = gow_undo_layers(place, &layers, &count, error);
	for (size_t i = 0; i < count && !code && !found->undo; i++) {
		gow_error why = { .file = "" };
		struct ending ending;

		code = try_layer(place, image, layers[i], write, &found->undo, &ending, &why);
		if (!is_doubt(code)) {
			if (code && error)
				*error = why;
			continue;
		}
		note_doubt(found, &why, code, &unread);
		/* A change that came to its end is over also when a later one did so, which left
		 * the mark that it had found. */
		was_over = was_over || ending.over;
		found->doubtful = found->doubtful || !was_over || (!ending.over && !ending.done);
		code = GOW_OK;
	}
	free(layers);
	if (!code && !found->undo && !found->doubt[0])
		code = name_untrusted(place, found, error);
	/* That it fits is no proof: what the newer one changed may lie where this one puts back. */
	if (!code && found->undo && unread) {
		gow_undo_close(found->undo);
		found->undo = NULL;
		found->missing = true;
	}
	return code;
}
