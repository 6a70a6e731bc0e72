/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * undo.h - the undo file of a repair: the bytes that an in-place change is about to overwrite,
 * and how long the file was. The format is told in gow-undo(5).
 *
 * Repairs stack. Each has an undo file of its own, a layer, beside the image: IMAGE.gow-undo is
 * layer 1, IMAGE.gow-undo.2 the next. A layer may be a pointer to a file elsewhere.
 */
#ifndef GOW_JOURNAL_UNDO_H
#define GOW_JOURNAL_UNDO_H

#include "image/layout.h"
#include "io/directory.h"

enum { GOW_UNDO_DIGEST = 16, GOW_UNDO_WHAT = 256 };

/* Where the undo files of an image are, and the layouts that are known: a file of format 1 is of one
 * of them, a later one has its own. */
struct gow_undo_place {
	struct gow_directory *directory; /* that the image really lies in */
	const char *image;               /* its name there */
	const struct gow_layout *rows;
	size_t row_count;
};

/* An undo file that was read to its end and is whole. */
struct gow_undo {
	struct gow_file *file;
	const struct gow_layout *layout; /* one of the place's where it is known, or recorded */
	struct gow_layout recorded;      /* as the file describes it; of format 1: unused */
	uint32_t format;
	uint32_t layer;
	uint64_t old_size; /* of the image before the change */
	uint64_t new_size; /* and after it */
	uint64_t records;
	uint64_t records_size;  /* bytes */
	uint64_t image;         /* if elsewhere, which file was changed; 0: not known */
	uint64_t header_length; /* bytes of the image before the change that the digest is over */
	uint8_t header_digest[GOW_UNDO_DIGEST];
	uint8_t end_digest[GOW_UNDO_DIGEST];  /* of the undo file itself */
	uint8_t tail_digest[GOW_UNDO_DIGEST]; /* if done: of what the change added at the end */
	bool done;                            /* the change was made in full */
	bool undone;                          /* it was taken back in full */
	bool spoilt; /* what it should say of that is damaged, or cannot be read */
	char what[GOW_UNDO_WHAT];
	char *pointed; /* where the file is, if not beside the image; NULL otherwise */
};

/* ---- what a change does ------------------------------------------------------------------ */

/* The two fields that say whether an image may be used, and are written last: the magic, and the
 * version, without which the magic would not be understood. */
struct gow_mark {
	uint64_t offset;
	uint32_t length;
};
enum { GOW_MARKS = 2 };
void gow_marks_of(const struct gow_layout *layout, struct gow_mark marks[GOW_MARKS]);

typedef int (*gow_range_visitor)(void *context, uint64_t offset, uint32_t length, gow_error *error);

/*
 * Visits what an overlay has of its own (no copies) in [0, end), without the marks: ascending,
 * neighbours as one, at most GOW_BLOCK_SIZE bytes at a time.
 */
int gow_change_each(struct gow_file *overlay, const struct gow_layout *layout, uint64_t end,
                    gow_range_visitor visit, void *context, gow_error *error);

/* ---- making ------------------------------------------------------------------------------ */

/*
 * Makes a new layer for what overlay lays over image, durable under its name when this succeeds;
 * nothing is left behind when it fails. pointed (may be NULL) is where it is to be instead of
 * beside the image. what says, for people, what is about to be done.
 */
int gow_undo_make(const struct gow_undo_place *place, struct gow_file *image,
                  struct gow_file *overlay, const struct gow_layout *layout, const char *what,
                  const char *pointed, struct gow_undo **undo, gow_error *error);

/* GOW_ERR_LIMIT where the image's name leaves no room for that of its next undo file. */
int gow_undo_check_name(const struct gow_undo_place *place, gow_error *error);

/* Fails where no undo file can be made at pointed: its directory is not there, or its name is too long,
 * one for layers, or would take the image's own. */
int gow_undo_check_pointed(const struct gow_undo_place *place, const char *pointed,
                           const struct gow_file *image, gow_error *error);

/* Fails where another new file at path would be in the way of the undo file, which is at pointed (NULL:
 * beside the image). */
