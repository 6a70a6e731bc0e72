/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gow.h - the public interface of libgow, the library behind gow-tools.
 *
 * GOW ("Grow on Write") disk images: a header maps 64 KiB blocks of a guest's disk to places
 * in the file. gow(5) describes the format.
 *
 * Rules that hold for every function here:
 *
 * - A function that can fail returns 0 (GOW_OK) or a gow_code, and fills the gow_error that it
 *   was handed (which may be NULL). Nothing is printed, no signal is caught, nothing exits.
 * - An object is freed by the function named after it (gow_image_close and so on), which accepts
 *   NULL. Out parameters are written on success only.
 * - Sizes and offsets are in bytes unless a name says blocks.
 * - An object is used by one thread at a time; different objects are independent.
 * - Structs of options and of results begin with struct_size, which the caller sets to the sizeof
 *   that it was compiled with; one that was not set is GOW_ERR_ARGUMENT. So they can grow: members
 *   are added at the end only, those that an older program does not know take their defaults
 *   (zero) or are not written, and an option that this library does not know yet is
 *   GOW_ERR_UNSUPPORTED. Options are flags, never bools. What the library hands to a callback
 *   grows at its end, too: such a struct is read through the pointer, and not copied.
 */
#ifndef GOW_H
#define GOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes in a block, the unit of allocation of every version (gow(5)). */
#define GOW_BLOCK_SIZE 65536u

/* "No such place" in offsets and block numbers, below. */
#define GOW_NOWHERE UINT64_MAX

/* ---- errors ----------------------------------------------------------------------------- */

/* Pinned: a number, once published, keeps its meaning. */
typedef enum gow_code {
	GOW_OK = 0,
	GOW_ERR_MEMORY = 1,      /* no memory */
	GOW_ERR_IO = 2,          /* a system call failed: sys_errno says how */
	GOW_ERR_NO_SPACE = 3,    /* the file system or the image has no room */
	GOW_ERR_NOT_GOW = 4,     /* no magic, an unknown version, or no regular file */
	GOW_ERR_CORRUPT = 5,     /* a sound image is needed, and this one has corrupt findings */
	GOW_ERR_BUSY = 6,        /* another process holds or opened the file */
	GOW_ERR_STOPPED = 7,     /* the monitor asked to stop */
	GOW_ERR_EXISTS = 8,      /* the destination exists */
	GOW_ERR_ARGUMENT = 9,    /* the caller's fault: an impossible option or size */
	GOW_ERR_LIMIT = 10,      /* too large for the image's version */
	GOW_ERR_UNSUPPORTED = 11,/* a kind of file or a format that cannot serve here */
	GOW_ERR_MISMATCH = 12,   /* what was read back differs from what was written */
	GOW_ERR_CHANGED = 13,    /* the file changed (shrank) while it was read */
	GOW_ERR_DAMAGED = 14,    /* a manifest or an archive is not what it has to be */
	GOW_ERR_UNREACHABLE = 15 /* a server that answered before answers no more */
} gow_code;

typedef struct gow_error {
	gow_code code;
	int sys_errno;        /* errno of the call that failed, or 0 */
	uint64_t offset;      /* where in the file, or GOW_NOWHERE */
	uint64_t block;       /* which logical block, or GOW_NOWHERE */
	char file[4096];      /* which file, or "" for the one the caller named */
	char what[512];       /* what is wrong, without place and reason */
} gow_error;

/* The code's name, as "no-space"; never NULL. For logs and JSON. */
const char *gow_code_name(gow_code code);

/*
 * One line without a line end: "what is wrong (where): why". Writes at most size bytes including
 * the final NUL, and returns buf.
 */
const char *gow_error_text(const gow_error *error, char *buf, size_t size);

/* ---- progress, stopping, notes ----------------------------------------------------------- */

typedef enum gow_note_level {
	GOW_NOTE_DETAIL,  /* for whoever asked for details */
	GOW_NOTE_WARNING, /* the user should know */
	GOW_NOTE_IN_USE   /* what is read may be changing: also whoever wants quiet should know */
} gow_note_level;

/*
 * How a long operation talks to its caller; every member may be NULL. progress is called often,
 * with bytes done and bytes in all (0: unknown) of the named phase; a result other than 0 asks
 * the operation to stop at its next safe point, which then fails with GOW_ERR_STOPPED.
 */
typedef struct gow_monitor {
	size_t struct_size;
	void *context;
	int (*progress)(void *context, const char *phase, uint64_t done, uint64_t total);
	void (*note)(void *context, gow_note_level level, const char *file, const char *text);
} gow_monitor;

/* ---- what all operations share ----------------------------------------------------------- */

enum {
	GOW_COMMON_NO_LOCK = 1 << 0,     /* neither locks nor leases */
	GOW_COMMON_FORCE_SHARE = 1 << 1, /* read whoever holds it, and only say so */
	GOW_COMMON_DRY_RUN = 1 << 2,     /* find out what would be done, change nothing */
	GOW_COMMON_DIGEST = 1 << 3       /* make the guest digest before and after a change;
	                                  * GOW_ERR_MISMATCH if they differ where they must not (a
	                                  * new file does not appear then) */
};

/* Part of every operation's options; what does not apply to one is ignored. Nothing in it is owned;
 * the monitor and the strings must outlive the object or the call that they are given to. */
typedef struct gow_common {
	unsigned flags;             /* GOW_COMMON_... */
	unsigned reserved;          /* 0 */
	double wait_seconds;        /* how long to try again while the file is busy */
	const gow_monitor *monitor; /* may be NULL */
	const char *layout;         /* where everything stands in the image: a file's name, a known
	                             * layout's name, "auto"; NULL: whichever fits */
	const void *room[4];        /* NULL: for members to come, since others stand behind this */
} gow_common;

/* ---- opening ----------------------------------------------------------------------------- */

