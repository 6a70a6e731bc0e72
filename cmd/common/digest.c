/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/digest.h"

#include <string.h>

void digest_json(struct doc *doc, const char *key, const gow_digest *digest)
{
	if (digest->text[0])
		doc_text(doc, key, digest->text);
	else
		doc_null(doc, key);
}

static void print_digest(struct out *out, const gow_digest *digest)
{
	if (digest->text[0])
		out_print(out, ": digest %s", digest->text);
	else
		out_print(out, ": no digest: the guest's disk cannot be read in full");
}

void digest_text(struct out *out, const char *image, const gow_digest *digest)
{
	out_name(out, image);
	print_digest(out, digest);
	out_print(out, "\n");
}

void digests_json(struct doc *doc, const gow_digests *digests)
{
	digest_json(doc, "digest_before", &digests->before);
	digest_json(doc, "digest", &digests->after);
}

void digests_text(struct out *out, const char *image, const gow_digests *digests)
{
	const char *before = digests->before.text;

	out_name(out, image);
	print_digest(out, &digests->after);
	if (strcmp(before, digests->after.text) != 0)
		out_print(out, " (before: %s)\n", before[0] ? before : "none");
	else
		out_print(out, "%s\n", before[0] ? ", as before" : "");
}
