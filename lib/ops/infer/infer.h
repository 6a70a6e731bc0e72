/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * infer.h - finds the layout of an image out of the image itself.
 *
 *     head of the file -> shapes (where a map could be) -> rows -> validator, guest -> verdict
 *
 * A shape is kept only if its first entry leads to what a disk begins with. What a row is worth is
 * told by the one validator and by structures of the guest that point to one another.
 */
#ifndef GOW_OPS_INFER_H
#define GOW_OPS_INFER_H

#include "guest/guest.h"
#include "image/layout_table.h"
#include "io/file.h"

struct gow_candidate {
	struct gow_layout row;
	struct gow_guest guest;
	uint32_t allocated, leaked, wrong; /* wrong: entries that cannot be right */
	uint32_t present;
	uint32_t odd_versions;            /* version numbers that do not go with their entries */
	uint32_t out_of_range;            /* of those: they name no block of the file */
	uint32_t spread[GOW_PROBE_PARTS]; /* entries by the part of the file that they name */
	uint32_t beside;    /* numbers beside the entries that are not 0, where there are no version
	                        * numbers: what they are nobody knows */
	uint64_t size;      /* of the disk, as far as it is known */
	bool size_is_sure;  /* by one field, or by the guest */
	bool size_is_told;  /* by a field, or by the guest's partition table */
	bool size_is_known; /* told, or it follows from a file system or from the map's length */
	bool is_short;      /* the guest's disk is larger than the map */
	int64_t score;
};

enum { GOW_CANDIDATES = 12, GOW_EVIDENCE = 16, GOW_WORDS = 520 };

struct gow_infer {
	gow_probe_verdict verdict;
	size_t count; /* candidates, the best first */
	struct gow_candidate candidates[GOW_CANDIDATES];
	size_t evidence_count;
	gow_probe_evidence evidence[GOW_EVIDENCE];
	size_t words_count;
	gow_probe_words words[GOW_WORDS]; /* of every 64 KiB that a header may take */
};

/* Never changes the file. It takes about 60 MiB while it works, whatever the image's size. layouts:
 * those that are known (NULL: the built-in ones). */
int gow_infer_layout(struct gow_file *file, const struct gow_layouts *layouts,
                     struct gow_infer *result, gow_error *error);

/* The layouts that the image in file may have (a gow_layouts_finder): as common->layout says, or the
 * one in the record of an interrupted change (gow_pending_layouts). For "auto" it is a table of one: a
 * known layout, or what is inferred if that is proven, or likely (with a warning). Otherwise
 * GOW_ERR_NOT_GOW. */
int gow_infer_find_layout(struct gow_file *file, const gow_common *common,
                          struct gow_layouts **layouts, gow_error *error);

/* ---- for the files of this room ---------------------------------------------------------- */

struct gow_infer_work {
	struct gow_file *file;
	uint64_t file_size;
	uint8_t *head;
	size_t head_size;
	uint32_t
		rest; /* of file_size, beyond whole blocks: the header's, if all blocks are whole */
	struct gow_infer *result;
};

/* Finds the shapes, and has each weighed. */
int gow_infer_shapes(struct gow_infer_work *work, gow_error *error);

enum { GOW_SEEN_MAX = 1 << 23 /* blocks */ };

/*
 * Whether the first count entries of row can be those of a map; sets row->unallocated. What the
 * validator would find too much wrong with need not be shown to it: entries that name no block, and
 * those that name one which another did. slack: so many are never too many. seen: room for
 * GOW_SEEN_MAX bits; blocks past them are not kept in mind.
 */
bool gow_infer_may_be_map(const struct gow_infer_work *work, uint64_t *seen, struct gow_layout *row,
                          uint32_t count, uint32_t slack);

/* Whether no other entry near the first has its value, word: numbers that repeat are no map. */
bool gow_infer_first_is_alone(const struct gow_infer_work *work, const struct gow_layout *row,
                              uint32_t word);

/* Weighs a row; keeps it in the result if it is among the best. */
int gow_infer_weigh(struct gow_infer_work *work, const struct gow_layout *row, gow_error *error);

/* Which field tells the disk's size, and the rest of the preamble. */
void gow_infer_preamble(const struct gow_infer_work *work, struct gow_candidate *candidate);

/* Fills the result's words. */
void gow_infer_count_words(const struct gow_infer_work *work);

void gow_infer_judge(struct gow_infer *result);

/* Whether the map is as long as maps are: as long as can be, or as the disk has blocks, where its size
 * is known. */
bool gow_infer_length_is_usual(const struct gow_candidate *candidate);

/* Whether two rows show the same guest, but for its size. */
bool gow_infer_same_guest(const struct gow_layout *one, const struct gow_layout *other);

#endif
