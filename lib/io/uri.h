/* SPDX-License-Identifier: BSD-2-Clause */
/* uri.h - names that are URIs: which protocol they ask for, and how they are shown. */
#ifndef GOW_IO_URI_H
#define GOW_IO_URI_H

#include "gow.h"

/* A protocol; static. */
struct gow_scheme {
	const char *name;   /* "nbd", without the colon */
	const char *module; /* the module for it: gow-MODULE.so */
	bool writes;        /* raw disks can be written over it */
};

/* The protocol that a name begins with; NULL: none that is known. */
const struct gow_scheme *gow_scheme_of(const char *name);

/* The last part of a path, or of a URI's path without its query: what is named after a file is named
 * after that. May be "". free() it; NULL where memory is short. */
char *gow_last_part(const char *name);

/* Fails for a URI of which gow_scheme_of knows nothing; shown is its name for messages. */
int gow_refuse_scheme(const char *shown, gow_error *error);

#endif