int gow_undo_check_other(const struct gow_undo_place *place, const char *path, const char *pointed,
                         const struct gow_file *image, gow_error *error);

/* How many bytes its file will have. */
int gow_undo_size(struct gow_file *image, struct gow_file *overlay, const struct gow_layout *layout,
                  uint64_t *size, gow_error *error);

/* The change was made: the bytes from old_size to new_size are digested from image. Durable. */
int gow_undo_mark_done(struct gow_undo *undo, struct gow_file *image, gow_error *error);

/* The change was taken back. Durable. */
int gow_undo_mark_undone(struct gow_undo *undo, gow_error *error);

/* ---- finding ----------------------------------------------------------------------------- */

/* Layers that there are, by their names only; descending, allocated, count may be 0. */
int gow_undo_layers(const struct gow_undo_place *place, uint32_t **layers, size_t *count,
                    gow_error *error);

/*
 * Opens a layer and reads it to its end. What is torn, edited or not there fails with
 * GOW_ERR_MISMATCH and the reason; GOW_ERR_IO and the like where it cannot be read.
 */
int gow_undo_open(const struct gow_undo_place *place, uint32_t layer, bool write,
                  struct gow_undo **undo, gow_error *error);
void gow_undo_close(struct gow_undo *undo);

/* Whether its file is still found under its name; GOW_ERR_CHANGED, or why its directory is not. */
int gow_undo_check_there(const struct gow_undo_place *place, const struct gow_undo *undo,
                         gow_error *error);

/* Whether its file lies elsewhere, and was made for another file than image: that one was copied with
 * the pointer, and may need it yet. */
bool gow_undo_is_anothers(const struct gow_undo *undo, const struct gow_file *image);

/* Removes its file, unless it is another image's, and the pointer to it; durable. The undo is still to
 * be closed. */
int gow_undo_remove(const struct gow_undo_place *place, const struct gow_undo *undo,
                    const struct gow_file *image, gow_error *error);

/* The name of a layer's file, for messages; allocated, NULL without memory. */
char *gow_undo_name(const struct gow_undo_place *place, uint32_t layer);

/* What was found out about the layers of an image whose magic says that a change is under way. */
struct gow_undo_search {
	struct gow_undo *undo; /* the layer of that change, by its content; NULL: none */
	/* A pointer leads to a file that is not there, or a layer cannot be read and an older one
	 * would fit: nobody can tell, unless another record is certainly that of the change. */
	bool missing;
	/* Without undo: a layer is there that may be the record all the same (damaged, unreadable,
	 * not ours to trust, of an image of another length): the mark must stay. */
	bool doubtful;
	/* What speaks against the newest layer, if only that it is another user's; "": nothing. */
	char doubt[512];
};

/* Looks for the layer whose change of image is under way. found->undo is the caller's to close. */
int gow_undo_find(const struct gow_undo_place *place, struct gow_file *image, bool write,
                  struct gow_undo_search *found, gow_error *error);

/* ---- judging and applying ---------------------------------------------------------------- */

/* Lays the old bytes and the old length over an overlay. */
int gow_undo_lay(const struct gow_undo *undo, struct gow_file *overlay, gow_error *error);

/* Whether file, with the old bytes laid over it, has the header that was there before. */
int gow_undo_restores(const struct gow_undo *undo, struct gow_file *image, bool *restores,
                      gow_error *error);

/* GOW_ERR_CHANGED, with the place, unless everything that the undo would overwrite is in image
 * what the change made of it. */
int gow_undo_check_records(const struct gow_undo *undo, struct gow_file *image, gow_error *error);

/* The same, and everything that it would cut off. GOW_ERR_MISMATCH unless the change was done. */
int gow_undo_check_done(const struct gow_undo *undo, struct gow_file *image, gow_error *error);

/* Whether all the old bytes still are in image: the change was never begun, or is undone. */
int gow_undo_is_unbegun(const struct gow_undo *undo, struct gow_file *image, bool *unbegun,
                        gow_error *error);

#endif
