/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h - text that others chose (names, what a server says), made fit for those who read it. */
#ifndef GOW_CMD_TEXT_H
#define GOW_CMD_TEXT_H

#include <stddef.h>

/* A copy that is well-formed UTF-8, with U+FFFD for every byte that is not; NULL: no memory. */
char *text_utf8(const char *text);

/* How many bytes a control character takes that text begins with; 0: there is none. Those of ISO 6429
 * above 0x7f count, as one byte and as UTF-8: a terminal obeys them like those of ASCII. */
size_t text_control(const char *text);

/* A copy that stays on one line and leaves a terminal alone: a question mark for every control
 * character. NULL: no memory. */
char *text_one_line(const char *text);

#endif
