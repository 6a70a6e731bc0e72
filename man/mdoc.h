/* SPDX-License-Identifier: BSD-2-Clause */
/* mdoc.h - what the programs that write manual pages share. */
#ifndef GOW_MAN_MDOC_H
#define GOW_MAN_MDOC_H

/*
 * Writes running text to standard output: every sentence on a line of its own, as mdoc wants it,
 * and long ones broken. What would be an escape, an option's dash or a request is quoted.
 */
void mdoc_put_text(const char *text);

#endif
