/* SPDX-License-Identifier: BSD-2-Clause */
#include "gow.h"

const char *gow_version(void)
{
	return GOW_VERSION;
}