enum {
	GOW_OPEN_WRITE = 1 << 0,  /* for a session that changes the guest's data */
	GOW_OPEN_STEADY = 1 << 1, /* refuse (busy) while anybody has it open for writing */
	GOW_OPEN_SALVAGE = 1 << 2 /* open a damaged image; read what is readable */
};

/* How to open an image. NULL in place of the options means the defaults. */
typedef struct gow_open_options {
	size_t struct_size;
	gow_common common; /* dry runs and digests do not apply */
	unsigned flags;    /* GOW_OPEN_... */
	unsigned reserved; /* 0 */
} gow_open_options;

/* Whether a name is a URI and no path: a known scheme and a colon, or anything before "://". A
 * local file of such a name is ./NAME. */
bool gow_name_is_uri(const char *name);

/*
 * How a name is to be shown: of a URI all but the user, the password and the query, which may be
 * secret; any other name as it is. free() it; NULL where memory is short.
 */
char *gow_shown_name(const char *name);

/* ---- the catalogue of problems ----------------------------------------------------------- */

typedef enum gow_severity {
	GOW_ADVISORY, /* wasteful, or of concern to a synchronising consumer; safe to boot */
	GOW_CORRUPT   /* the guest's data is wrong or at risk; do not boot */
} gow_severity;

/* In the catalogue's order, which is the order of reports. */
typedef enum gow_problem_id {
	GOW_HEADER_SIZE,
	GOW_HEADER_TRUNCATED,
	GOW_HEADER_COUNT_LOW,
	GOW_HEADER_COUNT_HIGH,
	GOW_HEADER_COUNT_WILD,
	GOW_HEADER_PADDING,
	GOW_MAP_RANGE,
	GOW_MAP_CROSSLINK,
	GOW_MAP_BEYOND_SIZE,
	GOW_SPACE_LEAK,
	GOW_SPACE_TAIL,
	GOW_VERSION_ZERO,
	GOW_VERSION_EXHAUSTED,
	GOW_JOURNAL_PENDING,
	GOW_JOURNAL_MISSING,
	GOW_DATA_UNREADABLE,
	GOW_DATA_MISMATCH,
	GOW_PROBLEM_COUNT
} gow_problem_id;

/* One row of the catalogue; static, never freed. */
typedef struct gow_problem {
	gow_problem_id id;
	const char *name;      /* "map.range" */
	gow_severity severity;
	const char *unit;      /* what a finding counts: "map entry", "physical block", ... */
	const char *title;     /* what is wrong, for a line of a report */
	const char *fix;       /* what gow-repair does about it, or NULL */
	const char *about;     /* a paragraph for gow-problems(7) */
} gow_problem;

/* The row of an id, or NULL past the end: count up from 0 to list the catalogue. */
const gow_problem *gow_problem_get(gow_problem_id id);

/* "corrupt" or "advisory". */
const char *gow_severity_name(gow_severity severity);

/* What locates a problem: each member a number, or GOW_NOWHERE where it has none. */
typedef struct gow_place {
	uint64_t logical;  /* logical block */
	uint64_t physical; /* physical block */
	uint64_t offset;   /* byte in the file: of the field, the entry, the number or the block */
	uint64_t other;    /* the second logical block, where two are at odds */
} gow_place;

typedef struct gow_finding {
	const gow_problem *problem;
	uint64_t count;  /* in the problem's unit */
	gow_place first;
} gow_finding;

/* ---- checking ---------------------------------------------------------------------------- */

/* What an image says of itself. For a corrupt image: what could be read. */
typedef struct gow_info {
	size_t struct_size;
	unsigned version;
	uint64_t logical_size;
	uint64_t logical_blocks;
	uint32_t map_entries;
	uint32_t block_count;
	uint32_t present_blocks;
	uint32_t allocated_blocks; /* entries that are allocated, valid or not */
	uint32_t leaked_blocks;
	uint64_t file_size;
	uint64_t data_start;
	double fragmentation;      /* 0 to 1, see gow-info(1) */
	bool has_versions;
	uint32_t highest_version;
	bool preamble_readable;    /* false: neither do logical_size and block_count */
	bool map_readable;         /* false: the counts above say nothing (header cut short) */
	bool in_use;               /* somebody had it open for writing when we opened it */
	const char *pending;       /* the interrupted change and how far it is, or NULL; owned by
	                            * the gow_check */
	bool foreign;              /* it has another layout than the reference one of its version; where
	                            * that says no version, version is 0 */
	char layout[64];           /* its layout's name */
} gow_info;

/* An image opened to be judged: nothing about its bytes is believed. */
typedef struct gow_check gow_check;

/*
 * Opens path, reads its header and runs the validator to the end. Succeeds for a corrupt image
 * too; fails for what is no GOW image, or cannot be read. GOW_OPEN_WRITE is not taken.
 */
int gow_check_open(const char *path, const gow_open_options *options, gow_check **check,
                   gow_error *error);
void gow_check_close(gow_check *check);

/* The findings, in the catalogue's order. Owned by check; valid until it is next changed. */
size_t gow_check_findings(const gow_check *check, const gow_finding **findings);

/* How many findings (not places) there are of a severity. */
unsigned gow_check_count(const gow_check *check, gow_severity severity);

int gow_check_info(gow_check *check, gow_info *info, gow_error *error);

/* A partition of the guest's disk; the whole disk where a file system is on it without a table.
 * Grows at its end: read through the pointer. */
typedef struct gow_partition {
	unsigned number;          /* from 1 on; 0: the whole disk */
	uint64_t start, size;     /* bytes; as the table says */
	const char *filesystem;   /* "ntfs", "ext4", ...; static; NULL: none that is known */
	uint64_t filesystem_size; /* bytes; 0: it does not say */
	bool past_end;            /* it, or its file system, reaches past the end of the disk */
} gow_partition;

