/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Upgrades in place, on layouts so small that every state a crash can leave is looked at: the
 * image is sound or can be resumed, and be taken back, and the guest sees the same.
 */
#include "ops/inplace/upgrade.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/open.h"
#include "journal/trailer_format.h"
#include "support/sample.h"

enum { BLOCK = 65536 };

static gow_error error;

/* From one row to another. */
struct journey {
	const char *name;
	struct gow_layout rows[2];
};

enum { SHIFT, SHIFT_FAR, SLOTS, SLOTS_NUMBERS, SAME, JOURNEYS };

static const struct journey *journey_of(int which)
{
	static struct journey journeys[JOURNEYS];

	if (!journeys[0].name) {
		/* Data moves up by less than a block, in chunks of that. */
		journeys[SHIFT] = (struct journey){
			"shift", { sample_layout(HM_SMALL1, 16, 276), sample_layout(HM_SMALL3, 32, 40960) }
		};
		/* By several blocks and a bit. */
		journeys[SHIFT_FAR] = (struct journey){
			"shift far", { sample_layout(HM_SMALL1, 16, 276), sample_layout(HM_SMALL2, 16, 245760) }
		};
		/* By three blocks exactly: slots go to the end. */
		journeys[SLOTS] = (struct journey){
			"slots", { sample_layout(HM_SMALL2, 16, 65536), sample_layout(HM_SMALL3, 16, 262144) }
		};
		/* From numbers to numbers, which stay. */
		journeys[SLOTS_NUMBERS] = (struct journey){
			"slots, with numbers",
			{ sample_layout(HM_SMALL3, 16, 65536), sample_layout(HM_SMALL3, 20, 196608) }
		};
		/* Block 0 stays where it is. */
		journeys[SAME] = (struct journey){
			"same place", { sample_layout(HM_SMALL2, 16, 4096), sample_layout(HM_SMALL3, 16, 4096) }
		};
		for (int i = 0; i < JOURNEYS; i++) {
			journeys[i].rows[0].version = 1;
			journeys[i].rows[1].version = 2;
		}
	}
	return &journeys[which];
}

/* ---- one run ----------------------------------------------------------------------------- */

static int upgrade(const struct journey *journey, struct memfile *file, bool rollback,
                   bool plain, gow_upgrade_result *result)
{
	struct gow_lock lock = { .file = NULL };
	struct gow_upgrade_job job = {
		.file = plain ? memfile_open_plain(file) : memfile_open(file),
		.lock = &lock,
		.rows = journey->rows,
		.row_count = 2,
		.to = &journey->rows[1],
		.rollback = rollback,
	};
	int code = gow_upgrade_file(&job, result, &error);

	CHECK_OK(gow_file_close(job.file, NULL), NULL);
	return code;
}

static uint64_t final_size(const struct sample *sample, const struct journey *journey)
{
	uint64_t start = hm_data_start(&journey->rows[0]);
	uint64_t size = sample->image.file_size;

	return hm_data_start(&journey->rows[1]) +
	       (size > start ? (size - start + BLOCK - 1) / BLOCK * BLOCK : 0);
}

/* What a finished upgrade must be, besides holding the same guest. */
static const char *judge_upgraded(const struct sample *sample, const struct journey *journey,
                                  const struct memfile *file, bool exact)
{
	const struct gow_layout *to = &journey->rows[1];
	struct hm_image read;
	const char *wrong;

	if (sample_is_pending(file) || sample_version(file) != 2)
		return "it is not upgraded";
	hm_make(&read, HM_SMALL3, to->map_entries);
	wrong = sample_judge(sample, file, to, &read);
	if (!wrong && exact && read.file_size != final_size(sample, journey))
		wrong = "another file size";
	if (!wrong && read.block_count != (read.file_size - hm_data_start(to)) / BLOCK)
		wrong = "block_count is not what is present";
	for (uint32_t i = 0; i < to->map_entries && !wrong && to->versions_stride; i++) {
		bool kept = journey->rows[0].versions_stride && i < journey->rows[0].map_entries;
		uint32_t expected = kept ? sample->image.versions[i] : read.map[i] != HM_NONE;

		if (read.versions[i] != expected)
			wrong = "another version number";
	}
	hm_release(&read);
	return wrong;
}

