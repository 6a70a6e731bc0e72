/* SPDX-License-Identifier: BSD-2-Clause */
/* error.h - how every layer reports what went wrong: it fills a gow_error and returns its code. */
#ifndef GOW_BASE_ERROR_H
#define GOW_BASE_ERROR_H

#include "gow.h"

#define GOW_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Fills error (which may be NULL), forgetting what stood there, and returns code. */
int gow_fail(gow_error *error, gow_code code, const char *fmt, ...) GOW_PRINTF(3, 4);

/* The same for a failed system call; the code follows from sys_errno: ENOSPC, EDQUOT and EFBIG
 * are GOW_ERR_NO_SPACE, ENOMEM is GOW_ERR_MEMORY, all others are GOW_ERR_IO. */
int gow_fail_errno(gow_error *error, int sys_errno, const char *fmt, ...) GOW_PRINTF(3, 4);

/* Adds where to an error that was just filled; all return its code, for use in one statement. */
int gow_fail_at_offset(gow_error *error, int code, uint64_t offset);
int gow_fail_at_block(gow_error *error, int code, uint64_t block);
int gow_fail_in_file(gow_error *error, int code, const char *file);

/* GOW_ERR_MEMORY, with how many bytes were wanted. */
int gow_fail_memory(gow_error *error, size_t bytes);

/*
 * The static analyser looks into one source file at a time, and would have every one of these
 * return GOW_OK and its caller continue with what was never made. This states what error.c does.
 */
#ifdef __clang_analyzer__
#define gow_fail(error, code, ...) ((void)(gow_fail)((error), (code), __VA_ARGS__), (int)(code))
#define gow_fail_errno(error, number, ...)                                                         \
	((void)(gow_fail_errno)((error), (number), __VA_ARGS__), (int)GOW_ERR_IO)
#define gow_fail_memory(error, bytes)                                                              \
	((void)(gow_fail_memory)((error), (bytes)), (int)GOW_ERR_MEMORY)
#define gow_fail_at_offset(error, code, offset)                                                    \
	((gow_fail_at_offset)((error), GOW_OK, (offset)), (code))
#define gow_fail_at_block(error, code, block)                                                      \
	((gow_fail_at_block)((error), GOW_OK, (block)), (code))
#define gow_fail_in_file(error, code, file) ((gow_fail_in_file)((error), GOW_OK, (file)), (code))
#endif

#endif