typedef struct gow_contents {
	size_t struct_size;
	const char *table;  /* "mbr", "gpt"; static; NULL: none that is known */
	uint64_t end;       /* where the last partition or file system ends; bytes */
	uint64_t disk_size; /* what the table says of the disk; 0: nothing */
	size_t count;
	const gow_partition *const *partitions; /* owned by the gow_check; until it is asked again */
	bool past_end;      /* something reaches past the end of the disk: it was cut short */
} gow_contents;

/* What the guest's disk holds, as far as it can be read and is known. Nothing of it is believed to be
 * sound. */
int gow_check_contents(gow_check *check, gow_contents *contents, gow_error *error);

/*
 * Visits every place of one finding, in order. A visit that returns other than 0 ends the walk,
 * which then fails with GOW_ERR_STOPPED.
 */
typedef int (*gow_place_visitor)(void *context, const gow_place *place);
int gow_check_each_place(gow_check *check, gow_problem_id id, gow_place_visitor visit,
                         void *context, gow_error *error);

/*
 * Reads the data of every allocated block that is in the file; a block that cannot be read adds
 * to the finding data.unreadable, and reading continues.
 */
int gow_check_data(gow_check *check, gow_error *error);

/* A guest digest in its canonical form (gow-manifest(5)), as text. */
typedef struct gow_digest {
	char text[33];
} gow_digest;

/* The digests on both sides of a change; "" where they were not asked for, or where the guest's disk
 * could not be read in full. Of a dry run: what the other one would be. */
typedef struct gow_digests {
	gow_digest before, after;
} gow_digests;

typedef struct gow_digest_options {
	size_t struct_size;
	const char *manifest;       /* compare with this manifest; NULL: none */
	const char *write_manifest; /* write one to this new file; NULL: none */
} gow_digest_options;

/*
 * Reads the data as gow_check_data does, and makes the guest digest of it. With a manifest, every
 * guest block that differs from it adds to the finding data.mismatch; those that cannot be read
 * at all, which other findings report, are not compared. GOW_ERR_DAMAGED for a manifest that is no
 * whole one, GOW_ERR_MISMATCH for one of a disk of another size. options may be NULL.
 *
 * Where the guest's disk cannot be read in full, for which there is a corrupt finding, the digest
 * is "", and no manifest is written. One that is appears under its name when it is whole and
 * durable.
 */
int gow_check_digest(gow_check *check, const gow_digest_options *options, gow_digest *digest,
                     gow_error *error);

/* A run of blocks that are neighbours both for the guest and in the file. */
typedef struct gow_extent {
	uint64_t logical;  /* first logical block */
	uint64_t physical; /* first physical block */
	uint64_t blocks;
	uint64_t offset;   /* of the first physical block, in the file */
	bool has_version;  /* the same number for the whole run, then in version */
	uint32_t version;
} gow_extent;

/*
 * Visits the extents of the allocated blocks, ascending. An extent ends where the version number
 * changes, too. Of a corrupt image only entries that name a present block are listed.
 */
typedef int (*gow_extent_visitor)(void *context, const gow_extent *extent);
int gow_check_each_extent(gow_check *check, gow_extent_visitor visit, void *context,
                          gow_error *error);

/*
 * The same for the blocks whose version number is above since, and also those that are not
 * allocated (any more): physical and offset are GOW_NOWHERE then. Of a corrupt image the same holds
 * for an entry that names no present block. GOW_ERR_UNSUPPORTED where there are no numbers.
 */
int gow_check_each_newer(gow_check *check, uint32_t since, gow_extent_visitor visit, void *context,
                         gow_error *error);

/*
 * The same for allocated blocks that lie in holes of the file, so that they are zeros without being
 * read. Neighbours that differ in their version numbers come as one run, without a number.
 */
int gow_check_each_hole(gow_check *check, gow_extent_visitor visit, void *context,
                        gow_error *error);

/* ---- comparing two images of one lineage ------------------------------------------------- */

/* A run of logical blocks that differ in the same way. */
typedef struct gow_difference {
	uint64_t logical;     /* first logical block */
	uint64_t blocks;
	int newer;            /* 1: the image's numbers are higher, -1: the other's; 0: by content */
	bool allocated;       /* in the image, */
	bool other_allocated; /* and in the other one */
} gow_difference;

enum {
	GOW_COMPARE_DATA = 1 << 0 /* by what the guest reads, not by version numbers */
};

typedef struct gow_compare_options {
	size_t struct_size;
	gow_common common;
	unsigned flags;    /* GOW_COMPARE_... */
	unsigned reserved; /* 0 */
	/* Told every run, ascending; another result than 0 stops. May be NULL. */
	int (*visit)(void *context, const gow_difference *run);
	void *context;
} gow_compare_options;

typedef struct gow_compare_result {
	size_t struct_size;
	uint64_t logical_size;     /* bytes, of the image, */
	uint64_t other_size;       /* and of the other one */
	uint64_t differing_blocks; /* in all */
	uint64_t newer_blocks;     /* by number: allocated in the image, under a higher number */
	uint64_t unmapped_blocks;  /* not allocated in the image (any more), under a higher number */
	uint64_t older_blocks;     /* the other one's number is higher */
	bool in_use;               /* somebody had one of them open for writing */
	uint64_t extents;
} gow_compare_result;

/*
 * Which blocks of two sound images differ (GOW_ERR_CORRUPT otherwise). Where one disk ends before
 * the other, its blocks count as never written, and as zeros. By number, which needs images that
 * have them (GOW_ERR_UNSUPPORTED), only headers are read.
 */
int gow_compare(const char *path, const char *other, const gow_compare_options *options,
                gow_compare_result *result, gow_error *error);

/* ---- finding out an unknown layout ------------------------------------------------------- */

typedef enum gow_probe_verdict {
	GOW_PROBE_NONE,      /* no layout was found */
	GOW_PROBE_AMBIGUOUS, /* several fit and show different guests, or nothing confirms one */
	GOW_PROBE_LIKELY,    /* one fits, and some evidence is missing */
	GOW_PROBE_PROVEN,    /* one fits, and the guest's own structures confirm it */
	GOW_PROBE_KNOWN      /* it has the magic of a layout that is known */
} gow_probe_verdict;

