/* SPDX-License-Identifier: BSD-2-Clause */
/* signs.h - what else a file must have whose signature is too short to be believed (formats.c). */
#ifndef GOW_DISK_SIGNS_H
#define GOW_DISK_SIGNS_H

#include "gow.h"

/* The first bytes of a file, and how many there are. */
bool gow_sign_bzip2(const uint8_t *head, size_t size);
bool gow_sign_compress(const uint8_t *head, size_t size);
bool gow_sign_skippable(const uint8_t *head, size_t size);
bool gow_sign_whole_header(const uint8_t *head, size_t size);
bool gow_sign_tar(const uint8_t *head, size_t size);
/* The second or a later volume of a tar archive (tar -M): it begins with the rest of a member. */
bool gow_sign_later_volume(const uint8_t *head, size_t size);
bool gow_sign_old_cpio(const uint8_t *head, size_t size);
bool gow_sign_lzma(const uint8_t *head, size_t size);
bool gow_sign_pack(const uint8_t *head, size_t size);
bool gow_sign_lha(const uint8_t *head, size_t size);
bool gow_sign_arj(const uint8_t *head, size_t size);
bool gow_sign_dar(const uint8_t *head, size_t size);
bool gow_sign_fsarchiver(const uint8_t *head, size_t size);
bool gow_sign_uuencode(const uint8_t *head, size_t size);
bool gow_sign_pe(const uint8_t *head, size_t size);
bool gow_sign_text(const uint8_t *head, size_t size);

/* The last 512 bytes of a file of that size. */
bool gow_sign_vhd_footer(const uint8_t *tail, uint64_t size);
bool gow_sign_dmg(const uint8_t *tail, uint64_t size);

#endif
