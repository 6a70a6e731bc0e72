/* SPDX-License-Identifier: BSD-2-Clause */
/* size.h - sizes and numbers as people write and read them. */
#ifndef GOW_CMD_SIZE_H
#define GOW_CMD_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* Room for any text below, with its final NUL. */
enum { SIZE_TEXT = 64 };

/* "10G", "10g", "10GiB" or bytes. NULL, or what is wrong with text, for a message. */
const char *size_parse(const char *text, uint64_t *size);

/* A decimal number from min to max. NULL, or what is wrong. */
const char *number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *number);

/* Seconds, with or without a fraction. NULL, or what is wrong. */
const char *seconds_parse(const char *text, double *seconds);

/* "2.1 GiB"; returns buf. */
const char *size_short(char *buf, size_t buf_size, uint64_t size);

/* "10 GiB (10737418240 bytes)"; returns buf. */
const char *size_long(char *buf, size_t buf_size, uint64_t size);

#endif