/* "none", "ambiguous", "likely", "proven", "known". */
const char *gow_probe_verdict_name(gow_probe_verdict verdict);

typedef struct gow_probe_evidence {
	const char *what; /* "map", "guest", "size", ...; static */
	char says[240];
	int weight;       /* how much it counts; negative: against */
} gow_probe_evidence;

/* The parts of equal size that a report divides an image's blocks into. */
#define GOW_PROBE_PARTS 16

/* What a layout comes to in this image. GOW_NOWHERE where there is no such thing. The counts are 0 where
 * the layout is known: nothing was counted then. */
typedef struct gow_probe_layout {
	size_t struct_size;
	char text[2048];         /* as a file, gow-layout(5) */
	char name[64];
	bool big_endian;
	unsigned first_block;
	uint32_t map_stride;
	uint64_t map_offset;
	uint64_t map_entries;
	uint64_t unallocated;
	uint64_t versions_offset;
	uint64_t versions_stride;
	uint64_t data_start;
	uint64_t logical_size;
	uint64_t allocated_blocks;
	uint64_t wrong_entries;
	uint64_t leaked_blocks;
	uint64_t range_entries; /* of the wrong ones: they name a block that the file does not have */
	uint64_t spread[GOW_PROBE_PARTS]; /* of the others: how many name a block of that part */
} gow_probe_layout;

/* What the 32-bit words of a part of the file are, counted. */
typedef struct gow_probe_words {
	uint64_t offset, size;                     /* bytes */
	uint32_t zeros, ones;                      /* all bits 0, all bits 1 */
	uint32_t little, big;                      /* a number of a block that the file may have */
	uint32_t others;
} gow_probe_words;

typedef struct gow_probe gow_probe;

/* Infers the layout of the image at path from its content; changes nothing. It succeeds whatever the
 * verdict is. Of the options the common ones apply. */
int gow_probe_open(const char *path, const gow_open_options *options, gow_probe **probe,
                   gow_error *error);
void gow_probe_close(gow_probe *probe);

gow_probe_verdict gow_probe_get_verdict(const gow_probe *probe);

/* Whether the image was written to, or may have been, while it was read. */
bool gow_probe_is_in_use(const gow_probe *probe);

/* How many layouts were considered, and one of them, the best first. */
size_t gow_probe_count(const gow_probe *probe);
int gow_probe_get(const gow_probe *probe, size_t index, gow_probe_layout *layout, gow_error *error);

/* What the file begins with, as counts, which tell nothing of the guest's data; none where the layout
 * is known. Owned by probe. */
size_t gow_probe_get_words(const gow_probe *probe, const gow_probe_words **words);

/* Owned by probe. */
size_t gow_probe_get_evidence(const gow_probe *probe, const gow_probe_evidence **evidence);

/* The first bytes of the file, at most 4096, and its size; for a report. Owned by probe. */
size_t gow_probe_header(const gow_probe *probe, const uint8_t **bytes, uint64_t *file_size);

/* ---- a validated image ------------------------------------------------------------------- */

/* An image that the validator has passed. Closing it without gow_image_flush loses what was
 * written since, and nothing else. */
typedef struct gow_image gow_image;

/*
 * Opens path and refuses it (GOW_ERR_CORRUPT) if it has a corrupt finding; with GOW_OPEN_WRITE
 * begins a session.
 */
int gow_image_open(const char *path, const gow_open_options *options, gow_image **image,
                   gow_error *error);
void gow_image_close(gow_image *image);

/*
 * The same of a regular file that is open already. fd is the image's from then on, and closed with it;
 * where the call fails it is closed, too. It has to be open for reading, with GOW_OPEN_WRITE for
 * reading and writing, and without O_APPEND, O_DIRECT and O_PATH (GOW_ERR_ARGUMENT).
 *
 * The file is locked as gow_image_open locks it. The lock and the lease belong to the open file
 * description, so they last for as long as a duplicate of fd does, and a lock that the caller took by
 * fd is replaced. Whoever else has the file open keeps a lease from being taken, this process, too.
 *
 * name, which must not be NULL, stands in messages, and the record of an interrupted change is looked
 * for beside it: the path by which the file was opened, if there is one.
 */
int gow_image_open_fd(int fd, const char *name, const gow_open_options *options, gow_image **image,
                      gow_error *error);

/*
 * For whoever keeps an image open for long: whether another process has come to open it, and waits
 * for us to give way (the kernel lets it in after lease-break-time, 45 s). To be asked every few
 * seconds. A session, or an image opened with GOW_OPEN_STEADY, gets GOW_ERR_BUSY from then on: it is
 * to flush what it holds and to close. Another reader is notified once, by a note, and GOW_OK. An image
 * that is opened without locks, or where there are no leases, is never notified. Not for two threads
 * at a time.
 */
int gow_image_poll(gow_image *image, gow_error *error);

uint64_t gow_image_size(const gow_image *image);    /* of the guest's disk */
unsigned gow_image_version(const gow_image *image); /* of the format */

/* Reads guest bytes; offset + size must lie inside the disk (GOW_ERR_ARGUMENT). */
int gow_image_read(const gow_image *image, uint64_t offset, void *buf, size_t size,
                   gow_error *error);

/*
 * Threads: calls on different images never disturb each other. On one image, any number of threads
 * may read at the same time (gow_image_read, gow_image_size, gow_image_version); every other call
 * needs the image for itself, and sees what the calls before it did.
 */

