/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steps.c - steps as a row of bytes. Writer and reader keep the same memory of the steps so far,
 * and expect the next one: the sort that followed this sort the last time, with numbers that go
 * on by the same strides. What comes as expected is only counted. Anything else is a record: the
 * count; its sort, where that is not the expected one; a byte that says which numbers are not as
 * expected; and by how much each of these differs from the last of its sort, in bytes or, where
 * that is possible for all of them, in blocks.
 */
#include "ops/repair/steps.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum {
	RECORD_MAX = 12 + (GOW_STEP_NUMBERS + 1) * 10,
	ROOM = 16 * RECORD_MAX,
	IN_BLOCKS = 1 << GOW_STEP_NUMBERS,
	PART = 1 << 20 /* of the file: bytes, of which the first say how many there are */
};

/* ---- numbers ----------------------------------------------------------------------------- */

static void take_numbers(const gow_repair_step *step, uint64_t numbers[GOW_STEP_NUMBERS])
{
	numbers[0] = step->offset;
	numbers[1] = step->length;
	numbers[2] = step->source;
	numbers[3] = step->value;
	numbers[4] = step->guest_start;
	numbers[5] = step->guest_length;
	numbers[6] = step->other_start;
}

static void give_numbers(gow_repair_step *step, const uint64_t numbers[GOW_STEP_NUMBERS])
{
	step->offset = numbers[0];
	step->length = numbers[1];
	step->source = numbers[2];
	step->value = numbers[3];
	step->guest_start = numbers[4];
	step->guest_length = numbers[5];
	step->other_start = numbers[6];
}

/* Seven bits a byte, the lowest first; the last byte is below 128. */
static size_t put_number(uint8_t *to, uint64_t number)
{
	size_t used = 0;

	for (; number >= 128; number >>= 7)
		to[used++] = (uint8_t)(number | 128);
	to[used++] = (uint8_t)number;
	return used;
}

static uint64_t get_number(const uint8_t **from)
{
	uint64_t number = 0;

	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte = *(*from)++;

		number |= (uint64_t)(byte & 127) << shift;
		if (byte < 128)
			return number;
	}
}

/* Small differences, up or down, are small numbers. */
static uint64_t fold(uint64_t difference)
{
	return difference << 1 ^ (difference >> 63 ? UINT64_MAX : 0);
}

static uint64_t unfold(uint64_t folded)
{
	return folded >> 1 ^ (folded & 1 ? UINT64_MAX : 0);
}

/* ---- the memory -------------------------------------------------------------------------- */

static uint64_t expected_number(const struct gow_step_sort *sort, unsigned which)
{
	return sort->numbers[which] + sort->strides[which];
}

static bool is_of_sort(const struct gow_step_sort *sort, const gow_repair_step *step)
{
	return sort->last.text == step->text && sort->last.problem == step->problem &&
	       sort->last.kind == step->kind && sort->last.effect == step->effect &&
	       sort->last.preen == step->preen;
}

/* The sort that is expected next. */
static unsigned next_sort(const struct gow_step_memory *memory)
{
	return memory->sort_count ? memory->sorts[memory->sort].next : 0;
}

/* The number of the step's sort, which may be a new one; GOW_STEP_SORTS: there are too many. */
static unsigned sort_of(struct gow_step_memory *memory, const gow_repair_step *step)
{
	unsigned sort = next_sort(memory);

	if (sort < memory->sort_count && is_of_sort(&memory->sorts[sort], step))
		return sort;
	for (sort = 0; sort < memory->sort_count; sort++)
		if (is_of_sort(&memory->sorts[sort], step))
			return sort;
	if (sort < GOW_STEP_SORTS) {
		memory->sorts[sort] = (struct gow_step_sort){ .last = *step };
		memory->sort_count++;
	}
	return sort;
}

