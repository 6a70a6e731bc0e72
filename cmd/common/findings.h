/* SPDX-License-Identifier: BSD-2-Clause */
/* findings.h - what is wrong with an image, for people and for programs. */
#ifndef GOW_CMD_FINDINGS_H
#define GOW_CMD_FINDINGS_H

#include <stdbool.h>

#include "common/document.h"
#include "common/out.h"
#include "gow.h"

/* Adds "corrupt", "advisory" and "findings", with every place if places is true. A gow_code. */
int findings_json(struct doc *doc, gow_check *check, bool places, gow_error *error);

/* A line for every finding, and one below it for every place. A gow_code. */
int findings_text(struct out *out, const char *image, gow_check *check, bool places,
                  gow_error *error);

/* "1 corrupt finding, 2 advisory"; returns buf. */
const char *findings_summary(const gow_check *check, char *buf, size_t size);

/* One finding: the members of a JSON object, and a line. */
void finding_json(struct doc *doc, const gow_finding *finding);
void finding_text(struct out *out, const char *image, const gow_finding *finding);

/* The severity's name, in its colour where there are colours. */
void findings_severity(struct out *out, gow_severity severity);

#endif
