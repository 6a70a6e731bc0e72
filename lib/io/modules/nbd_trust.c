/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_trust.c - whom to trust over TLS. libnbd verifies a server only where it has a directory with
 * the certificates to trust: without one, or where nothing is in it, it takes any server. So it gets
 * a temporary one that names the system's, and what a URI names is looked at first.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "io/modules/nbd.h"

#define SYSTEM_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"
#define CERTIFICATES "ca-cert.pem" /* libnbd's name for them */

/* ---- what the URI says -------------------------------------------------------------------- */

static int digit_of(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Decodes %XX in place. */
static void decode(char *text)
{
	char *to = text;

	for (; *text; text++)
		if (text[0] == '%' && isxdigit((unsigned char)text[1]) &&
		    isxdigit((unsigned char)text[2])) {
			*to++ = (char)(16 * digit_of(text[1]) + digit_of(text[2]));
			text += 2;
		} else {
			*to++ = *text;
		}
	*to = '\0';
}

/* The value of a parameter of that name, or NULL. */
static const char *value_of(const char *parameter, const char *name)
{
	const size_t length = strlen(name);

	return strncmp(parameter, name, length) == 0 && parameter[length] == '='
	               ? parameter + length + 1
	               : NULL;
}

static int check_directory(const char *directory, gow_error *error)
{
	char path[4096];

	(void)snprintf(path, sizeof path, "%s/" CERTIFICATES, directory);
	return directory[0] && access(path, R_OK) == 0
	               ? GOW_OK
	               : gow_fail(error, GOW_ERR_IO,
	                          "tls-certificates names '%s', and there is no " CERTIFICATES
	                          " that can be read: the server could not be verified",
	                          directory);
}

/* Whether the URI says whom to trust; what it names must be there. */
static int look_at_query(const char *uri, bool *says, gow_error *error)
{
	const char *query = strchr(uri, '?');
	char *parameters = query ? strndup(query + 1, strcspn(query + 1, "#")) : NULL, *rest;
	int code = GOW_OK;

	*says = false;
	if (!query)
		return GOW_OK;
	if (!parameters)
		return gow_fail_memory(error, strlen(query));
	rest = parameters;
	while (rest && !code) {
		char *parameter = strsep(&rest, "&;");
		const char *directory;

		decode(parameter);
		directory = value_of(parameter, "tls-certificates");
		if (directory)
			code = check_directory(directory, error);
		*says |= directory || value_of(parameter, "tls-psk-file");
	}
	free(parameters);
	return code;
}

/* ---- the directory ------------------------------------------------------------------------ */

void gow_nbd_forget_trust(struct gow_remote *remote)
{
	char path[sizeof remote->trust + 32];

	if (!remote->trust[0])
		return;
	(void)snprintf(path, sizeof path, "%s/" CERTIFICATES, remote->trust);
	(void)unlink(path);
	(void)rmdir(remote->trust);
	remote->trust[0] = '\0';
}

/* A directory of the form that libnbd wants, which names the certificates that are trusted here. */
static int make_trust(struct gow_remote *remote, gow_error *error)
{
	const char *file = getenv("SSL_CERT_FILE"), *directory = getenv("TMPDIR");
	char path[sizeof remote->trust + 32];

	if (!file || !*file)
		file = SYSTEM_CERTIFICATES;
	if (access(file, R_OK))
		return gow_fail_errno(error, errno, "cannot read the certificates to trust, %s",
		                      file);
	if (!directory || strlen(directory) > 40)
		directory = "/tmp";
	(void)snprintf(remote->trust, sizeof remote->trust, "%s/gow-tls-XXXXXX", directory);
	if (!mkdtemp(remote->trust)) {
		remote->trust[0] = '\0';
		return gow_fail_errno(error, errno, "cannot make a directory for certificates");
	}
	(void)snprintf(path, sizeof path, "%s/" CERTIFICATES, remote->trust);
	if (symlink(file, path))
		return gow_fail_errno(error, errno, "cannot name the certificates");
	if (nbd_set_tls_certificates(remote->nbd, remote->trust) == -1)
		return gow_nbd_fail(error, "cannot set up TLS");
	return GOW_OK;
}

int gow_nbd_trust(struct gow_remote *remote, gow_error *error)
{
	bool says;
	int code;

	if (strncasecmp(remote->uri, "nbds", 4) != 0)
		return GOW_OK;
	code = look_at_query(remote->uri, &says, error);
	return code || says ? code : make_trust(remote, error);
}
