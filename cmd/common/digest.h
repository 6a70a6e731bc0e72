/* SPDX-License-Identifier: BSD-2-Clause */
/* digest.h - guest digests, for people and for programs. */
#ifndef GOW_CMD_DIGEST_H
#define GOW_CMD_DIGEST_H

#include "common/document.h"
#include "common/out.h"
#include "gow.h"

/* The member of a JSON object; null where there is no digest. */
void digest_json(struct doc *doc, const char *key, const gow_digest *digest);

/* A line about an image. */
void digest_text(struct out *out, const char *image, const gow_digest *digest);

/* The same of a change: "digest_before", and "digest" of what came of it. */
void digests_json(struct doc *doc, const gow_digests *digests);
void digests_text(struct out *out, const char *image, const gow_digests *digests);

#endif
