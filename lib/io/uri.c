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

/* The last '@' of so many characters, or NULL. */
static const char *last_at(const char *text, size_t length)
{
	return memrchr(text, '@', length);
}

/* Whether what follows a host's name can be no port: then it is a password with characters that
 * should have been encoded. */
static bool has_no_port(const char *authority, size_t length)
{
	const char *colon = memrchr(authority, ':', length);

	if (!colon || memchr(colon, ']', length - (size_t)(colon - authority)))
		return false;
	for (const char *p = colon + 1; p < authority + length; p++)
		if (!isdigit((unsigned char)*p))
			return true;
	return false;
}

char *gow_shown_name(const char *name)
{
	const struct gow_scheme *scheme = gow_scheme_of(name);
	const char *authority, *at;
	char *shown = strdup(name);
	size_t length;

	if (!shown || !gow_name_is_uri(name))
		return shown;
	/* libcurl takes one slash, three, or none, for the two. */
	authority = name + scheme_length(name) + 1;
	authority += strspn(authority, "/");
	length = strcspn(authority, "/?#");
	at = last_at(authority, length);
	if (!at && has_no_port(authority, length))
		at = last_at(authority, strlen(authority));
	if (at)
		(void)memmove(shown + (authority - name), at + 1, strlen(at + 1) + 1);
	/* A query may hold a token; the socket's path of nbd+unix is no secret. */
	if (!scheme || !strstr(scheme->name, "+unix"))
		shown[strcspn(shown, "?#")] = '\0';
	return shown;
}

char *gow_last_part(const char *name)
{
	char *part = gow_shown_name(name);
	const char *path = part, *slash;

	if (!part)
		return NULL;
	if (gow_name_is_uri(name)) {
		part[strcspn(part, "?#")] = '\0';
		path = part + scheme_length(part) + 1;
		path += strspn(path, "/");
		path += strcspn(path, "/");
	}
	slash = strrchr(path, '/');
	path = slash ? slash + 1 : path;
	(void)memmove(part, path, strlen(path) + 1);
	return part;
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
