/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memfile.h - files in memory behind struct gow_file_ops: every call is recorded, any call can
 * fail, and the recording tells every state that a crash could have left.
 *
 *	struct memdisk *disk = memdisk_new();
 *	struct memfile *image = memdisk_file(disk, "image");
 *
 *	memfile_put(image, ...);              what is there beforehand
 *	memdisk_record(disk);                 from here on it is recorded
 *	code = work(memfile_open(image));     the code under test closes its file
 *	memdisk_each_crash(disk, &plan, check, context);
 *
 * A disk may have several files (an image and its undo file), with one log: what one sync makes
 * durable, and in what order with another file's, is part of what is tested.
 *
 * What a disk does beyond forgetting what was not synced:
 *
 * - A failed sync of a file loses some of its pending writes for good (struct memfile_fault, lose),
 *   while reads still return them and the next sync succeeds, as Linux does. Only writes are lost;
 *   a size that a lost write made may stay without the data.
 * - gow_file_drop_cache shows what is really there: what is durable, and what still waits to be
 *   written. memdisk_refuse_drop makes it do nothing, since dropping is best effort.
 *   memdisk_drop_caches does the same to all files, as a remount does.
 * - A size may become durable without the data behind it: zeros stand there.
 * - A crash may come after a call that failed and whatever cleaned up after it: the walk goes over
 *   the whole log, failed calls and lost writes included. So: memdisk_fail, run the code to its end,
 *   memdisk_each_crash.
 * - plan.unreadable: a sector that was being written when the power went reads EIO until it is
 *   written again (memfile_break does that to any range).
 * - plan.flips: the crash, and one bit of a range (a record) is another one (memfile_flip does that
 *   to any bit; a visitor that knows better where the record is can call it itself).
 * - gow_file_reserve takes nothing and shows nothing: the size stays.
 *
 * A suite runs its jobs under this model by failing each sync (and each other call) in turn, with
 * every choice of what is lost, going on as the next run of the tool would, and walking the crashes:
 *
 *	for (size_t nth = 1; has_failed; nth++)
 *		for (unsigned choice = 0; choice < MEMFILE_LOSSES; choice++) {
 *			memdisk_record(disk);
 *			memdisk_fail(disk, &(struct memfile_fault){
 *				.nth = nth, .kinds = 1u << MEMFILE_SYNC, .sys_errno = EIO,
 *				.lose = (enum memfile_loss)choice, .seed = nth });
 *			work(disk);
 *			has_failed = memdisk_has_failed(disk);
 *			memdisk_fail(disk, &(struct memfile_fault){ .nth = 0 });
 *			work(disk);		the second run; perhaps after memdisk_refuse_drop
 *			memdisk_each_crash(disk, ...);
 *		}
 *
 * Every test says how many crash states it explored (make check -v prints it).
 *
 * Files are sparse at any offset up to 2^63 - 1, and copies of a disk share what is the same.
 */
#ifndef GOW_TESTS_MEMFILE_H
#define GOW_TESTS_MEMFILE_H

#include "io/file.h"
#include "io/directory.h"

struct memdisk;
struct memfile; /* owned by its disk */

struct memdisk *memdisk_new(void);
void memdisk_free(struct memdisk *disk);

/* The same files with the same content, and no log or fault. */
struct memdisk *memdisk_clone(const struct memdisk *disk);

/* The file of that name, made empty where there is none. */
struct memfile *memdisk_file(struct memdisk *disk, const char *name);

/* ---- at the content, past recording and faults ------------------------------------------- */

void memfile_put(struct memfile *file, uint64_t offset, const void *bytes, size_t size);
/* Zeros where the file has none, and past its end. */
void memfile_get(const struct memfile *file, uint64_t offset, void *bytes, size_t size);
uint64_t memfile_size(const struct memfile *file);
void memfile_resize(struct memfile *file, uint64_t size);
bool memfile_equal(const struct memfile *a, const struct memfile *b);

/* From now on, reads of these bytes fail with EIO, until they are written. */
void memfile_break(struct memfile *file, uint64_t offset, uint64_t size);

/* Makes that bit another one: bit 0 is the lowest of the first byte. */
void memfile_flip(struct memfile *file, uint64_t bit);

/* Forgets what failed syncs lost, of all files: what a reader finds after a remount. */
void memdisk_drop_caches(struct memdisk *disk);

/* From now on gow_file_drop_cache does nothing; or does its work again. */
void memdisk_refuse_drop(struct memdisk *disk, bool refuse);

/* ---- as a struct gow_file ---------------------------------------------------------------- */

/* Opens it; as often as wanted. Closing leaves the file on its disk, which must live longer. */
struct gow_file *memfile_open(struct memfile *file);

/* The same without the optional calls (next_data, zero, allocate, punch). */
struct gow_file *memfile_open_plain(struct memfile *file);

/* ---- as a struct gow_directory ----------------------------------------------------------------- */

/*
 * The disk's files as a directory: they can be made, renamed and removed, and that is durable when
 * the directory was synced, whatever else was. A disk with a directory has one file more, ".",
 * which stands for it in the log.
 */
struct gow_directory *memdirectory_open(struct memdisk *disk);

/* All paths but plain names lead to one other directory of the disk, whose files have names that
 * begin with this. */
#define MEMDIRECTORY_AWAY "away/"

/* Whether there is a file of that name; the ones that memdisk_file made are there. */
bool memdirectory_has(struct memdisk *disk, const char *name);

/* How many files are open now: none leaked, none closed twice. */
size_t memdisk_open_files(const struct memdisk *disk);

/* ---- recording --------------------------------------------------------------------------- */