static bool is_as_before(const struct sample *sample, const struct memfile *file)
{
	return memfile_equal(memdisk_file(sample->pristine, "image"), file);
}

/* ---- all states of a crash --------------------------------------------------------------- */

struct crash_walk {
	const struct sample *sample;
	const struct journey *journey;
	size_t states, pending, middle;
	unsigned depth;  /* of crashes while recovering */
	unsigned every;  /* of the states that are pending, how many are crashed again */
	unsigned damage; /* in every so-manieth, the newer cursor is damaged as well */
	size_t damaged;
};

static int look(void *context, struct memfile_crash *crash);

static const char *recover(struct crash_walk *walk, struct memdisk *disk, bool rollback)
{
	struct memfile *file = memdisk_file(disk, "image");
	bool pending = sample_is_pending(file);
	gow_upgrade_result result;
	const char *wrong;
	int code = upgrade(walk->journey, file, rollback, false, &result);

	if (rollback && !pending)
		return !code && !result.changed ? NULL : "rolled back what was not under way";
	if (code)
		return error.what;
	if (result.resumed != pending)
		return "it does not say that it went on";
	if (rollback)
		return is_as_before(walk->sample, file) ? NULL : "not rolled back byte for byte";
	/* A record that was not whole yet stays as leaked blocks. */
	wrong = judge_upgraded(walk->sample, walk->journey, file, pending);
	return wrong;
}

static const char *judge_state(struct crash_walk *walk, struct memdisk *disk)
{
	struct memfile *file = memdisk_file(disk, "image");
	struct gow_file *handle = memfile_open(file);
	const char *wrong = NULL;
	struct gow_unchecked raw;
	int code = gow_journal_begin(handle, walk->journey->rows, 2, &raw, &error);

	if (code)
		wrong = error.what;
	else if (!sample_is_pending(file))
		wrong = sample_judge(walk->sample, file,
		                     &walk->journey->rows[sample_version(file) - 1], NULL);
	else if (raw.pending.kind != GOW_PENDING_UPGRADE)
		wrong = "the record is not found";
	else if (!strstr(raw.pending.what, "upgrade from version 1 to 2 ("))
		wrong = "the record says something else";
	if (!code)
		gow_unchecked_release(&raw);
	CHECK_OK(gow_file_close(handle, NULL), NULL);
	return wrong;
}

static const char *recover_both_ways(struct crash_walk *walk, struct memdisk *disk)
{
	static const struct memfile_crash_plan again_plan = { .all_subsets = 2, .random = 1,
		                                              .seed = 7 };
	const char *wrong = NULL;

	for (int rollback = 0; rollback < 2 && !wrong; rollback++) {
		struct memdisk *copy = memdisk_clone(disk);
		bool again = walk->depth && walk->pending % walk->every == 0 &&
		             sample_is_pending(memdisk_file(disk, "image"));

		memdisk_record(copy);
		wrong = recover(walk, copy, rollback);
		if (!wrong && again) {
			struct crash_walk inner = { .sample = walk->sample,
				                    .journey = walk->journey,
				                    .depth = walk->depth - 1,
				                    .every = walk->every };

			if (memdisk_each_crash(copy, &again_plan, look, &inner))
				wrong = "a crash while recovering";
		}
		memdisk_free(copy);
	}
	return wrong;
}

/* Damages the newer of two whole cursors; false where there are not two. */
static bool damage_newest_cursor(struct memfile *file)
{
	const uint64_t end = memfile_size(file);
	const uint64_t places[] = { end - 5 * GOW_TRAILER_SECTOR, end - 3 * GOW_TRAILER_SECTOR };
	uint8_t sectors[2][GOW_TRAILER_SECTOR], byte;
	unsigned newest;

	for (unsigned i = 0; i < 2; i++) {
		memfile_get(file, places[i], sectors[i], GOW_TRAILER_SECTOR);
		if (!gow_trailer_is_sealed(sectors[i], GOW_TRAILER_CURSOR))
			return false;
	}
	/* The sequence number, as gow-trailer(5) has it. */
	newest = memcmp(sectors[0] + 16, sectors[1] + 16, 1) < 0;
	byte = sectors[newest][24] ^ 1;
	memfile_put(file, places[newest] + 24, &byte, 1);
	return true;
}