/*
 * Writes guest bytes, anywhere inside the disk. Zeros written over a block that is not allocated
 * allocate nothing. What was written is read back at once, and durable after gow_image_flush.
 * Some is held in memory until then, at most 32 MiB; when that is full, a write makes durable what
 * went before. A session raises the number of a block once (format version 3), however often it is
 * written.
 *
 * A write or a flush that fails for want of space (GOW_ERR_NO_SPACE) or because data could not be
 * written loses nothing of what was written before: the flush can be tried again. The write itself
 * may have been done in part. A flush that fails at the image's header for another reason than
 * space, or in a sync, ends the session: later calls that change anything fail too, and the image
 * on disk is valid with what was flushed, and, of blocks that changed since, old or new bytes.
 */
int gow_image_write(gow_image *image, uint64_t offset, const void *buf, size_t size,
                    gow_error *error);
int gow_image_flush(gow_image *image, gow_error *error);

/*
 * Makes guest bytes read as zeros: whole blocks are unmapped, parts of an allocated block are
 * written. Durable after gow_image_flush.
 */
int gow_image_zero(gow_image *image, uint64_t offset, uint64_t size, gow_error *error);

/*
 * The guest does not need these bytes any more: whole blocks are unmapped and read as zeros, parts
 * of blocks keep their content. The space in the file is used again for new blocks of this session
 * after the next flush; what is not used again is left to gow-compact.
 */
int gow_image_discard(gow_image *image, uint64_t offset, uint64_t size, gow_error *error);

/* Guest bytes that are alike. */
typedef struct gow_guest_extent {
	uint64_t offset, size; /* bytes */
	bool allocated;        /* in blocks that the image has; others read as zeros */
	bool data;             /* may be other than zeros; false: they read as zeros */
} gow_guest_extent;

/*
 * Visits the extents of a range of guest bytes, ascending and without gaps, with what was written
 * and not flushed. A result of the visitor other than 0 ends that and is returned.
 */
typedef int (*gow_guest_extent_visitor)(void *context, const gow_guest_extent *extent);
int gow_image_each_extent(gow_image *image, uint64_t offset, uint64_t size,
                          gow_guest_extent_visitor visit, void *context, gow_error *error);

/* The guest digest of an open image, with what was written to it. Holes and what is not allocated
 * are not read. monitor may be NULL. */
int gow_image_digest(gow_image *image, const gow_monitor *monitor, gow_digest *digest,
                     gow_error *error);

/* The same of what lies at path: an image, a raw disk, an archive (recognized by content). Options as
 * for gow_image_open, but for GOW_OPEN_WRITE and GOW_OPEN_SALVAGE. */
int gow_digest_path(const char *path, const gow_open_options *options, gow_digest *digest,
                    gow_error *error);

/* ---- making and converting --------------------------------------------------------------- */

enum {
	GOW_CREATE_FORCE = 1 << 0 /* replace an existing file (not a device or a directory) */
};

typedef struct gow_create_options {
	size_t struct_size;
	gow_common common;
	unsigned flags;   /* GOW_CREATE_... */
	unsigned version; /* 1, 2 or 3 */
} gow_create_options;

/* Makes an empty image; the name appears when the file is whole and durable. */
int gow_create(const char *path, uint64_t logical_size, const gow_create_options *options,
               gow_error *error);

/* The largest guest disk that a version holds, in bytes; 0 for an unknown version. */
uint64_t gow_version_limit(unsigned version);

/* How long the file of an empty image of that version is, in bytes; 0 for an unknown version. */
uint64_t gow_version_empty_size(unsigned version);

typedef enum gow_format {
	GOW_FORMAT_PROBE, /* the source: by content; the destination: by name */
	GOW_FORMAT_RAW,
	GOW_FORMAT_GOW1,
	GOW_FORMAT_GOW2,
	GOW_FORMAT_GOW3,
	GOW_FORMAT_GOW,   /* a source of any version, a destination of the newest */
	GOW_FORMAT_TAR    /* an archive: a source of any format, a destination that is a tar file */
} gow_format;

/* "raw", "gow1", ...; and back: GOW_FORMAT_PROBE where there is none of that name. */
const char *gow_format_name(gow_format format);
gow_format gow_format_by_name(const char *name);

/*
 * Whether a destination's name stands for standard output: "-", or "/dev/stdout" or another name of
 * descriptor 1. Looks at the name only.
 */
bool gow_is_standard_output(const char *name);

/* How an archive is compressed. */
typedef enum gow_compression {
	GOW_COMPRESSION_BY_NAME, /* as the destination's name says */
	GOW_COMPRESSION_NONE,
	GOW_COMPRESSION_GZIP,
	GOW_COMPRESSION_XZ,
	GOW_COMPRESSION_LZ4,
	GOW_COMPRESSION_ZSTD
} gow_compression;

/* "none", "gzip", ...; and back: GOW_COMPRESSION_BY_NAME where there is none of that name. */
const char *gow_compression_name(gow_compression compression);
gow_compression gow_compression_by_name(const char *name);

/* The compressor's usual level; and the time of the source. */
#define GOW_LEVEL_USUAL    (-1)
#define GOW_TIME_OF_SOURCE INT64_MIN

/* Why a part of a damaged source could not be copied as it was. */
typedef enum gow_loss_kind {
	GOW_LOSS_UNREADABLE,  /* reading failed: replaced by zeros */
	GOW_LOSS_UNMAPPED,    /* its entry names no present block, or is gone: replaced by zeros */
	GOW_LOSS_SHARED,      /* copied, but another block claims the same data */
	GOW_LOSS_BEYOND_SIZE  /* is past the end of the disk: left out */
} gow_loss_kind;

const char *gow_loss_name(gow_loss_kind kind);

typedef struct gow_loss {
	gow_loss_kind kind;
	uint64_t start;  /* guest bytes */
	uint64_t length;
} gow_loss;

enum {
	GOW_CONVERT_FORCE = 1 << 0,     /* replace an existing destination */
	GOW_CONVERT_SALVAGE = 1 << 1,   /* continue past what is not readable in a damaged source */
	GOW_CONVERT_VERIFY = 1 << 2,    /* read the destination back and compare digests */
	GOW_CONVERT_DROP_ZEROS = 1 << 3 /* to an archive: read the source twice, to leave out
	                                 * allocated blocks that hold only zeros */
};

