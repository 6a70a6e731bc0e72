/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/monitor.h"

#include <stdarg.h>
#include <stdio.h>

int gow_tick(const gow_monitor *monitor, const char *phase, uint64_t done, uint64_t total,
             gow_error *error)
{
	if (!monitor || !monitor->progress ||
	    !monitor->progress(monitor->context, phase, done, total))
		return GOW_OK;
	return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
}

void gow_note(const gow_monitor *monitor, gow_note_level level, const char *file, const char *fmt,
              ...)
{
	char text[512];
	va_list args;

	if (!monitor || !monitor->note)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	monitor->note(monitor->context, level, file, text);
}

static _Thread_local const atomic_bool *stop_flag;

void gow_set_stop_flag(const atomic_bool *flag)
{
	stop_flag = flag;
}

bool gow_has_stop_flag(bool *stop)
{
	if (!stop_flag)
		return false;
	*stop = atomic_load(stop_flag);
	return true;
}