/* Either cursor is good enough, whenever it was that the run ended. */
static const char *recover_with_damage(struct crash_walk *walk, struct memdisk *disk)
{
	const char *wrong = NULL;

	for (int rollback = 0; rollback < 2 && !wrong; rollback++) {
		struct memdisk *copy = memdisk_clone(disk);

		if (damage_newest_cursor(memdisk_file(copy, "image"))) {
			walk->damaged++;
			wrong = judge_state(walk, copy);
			if (!wrong)
				wrong = recover(walk, copy, rollback);
		}
		memdisk_free(copy);
	}
	return wrong;
}

static int look(void *context, struct memfile_crash *crash)
{
	struct crash_walk *walk = context;
	struct memfile *file = memdisk_file(crash->disk, "image");
	const char *wrong = judge_state(walk, crash->disk);

	walk->states++;
	if (!wrong && sample_is_pending(file))
		walk->pending++;
	if (!wrong)
		wrong = recover_both_ways(walk, crash->disk);
	if (!wrong && walk->damage && walk->states % walk->damage == 0 && sample_is_pending(file))
		wrong = recover_with_damage(walk, crash->disk);
	if (!wrong)
		return 0;
	check_about("%s: %s: %s", walk->journey->name, crash->story, wrong);
	return 1;
}

static const struct sample_plan *life_of(int which, const struct journey *journey)
{
	static struct sample_plan plan;
	static const struct sample_plan lives[] = {
		{ .present = 0, .seed = 1 },
		{ .present = 1, .cut = 60000, .seed = 2 },
		{ .present = 2, .leaked = 50, .seed = 3, .count = 9 },
		{ .present = 5, .leaked = 30, .zero = 40, .cut = 100, .size_odd = 512, .seed = 4 },
		{ .present = 9, .leaked = 20, .zero = 50, .cut = 1, .size_odd = 65024, .seed = 5 },
	};

	if ((size_t)which >= sizeof lives / sizeof *lives)
		return NULL;
	plan = lives[which];
	plan.layout = journey->rows[0];
	return &plan;
}

static void every_crash_is_recovered_from(void)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 6, .random = 8, .torn = 1,
		                                        .seed = 11, .each = CHECK_SAMPLE };

	for (int j = 0; j < JOURNEYS; j++) {
		const struct journey *journey = journey_of(j);
		const struct sample_plan *life;

		for (int i = 0; (life = life_of(i, journey)); i++) {
			struct sample sample;
			struct crash_walk walk = { .sample = &sample, .journey = journey,
				                   .depth = 1, .every = 31, .damage = 2 };
			gow_upgrade_result result;

			/* Two chunks a block: with five blocks everything has been seen. */
			if (j == SHIFT && life->present > 5)
				continue;
			check_about("%s, life %d", journey->name, i);
			sample_make(&sample, life);
			CHECK_OK(upgrade(journey, sample.file, false, false, &result), &error);
			CHECK_STR(NULL, judge_upgraded(&sample, journey, sample.file, true));
			CHECK_EQ(0, memdisk_each_crash(sample.disk, &plan, look, &walk));
			CHECK(walk.pending > 10 || CHECK_SAMPLE > 1);
			CHECK(walk.states > walk.pending || CHECK_SAMPLE > 1);
			CHECK(walk.damaged > 2 || CHECK_SAMPLE > 1);
			sample_free(&sample);
		}
	}
}

/*
 * What a run that was killed had not synced is in the file for the next run to see, and may still
 * be lost: nothing may be built on it. So a run is killed at any call, another resumes or rolls back,
 * and all that was done since the beginning is what a crash takes from.
 */
static void killed_and_gone_on_with_it_survives_a_crash(void)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 3, .random = 2, .torn = 2,
		                                        .seed = 13, .each = CHECK_SAMPLE };
	static const struct memfile_fault none;

	for (int j = 0; j < JOURNEYS; j++) {
		const struct journey *journey = journey_of(j);
		bool failed = true;

		for (size_t nth = 1; failed; nth++) {
			const struct memfile_fault kill = {
				.nth = nth, .for_good = true, .sys_errno = EIO,
				.kinds = 1u << MEMFILE_SYNC
			};
			struct sample sample;
			struct crash_walk walk = { .sample = &sample, .journey = journey };
			gow_upgrade_result result;

			check_about("%s, killed at sync %zu", journey->name, nth);
			sample_make(&sample, life_of(2, journey));
			memdisk_fail(sample.disk, &kill);
			failed = upgrade(journey, sample.file, false, false, &result) != GOW_OK;
			memdisk_fail(sample.disk, &none);
			CHECK_STR(NULL, recover(&walk, sample.disk, nth % 2));
			CHECK_EQ(0, memdisk_each_crash(sample.disk, &plan, look, &walk));
			sample_free(&sample);
		}
	}
}

