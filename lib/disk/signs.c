/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/signs.h"

#include <ctype.h>
#include <string.h>

#include "base/bytes.h"

enum { SECTOR = 512 };

/* ---- compression ------------------------------------------------------------------------- */

/* The level, and the first block's mark, or that of the end. */
bool gow_sign_bzip2(const uint8_t *head, size_t size)
{
	return size >= 10 && head[3] >= '1' && head[3] <= '9' &&
	       (memcmp(head + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
	        memcmp(head + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

/* 9 to 16 bits a code, and two flags that have never been used. */
bool gow_sign_compress(const uint8_t *head, size_t size)
{
	return size >= 3 && (head[2] & 0x60) == 0 && (head[2] & 0x1f) >= 9 &&
	       (head[2] & 0x1f) <= 16;
}

bool gow_sign_skippable(const uint8_t *head, size_t size)
{
	return size >= 8 && (head[0] & 0xf0) == 0x50 && memcmp(head + 1, "\x2a\x4d\x18", 3) == 0;
}

/* The size of its dictionary is 2^n or 2^n + 2^(n-1); that of what was packed is possible, or not
 * given; the first byte of what is packed is 0. */
bool gow_sign_lzma(const uint8_t *head, size_t size)
{
	uint64_t dictionary, length;

	if (size < 14 || head[13])
		return false;
	dictionary = gow_load(head + 1, 4, GOW_LITTLE_ENDIAN);
	length = gow_load(head + 5, 8, GOW_LITTLE_ENDIAN);
	while (dictionary && dictionary % 2 == 0)
		dictionary /= 2;
	return (dictionary == 1 || dictionary == 3 || dictionary == UINT32_MAX) &&
	       (length == UINT64_MAX || length < UINT64_C(1) << 48);
}

/* pack(1) stores the size, and how many levels its tree has (at most 24). */
bool gow_sign_pack(const uint8_t *head, size_t size)
{
	return size >= 7 && (head[1] == 0xa0 || (head[6] >= 1 && head[6] <= 24 && !head[2]));
}

/* ---- archives ---------------------------------------------------------------------------- */

bool gow_sign_whole_header(const uint8_t *head, size_t size)
{
	(void)head;
	return size >= SECTOR;
}

/* A tar header's sum, of which some wrote the signed one: the field itself counts as blanks. */
bool gow_sign_tar(const uint8_t *head, size_t size)
{
	enum { SUM_AT = 148, SUM_SIZE = 8 };
	long stated = 0, sum = 0, signed_sum = 0;
	size_t at = SUM_AT;

	if (size < SECTOR || !head[0])
		return false;
	for (size_t i = 0; i < SECTOR; i++) {
		uint8_t byte = i >= SUM_AT && i < SUM_AT + SUM_SIZE ? ' ' : head[i];

		sum += byte;
		signed_sum += (int8_t)byte;
	}
	while (at < SUM_AT + SUM_SIZE && head[at] == ' ')
		at++;
	if (head[at] < '0' || head[at] > '7')
		return false;
	while (at < SUM_AT + SUM_SIZE && head[at] >= '0' && head[at] <= '7')
		stated = stated * 8 + (head[at++] - '0');
	return stated == sum || stated == signed_sum;
}

/* GNU tar says it in a header of type M, or in a global pax header. The volume's label may stand before
 * the former. */
bool gow_sign_later_volume(const uint8_t *head, size_t size)
{
	enum { SIZE_AT = 124, SIZE_DIGITS = 11, TYPE_AT = 156 };
	static const char key[] = " GNU.volume.offset=";
	size_t length = 0;

	if (gow_sign_tar(head, size) && head[TYPE_AT] == 'V') {
		head += SECTOR;
		size -= SECTOR;
	}
	if (!gow_sign_tar(head, size) || head[TYPE_AT] != 'g')
		return gow_sign_tar(head, size) && head[TYPE_AT] == 'M';
	for (size_t i = 0; i < SIZE_DIGITS && length < size; i++)
		length = length * 8 + (size_t)(head[SIZE_AT + i] & 7);
	return memmem(head + SECTOR, (size_t)gow_min(size - SECTOR, length), key, sizeof key - 1);
}

/* The old binary header of cpio has a magic of two bytes, so its name is looked at, too. */
bool gow_sign_old_cpio(const uint8_t *head, size_t size)
{
	enum { HEADER = 26, NAME_SIZE_AT = 20 };
	enum gow_order order = size >= 2 && memcmp(head, "\xc7\x71", 2) == 0 ? GOW_LITTLE_ENDIAN
	                                                                     : GOW_BIG_ENDIAN;
	size_t length;

	if (size < HEADER || gow_load(head, 2, order) != 070707)
		return false;
	length = (size_t)gow_load(head + NAME_SIZE_AT, 2, order);
	return length > 1 && HEADER + length <= size && head[HEADER] &&
	       strnlen((const char *)head + HEADER, length) == length - 1;
}

/* The method is -lh5-, -lzs-, -pm2-, and the level of the header 0 to 3. */
bool gow_sign_lha(const uint8_t *head, size_t size)
{
	return size > 20 && head[6] == '-' && strchr("hzm", head[4]) && head[4] &&
	       isalnum(head[5]) && head[20] <= 3;
}

/* The length of the first header, and that it is no member's. */
bool gow_sign_arj(const uint8_t *head, size_t size)
{
	return size > 34 && gow_load(head + 2, 2, GOW_LITTLE_ENDIAN) <= 2600 &&
	       gow_load(head + 2, 2, GOW_LITTLE_ENDIAN) > 30 && head[4] >= 30 && head[10] == 2;
}

/* A label of ten bytes follows, and whether the archive ends with this part. */
bool gow_sign_dar(const uint8_t *head, size_t size)
{
	return size > 16 && (head[14] == 'T' || head[14] == 'N' || head[14] == 'E');
}

bool gow_sign_fsarchiver(const uint8_t *head, size_t size)
{
	return size >= 8 && (memcmp(head, "FsArCh_", 7) == 0 || memcmp(head, "FsA0", 4) == 0);
}

/* Three digits of a mode and a name. */
bool gow_sign_uuencode(const uint8_t *head, size_t size)
{
	return size > 10 && isdigit(head[7]) && isdigit(head[8]) &&
	       (head[9] == ' ' || (isdigit(head[9]) && head[10] == ' '));
}

/* ---- programs ---------------------------------------------------------------------------- */

/* Where its second header is; a boot sector that begins with these letters has none, and a kernel that
 * is a program of the firmware is both. */
bool gow_sign_pe(const uint8_t *head, size_t size)
{
	uint64_t at;

	if (size < SECTOR)
		return false;
	at = gow_load(head + 60, 4, GOW_LITTLE_ENDIAN);
	return at >= 64 && at + 4 <= size && memcmp(head + at, "PE\0\0", 4) == 0;
}

/* ---- texts ------------------------------------------------------------------------------- */

/* Letters and the end of a line in a whole sector: what is written over a disk to erase it is of one
 * letter. Letters above 0x7f come in UTF-8, of which the last may be cut. */
bool gow_sign_text(const uint8_t *head, size_t size)
{
	size_t lines = 0, due = 0;

	if (size < SECTOR)
		return false;
	for (size_t i = 0; i < SECTOR; i++) {
		const uint8_t byte = head[i];

		if ((byte >= 0x80 && byte < 0xc0) != (due > 0))
			return false;
		if (due)
			due--;
		else if (byte >= 0xc2 && byte < 0xf5)
			due = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
		else if (byte >= 0x7f || !byte || (byte < ' ' && !strchr("\t\n\f\r", byte)))
			return false;
		lines += byte == '\n' || byte == '\r';
	}
	return lines > 0;
}

/* ---- ends -------------------------------------------------------------------------------- */

/* The footer of a VHD, with its sum. A disk may hold one in its last sector by chance, or because a
 * VHD is stored there: so of a fixed one the size is compared, and any other begins with a copy. */
bool gow_sign_vhd_footer(const uint8_t *tail, uint64_t size)
{
	enum { SUM_AT = 64, SIZE_AT = 48, TYPE_AT = 60, FIXED = 2 };
	uint32_t sum = 0;

	if (memcmp(tail, "conectix", 8) != 0 ||
	    gow_load(tail + TYPE_AT, 4, GOW_BIG_ENDIAN) != FIXED)
		return false;
	for (size_t i = 0; i < SECTOR; i++)
		sum += i >= SUM_AT && i < SUM_AT + 4 ? 0 : tail[i];
	return ~sum == (uint32_t)gow_load(tail + SUM_AT, 4, GOW_BIG_ENDIAN) &&
	       size - gow_load(tail + SIZE_AT, 8, GOW_BIG_ENDIAN) == SECTOR;
}

/* Its version, and how long the trailer is. */
bool gow_sign_dmg(const uint8_t *tail, uint64_t size)
{
	return size > SECTOR && memcmp(tail, "koly\0\0\0\x04\0\0\x02\0", 12) == 0;
}
