/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compacting in place: every state that a crash can leave is a sound image of the same guest, and
 * the next run ends where an undisturbed one does.
 */
#include "ops/inplace/compact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/sample.h"

enum { BLOCK = 65536 };

static gow_error error;

static const struct sample_plan *life_of(int which)
{
	static struct sample_plan lives[9];
	const struct gow_layout one = sample_layout(HM_SMALL1, 24, 276);
	const struct gow_layout three = sample_layout(HM_SMALL3, 24, 512);

	if (!lives[0].seed) {
		lives[0] = (struct sample_plan){ .layout = one, .present = 12, .leaked = 40,
			                         .zero = 30, .seed = 1 };
		lives[1] = (struct sample_plan){ .layout = three, .present = 20, .leaked = 25,
			                         .zero = 40, .cut = 700, .size_odd = 1024, .seed = 2 };
		lives[2] = (struct sample_plan){ .layout = three, .present = 9, .seed = 3,
			                         .cut = 65535 };
		lives[3] = (struct sample_plan){ .layout = one, .present = 7, .leaked = 100,
			                         .count = 5, .seed = 4 };
		lives[4] = (struct sample_plan){ .layout = three, .present = 0, .seed = 5 };
		lives[5] = (struct sample_plan){ .layout = one, .present = 21, .leaked = 10,
			                         .count = 3, .seed = 6 };
		lives[6] = (struct sample_plan){ .layout = three, .present = 6, .zero = 100,
			                         .cut = 3, .seed = 7 };
		/* What is reserved for the count lies past the end of so short a file. */
		lives[7] = (struct sample_plan){ .layout = three, .present = 0, .count = 3,
			                         .seed = 8 };
	}
	return lives[which].seed ? &lives[which] : NULL;
}

/* Beside the flags of compacting. */
enum { DRY_RUN = 1 << 16 };

static int compact(struct memfile *file, const struct gow_layout *row, unsigned flags,
                   gow_compact_result *result)
{
	struct gow_lock lock = { .file = NULL };
	struct gow_compact_job job = { .file = memfile_open(file), .lock = &lock, .rows = row,
		                       .row_count = 1, .flags = flags % DRY_RUN,
		                       .dry_run = flags & DRY_RUN, .batch_blocks = 2 };
	int code = gow_compact_file(&job, result, &error);

	CHECK_OK(gow_file_close(job.file, NULL), NULL);
	return code;
}

/* What must come of it, told from the sample. */
struct outcome {
	uint32_t kept, moved, count;
	uint64_t file_size;
};

/* Whether the bytes of a guest block that lie inside the disk are zeros. */
static bool is_zero(const struct sample *sample, uint32_t logical)
{
	const uint64_t start = (uint64_t)logical * BLOCK;

	for (uint64_t i = start; i < start + BLOCK && i < sample->image.logical_size; i++)
		if (sample->guest[i])
			return false;
	return true;
}

static struct outcome outcome_of(const struct sample *sample, unsigned flags)
{
	const struct gow_layout *layout = &sample->image.layout;
	struct outcome outcome = { 0 };
	uint32_t highest = 0;

	for (uint32_t i = 0; i < sample->logical_blocks; i++) {
		if (sample->image.map[i] == HM_NONE ||
		    (!(flags & GOW_COMPACT_KEEP_ZEROS) && is_zero(sample, i)))
			continue;
		outcome.kept++;
		if (sample->image.map[i] >= highest)
			highest = sample->image.map[i] + 1;
	}
	outcome.count = flags & GOW_COMPACT_PUNCH ? highest : outcome.kept;
	for (uint32_t i = 0; i < sample->logical_blocks; i++)
		if (sample->image.map[i] != HM_NONE && sample->image.map[i] >= outcome.count &&
		    (flags & GOW_COMPACT_KEEP_ZEROS || !is_zero(sample, i)))
			outcome.moved++;
	outcome.file_size = hm_data_start(layout) + (uint64_t)outcome.count * BLOCK;
	if (!outcome.count && sample->image.file_size < outcome.file_size)
		outcome.file_size = sample->image.file_size;
	return outcome;
}

