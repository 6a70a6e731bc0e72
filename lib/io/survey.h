/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * survey.h - where a file has data and where holes, as it was when it was asked.
 *
 * Whoever writes to a file, or reserves space in it, changes what it says of its holes: what was
 * reserved can count as data from then on. A survey taken beforehand does not change, so that what
 * is measured by it is also what is done by it.
 */
#ifndef GOW_IO_SURVEY_H
#define GOW_IO_SURVEY_H

#include "io/file.h"

struct gow_survey_run {
	uint64_t start, end; /* bytes */
};

struct gow_survey {
	struct gow_survey_run *runs; /* of data; ascending, owned */
	size_t count, room;
	size_t limit;   /* at most so many: then short holes count as data, and longer ones, ... */
	uint64_t grain; /* those up to so many bytes */
};

/* An empty one: all is hole. limit is at least 2. */
void gow_survey_init(struct gow_survey *survey, size_t limit);
void gow_survey_release(struct gow_survey *survey);

/* Adds what the file has in [start, end), which is not before what was added until then. */
int gow_survey_add(struct gow_survey *survey, struct gow_file *file, uint64_t start, uint64_t end,
                   gow_error *error);

/* As gow_file_next_data. */
void gow_survey_next_data(const struct gow_survey *survey, uint64_t offset, uint64_t *start,
                          uint64_t *end);

#endif