/*
 * A sync fails and loses what was written, while reads still return it; and dropping the cache may
 * change nothing about that. The next run must not build on what it sees, whichever way it goes.
 */
static void a_run_after_a_failed_sync_survives_a_crash(void)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 3, .random = 2, .seed = 17,
		                                        .each = 9 * CHECK_SAMPLE };
	static const int journeys[] = { SHIFT_FAR, SLOTS };

	for (int i = 0; i < 2 * 2 * MEMFILE_LOSSES; i++) {
		const struct journey *journey = journey_of(journeys[i % 2]);
		const bool refuse = i / 2 % 2;
		bool failed = true;

		for (size_t nth = 1; failed; nth++) {
			const struct memfile_fault fault = {
				.nth = nth, .kinds = 1u << MEMFILE_SYNC, .sys_errno = EIO,
				.lose = (enum memfile_loss)(i / 4), .seed = nth
			};
			static const struct memfile_fault none;
			struct sample sample;
			struct crash_walk walk = { .sample = &sample, .journey = journey };
			gow_upgrade_result result;

			check_about("%s, loss %d, refuse %d, sync %zu", journey->name, i / 4, refuse,
			            nth);
			sample_make(&sample, life_of(2, journey));
			memdisk_refuse_drop(sample.disk, refuse);
			memdisk_fail(sample.disk, &fault);
			failed = upgrade(journey, sample.file, false, false, &result) != GOW_OK;
			memdisk_fail(sample.disk, &none);
			CHECK_STR(NULL, recover(&walk, sample.disk, nth % 2));
			CHECK_EQ(0, memdisk_each_crash(sample.disk, &plan, look, &walk));
			sample_free(&sample);
		}
	}
}

/* Ends an upgrade at that sync; of numbers below zero, counted from the last. */
static void interrupt(const struct journey *journey, struct sample *sample, int sync)
{
	struct memdisk *probe = memdisk_clone(sample->disk);
	struct memfile_fault fault = { .kinds = 1u << MEMFILE_SYNC, .sys_errno = EIO };
	static const struct memfile_fault none;
	gow_upgrade_result result;

	CHECK_OK(upgrade(journey, memdisk_file(probe, "image"), false, false, &result), &error);
	fault.nth = sync > 0 ? (size_t)sync : memdisk_syncs(probe) - (size_t)-sync;
	memdisk_free(probe);
	memdisk_fail(sample->disk, &fault);
	CHECK_CODE(GOW_ERR_IO, upgrade(journey, sample->file, false, false, &result), &error);
	memdisk_fail(sample->disk, &none);
	CHECK(sample_is_pending(sample->file));
	memdisk_record(sample->disk);
}

/* What the last change was before the Nth sync and after the one before it: NULL if none. */
static const struct memfile_call *last_change(const struct sample *sample, size_t nth)
{
	const struct memfile_call *change = NULL, *log;
	size_t count, syncs = 0;

	log = memdisk_log(sample->disk, &count);
	for (size_t i = 0; i < count && syncs < nth; i++) {
		if (log[i].failed)
			continue;
		if (log[i].kind == MEMFILE_SYNC && ++syncs < nth)
			change = NULL;
		if (log[i].kind == MEMFILE_WRITE || log[i].kind == MEMFILE_TRUNCATE ||
		    log[i].kind == MEMFILE_PUNCH)
			change = &log[i];
	}
	return change;
}

/*
 * Syncs of which it is fine that nothing notices them missing: one that found nothing to do; those
 * of cursors, since either cursor is good enough; those of the mark; and nothing depends on the
 * cut. (every_crash_is_recovered_from damages
 * cursors.)
 */
static bool may_be_needless(const struct sample *sample, const struct journey *journey, size_t nth)
{
	const struct memfile_call *change = last_change(sample, nth);

	return !change || change->kind == MEMFILE_TRUNCATE || change->size == 4 ||
	       (change->size == GOW_TRAILER_SECTOR &&
	        change->offset > final_size(sample, journey));
}