static const char *judge_compacted(const struct sample *sample, const struct memfile *file,
                                   unsigned flags)
{
	const struct gow_layout *layout = &sample->image.layout;
	const struct outcome outcome = outcome_of(sample, flags);
	struct hm_image read;
	const char *wrong;
	uint32_t allocated = 0;

	hm_make(&read, HM_SMALL3, layout->map_entries);
	wrong = sample_judge(sample, file, layout, &read);
	if (!wrong && read.file_size != outcome.file_size)
		wrong = "another file size";
	if (!wrong && read.block_count != outcome.count)
		wrong = "another block_count";
	for (uint32_t i = 0; i < layout->map_entries && !wrong; i++) {
		allocated += read.map[i] != HM_NONE;
		if (layout->versions_stride && read.versions[i] != sample->image.versions[i])
			wrong = "another version number";
	}
	if (!wrong && allocated != outcome.kept)
		wrong = "more or fewer blocks than have data";
	hm_release(&read);
	return wrong;
}

/* ---- crashes ----------------------------------------------------------------------------- */

struct crash_walk {
	const struct sample *sample;
	unsigned flags;
	size_t states, unlike;
};

/* By the library's judge, too: it is what the next tool asks. Sound, or leaky; and that
 * block_count is ahead of the file is nothing that compacting may bring about. */
static const char *judge_sound(const struct sample *sample, struct memfile *file)
{
	const struct gow_layout *row = &sample->image.layout;
	struct gow_file *handle = memfile_open(file);
	const gow_finding *corrupt = NULL;
	struct gow_verdict verdict;
	struct gow_unchecked raw;
	int code = gow_unchecked_load(handle, row, 1, &raw, &error);

	if (!code) {
		code = gow_judge(&raw, &verdict, &error);
		corrupt = code ? NULL : gow_verdict_first(&verdict, GOW_CORRUPT);
		if (!code && !corrupt && verdict.by_id[GOW_HEADER_COUNT_HIGH].count &&
		    sample->image.block_count <=
		            gow_present_blocks(row, sample->image.file_size))
			corrupt = &verdict.by_id[GOW_HEADER_COUNT_HIGH];
		gow_unchecked_release(&raw);
	}
	CHECK_OK(gow_file_close(handle, NULL), NULL);
	if (code)
		return error.what;
	return corrupt ? corrupt->problem->name : NULL;
}

static int look(void *context, struct memfile_crash *crash)
{
	struct crash_walk *walk = context;
	const struct gow_layout *row = &walk->sample->image.layout;
	struct memfile *file = memdisk_file(crash->disk, "image");
	const char *wrong = judge_sound(walk->sample, file);
	gow_compact_result result;

	walk->states++;
	walk->unlike += !memfile_equal(file, memdisk_file(walk->sample->pristine, "image"));
	if (!wrong)
		wrong = sample_judge(walk->sample, file, row, NULL);
	if (!wrong && compact(file, row, walk->flags, &result))
		wrong = error.what;
	if (!wrong)
		wrong = judge_compacted(walk->sample, file, walk->flags);
	if (!wrong)
		return 0;
	check_about("%s: %s", crash->story, wrong);
	return 1;
}

static void every_crash_leaves_the_same_guest(void)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 8, .random = 8, .torn = 1,
		                                        .seed = 11, .each = CHECK_SAMPLE };
	static const unsigned flags[] = { 0, GOW_COMPACT_KEEP_ZEROS };
	const struct sample_plan *life;

	for (int i = 0; (life = life_of(i)); i++) {
		for (size_t f = 0; f < 2; f++) {
			struct sample sample;
			struct crash_walk walk = { .sample = &sample, .flags = flags[f] };
			gow_compact_result result;

			check_about("life %d, flags %u", i, flags[f]);
			sample_make(&sample, life);
			CHECK_OK(compact(sample.file, &life->layout, flags[f], &result), &error);
			CHECK_STR(NULL, judge_compacted(&sample, sample.file, flags[f]));
			CHECK_EQ(0, memdisk_each_crash(sample.disk, &plan, look, &walk));
			CHECK(walk.states > 20 / CHECK_SAMPLE || !outcome_of(&sample, flags[f]).moved);
			sample_free(&sample);
		}
	}
}

