/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steps.h - the steps of a plan, in order. There may be two for every entry of a map, and mostly
 * each is what those before it led to expect; so only what nobody could expect is kept. A run of
 * any length takes a few bytes, and a step that fits no run about ten. Where even that becomes much,
 * those before stand in a temporary file, if one can be had.
 */
#ifndef GOW_OPS_REPAIR_STEPS_H
#define GOW_OPS_REPAIR_STEPS_H

#include "io/file.h"

enum { GOW_STEP_NUMBERS = 7, GOW_STEP_SORTS = 64 };

/* Steps of one sort differ in their numbers alone. */
struct gow_step_sort {
	gow_repair_step last;
	uint64_t numbers[GOW_STEP_NUMBERS]; /* of the last */
	uint64_t strides[GOW_STEP_NUMBERS]; /* how they differed from those before it */
	unsigned next;                      /* the sort of the step that followed the last */
};

/* What is known when a step is written, and again when it is read. */
struct gow_step_memory {
	struct gow_step_sort sorts[GOW_STEP_SORTS];
	unsigned sort_count;
	unsigned sort; /* of the latest step */
};

struct gow_steps {
	size_t count;
	uint8_t *bytes;
	size_t used, room;
	struct gow_file *file; /* what was in bytes before, part by part; NULL: none */
	uint64_t parts;
	bool no_file;      /* none can be had: memory has to do */
	uint64_t expected; /* steps since the last that had to be written down */
	struct gow_step_memory memory;
};

/* Another result than GOW_OK ends the walk, which returns it. */
typedef int (*gow_step_visitor)(void *context, const gow_repair_step *step);

/* No steps are a struct of zeros. */
void gow_steps_release(struct gow_steps *steps);

/* Appends a step; its text and its problem are static. */
int gow_steps_add(struct gow_steps *steps, const gow_repair_step *step, gow_error *error);

/* Visits all steps in order. Fails by itself for want of memory, and where a temporary file cannot be
 * read. */
int gow_steps_each(const struct gow_steps *steps, gow_step_visitor visit, void *context,
                   gow_error *error);

#endif
