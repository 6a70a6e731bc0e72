/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * undo_format.h - the undo file as it lies on the disk, and what the parts that write, read and
 * find it share. For the undo_*.c only.
 */
#ifndef GOW_JOURNAL_UNDO_FORMAT_H
#define GOW_JOURNAL_UNDO_FORMAT_H

#include "journal/layout_record.h"
#include "journal/numbers.h"
#include "journal/undo.h"

/*
 * The format, which gow-undo(5) tells. All of it is in sectors, so that what is written later
 * (done, undone) shares none with what was written before.
 */
enum {
	SECTOR = 512,
	SEAL = SECTOR - 8, /* where the checksum of a sector stands, over what is before it */
	FORMAT = 2,
	OLD_FORMAT = 1, /* without the layout, which its version names */
	RECORD = 32,    /* bytes of a record before the old bytes */
	RECORD_SEALED = 24,
	RECORD_MAX = GOW_BLOCK_SIZE,
	WHAT_AT = 72,
	LAYOUT_AT = 328,
	LAYOUT_FLAGS_AT = LAYOUT_AT + GOW_LAYOUT_RECORD_SIZE,
	LAYOUT_HASH_AT = 440, /* XXH3-128 of what stands from LAYOUT_AT on */
	IMAGE_AT = 456,
	BUFFER = 2 * GOW_BLOCK_SIZE,
};

enum { RECORD_MARK = 1 };              /* goes back last */
enum { LAYOUT_PER_LOGICAL_BLOCK = 1 }; /* the map has one entry for each block of the disk */

static const uint8_t head_magic[8] = { 'G', 'O', 'W', '-', 'U', 'N', 'D', 'O' };
static const uint8_t end_magic[8] = { 'G', 'O', 'W', '-', 'E', 'N', 'D', '.' };
static const uint8_t done_magic[8] = { 'G', 'O', 'W', '-', 'D', 'O', 'N', 'E' };
static const uint8_t back_magic[8] = { 'G', 'O', 'W', '-', 'B', 'A', 'C', 'K' };
static const uint8_t link_magic[8] = { 'G', 'O', 'W', '-', 'L', 'I', 'N', 'K' };

struct gow_undo_record {
	uint64_t offset;
	uint32_t length;
	uint32_t flags;
	uint64_t after; /* XXH3-64 of what the change made of the bytes */
	const uint8_t *old;
};

static const char suffix[] = ".gow-undo";
static const char unfinished[] = ".new";
static const char unfinished_elsewhere[] = ".gow-undo.new"; /* there are the user's files, too */

enum { LAYER_MAX = INT32_MAX };

typedef int (*gow_undo_record_visitor)(void *context, const struct gow_undo_record *record,
                                       gow_error *error);
void gow_undo_seal(uint8_t sector[SECTOR]);
bool gow_undo_is_sealed(const uint8_t sector[SECTOR], const uint8_t magic[8]);

/* How much of the image before the change its digest is over. */
uint64_t gow_undo_header_length(const struct gow_undo *undo);
uint64_t gow_undo_end_at(const struct gow_undo *undo);
uint64_t gow_undo_done_at(const struct gow_undo *undo);
uint64_t gow_undo_back_at(const struct gow_undo *undo);
uint64_t gow_undo_file_end(const struct gow_undo *undo);

/* A number for the file that no other one has, as long as it is mounted; 0: it has none. */
uint64_t gow_undo_number_of(const struct gow_file *image);

/* XXH3-128, canonical, of the bytes [start, end) of a file. */
int gow_undo_digest_range(struct gow_file *file, uint64_t start, uint64_t end,
                          uint8_t digest[GOW_UNDO_DIGEST], gow_error *error);

/* Describes the layout in the first sector; and what is described there, with NULL or what is wrong
 * with it. *layout is undo's own, or the one of place that is the same. */
void gow_undo_put_layout(uint8_t head[SECTOR], const struct gow_layout *layout);
const char *gow_undo_take_layout(const struct gow_undo_place *place, const uint8_t head[SECTOR],
                                 struct gow_undo *undo);

/* Writes the whole file, and syncs it. */
int gow_undo_fill(struct gow_undo *undo, struct gow_file *image, struct gow_file *overlay,
                  gow_error *error);

int gow_undo_list_layers(const struct gow_undo_place *place, bool all, uint32_t **layers,
                         size_t *count, gow_error *error);

/* ---- undo_spot.c --------------------------------------------------------------------------- */

/* The layer that comes next, and the name of its file, allocated. */
int gow_undo_next_layer(const struct gow_undo_place *place, uint32_t *layer, char **name,
                        gow_error *error);

/* Where a file is to be made. */
struct gow_undo_spot {
	struct gow_directory *directory; /* NULL: nothing was found */
	char *name;                      /* in it */
	char *full;                      /* its absolute name */
};

/* To be left also when it fails. */
int gow_undo_find_spot(const struct gow_undo_place *place, const char *path,
                       struct gow_undo_spot *spot, gow_error *error);
void gow_undo_leave_spot(struct gow_undo_spot *spot);

/* Fails where it is a name for layers: the pointer would stand in its way. The directory may be the
 * image's by another path. hint: what to do about it. */
int gow_undo_refuse_beside(const struct gow_undo_place *place, const struct gow_undo_spot *spot,
                           const struct gow_file *image, const char *hint, gow_error *error);

/* -------------------------------------------------------------------------------------------- */

int gow_undo_bad(const struct gow_undo *undo, const char *what, uint64_t offset, gow_error *error);
int gow_undo_each_record(const struct gow_undo *undo, gow_undo_record_visitor visit, void *context,
                         gow_error *error);

/* Reads and verifies everything. */
int gow_undo_verify(const struct gow_undo_place *place, struct gow_undo *undo, gow_error *error);

#endif