/* After a crash while holes are made, running again with --punch leaves the same as well. */
static void every_crash_while_punching_leaves_the_same_guest(void)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 6, .random = 8, .torn = 1,
		                                        .seed = 12, .each = CHECK_SAMPLE };
	const struct sample_plan *life;

	for (int i = 0; (life = life_of(i)); i++) {
		struct sample sample;
		struct crash_walk walk = { .sample = &sample, .flags = GOW_COMPACT_PUNCH };
		gow_compact_result result;

		check_about("life %d", i);
		sample_make(&sample, life);
		CHECK_OK(compact(sample.file, &life->layout, GOW_COMPACT_PUNCH, &result), &error);
		CHECK_STR(NULL, judge_compacted(&sample, sample.file, GOW_COMPACT_PUNCH));
		CHECK_EQ(0, memdisk_each_crash(sample.disk, &plan, look, &walk));
		sample_free(&sample);
	}
}

/*
 * What a run that was killed had not synced is in the file for the next run to see, and may still
 * be lost: nothing may be built on it. So a run is killed at any call, another resumes, and all
 * that was done since the beginning is what a crash takes from.
 */
static void killed_and_gone_on_with_it_survives_a_crash(void)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 5, .random = 4, .seed = 13,
		                                        .each = CHECK_SAMPLE };
	static const unsigned flags[] = { 0, GOW_COMPACT_PUNCH };
	static const struct memfile_fault none;

	for (int i = 0; i < 4; i++) {
		const struct sample_plan *life = life_of(i % 2);
		bool failed = true;

		for (size_t nth = 1; failed; nth++) {
			const struct memfile_fault kill = {
				.nth = nth, .for_good = true, .sys_errno = EIO,
				.kinds = 1u << MEMFILE_WRITE | 1u << MEMFILE_SYNC |
				         1u << MEMFILE_TRUNCATE | 1u << MEMFILE_PUNCH
			};
			struct sample sample;
			struct crash_walk walk = { .sample = &sample, .flags = flags[i / 2] };
			gow_compact_result result;

			check_about("life %d, flags %u, killed at %zu", i % 2, walk.flags, nth);
			sample_make(&sample, life);
			memdisk_fail(sample.disk, &kill);
			failed = compact(sample.file, &life->layout, walk.flags, &result) != GOW_OK;
			memdisk_fail(sample.disk, &none);
			CHECK_OK(compact(sample.file, &life->layout, walk.flags, &result), &error);
			CHECK_EQ(0, memdisk_each_crash(sample.disk, &plan, look, &walk));
			sample_free(&sample);
		}
	}
}

/*
 * A sync fails and loses what was written, while reads still return it; and dropping the cache may
 * change nothing about that. The next run must not build on what it sees.
 */
static void a_run_after_a_failed_sync_survives_a_crash(void)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 4, .random = 3, .seed = 17,
		                                        .each = CHECK_SAMPLE };

	for (int i = 0; i < 4 * MEMFILE_LOSSES; i++) {
		const struct sample_plan *life = life_of(i % 2);
		const bool refuse = i / 2 % 2;
		bool failed = true;

		for (size_t nth = 1; failed; nth++) {
			const struct memfile_fault fault = {
				.nth = nth, .kinds = 1u << MEMFILE_SYNC, .sys_errno = EIO,
				.lose = (enum memfile_loss)(i / 4), .seed = nth
			};
			static const struct memfile_fault none;
			struct sample sample;
			struct crash_walk walk = { .sample = &sample };
			gow_compact_result result;

			check_about("life %d, loss %d, refuse %d, sync %zu", i % 2, i / 4, refuse, nth);
			sample_make(&sample, life);
			memdisk_refuse_drop(sample.disk, refuse);
			memdisk_fail(sample.disk, &fault);
			failed = compact(sample.file, &life->layout, 0, &result) != GOW_OK;
			memdisk_fail(sample.disk, &none);
			CHECK_OK(compact(sample.file, &life->layout, 0, &result), &error);
			CHECK_EQ(0, memdisk_each_crash(sample.disk, &plan, look, &walk));
			memdisk_drop_caches(sample.disk);
			CHECK_STR(NULL, sample_judge(&sample, sample.file, &life->layout, NULL));
			sample_free(&sample);
		}
	}
}

