/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/uri.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

static const struct gow_scheme schemes[] = {
	{ "nbd", "nbd", true },       { "nbds", "nbd", true },   { "nbd+unix", "nbd", true },
	{ "nbds+unix", "nbd", true }, { "http", "http", false }, { "https", "http", false },
};

enum { SCHEMES = sizeof schemes / sizeof *schemes };

/* How long the scheme before the colon is; 0 where there is none. */
static size_t scheme_length(const char *name)
{
	size_t length = 0;

	if (!isalpha((unsigned char)name[0]))
		return 0;
	while (isalnum((unsigned char)name[length]) ||
	       (name[length] && strchr("+-.", name[length])))
		length++;
	return name[length] == ':' ? length : 0;
}

const struct gow_scheme *gow_scheme_of(const char *name)
{
	const size_t length = scheme_length(name);

	for (size_t i = 0; length && i < SCHEMES; i++)
		if (strlen(schemes[i].name) == length &&
		    strncasecmp(name, schemes[i].name, length) == 0)
			return &schemes[i];
	return NULL;
}

bool gow_name_is_uri(const char *name)
{
	const size_t length = scheme_length(name);

	return length && (gow_scheme_of(name) || strncmp(name + length, "://", 3) == 0);
}

char *gow_shown_name(const char *name)
{
	const char *authority, *end, *at = NULL;
	char *shown = strdup(name);

	if (!shown || !gow_name_is_uri(name))
		return shown;
	authority = strstr(name, "://");
	if (!authority)
		return shown;
	authority += 3;
	end = authority + strcspn(authority, "/?#");
	for (const char *p = authority; p < end; p++)
		if (*p == '@')
			at = p;
	if (at)
		(void)memmove(shown + (authority - name), at + 1, strlen(at + 1) + 1);
	/* A query may hold a token; the socket's path of nbd+unix is no secret. */
	if (!strstr(shown, "+unix:"))
		shown[strcspn(shown, "?#")] = '\0';
	return shown;
}

int gow_refuse_scheme(const char *shown, gow_error *error)
{
	return gow_fail_in_file(
		error,
		gow_fail(error, GOW_ERR_UNSUPPORTED,
	                 "unknown protocol: known are nbd://, nbds://, nbd+unix://, "
	                 "http:// and https://; for a local file of this name "
	                 "write ./ before it"),
		shown);
}