typedef struct gow_convert_options {
	size_t struct_size;
	gow_common common; /* the layout is the source's; a dry run reads and counts */
	unsigned flags;    /* GOW_CONVERT_... */
	gow_format source_format;
	gow_format dest_format;
	/* With GOW_CONVERT_SALVAGE: called for every part that was lost. May be NULL. */
	void (*lost)(void *context, const gow_loss *loss);
	void *lost_context;
	/* What of an archive that is read: which member, NULL: the only disk in it; and what is in
	 * it, GOW_FORMAT_PROBE: by content. */
	const char *member_name;
	/* What of an archive that is written: GOW_FORMAT_PROBE is an image of the source's version,
	 * of the newest if it has none. */
	gow_format member_format;
	gow_compression compression;
	int level;     /* GOW_LEVEL_USUAL, or one of the compressor's */
	int64_t mtime; /* of its members, seconds since 1970; or GOW_TIME_OF_SOURCE */
	unsigned occurrence; /* which of the members named member_name, from 1; 0: the only one */
	unsigned reserved;   /* 0 */
} gow_convert_options;

typedef struct gow_convert_result {
	size_t struct_size;
	gow_format source_format; /* as found */
	gow_format dest_format;   /* as made */
	uint64_t source_size;     /* bytes of the source's disk, before rounding */
	uint64_t logical_size;    /* bytes of the guest's disk as made */
	uint64_t data_bytes;      /* bytes of blocks that are not all zeros */
	uint64_t file_size;       /* of the destination; of a device or pipe what was written */
	bool damaged;             /* salvage: the source had corrupt findings or losses */
	uint64_t losses;          /* how many parts were lost */
	bool verified;
	gow_digest digest;        /* "" unless verified, or from or to an archive */
	bool in_use;              /* the source was written to, or may have been, while it was read */
	bool raw;                 /* the source's disk was a raw one: */
	char recognized[32];      /* what was found in it ("gpt", "zeros"); "": nothing known */
} gow_convert_result;

/*
 * Copies what the guest sees in source to dest in another form. "-" is standard input, or standard
 * output for raw disks and archives. The new name appears only when the file is whole and durable.
 * On failure no file of that name has been made or changed (a block device apart).
 */
int gow_convert(const char *source, const char *dest, const gow_convert_options *options,
                gow_convert_result *result, gow_error *error);

/* ---- an image's metadata ----------------------------------------------------------------- */

enum {
	GOW_METADATA_FORCE = 1 << 0 /* replace an existing file */
};

typedef struct gow_metadata_options {
	size_t struct_size;
	gow_common common; /* a dry run writes nothing */
	unsigned flags;    /* GOW_METADATA_... */
	int level;         /* of the compression; GOW_LEVEL_USUAL */
	int64_t mtime;     /* of the archive's members; or GOW_TIME_OF_SOURCE */
	gow_compression compression;
	gow_format dest_format; /* GOW_FORMAT_TAR: save; GOW_FORMAT_PROBE: save if dest is the name
	                         * of an archive, and restore otherwise; another: restore */
} gow_metadata_options;

typedef struct gow_metadata_result {
	size_t struct_size;
	uint64_t file_size;  /* of the image */
	uint64_t kept_bytes; /* of it, that are not holes in the archive */
	uint64_t written;    /* bytes of the archive, or of the restored file */
	unsigned version;    /* of the image */
	bool restored;       /* an image was made, of an archive */
	bool record;         /* the record of an interrupted change is in it */
	bool in_use;         /* another process had the image open for writing */
	char room;           /* 0 */
} gow_metadata_result;

/*
 * Saves: writes an archive (a tar file; "-" is standard output) of all that a check looks at:
 * header, map, version numbers, layout, the file's length, the record of an interrupted change. It
 * has nothing of the guest's data. The image may be damaged.
 *
 * Restores: makes an image of such an archive ("-" is standard input), in which gow_check finds
 * what it found in the first one; its blocks are holes. GOW_ERR_DAMAGED for any other archive.
 */
int gow_convert_metadata(const char *source, const char *dest,
                         const gow_metadata_options *options, gow_metadata_result *result,
                         gow_error *error);

/*
 * For the error of a file that is no GOW image (GOW_ERR_NOT_GOW; any other is left alone): says
 * what the file at path is, if its content is that of a known format ("is a qcow2 image, ...").
 */
void gow_explain_not_gow(const char *path, gow_error *error);


/* ---- repairing --------------------------------------------------------------------------- */

/* What may be done without asking further. */
typedef enum gow_repair_level {
	GOW_REPAIR_PREEN, /* what needs no judgement and can lose nothing */
	GOW_REPAIR_ALL,   /* everything that can be repaired */
	GOW_REPAIR_ASK    /* what the caller's ask agrees to */
} gow_repair_level;

typedef enum gow_answer {
	GOW_ANSWER_NO,
	GOW_ANSWER_YES,
	GOW_ANSWER_ALL, /* yes, and to all others of this kind */
	GOW_ANSWER_QUIT /* change nothing at all */
} gow_answer;

typedef enum gow_step_kind {
	GOW_STEP_WRITE,    /* bytes of the file are overwritten */
	GOW_STEP_COPY,     /* a block is copied to the end of the file */
	GOW_STEP_EXTEND,   /* the file grows by zeros */
	GOW_STEP_ROLL_BACK,/* what an interrupted repair overwrote is put back */
	GOW_STEP_FINISH    /* an interrupted upgrade is resumed */
} gow_step_kind;

/* "write", "copy", ... */
const char *gow_step_name(gow_step_kind kind);