/* The syncs are: what was there before; the map, written again; the zeros' entries; for every batch the
 * copies; the entries; the count; the cut. Each has to be missed, but for the first two, which are
 * looked at above, and the last, on which nothing depends. */
static void a_sync_left_out_is_noticed(void)
{
	const struct sample_plan *life = life_of(1);
	struct sample sample;
	gow_compact_result result;
	size_t syncs;

	sample_make(&sample, life);
	CHECK_OK(compact(sample.file, &life->layout, 0, &result), &error);
	CHECK(result.zero_blocks && result.moved_blocks > 2);
	syncs = memdisk_syncs(sample.disk);
	for (size_t i = 1; i <= syncs; i++) {
		const struct memfile_crash_plan plan = { .all_subsets = 8, .random = 20,
			                                 .ignore_sync = i, .seed = 3 };
		struct crash_walk walk = { .sample = &sample };
		bool noticed = memdisk_each_crash(sample.disk, &plan, look, &walk) != 0;

		check_about("sync %zu of %zu", i, syncs);
		CHECK(noticed == (i > 2 && i != syncs));
	}
	sample_free(&sample);
}

/* ---- calls that fail --------------------------------------------------------------------- */

static void every_failing_call_leaves_the_same_guest(void)
{
	static const unsigned flags[] = { 0, GOW_COMPACT_KEEP_ZEROS, GOW_COMPACT_PUNCH };

	for (size_t f = 0; f < 3; f++) {
		bool failed = true;

		for (size_t nth = 1; failed; nth++) {
			const struct memfile_fault fault = {
				.nth = nth, .sys_errno = nth % 2 ? EIO : ENOSPC, .partial = 1000
			};
			static const struct memfile_fault none;
			const struct sample_plan *life = life_of(1);
			gow_compact_result result;
			struct sample sample;
			int code;

			check_about("flags %u, call %zu", flags[f], nth);
			sample_make(&sample, life);
			memdisk_fail(sample.disk, &fault);
			code = compact(sample.file, &life->layout, flags[f], &result);
			failed = memdisk_has_failed(sample.disk);
			memdisk_fail(sample.disk, &none);
			CHECK(failed == (code != GOW_OK));
			CHECK_STR(NULL, judge_sound(&sample, sample.file));
			CHECK_STR(NULL, sample_judge(&sample, sample.file, &life->layout, NULL));
			CHECK_OK(compact(sample.file, &life->layout, flags[f], &result), &error);
			CHECK_STR(NULL, judge_compacted(&sample, sample.file, flags[f]));
			CHECK_EQ(0, memdisk_open_files(sample.disk));
			sample_free(&sample);
		}
	}
}

/* ---- what is told ------------------------------------------------------------------------ */

static uint64_t bytes_written(const struct memdisk *disk)
{
	size_t count;
	const struct memfile_call *log = memdisk_log(disk, &count);
	uint64_t written = 0;

	for (size_t i = 0; i < count; i++)
		written += log[i].kind == MEMFILE_WRITE ? log[i].size : 0;
	return written;
}

static void a_dry_run_tells_what_is_done_and_changes_nothing(void)
{
	static const unsigned flags[] = { 0, GOW_COMPACT_KEEP_ZEROS, GOW_COMPACT_PUNCH,
		                          GOW_COMPACT_PUNCH | GOW_COMPACT_KEEP_ZEROS };
	const struct sample_plan *life;

	for (int i = 0; (life = life_of(i)); i++) {
		for (size_t f = 0; f < sizeof flags / sizeof *flags; f++) {
			gow_compact_result told, done;
			struct outcome outcome;
			struct sample sample;

			check_about("life %d, flags %u", i, flags[f]);
			sample_make(&sample, life);
			outcome = outcome_of(&sample, flags[f]);
			CHECK_OK(compact(sample.file, &life->layout,
			                 flags[f] | DRY_RUN, &told),
			         &error);
			CHECK(memfile_equal(sample.file, memdisk_file(sample.pristine, "image")));
			CHECK_OK(compact(sample.file, &life->layout, flags[f], &done), &error);
			CHECK_STR(NULL, judge_compacted(&sample, sample.file, flags[f]));
			CHECK_EQ(told.changed, done.changed);
			CHECK_EQ(told.moved_blocks, done.moved_blocks);
			CHECK_EQ(told.written_bytes, done.written_bytes);
			CHECK_EQ(told.punched_bytes, done.punched_bytes);
			CHECK_EQ(told.extra_bytes, done.extra_bytes);
			CHECK_EQ(told.new_file_size, done.new_file_size);
			CHECK_EQ(bytes_written(sample.disk), done.written_bytes);
			CHECK_EQ(outcome.moved, done.moved_blocks);
			CHECK_EQ(outcome.file_size, done.new_file_size);
			CHECK_EQ(sample.allocated - outcome.kept, done.zero_blocks);
			CHECK_EQ(sample.leaked, done.leaked_blocks);
			/* Once more there is nothing to do. */
			CHECK_OK(compact(sample.file, &life->layout, flags[f], &done), &error);
			CHECK(!done.changed);
			CHECK_EQ(0, done.written_bytes);
			sample_free(&sample);
		}
	}
}

