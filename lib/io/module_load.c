/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/module_load.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#ifndef GOW_MODULE_DIR
#define GOW_MODULE_DIR "/usr/local/lib/gow"
#endif

/* An address in this very program or library. */
static const char here[] = "";

/* Beside this very program or library: where make leaves the modules, and where a package under
 * any prefix does. */
static bool beside(char *path, size_t size, const char *module)
{
	Dl_info self;
	char *slash;

	if (!dladdr(here, &self) || !self.dli_fname)
		return false;
	if (!strchr(self.dli_fname, '/') && !realpath("/proc/self/exe", path))
		return false;
	if (strchr(self.dli_fname, '/') && !realpath(self.dli_fname, path))
		return false;
	slash = strrchr(path, '/');
	if (!slash || (size_t)(slash - path) + 64 > size)
		return false;
	(void)snprintf(slash, size - (size_t)(slash - path), "/../lib/gow/gow-%s.so", module);
	return true;
}

/* LAZY: of what libcurl and libnbd bring along, most is never called. A module itself is linked so that
 * all that it needs is found at once. */
enum { HOW = RTLD_LAZY | RTLD_LOCAL };

static void *load(const char *module, char *why, size_t size)
{
	char path[PATH_MAX + 64];
	const char *given = secure_getenv("GOW_MODULE_DIR");
	void *library = NULL;
	const char *said;

	if (given && *given) {
		(void)snprintf(path, sizeof path, "%s/gow-%s.so", given, module);
		library = dlopen(path, HOW);
	}
	if (!library && beside(path, sizeof path, module))
		library = dlopen(path, HOW);
	if (!library) {
		(void)snprintf(path, sizeof path, "%s/gow-%s.so", GOW_MODULE_DIR, module);
		library = dlopen(path, HOW);
	}
	if (!library) {
		said = dlerror();
		(void)snprintf(why, size, "%.300s", said ? said : "not found");
	}
	return library;
}

int gow_module_load(const struct gow_scheme *scheme, const struct gow_module **module,
                    gow_error *error)
{
	char why[320];
	void *library = load(scheme->module, why, sizeof why);
	const struct gow_module *found;

	if (!library)
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "the module for %s:// cannot be loaded (package gow-tools-net): %s",
		                scheme->name, why);
	found = dlsym(library, GOW_MODULE_SYMBOL);
	if (!found || found->abi != GOW_MODULE_ABI)
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "the module for %s:// is of another version than this program",
		                scheme->name);
	*module = found;
	return GOW_OK;
}