/* What a guest sees of a step. */
typedef enum gow_effect {
	GOW_EFFECT_NONE,    /* nothing */
	GOW_EFFECT_SUSPECT, /* nothing new: but these bytes, or those of the other owner, are foreign */
	GOW_EFFECT_LOST,    /* these bytes read as zeros: what they were is not in the file */
	GOW_EFFECT_RESIZED  /* the disk has guest_length bytes from now on */
} gow_effect;

/* "none", "suspect", ... */
const char *gow_effect_name(gow_effect effect);

/* A write of a repair plan. Numbers that do not apply are GOW_NOWHERE. */
typedef struct gow_repair_step {
	const gow_problem *problem; /* that it repairs; NULL: the preamble is rebuilt */
	const char *text;           /* what is done, in words; static */
	uint64_t offset;            /* bytes in the file */
	uint64_t length;
	uint64_t source;            /* of a copy: where in the file from */
	uint64_t value;             /* of a write: the number that is written */
	uint64_t guest_start;       /* bytes of the guest's disk that it is about */
	uint64_t guest_length;
	uint64_t other_start;       /* as many bytes, of the other owner */
	gow_step_kind kind;
	gow_effect effect;
	bool preen;                 /* can be done without judgement */
} gow_repair_step;

enum {
	GOW_REPAIR_RESET_VERSIONS = 1 << 0, /* for version.exhausted: all numbers from 1 again */
	GOW_REPAIR_CLEAR_PENDING = 1 << 1   /* repair journal.missing: remove the mark, at the
	                                     * caller's risk */
};

typedef struct gow_repair_options {
	size_t struct_size;
	gow_common common;       /* a dry run makes the plan */
	unsigned flags;          /* GOW_REPAIR_..., above */
	gow_repair_level level;
	uint64_t size;           /* for header.size and map.beyond-size; 0: not given */
	const char *salvage;     /* save unreferenced blocks in this new file; may be NULL */
	const char *undo_file;   /* where the undo file is to be; NULL: beside the image */
	const char *manifest;    /* of the guest's disk: without its agreement the mark of
	                          * journal.missing stays (GOW_ERR_CORRUPT); NULL: none */
	/* For GOW_REPAIR_ASK: whether to repair what is wrong at place. */
	gow_answer (*ask)(void *context, const gow_problem *problem, const gow_place *place);
	/* Told every finding, in the catalogue's order, before the steps. May be NULL. */
	void (*found)(void *context, const gow_finding *finding);
	/* Told every step of the plan, in order, before the first is done. May be NULL. */
	void (*step)(void *context, const gow_repair_step *step);
	void *context;
	unsigned assume_version; /* rebuild a ruined preamble as this version; 0: do not */
	unsigned reserved;       /* 0 */
} gow_repair_options;

/* As many rows as there could ever be problems. */
enum { GOW_REPAIR_ROWS = 64 };

typedef struct gow_repair_left {
	gow_finding finding;
	const char *why; /* why it was not repaired; static */
} gow_repair_left;

typedef struct gow_repair_result {
	size_t struct_size;
	gow_finding found[GOW_REPAIR_ROWS]; /* what was wrong, in the catalogue's order */
	size_t found_count;
	gow_repair_left left[GOW_REPAIR_ROWS]; /* and what is, or of a dry run would be, left */
	size_t left_count;
	uint64_t steps;
	uint64_t undo_bytes;      /* that the undo file takes */
	uint64_t growth;          /* bytes by which the image grows */
	uint64_t salvaged_blocks; /* saved, or of a dry run to be saved */
	uint64_t damaged_entries; /* header.truncated: guest blocks that lost their mapping */
	bool changed;             /* the file was changed */
	bool quit;                /* an answer was GOW_ANSWER_QUIT */
	gow_digests digests;
	char evidence[512];       /* what spoke for assume_version; "" where it was not needed */
	char undo_file[4096];     /* what takes the repair back; "" where nothing was changed */
} gow_repair_result;

/*
 * Finds what is wrong with the image at path, plans its repair, and does that, or nothing: what
 * comes out is what the plan foresaw, or everything is rolled back and the call fails. Whatever is
 * overwritten is in an undo file before.
 */
int gow_repair(const char *path, const gow_repair_options *options, gow_repair_result *result,
               gow_error *error);

typedef struct gow_undo_options {
	size_t struct_size;
	gow_common common;
	unsigned flags;    /* 0: there are none yet */
	unsigned reserved; /* 0 */
} gow_undo_options;

typedef struct gow_undo_result {
	size_t struct_size;
	char undo_file[4096];
	char what[256];        /* what was repaired */
	unsigned layers_left;  /* repairs that could be taken back next */
	uint64_t bytes;        /* that are put back */
	uint64_t old_size;     /* length of the file before the repair, */
	uint64_t new_size;     /* and after it */
	gow_digests digests;
	bool interrupted;      /* the repair, or an earlier undo, was not over */
	bool changed;
} gow_undo_result;

/* Takes the last repair of the image at path back, byte for byte. May be interrupted and called
 * again. GOW_ERR_CHANGED if that would take back what was done since. */
int gow_repair_undo(const char *path, const gow_undo_options *options, gow_undo_result *result,
                    gow_error *error);

/* ---- compacting -------------------------------------------------------------------------- */

enum {
	GOW_COMPACT_KEEP_ZEROS = 1 << 0, /* leave blocks that hold only zeros allocated */
	GOW_COMPACT_PUNCH = 1 << 1       /* give space back as holes, and move nothing */
};

typedef struct gow_compact_options {
	size_t struct_size;
	gow_common common;
	unsigned flags;     /* GOW_COMPACT_... */
	unsigned reserved;  /* 0 */
	const char *output; /* NULL: in place; otherwise a new file, and the image stays as it is */
} gow_compact_options;

