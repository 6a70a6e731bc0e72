/* SPDX-License-Identifier: BSD-2-Clause */
/* trailer_format.h - the bytes of a trailer, for the files that write and find one. */
#ifndef GOW_JOURNAL_TRAILER_FORMAT_H
#define GOW_JOURNAL_TRAILER_FORMAT_H

#include "journal/trailer.h"

enum { GOW_TRAILER_HASH_AT = GOW_TRAILER_SECTOR - GOW_TRAILER_HASH };

enum gow_trailer_sector { GOW_TRAILER_FOOTER, GOW_TRAILER_CURSOR };

/* Fills a whole sector from *trailer, with its hash. */
void gow_trailer_make_footer(const struct gow_trailer *trailer, uint8_t *sector);
void gow_trailer_make_cursor(const struct gow_trailer *trailer, uint8_t *sector);

/* Whether the sector is of that kind and has the hash that it should have. */
bool gow_trailer_is_sealed(const uint8_t *sector, enum gow_trailer_sector kind);

/* Whether a sealed footer is of a format that is known; if so, takes everything but the cursor. */
bool gow_trailer_parse_footer(const uint8_t *sector, struct gow_trailer *trailer);

/* What a sealed cursor says. false if it is another footer's, or says what cannot be. */
bool gow_trailer_parse_cursor(const uint8_t *sector, const uint8_t *footer,
                              struct gow_trailer *trailer);

/* Where the cursor with that number stands. */
uint64_t gow_trailer_cursor_offset(const struct gow_trailer *trailer, uint64_t sequence);

/* The hash of a header of size bytes at offset. */
int gow_trailer_hash_range(struct gow_file *file, uint64_t offset, uint64_t size,
                           const struct gow_layout *layout, uint8_t hash[GOW_TRAILER_HASH],
                           gow_error *error);

#endif