static void check_needless_syncs(const struct journey *journey, const struct sample *sample)
{
	size_t noticed = 0;

	for (size_t i = 1; i <= memdisk_syncs(sample->disk); i++) {
		const struct memfile_crash_plan plan = { .all_subsets = 3, .random = 2,
			                                 .ignore_sync = i, .seed = 3 };
		struct crash_walk walk = { .sample = sample, .journey = journey };

		if (may_be_needless(sample, journey, i))
			continue;
		check_about("%s, sync %zu", journey->name, i);
		CHECK(memdisk_each_crash(sample->disk, &plan, look, &walk) != 0);
		noticed++;
	}
	CHECK(noticed >= 1);
}

/* With any one sync left out a state must come up that cannot be recovered from, or the tests
 * above prove nothing. */
static void a_sync_left_out_is_noticed(void)
{
	if (CHECK_SAMPLE > 1)
		check_skip("it proves the other tests, and takes too long under a sanitizer");
	for (int j = 0; j < JOURNEYS; j++) {
		const struct journey *journey = journey_of(j);
		struct sample_plan plain = *life_of(3, journey);
		gow_upgrade_result result;
		struct sample sample;

		plain.zero = 0; /* data whose loss shows, */
		plain.present = 6; /* and whole chunks, each of which overwrites another's source */
		sample_make(&sample, &plain);
		CHECK_OK(upgrade(journey, sample.file, false, false, &result), &error);
		check_needless_syncs(journey, &sample);
		sample_free(&sample);
	}
}

/* The same of resuming after the first cursor, and of going back when the new header is written
 * and when the record says so. */
static void a_sync_left_out_of_recovering_is_noticed(void)
{
	static const struct {
		int sync;
		bool back;
	} cases[] = { { 4, false }, { -4, true }, { -2, true } };

	if (CHECK_SAMPLE > 1)
		check_skip("it proves the other tests, and takes too long under a sanitizer");
	for (int i = 0; i < 3 * JOURNEYS; i++) {
		const struct journey *journey = journey_of(i / 3);
		struct sample_plan plain = *life_of(3, journey);
		struct sample sample;
		struct crash_walk walk = { .journey = journey, .sample = &sample };

		if (i / 3 == SAME)
			continue; /* nothing moves */
		plain.zero = 0;
		plain.present = 6;
		sample_make(&sample, &plain);
		interrupt(journey, &sample, cases[i % 3].sync);
		CHECK_STR(NULL, recover(&walk, sample.disk, cases[i % 3].back));
		check_needless_syncs(journey, &sample);
		sample_free(&sample);
	}
}

/* ---- calls that fail --------------------------------------------------------------------- */