/* A block that is all hole is not trusted to be zeros: its bytes are read. */
static void a_wrong_hole_is_no_proof(void)
{
	struct sample_plan life = *life_of(6);
	gow_compact_result result;
	struct sample sample;
	size_t count, read = 0;
	const struct memfile_call *log;

	life.zero = 100;
	sample_make(&sample, &life);
	CHECK_OK(compact(sample.file, &life.layout, DRY_RUN, &result), &error);
	log = memdisk_log(sample.disk, &count);
	for (size_t i = 0; i < count; i++)
		if (log[i].kind == MEMFILE_READ && log[i].offset >= hm_data_start(&life.layout))
			read += (size_t)log[i].size;
	CHECK_EQ(6 * BLOCK, read);
	CHECK_EQ(6, result.zero_blocks);
	sample_free(&sample);
}

/* ---- stopping ---------------------------------------------------------------------------- */

struct stopper {
	size_t calls, stop_at;
};

static int stop(void *context, const char *phase, uint64_t done, uint64_t total)
{
	struct stopper *stopper = context;

	(void)phase;
	(void)done;
	(void)total;
	return ++stopper->calls == stopper->stop_at;
}

static void stopping_is_safe_anywhere(void)
{
	const struct sample_plan *life = life_of(1);
	int code = GOW_ERR_STOPPED;
	size_t changed = 0;

	for (size_t at = 1; code; at++) {
		struct stopper stopper = { .stop_at = at };
		const gow_monitor monitor = { .context = &stopper, .progress = stop };
		struct gow_lock lock = { .file = NULL };
		struct gow_compact_job job = { .lock = &lock, .rows = &life->layout,
			                       .row_count = 1, .batch_blocks = 1,
			                       .monitor = &monitor };
		gow_compact_result result;
		struct sample sample;

		check_about("stopped at %zu", at);
		sample_make(&sample, life);
		job.file = memfile_open(sample.file);
		code = gow_compact_file(&job, &result, &error);
		CHECK_OK(gow_file_close(job.file, NULL), NULL);
		CHECK(code == GOW_OK || code == GOW_ERR_STOPPED);
		changed += code && !memfile_equal(sample.file,
		                                  memdisk_file(sample.pristine, "image"));
		CHECK_STR(NULL, judge_sound(&sample, sample.file));
		CHECK_STR(NULL, sample_judge(&sample, sample.file, &life->layout, NULL));
		sample_free(&sample);
	}
	CHECK(changed > 1);
}

CHECK_MAIN(CHECK_TEST(every_crash_leaves_the_same_guest),
           CHECK_TEST(every_crash_while_punching_leaves_the_same_guest),
           CHECK_TEST(killed_and_gone_on_with_it_survives_a_crash),
           CHECK_TEST(a_run_after_a_failed_sync_survives_a_crash),
           CHECK_TEST(a_sync_left_out_is_noticed),
           CHECK_TEST(every_failing_call_leaves_the_same_guest),
           CHECK_TEST(a_dry_run_tells_what_is_done_and_changes_nothing),
           CHECK_TEST(a_wrong_hole_is_no_proof), CHECK_TEST(stopping_is_safe_anywhere))