enum memfile_kind {
	MEMFILE_READ,
	MEMFILE_WRITE,
	MEMFILE_SIZE,
	MEMFILE_TRUNCATE,
	MEMFILE_SYNC,
	MEMFILE_NEXT_DATA,
	MEMFILE_ZERO,
	MEMFILE_ALLOCATE,
	MEMFILE_PUNCH,
	MEMFILE_CLOSE,
	MEMFILE_CREATE, /* these three are calls to the directory */
	MEMFILE_RENAME,
	MEMFILE_REMOVE,
	MEMFILE_RESERVE,
	MEMFILE_DROP /* the cache; cannot fail */
};

/* One call, as asked for; of a write that failed, offset, size and bytes are what was done. */
struct memfile_call {
	const struct memfile *file;
	enum memfile_kind kind;
	bool failed;
	uint64_t offset; /* of truncate: the new size */
	uint64_t size;
	uint8_t *bytes;  /* of a write; owned by the log */
	/* Lost by a failed sync, that call of the log (from 1; 0: not lost), but for these of its
	 * sectors, and for the size that it made, where that stayed. */
	size_t lost_by;
	uint64_t kept_first, kept_end;
	bool kept_size;
	size_t subject,
		target; /* of a call to the directory: the name, and that of a rename to be */
	int named;              /* and the file that it is about */
};

/* Forgets the log; what the files hold now is durable. Calls are always recorded. */
void memdisk_record(struct memdisk *disk);

const struct memfile_call *memdisk_log(const struct memdisk *disk, size_t *count);

/* ---- failing calls ----------------------------------------------------------------------- */

/* What a sync that fails loses of the file's pending writes. What it does not lose is still pending:
 * a crash may lose it yet, and the next sync that succeeds makes it durable. */
enum memfile_loss {
	MEMFILE_LOSE_NOTHING,
	MEMFILE_LOSE_ALL,
	MEMFILE_LOSE_ONE,  /* the (seed modulo their number)-th, from the last one on */
	MEMFILE_LOSE_SOME, /* by the seed; of some a part, and some leave the size that they made */
	MEMFILE_LOSSES
};

struct memfile_fault {
	size_t nth;      /* which call fails, counted from 1 on from now; 0: none */
	unsigned kinds;  /* which kinds count: 1 << MEMFILE_READ | ...; 0: all */
	int sys_errno;   /* why; 0 for a read: it comes short, as if the file had shrunk */
	size_t partial;  /* so many bytes of a write are written before it fails */
	bool for_good;   /* all that follow fail, too */
	uint64_t from;   /* only calls at this offset or past it count */
	enum memfile_loss lose; /* of a sync */
	uint64_t seed;          /* of what is lost */
};

/* Kinds that matter to data; closing is left out, which can hardly be retried. */
#define MEMFILE_ALL_KINDS                                                                     \
	(1u << MEMFILE_READ | 1u << MEMFILE_WRITE | 1u << MEMFILE_SIZE | 1u << MEMFILE_TRUNCATE | \
	 1u << MEMFILE_SYNC | 1u << MEMFILE_NEXT_DATA | 1u << MEMFILE_ZERO |                     \
	 1u << MEMFILE_ALLOCATE | 1u << MEMFILE_PUNCH | 1u << MEMFILE_CREATE |                   \
	 1u << MEMFILE_RENAME | 1u << MEMFILE_REMOVE | 1u << MEMFILE_RESERVE)

void memdisk_fail(struct memdisk *disk, const struct memfile_fault *fault);

/* Whether the call that was to fail came to pass. */
bool memdisk_has_failed(const struct memdisk *disk);

/* ---- crashes ----------------------------------------------------------------------------- */

/*
 * A state that a crash could have left: everything up to the last completed sync of each file,
 * and some of what came after it, in order. A write may have landed in part: each of its
 * 512-byte sectors, or not.
 */
struct memfile_crash {
	struct memdisk *disk; /* the visitor may change it */
	/* So many calls of the log had been made, at the earliest and at the latest: whoever
	 * promised something in between must have kept it, too. */
	size_t calls, calls_latest;
	const char *story;    /* which calls landed, for a message */
	/* With plan.unreadable: the file that has a sector that cannot be read, and its offset. */
	struct memfile *unreadable;
	uint64_t unreadable_offset;
	/* With plan.flips: whether a bit was flipped, and which. */
	bool flipped;
	uint64_t flipped_bit;
};

struct memfile_crash_plan {
	/* Every subset of up to so many calls that were not synced (at most 16). Of more: every
	 * prefix, each one dropped, only each one landed, and `random` subsets. */
	unsigned all_subsets;
	unsigned random;
	/* Of every subset so many variants with writes torn at random, besides those of every
	 * single write torn in the middle. */
	unsigned torn;
	uint64_t seed;
	/* Each write that has not been synced also as the one that was interrupted: of one of its
	 * sectors nothing is known, and reading it fails. */
	bool unreadable;
	/* Each state also so many times with one bit of [flip_first, flip_end) (bytes) of the file
	 * flip_file another one. */
	unsigned flips;
	const char *flip_file;
	uint64_t flip_first, flip_end;
	/* Of all these states only every so-manieth is visited; 0: each one. Not so in the
	 * counter-experiment. */
	unsigned each;
	/* The counter-experiment: sync number so-and-so (from 1) made nothing durable. A test
	 * that does not notice tests nothing. */
	size_t ignore_sync;
};

/* Another result than 0 ends the walk, which returns it. */
typedef int (*memfile_crash_visitor)(void *context, struct memfile_crash *crash);

int memdisk_each_crash(const struct memdisk *disk, const struct memfile_crash_plan *plan,
                       memfile_crash_visitor visit, void *context);

/* How many syncs of the log succeeded. */
size_t memdisk_syncs(const struct memdisk *disk);

#endif