static void every_failing_call_is_recovered_from(void)
{
	for (int j = 0; j < JOURNEYS; j++) {
		const struct journey *journey = journey_of(j);
		bool failed = true;

		for (size_t nth = 1; failed; nth += j == SHIFT ? 3 : 1) {
			const struct memfile_fault fault = {
				.nth = nth, .sys_errno = nth % 2 ? EIO : ENOSPC, .partial = 100
			};
			static const struct memfile_fault none;
			struct sample sample;
			struct crash_walk walk = { .sample = &sample, .journey = journey };
			gow_upgrade_result result;
			int code;

			check_about("%s, call %zu", journey->name, nth);
			sample_make(&sample, life_of(3, journey));
			memdisk_fail(sample.disk, &fault);
			code = upgrade(journey, sample.file, false, false, &result);
			failed = memdisk_has_failed(sample.disk);
			memdisk_fail(sample.disk, &none);
			CHECK(failed == (code != GOW_OK));
			CHECK_STR(NULL, judge_state(&walk, sample.disk));
			CHECK_STR(NULL, recover_both_ways(&walk, sample.disk));
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
	for (int j = 0; j < JOURNEYS; j++) {
		const struct journey *journey = journey_of(j);
		const struct sample_plan *life;

		for (int i = 0; (life = life_of(i, journey)); i++) {
			struct gow_lock lock = { .file = NULL };
			struct gow_upgrade_job job = { .lock = &lock, .rows = journey->rows,
				                       .row_count = 2, .to = &journey->rows[1],
				                       .dry_run = true };
			gow_upgrade_result told, done;
			struct sample sample;

			check_about("%s, life %d", journey->name, i);
			sample_make(&sample, life);
			job.file = memfile_open(sample.file);
			CHECK_OK(gow_upgrade_file(&job, &told, &error), &error);
			CHECK_OK(gow_file_close(job.file, &error), &error);
			CHECK(is_as_before(&sample, sample.file));
			CHECK_EQ(0, bytes_written(sample.disk));
			CHECK_OK(upgrade(journey, sample.file, false, false, &done), &error);
			CHECK_EQ(told.moved_bytes, done.moved_bytes);
			CHECK_EQ(told.written_bytes, done.written_bytes);
			CHECK_EQ(bytes_written(sample.disk), done.written_bytes);
			CHECK_EQ(told.new_file_size, memfile_size(sample.file));
			CHECK(told.changed && done.changed && !done.resumed);
			sample_free(&sample);
		}
	}
}

/* What was written is never read before the cache was dropped: read back from there it is no proof of
 * what the disk has. */
static void what_was_written_is_read_from_the_disk(void)
{
	for (int j = 0; j < JOURNEYS; j++) {
		const struct journey *journey = journey_of(j);
		const struct memfile_call *log;
		gow_upgrade_result result;
		struct sample sample;
		size_t count;

		sample_make(&sample, life_of(0, journey));
		memdisk_record(sample.disk);
		CHECK_OK(upgrade(journey, sample.file, false, false, &result), &error);
		log = memdisk_log(sample.disk, &count);
		for (size_t i = 0; i < count; i++) {
			if (log[i].kind != MEMFILE_READ)
				continue;
			check_about("%s, call %zu", journey->name, i);
			for (size_t w = i; w > 0 && log[w - 1].kind != MEMFILE_DROP; w--)
				CHECK(log[w - 1].kind != MEMFILE_WRITE ||
				      log[w - 1].offset + log[w - 1].size <= log[i].offset ||
				      log[i].offset + log[i].size <= log[w - 1].offset);
		}
		sample_free(&sample);
	}
}

/* What was a hole is one afterwards, so far as a page is wholly in it. (Not where chunks are smaller
 * than a block, as no header's growth makes them: pages of zeros are left where they meet.) */
static void holes_stay_holes(void)
{
	for (int j = SHIFT_FAR; j < JOURNEYS; j++) {
		const struct journey *journey = journey_of(j);
		const struct gow_layout *to = &journey->rows[1];
		struct sample_plan plan = *life_of(4, journey);
		struct gow_file *handle;
		gow_upgrade_result result;
		struct sample sample;
		struct hm_image read;

		plan.seed = 50;
		check_about("%s", journey->name);
		sample_make(&sample, &plan);
		CHECK_OK(upgrade(journey, sample.file, false, false, &result), &error);
		hm_make(&read, HM_SMALL3, to->map_entries);
		CHECK_STR(NULL, sample_judge(&sample, sample.file, to, &read));
		handle = memfile_open(sample.file);
		for (uint32_t i = 0; i < sample.logical_blocks; i++) {
			uint64_t place = hm_data_start(to) + (uint64_t)read.map[i] * BLOCK;
			uint64_t start, end;

			if (read.map[i] == HM_NONE ||
			    sample.content[sample.image.map[i]] != SAMPLE_HOLE)
				continue;
			CHECK_OK(gow_file_next_data(handle, place + 4096, &start, &end, &error),
			         &error);
			CHECK(start >= place + BLOCK - 4096 || start == end);
		}
		CHECK_OK(gow_file_close(handle, &error), &error);
		hm_release(&read);
		sample_free(&sample);
	}
}

static void files_without_holes_or_reserving_are_served(void)
{
	for (int j = 0; j < JOURNEYS; j++) {
		const struct journey *journey = journey_of(j);
		const struct sample_plan *life;

		for (int i = 0; (life = life_of(i, journey)); i++) {
			gow_upgrade_result result;
			struct sample sample;

			check_about("%s, life %d", journey->name, i);
			sample_make(&sample, life);
			CHECK_OK(upgrade(journey, sample.file, false, true, &result), &error);
			CHECK_STR(NULL, judge_upgraded(&sample, journey, sample.file, true));
			sample_free(&sample);
		}
	}
}

static void what_is_there_already_stays(void)
{
	const struct journey *journey = journey_of(SLOTS);
	gow_upgrade_result result;
	struct memdisk *done;
	struct sample sample;

	sample_make(&sample, life_of(3, journey));
	CHECK_OK(upgrade(journey, sample.file, false, false, &result), &error);
	done = memdisk_clone(sample.disk);
	CHECK_OK(upgrade(journey, sample.file, false, false, &result), &error);
	CHECK(!result.changed);
	CHECK(memfile_equal(memdisk_file(done, "image"), sample.file));
	CHECK_OK(upgrade(journey, sample.file, true, false, &result), &error);
	CHECK(!result.changed && memfile_equal(memdisk_file(done, "image"), sample.file));
	memdisk_free(done);
	sample_free(&sample);
}

/* ---- records that belong to something else ----------------------------------------------- */

/* Stops at the Nth call for the monitor. */
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

/* A stop at any safe point leaves the image as it was, or pending, and then it is resumed. */
static void stopping_is_safe_anywhere(void)
{
	const struct journey *journey = journey_of(SHIFT_FAR);
	int code = GOW_ERR_STOPPED;
	size_t pending = 0;

	for (size_t at = 1; code; at++) {
		struct stopper stopper = { .stop_at = at };
		const gow_monitor monitor = { .context = &stopper, .progress = stop };
		struct gow_lock lock = { .file = NULL };
		struct gow_upgrade_job job = { .lock = &lock, .rows = journey->rows,
			                       .row_count = 2, .to = &journey->rows[1],
			                       .monitor = &monitor };
		struct crash_walk walk = { .journey = journey };
		gow_upgrade_result result;
		struct sample sample;

		check_about("stopped at %zu", at);
		sample_make(&sample, life_of(4, journey));
		walk.sample = &sample;
		job.file = memfile_open(sample.file);
		code = gow_upgrade_file(&job, &result, &error);
		CHECK_OK(gow_file_close(job.file, NULL), NULL);
		CHECK(code == GOW_OK || code == GOW_ERR_STOPPED);
		pending += sample_is_pending(sample.file);
		if (code && !sample_is_pending(sample.file))
			CHECK(is_as_before(&sample, sample.file));
		CHECK_STR(NULL, recover_both_ways(&walk, sample.disk));
		sample_free(&sample);
	}
	CHECK(pending > 1);
}

/* A trailer that a crash left behind, and an image that lived on: it must not be believed when
 * somebody else's change is interrupted. */
static void a_stale_record_is_not_believed(void)
{
	const struct journey *journey = journey_of(SLOTS);

	for (int upgraded = 0; upgraded < 2; upgraded++) {
		static const uint8_t pending_magic[] = { 'G', 'O', 'W', '!' };
		struct sample sample;
		struct gow_file *handle;
		struct gow_unchecked raw;
		gow_upgrade_result result;
		static const struct memfile_fault none;
		const uint8_t count = 99;

		check_about("%s", upgraded ? "after" : "before");
		sample_make(&sample, life_of(3, journey));
		if (upgraded) { /* the cut at the end fails */
			memdisk_fail(sample.disk, &(struct memfile_fault){
							  .nth = 2, .kinds = 1u << MEMFILE_TRUNCATE,
							  .sys_errno = EIO });
			CHECK_CODE(GOW_ERR_IO, upgrade(journey, sample.file, false, false, &result),
			           &error);
		} else { /* writing the magic fails, with nothing written */
			struct memdisk *probe = memdisk_clone(sample.disk);
			size_t calls, writes = 0, magic = 0;
			const struct memfile_call *log;

			memdisk_record(probe);
			CHECK_OK(upgrade(journey, memdisk_file(probe, "image"), false, false,
			                 &result),
			         &error);
			log = memdisk_log(probe, &calls);
			for (size_t i = 0; i < calls && !magic; i++) {
				writes += log[i].kind == MEMFILE_WRITE;
				if (log[i].kind == MEMFILE_WRITE && log[i].offset == 0)
					magic = writes;
			}
			memdisk_free(probe);
			memdisk_fail(sample.disk,
			             &(struct memfile_fault){ .nth = magic,
			                                      .kinds = 1u << MEMFILE_WRITE,
			                                      .sys_errno = EIO });
			CHECK_CODE(GOW_ERR_IO, upgrade(journey, sample.file, false, false, &result),
			           &error);
		}
		memdisk_fail(sample.disk, &none);
		CHECK(!sample_is_pending(sample.file));
		/* It is found as long as the image is what it was ... */
		memfile_put(sample.file, 0, pending_magic, sizeof pending_magic);
		handle = memfile_open(sample.file);
		CHECK_OK(gow_journal_begin(handle, journey->rows, 2, &raw, &error), &error);
		CHECK_EQ(GOW_PENDING_UPGRADE, raw.pending.kind);
		gow_unchecked_release(&raw);
		/* ... and not after a session. */
		memfile_put(sample.file, 16, &count, 1);
		CHECK_OK(gow_journal_begin(handle, journey->rows, 2, &raw, &error), &error);
		CHECK_EQ(GOW_PENDING_NONE, raw.pending.kind);
		gow_unchecked_release(&raw);
		CHECK_OK(gow_file_close(handle, &error), &error);
		sample_free(&sample);
	}
}

/* Any byte of a record that is changed makes it one that is not found, or changes nothing. */
static void a_damaged_record_is_not_found(void)
{
	const struct journey *journey = journey_of(SHIFT_FAR);
	struct stopper stopper = { .stop_at = 30 };
	const gow_monitor monitor = { .context = &stopper, .progress = stop };
	struct gow_lock lock = { .file = NULL };
	struct gow_upgrade_job job = { .lock = &lock, .rows = journey->rows, .row_count = 2,
		                       .to = &journey->rows[1], .monitor = &monitor };
	gow_upgrade_result result;
	struct sample sample;
	uint64_t size;
	size_t found = 0, missed = 0;

	sample_make(&sample, life_of(4, journey));
	do {
		stopper.calls = 0;
		stopper.stop_at--;
			sample_free(&sample);
		sample_make(&sample, life_of(4, journey));
		job.file = memfile_open(sample.file);
		(void)gow_upgrade_file(&job, &result, &error);
		CHECK_OK(gow_file_close(job.file, NULL), NULL);
		CHECK(stopper.stop_at > 1);
	} while (!sample_is_pending(sample.file));
	size = memfile_size(sample.file);
	for (uint64_t at = size - 3 * GOW_TRAILER_SECTOR; at < size; at += at % 512 < 128 ? 1 : 97) {
		struct memdisk *copy = memdisk_clone(sample.disk);
		struct memfile *file = memdisk_file(copy, "image");
		struct gow_file *handle = memfile_open(file);
		struct gow_unchecked raw;
		uint8_t byte;

		memfile_get(file, at, &byte, 1);
		byte ^= 0x10;
		memfile_put(file, at, &byte, 1);
		CHECK_OK(gow_journal_begin(handle, journey->rows, 2, &raw, &error), &error);
		found += raw.pending.kind == GOW_PENDING_UPGRADE;
		missed += raw.pending.kind == GOW_PENDING_NONE;
		if (at >= size - GOW_TRAILER_SECTOR)
			CHECK_EQ(GOW_PENDING_NONE, raw.pending.kind);
		gow_unchecked_release(&raw);
		CHECK_OK(gow_file_close(handle, &error), &error);
		memdisk_free(copy);
	}
	/* With one cursor gone there is the other. */
	CHECK(found > 100 && missed > 100);
	sample_free(&sample);
}

CHECK_MAIN(CHECK_TEST(every_crash_is_recovered_from), CHECK_TEST(killed_and_gone_on_with_it_survives_a_crash),
           CHECK_TEST(a_run_after_a_failed_sync_survives_a_crash),
           CHECK_TEST(a_sync_left_out_is_noticed),
           CHECK_TEST(a_sync_left_out_of_recovering_is_noticed),
           CHECK_TEST(every_failing_call_is_recovered_from),
           CHECK_TEST(a_dry_run_tells_what_is_done_and_changes_nothing),
           CHECK_TEST(what_was_written_is_read_from_the_disk), CHECK_TEST(holes_stay_holes), CHECK_TEST(files_without_holes_or_reserving_are_served),
           CHECK_TEST(what_is_there_already_stays), CHECK_TEST(stopping_is_safe_anywhere),
           CHECK_TEST(a_stale_record_is_not_believed),
           CHECK_TEST(a_damaged_record_is_not_found))
