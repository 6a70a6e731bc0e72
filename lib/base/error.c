/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One home for the names; the order is that of gow_code. */
static const char *const code_names[] = {
	"ok",       "memory",  "io",      "no-space",    "not-gow", "corrupt",
	"busy",     "stopped", "exists",  "argument",    "limit",   "unsupported",
	"mismatch", "changed", "damaged", "unreachable",
};

const char *gow_code_name(gow_code code)
{
	size_t i = (size_t)code;

	return i < sizeof code_names / sizeof *code_names ? code_names[i] : "unknown";
}

GOW_PRINTF(4, 0)
static void fill(gow_error *error, gow_code code, int sys_errno, const char *fmt, va_list args)
{
	if (!error)
		return;
	error->code = code;
	error->sys_errno = sys_errno;
	error->offset = GOW_NOWHERE;
	error->block = GOW_NOWHERE;
	error->file[0] = '\0';
	(void)vsnprintf(error->what, sizeof error->what, fmt, args);
}

int(gow_fail)(gow_error *error, gow_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fill(error, code, 0, fmt, args);
	va_end(args);
	return (int)code;
}

static gow_code code_of_errno(int sys_errno)
{
	switch (sys_errno) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return GOW_ERR_NO_SPACE;
	case ENOMEM:
		return GOW_ERR_MEMORY;
	default:
		return GOW_ERR_IO;
	}
}

int(gow_fail_errno)(gow_error *error, int sys_errno, const char *fmt, ...)
{
	gow_code code = code_of_errno(sys_errno);
	va_list args;

	va_start(args, fmt);
	fill(error, code, sys_errno, fmt, args);
	va_end(args);
	return (int)code;
}

int(gow_fail_at_offset)(gow_error *error, int code, uint64_t offset)
{
	if (error)
		error->offset = offset;
	return code;
}

int(gow_fail_at_block)(gow_error *error, int code, uint64_t block)
{
	if (error)
		error->block = block;
	return code;
}

int(gow_fail_in_file)(gow_error *error, int code, const char *file)
{
	if (error)
		(void)snprintf(error->file, sizeof error->file, "%s", file);
	return code;
}

int(gow_fail_memory)(gow_error *error, size_t bytes)
{
	return gow_fail(error, GOW_ERR_MEMORY, "no memory for %zu bytes", bytes);
}

const char *gow_error_text(const gow_error *error, char *buf, size_t size)
{
	char where[64] = "";
	const char *why = error->sys_errno ? strerror(error->sys_errno) : NULL;

	if (error->offset != GOW_NOWHERE && error->block != GOW_NOWHERE)
		(void)snprintf(where, sizeof where, " (block %llu, offset %llu)",
		               (unsigned long long)error->block, (unsigned long long)error->offset);
	else if (error->offset != GOW_NOWHERE)
		(void)snprintf(where, sizeof where, " (offset %llu)",
		               (unsigned long long)error->offset);
	else if (error->block != GOW_NOWHERE)
		(void)snprintf(where, sizeof where, " (block %llu)",
		               (unsigned long long)error->block);
	if (size)
		(void)snprintf(buf, size, "%s%s%s%s", error->what, where, why ? ": " : "",
		               why ? why : "");
	return buf;
}
