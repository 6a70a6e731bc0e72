/* SPDX-License-Identifier: BSD-2-Clause */
/* The steps of a plan against an array of them: they come back as they were added. */
#include "ops/repair/steps.h"

#include <stdlib.h>
#include <string.h>

#include "support/check.h"

enum { STEPS = 4000, TEXTS = 5 };

static gow_error error;

struct reading {
	const gow_repair_step *expected;
	size_t count, stop_at;
};

static void check_step(const gow_repair_step *expected, const gow_repair_step *step)
{
	CHECK_EQ(expected->offset, step->offset);
	CHECK_EQ(expected->length, step->length);
	CHECK_EQ(expected->source, step->source);
	CHECK_EQ(expected->value, step->value);
	CHECK_EQ(expected->guest_start, step->guest_start);
	CHECK_EQ(expected->guest_length, step->guest_length);
	CHECK_EQ(expected->other_start, step->other_start);
	CHECK_EQ(expected->kind, step->kind);
	CHECK_EQ(expected->effect, step->effect);
	CHECK_EQ(expected->preen, step->preen);
	CHECK(expected->text == step->text && expected->problem == step->problem);
}

static int compare(void *context, const gow_repair_step *step)
{
	struct reading *reading = context;

	if (reading->count == reading->stop_at)
		return GOW_ERR_STOPPED;
	check_step(&reading->expected[reading->count++], step);
	return GOW_OK;
}

static uint64_t any_number(struct rng *rng, uint64_t before)
{
	switch (rng_below(rng, 8)) {
	case 0:
		return GOW_NOWHERE;
	case 1:
		return 0;
	case 2:
		return (uint64_t)rng_below(rng, UINT32_MAX) << rng_below(rng, 33);
	case 3:
		return before + GOW_BLOCK_SIZE * (uint64_t)rng_below(rng, 100);
	case 4:
		return before - GOW_BLOCK_SIZE * (uint64_t)rng_below(rng, 100);
	case 5:
		return before + 4;
	default:
		return before;
	}
}

static void any_step(struct rng *rng, const char *const texts[TEXTS], gow_repair_step *step)
{
	step->text = texts[rng_below(rng, TEXTS)];
	step->problem = rng_chance(rng, 20) ? NULL : gow_problem_get(GOW_MAP_CROSSLINK);
	step->kind = rng_chance(rng, 20) ? GOW_STEP_COPY : GOW_STEP_WRITE;
	step->preen = rng_chance(rng, 5);
	step->offset = any_number(rng, step->offset);
	step->length = any_number(rng, step->length);
	step->source = any_number(rng, step->source);
	step->value = any_number(rng, step->value);
	step->guest_start = any_number(rng, step->guest_start);
	step->guest_length = any_number(rng, step->guest_length);
	step->other_start = any_number(rng, step->other_start);
}

static void any_steps_come_back(void)
{
	static const char *const texts[TEXTS] = { "a", "b", "c", "d", "e" };
	gow_repair_step *expected = check_alloc(STEPS * sizeof *expected);

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct rng rng = { seed };
		struct gow_steps steps = { .count = 0 };
		gow_repair_step step = { .text = texts[0] };

		check_about("seed %u", (unsigned)seed);
		for (size_t i = 0; i < STEPS; i++) {
			any_step(&rng, texts, &step);
			expected[i] = step;
			CHECK_OK(gow_steps_add(&steps, &step, &error), &error);
			/* They can be read at any time, and added to again. */
			if (i % 397 == 0 || i + 1 == STEPS) {
				struct reading reading = { expected, 0, SIZE_MAX };

				CHECK_EQ(i + 1, steps.count);
				CHECK_OK(gow_steps_each(&steps, compare, &reading, &error), &error);
				CHECK_EQ(i + 1, reading.count);
			}
		}
		gow_steps_release(&steps);
		CHECK_EQ(0, steps.count);
	}
	free(expected);
}

/* More of them than stay in memory; with and without a place for a temporary file. */
static void many_steps_come_back(void)
{
	enum { MANY = 300000, FEW_BYTES = 3 << 20 };
	static const char *const texts[TEXTS] = { "a", "b", "c", "d", "e" };
	gow_repair_step *expected = check_alloc(MANY * sizeof *expected);
	const char *before = getenv("TMPDIR");
	char *saved = before ? strdup(before) : NULL;

	for (int without = 0; without < 2; without++) {
		struct rng rng = { 7 };
		struct gow_steps steps = { .count = 0 };
		struct reading reading = { expected, 0, SIZE_MAX };
		gow_repair_step step = { .text = texts[0] };

		if (without)
			CHECK_EQ(0, setenv("TMPDIR", "/nowhere/at/all", 1));
		for (size_t i = 0; i < MANY; i++) {
			any_step(&rng, texts, &step);
			expected[i] = step;
			CHECK_OK(gow_steps_add(&steps, &step, &error), &error);
		}
		CHECK_EQ(without, steps.room > FEW_BYTES);
		CHECK_OK(gow_steps_each(&steps, compare, &reading, &error), &error);
		CHECK_EQ(MANY, reading.count);
		reading = (struct reading){ expected, 0, MANY / 2 };
		CHECK_EQ(GOW_ERR_STOPPED, gow_steps_each(&steps, compare, &reading, &error));
		CHECK_EQ(MANY / 2, reading.count);
		gow_steps_release(&steps);
	}
	CHECK_EQ(0, saved ? setenv("TMPDIR", saved, 1) : unsetenv("TMPDIR"));
	free(saved);
	free(expected);
}

static void a_visitor_can_end_the_walk(void)
{
	struct gow_steps steps = { .count = 0 };
	gow_repair_step expected[20];

	memset(expected, 0, sizeof expected);
	for (size_t i = 0; i < 20; i++) {
		expected[i].text = "text";
		expected[i].offset = i < 10 ? i : i * i;
		CHECK_OK(gow_steps_add(&steps, &expected[i], &error), &error);
	}
	for (size_t stop = 0; stop < 20; stop++) {
		struct reading reading = { expected, 0, stop };

		CHECK_EQ(GOW_ERR_STOPPED, gow_steps_each(&steps, compare, &reading, &error));
		CHECK_EQ(stop, reading.count);
	}
	gow_steps_release(&steps);
}

/* Two for every entry of a map that names one block only. */
static void a_run_takes_a_few_bytes(void)
{
	struct gow_steps steps = { .count = 0 };

	for (uint64_t i = 1; i < 1000000; i++) {
		const gow_repair_step copy = { .text = "copy",
			                       .kind = GOW_STEP_COPY,
			                       .offset = i * GOW_BLOCK_SIZE,
			                       .guest_start = i * GOW_BLOCK_SIZE };
		const gow_repair_step entry = { .text = "entry", .offset = 20 + 4 * i, .value = i };

		CHECK_OK(gow_steps_add(&steps, &copy, &error), &error);
		CHECK_OK(gow_steps_add(&steps, &entry, &error), &error);
	}
	CHECK_EQ(2 * 999999, steps.count);
	CHECK(steps.used < 200);
	gow_steps_release(&steps);
}

CHECK_MAIN(CHECK_TEST(any_steps_come_back), CHECK_TEST(many_steps_come_back),
           CHECK_TEST(a_visitor_can_end_the_walk), CHECK_TEST(a_run_takes_a_few_bytes))