static bool is_expected(const struct gow_step_sort *sort, const uint64_t numbers[GOW_STEP_NUMBERS])
{
	for (unsigned i = 0; i < GOW_STEP_NUMBERS; i++)
		if (numbers[i] != expected_number(sort, i))
			return false;
	return true;
}

static void remember(struct gow_step_memory *memory, unsigned which,
                     const uint64_t numbers[GOW_STEP_NUMBERS])
{
	struct gow_step_sort *sort = &memory->sorts[which];

	for (unsigned i = 0; i < GOW_STEP_NUMBERS; i++) {
		sort->strides[i] = numbers[i] - sort->numbers[i];
		sort->numbers[i] = numbers[i];
	}
	memory->sorts[memory->sort].next = which;
	memory->sort = which;
}

/* ---- writing ----------------------------------------------------------------------------- */

/* Moves what there is to the file. That it cannot is no failure: memory has to do then. */
static void save_part(struct gow_steps *steps)
{
	const uint32_t used = (uint32_t)steps->used;
	const uint64_t at = steps->parts * PART;

	if (!steps->file && gow_file_unnamed(NULL, &steps->file, NULL))
		steps->no_file = true;
	else if (gow_file_write(steps->file, at, &used, sizeof used, NULL) ||
	         gow_file_write(steps->file, at + sizeof used, steps->bytes, used, NULL))
		steps->no_file = true;
	if (steps->no_file)
		return;
	steps->parts++;
	steps->used = 0;
}

static int make_room(struct gow_steps *steps, gow_error *error)
{
	size_t room = steps->room + steps->room / 2 + ROOM;
	uint8_t *grown;

	if (!steps->no_file && steps->used + RECORD_MAX + sizeof(uint32_t) > PART)
		save_part(steps);
	if (steps->room - steps->used >= RECORD_MAX)
		return GOW_OK;
	grown = realloc(steps->bytes, room);
	if (!grown)
		return gow_fail_memory(error, room);
	steps->bytes = grown;
	steps->room = room;
	return GOW_OK;
}

static void put_record(struct gow_steps *steps, unsigned which,
                       const uint64_t numbers[GOW_STEP_NUMBERS])
{
	const struct gow_step_sort *sort = &steps->memory.sorts[which];
	const bool other_sort = which != next_sort(&steps->memory);
	uint8_t *to = steps->bytes + steps->used;
	unsigned mask = IN_BLOCKS;

	for (unsigned i = 0; i < GOW_STEP_NUMBERS; i++)
		if (numbers[i] != expected_number(sort, i)) {
			mask |= 1u << i;
			if ((numbers[i] - sort->numbers[i]) % GOW_BLOCK_SIZE)
				mask &= ~(unsigned)IN_BLOCKS;
		}
	to += put_number(to, steps->expected << 1 | other_sort);
	if (other_sort)
		to += put_number(to, which);
	*to++ = (uint8_t)mask;
	for (unsigned i = 0; i < GOW_STEP_NUMBERS; i++)
		if (mask & 1u << i) {
			uint64_t folded = fold(numbers[i] - sort->numbers[i]);

			to += put_number(to, mask & IN_BLOCKS ? folded / GOW_BLOCK_SIZE : folded);
		}
	steps->used = (size_t)(to - steps->bytes);
	steps->expected = 0;
}

int gow_steps_add(struct gow_steps *steps, const gow_repair_step *step, gow_error *error)
{
	struct gow_step_memory *memory = &steps->memory;
	unsigned known = memory->sort_count, expected = next_sort(memory), sort;
	uint64_t numbers[GOW_STEP_NUMBERS];
	int code = make_room(steps, error);

	if (code)
		return code;
	sort = sort_of(memory, step);
	if (sort == GOW_STEP_SORTS)
		return gow_fail(error, GOW_ERR_LIMIT, "the plan has too many sorts of steps");
	take_numbers(step, numbers);
	if (sort < known && sort == expected && is_expected(&memory->sorts[sort], numbers))
		steps->expected++;
	else
		put_record(steps, sort, numbers);
	remember(memory, sort, numbers);
	steps->count++;
	return GOW_OK;
}

