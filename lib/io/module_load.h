/* SPDX-License-Identifier: BSD-2-Clause */
/* module_load.h - finds the protocol modules (module.h) on this machine. */
#ifndef GOW_IO_MODULE_LOAD_H
#define GOW_IO_MODULE_LOAD_H

#include "io/module.h"
#include "io/uri.h"

/* The module for a protocol, which stays loaded: libcurl and GnuTLS do not like to be unloaded.
 * GOW_ERR_UNSUPPORTED where it is not installed, or is of another version; the message names the
 * package. */
int gow_module_load(const struct gow_scheme *scheme, const struct gow_module **module,
                    gow_error *error);

#endif
