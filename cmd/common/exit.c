/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/exit.h"

#include "gow.h"

int exit_of_code(int code)
{
	switch ((gow_code)code) {
	case GOW_OK:
		return EXIT_CLEAN;
	case GOW_ERR_CORRUPT:
		return EXIT_CORRUPT;
	case GOW_ERR_ARGUMENT:
		return EXIT_USAGE;
	case GOW_ERR_STOPPED:
		return EXIT_STOPPED;
	case GOW_ERR_BUSY:
		return EXIT_BUSY;
	default:
		return EXIT_ERROR;
	}
}