typedef struct gow_compact_result {
	size_t struct_size;
	bool changed;            /* the file was changed, or would be */
	uint64_t leaked_blocks;  /* physical blocks that no entry named, and that were given back */
	uint64_t zero_blocks;    /* allocated blocks of zeros that were given back */
	uint64_t moved_blocks;   /* that changed their place; copied, for a new file */
	uint64_t written_bytes;  /* blocks, map entries and block_count */
	uint64_t punched_bytes;  /* given back as holes */
	uint64_t extra_bytes;    /* disk that it took: holes that blocks were moved into */
	uint64_t old_file_size, new_file_size; /* bytes */
	gow_digests digests;
	bool in_use;             /* the image was written to, or may have been, while it was read */
} gow_compact_result;

/*
 * Gives back the space of leaked blocks and of blocks that hold only zeros, moves the last blocks
 * into the gaps, and cuts the file. Killed at any instant it leaves a sound image (with leaks at
 * worst) of the same guest, and the next call resumes the work. A sound image is needed
 * (GOW_ERR_CORRUPT). The numbers above are, of a dry run, those of a real one.
 */
int gow_compact(const char *path, const gow_compact_options *options,
                gow_compact_result *result, gow_error *error);

/* ---- upgrading --------------------------------------------------------------------------- */

enum {
	GOW_UPGRADE_ROLLBACK = 1 << 0 /* take an interrupted upgrade back */
};

typedef struct gow_upgrade_options {
	size_t struct_size;
	gow_common common;
	unsigned flags;     /* GOW_UPGRADE_... */
	unsigned to;        /* the version wanted; 0: the newest */
	const char *output; /* NULL: in place; otherwise a new file, and the image stays as it is */
} gow_upgrade_options;

typedef struct gow_upgrade_result {
	size_t struct_size;
	unsigned old_version, new_version; /* of the image, before and after */
	bool changed;            /* the file was changed, or would be */
	bool resumed;            /* an interrupted upgrade was found, and resumed */
	bool rolled_back;        /* it was taken back */
	uint64_t moved_bytes;    /* data that changed its place in the file; copied, for a new file */
	uint64_t written_bytes;  /* all that was written, headers and the record included */
	uint64_t extra_bytes;    /* disk that it took while it lasted, beyond what the file had */
	uint64_t old_file_size, new_file_size; /* bytes */
	gow_digests digests;     /* what is pending has none before */
	bool in_use;             /* the image was written to, or may have been, while it was read */
} gow_upgrade_result;

/*
 * Makes an image of a newer version of path, in place. Killed at any instant it leaves an image
 * that is either sound or pending (journal.pending), and that the next call resumes, or with
 * GOW_UPGRADE_ROLLBACK takes back, byte for byte. A sound image is needed (GOW_ERR_CORRUPT); an
 * older version than the image's is refused (GOW_ERR_ARGUMENT); one that is there already is
 * left as it is. The numbers above are, of a dry run, those of a real one; where an upgrade to
 * an older version than the one wanted is under way, of that one alone.
 */
int gow_upgrade(const char *path, const gow_upgrade_options *options,
                gow_upgrade_result *result, gow_error *error);

/* ---- synchronising ----------------------------------------------------------------------- */

enum {
	GOW_SYNC_FORCE = 1 << 0,    /* a copy that diverged becomes the master's again */
	GOW_SYNC_IN_PLACE = 1 << 1, /* overwrite blocks where they stand: the copy is pending until
	                             * it is whole */
	GOW_SYNC_VERIFY = 1 << 2    /* read all of the master, and compare */
};

typedef struct gow_sync_options {
	size_t struct_size;
	gow_common common;    /* the layout is the master's; a dry run says what would be fetched */
	unsigned flags;       /* GOW_SYNC_... */
	unsigned connections; /* to the server, at the same time; 0: the usual number */
	const char *manifest; /* a name or a URI: what the copy is to be; NULL: none */
	uint64_t limit_rate;  /* bytes a second of blocks, at most; 0: any */
} gow_sync_options;

typedef struct gow_sync_result {
	size_t struct_size;
	uint64_t newer_blocks;    /* allocated in the master under a newer number (of a master without
	                           * numbers: whose content differs) */
	uint64_t needed_blocks;   /* that have to come from the master in all, those that an earlier run
	                           * has fetched, too */
	uint64_t unmapped_blocks; /* that the copy gives up */
	uint64_t diverged_blocks; /* under a higher number in the copy */
	uint64_t first_diverged;  /* the first of them, or GOW_NOWHERE */
	uint64_t fetch_bytes;     /* that have to be read of the master, headers included */
	uint64_t fetched_bytes;   /* that were */
	uint64_t requests;        /* in so many; of a dry run: that it would take */
	uint64_t disk_bytes;      /* that new blocks take beside the copy's own */
	uint32_t rounds;          /* how often the master was read; more than 1: it changed */
	bool created;             /* there was no copy, or of a dry run: there is none */
	bool changed;             /* the copy was, or would be, changed */
	bool resumed;             /* some blocks were there from an earlier run */
	bool in_place;            /* blocks are overwritten where they stand */
	gow_digest digest;        /* of the copy in the end; "" without manifest and GOW_SYNC_VERIFY */
	char reserved[7];         /* 0 */
} gow_sync_result;

/*
 * Brings the image of version 3 at copy, which is made if it is missing, to the content and the
 * version numbers of the one at master, a name or a URI, by reading the blocks that have a newer
 * number there. The copy keeps its old content until all new blocks are durable. What was read is
 * remembered beside it, so that the next call resumes there.
 *
 * GOW_ERR_CHANGED: the copies diverged, or the master went on changing; GOW_ERR_CORRUPT: one of them
 * is corrupt or pending, or the master is not what the manifest says. The result is filled as far as
 * it is known also where the call fails.
 */
int gow_sync(const char *master, const char *copy, const gow_sync_options *options,
             gow_sync_result *result, gow_error *error);

/* The library's version, "MAJOR.MINOR.PATCH". */
const char *gow_version(void);

#ifdef __cplusplus
}
#endif
#endif
