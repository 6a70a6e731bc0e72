/* SPDX-License-Identifier: BSD-2-Clause */
/* tally.h - the last result line of every image, out of any number of JSON Lines. */
#ifndef GOW_CMD_TALLY_H
#define GOW_CMD_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The worst first. */
enum tally_state {
	TALLY_CORRUPT,
	TALLY_FAILED, /* an error, or wrong usage */
	TALLY_STOPPED,
	TALLY_BUSY,
	TALLY_MISSING, /* expected, and without a result */
	TALLY_ADVISORY,
	TALLY_REPAIRED,
	TALLY_CLEAN,
	TALLY_STATES
};

struct tally_image {
	char *name;
	char *why; /* findings or message; NULL: none */
	uint64_t hash;
	uint64_t space;  /* bytes that compacting would give back, as far as the line says */
	uint64_t time;   /* of the check, seconds since 1970; 0: unknown */
	unsigned status; /* "exit" */
	enum tally_state state;
};

struct tally {
	struct tally_image *images; /* in the order in which they were first named */
	size_t count, room;
	size_t *slots;     /* a hash table of indices + 1; 0: free */
	size_t slot_count; /* a power of two, more than twice count */
	struct json_tokener *parser;
	uint64_t bad_lines; /* that are no JSON object */
};

/* All return 0 or ENOMEM. */
int tally_begin(struct tally *tally);
void tally_end(struct tally *tally);

/* A line; one that has no "image" and no "exit" (an extent, say) is passed over. */
int tally_line(struct tally *tally, const char *line, size_t length);

/* An image that is to have a result. */
int tally_expect(struct tally *tally, const char *name);

const char *tally_state_name(enum tally_state state);

#endif
