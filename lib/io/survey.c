/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/survey.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"

void gow_survey_init(struct gow_survey *survey, size_t limit)
{
	*survey = (struct gow_survey){ .limit = limit };
}

void gow_survey_release(struct gow_survey *survey)
{
	free(survey->runs);
	survey->runs = NULL;
	survey->count = survey->room = 0;
}

/* Fills short holes, and longer ones each time, until there is as much room again. */
static void coarsen(struct gow_survey *survey)
{
	struct gow_survey_run *runs = survey->runs;

	while (survey->count > survey->limit / 2) {
		size_t kept = 0;

		survey->grain = gow_max(GOW_FILE_GRAIN, 2 * survey->grain);
		for (size_t i = 1; i < survey->count; i++)
			if (runs[i].start - runs[kept].end <= survey->grain)
				runs[kept].end = runs[i].end;
			else
				runs[++kept] = runs[i];
		survey->count = kept + 1;
	}
}

static int grow(struct gow_survey *survey, gow_error *error)
{
	const size_t room = survey->room ? 2 * survey->room : 64;
	struct gow_survey_run *grown = realloc(survey->runs, room * sizeof *grown);

	if (!grown)
		return gow_fail_memory(error, room * sizeof *grown);
	survey->runs = grown;
	survey->room = room;
	return GOW_OK;
}

static int add_run(struct gow_survey *survey, uint64_t start, uint64_t end, gow_error *error)
{
	int code = GOW_OK;

	if (survey->count && start - survey->runs[survey->count - 1].end <= survey->grain) {
		survey->runs[survey->count - 1].end = end;
		return GOW_OK;
	}
	if (survey->count == survey->limit)
		coarsen(survey);
	else if (survey->count == survey->room)
		code = grow(survey, error);
	if (!code)
		survey->runs[survey->count++] = (struct gow_survey_run){ start, end };
	return code;
}

int gow_survey_add(struct gow_survey *survey, struct gow_file *file, uint64_t start, uint64_t end,
                   gow_error *error)
{
	while (start < end) {
		uint64_t data, data_end;
		int code = gow_file_next_data(file, start, &data, &data_end, error);

		if (code)
			return code;
		if (data == data_end || data >= end)
			break;
		start = gow_min(data_end, end);
		code = add_run(survey, data, start, error);
		if (code)
			return code;
	}
	return GOW_OK;
}

void gow_survey_next_data(const struct gow_survey *survey, uint64_t offset, uint64_t *start,
                          uint64_t *end)
{
	size_t first = 0, past = survey->count;

	while (first < past) { /* the first run that does not end before offset */
		size_t middle = first + (past - first) / 2;

		if (survey->runs[middle].end <= offset)
			first = middle + 1;
		else
			past = middle;
	}
	*start = *end = offset;
	if (first == survey->count)
		return;
	*start = gow_max(offset, survey->runs[first].start);
	*end = survey->runs[first].end;
}
