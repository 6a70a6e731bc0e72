/* SPDX-License-Identifier: BSD-2-Clause */
#include "mdoc.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Input lines stay shorter than the 80 bytes that mandoc's lint allows. */
enum { LINE_LENGTH = 72 };

/* One word: a backslash would begin an escape, a dash at the start is an option's. */
static void put_word(const char *word, size_t length)
{
	bool dashes = true;

	for (size_t i = 0; i < length; i++) {
		dashes = dashes && word[i] == '-';
		if (word[i] == '\\')
			(void)fputs("\\e", stdout);
		else
			(void)printf(dashes ? "\\%c" : "%c", word[i]);
	}
}

void mdoc_put_text(const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (column && column + 1 + length > LINE_LENGTH) {
			(void)putchar('\n');
			column = 0;
		} else if (column) {
			(void)putchar(' ');
			column++;
		}
		if (!column && length && strchr(".'", *text))
			(void)fputs("\\&", stdout);
		put_word(text, length);
		column += length;
		if (length && text[length - 1] == '.') {
			(void)putchar('\n');
			column = 0;
		}
		text += length;
		text += strspn(text, " ");
	}
	if (column)
		(void)putchar('\n');
}