/* ---- reading ----------------------------------------------------------------------------- */

struct walk {
	const struct gow_steps *steps;
	struct gow_step_memory memory;
	gow_step_visitor visit;
	void *context;
};

static int show(struct walk *walk, unsigned which, const uint64_t numbers[GOW_STEP_NUMBERS])
{
	gow_repair_step step = walk->steps->memory.sorts[which].last;

	give_numbers(&step, numbers);
	remember(&walk->memory, which, numbers);
	return walk->visit(walk->context, &step);
}

static int show_expected(struct walk *walk, uint64_t count)
{
	int code = GOW_OK;

	while (count-- && !code) {
		unsigned which = next_sort(&walk->memory);
		uint64_t numbers[GOW_STEP_NUMBERS];

		for (unsigned i = 0; i < GOW_STEP_NUMBERS; i++)
			numbers[i] = expected_number(&walk->memory.sorts[which], i);
		code = show(walk, which, numbers);
	}
	return code;
}

static uint64_t get_difference(const uint8_t **from, uint8_t mask)
{
	uint64_t difference = unfold(get_number(from));

	return mask & IN_BLOCKS ? difference * GOW_BLOCK_SIZE : difference;
}

static int show_record(struct walk *walk, const uint8_t **from)
{
	uint64_t before = get_number(from);
	int code = show_expected(walk, before >> 1);
	unsigned which = before & 1 ? (unsigned)get_number(from) : next_sort(&walk->memory);
	const struct gow_step_sort *sort = &walk->memory.sorts[which];
	uint64_t numbers[GOW_STEP_NUMBERS];
	uint8_t mask = *(*from)++;

	for (unsigned i = 0; i < GOW_STEP_NUMBERS; i++)
		numbers[i] = mask & 1u << i ? sort->numbers[i] + get_difference(from, mask)
		                            : expected_number(sort, i);
	if (which == walk->memory.sort_count)
		walk->memory.sort_count++;
	return code ? code : show(walk, which, numbers);
}

static int show_records(struct walk *walk, const uint8_t *from, size_t used)
{
	const uint8_t *end = from + used;
	int code = GOW_OK;

	while (!code && from != end)
		code = show_record(walk, &from);
	return code;
}

/* What is in the file. */
static int show_parts(struct walk *walk, gow_error *error)
{
	const struct gow_steps *steps = walk->steps;
	uint8_t *part = steps->parts ? malloc(PART) : NULL;
	int code = steps->parts && !part ? gow_fail_memory(error, PART) : GOW_OK;

	for (uint64_t i = 0; i < steps->parts && !code; i++) {
		uint32_t used;

		code = gow_file_read_all(steps->file, i * PART, &used, sizeof used, error);
		if (!code)
			code = gow_file_read_all(steps->file, i * PART + sizeof used, part, used,
			                         error);
		if (!code)
			code = show_records(walk, part, used);
	}
	free(part);
	return code;
}

int gow_steps_each(const struct gow_steps *steps, gow_step_visitor visit, void *context,
                   gow_error *error)
{
	struct walk *walk = calloc(1, sizeof *walk);
	int code;

	if (!walk)
		return gow_fail_memory(error, sizeof *walk);
	walk->steps = steps;
	walk->visit = visit;
	walk->context = context;
	code = show_parts(walk, error);
	if (!code)
		code = show_records(walk, steps->bytes, steps->used);
	if (!code)
		code = show_expected(walk, steps->expected);
	free(walk);
	return code;
}

void gow_steps_release(struct gow_steps *steps)
{
	free(steps->bytes);
	(void)gow_file_close(steps->file, NULL);
	*steps = (struct gow_steps){ .bytes = NULL };
}
