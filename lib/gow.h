/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gow.h - the public interface of libgow, the library behind gow-tools.
 *
 * GOW ("Grow on Write") disk images: a header maps 64 KiB blocks of a guest's disk to places
 * in the file. The format is told in gow(5).
 *
 * Rules that hold for every function here:
 *
 * - A function that can fail returns 0 (GOW_OK) or a gow_code, and fills the gow_error that it
 *   was handed (which may be NULL). Nothing is printed, no signal is caught, nothing exits.
 * - An object is freed by the function named after it (gow_image_close and so on), which accepts
 *   NULL. Out parameters are written on success only.
 * - Sizes and offsets are in bytes unless a name says blocks.
 * - An object is used by one thread at a time; different objects are independent.
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
	GOW_ERR_DAMAGED = 14     /* a manifest or an archive is not what it has to be */
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
	GOW_NOTE_WARNING  /* the user should know */
} gow_note_level;

/*
 * How a long operation talks to its caller; every member may be NULL. progress is called often,
 * with bytes done and bytes in all (0: unknown) of the named phase; a result other than 0 asks
 * the operation to stop at its next safe point, which then fails with GOW_ERR_STOPPED.
 */
typedef struct gow_monitor {
	void *context;
	int (*progress)(void *context, const char *phase, uint64_t done, uint64_t total);
	void (*note)(void *context, gow_note_level level, const char *file, const char *text);
} gow_monitor;

/* ---- opening ----------------------------------------------------------------------------- */

enum {
	GOW_OPEN_WRITE = 1 << 0,       /* for a session that changes the guest's data */
	GOW_OPEN_NO_LOCK = 1 << 1,     /* neither locks nor leases */
	GOW_OPEN_STEADY = 1 << 2,      /* refuse (busy) while anybody has it open for writing */
	GOW_OPEN_FORCE_SHARE = 1 << 3, /* read whoever holds it, and only say so */
	GOW_OPEN_SALVAGE = 1 << 4      /* take a damaged image, and of it what can be had */
};

/* How to open an image. NULL in place of the options means all zeros. */
typedef struct gow_open_options {
	unsigned flags;
	double wait_seconds;        /* how long to try again while the file is busy */
	const gow_monitor *monitor; /* not owned; must outlive the object */
} gow_open_options;

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
	unsigned version;
	uint64_t logical_size;
	uint64_t logical_blocks;
	uint32_t map_entries;
	uint32_t block_count;
	uint32_t present_blocks;
	uint32_t allocated_blocks; /* entries that are allocated, lawful or not */
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

/*
 * Visits every place of one finding, in order. A visit that returns other than 0 ends the walk,
 * which then fails with GOW_ERR_STOPPED.
 */
typedef int (*gow_place_visitor)(void *context, const gow_place *place);
int gow_check_each_place(gow_check *check, gow_problem_id id, gow_place_visitor visit,
                         void *context, gow_error *error);

/*
 * Reads the data of every allocated block that is in the file; a block that cannot be read adds
 * to the finding data.unreadable, and reading goes on.
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
	const char *manifest;       /* compare with this manifest; NULL: none */
	const char *write_manifest; /* write one to this new file; NULL: none */
} gow_digest_options;

/*
 * Reads the data as gow_check_data does, and makes the guest digest of it. With a manifest, every
 * guest block that differs from it adds to the finding data.mismatch; those that cannot be read
 * at all, which other findings tell, are not compared. GOW_ERR_DAMAGED for a manifest that is no
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

uint64_t gow_image_size(const gow_image *image);    /* of the guest's disk */
unsigned gow_image_version(const gow_image *image); /* of the format */

/* Reads guest bytes; offset + size must lie inside the disk (GOW_ERR_ARGUMENT). */
int gow_image_read(gow_image *image, uint64_t offset, void *buf, size_t size, gow_error *error);

/*
 * Writes guest bytes, anywhere inside the disk. Zeros written over a block that is not allocated
 * allocate nothing. What was written is read back at once, and durable after gow_image_flush.
 * A write that fails (for want of space, say) may have been done in part; what was written before
 * can still be flushed. A flush that fails ends the session: later writes and flushes fail,
 * too, and the image on disk is valid with what was flushed, and, of blocks that were allocated before,
 * old or new bytes.
 */
int gow_image_write(gow_image *image, uint64_t offset, const void *buf, size_t size,
                    gow_error *error);
int gow_image_flush(gow_image *image, gow_error *error);

/* The guest digest of an open image, with what was written to it. Holes and what is not allocated
 * are not read. monitor may be NULL. */
int gow_image_digest(gow_image *image, const gow_monitor *monitor, gow_digest *digest,
                     gow_error *error);

/* The same of what lies at path: an image, a raw disk, an archive (told by content). Options as
 * for gow_image_open, but for GOW_OPEN_WRITE and GOW_OPEN_SALVAGE. */
int gow_digest_path(const char *path, const gow_open_options *options, gow_digest *digest,
                    gow_error *error);

/* ---- making and converting --------------------------------------------------------------- */

typedef struct gow_create_options {
	unsigned version;  /* 1, 2 or 3 */
	bool force;        /* replace an existing file (not a device or a folder) */
	bool dry_run;      /* find out whether it would work */
	bool no_lock;
	double wait_seconds;
	const gow_monitor *monitor;
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

/* Why a part of a damaged source could not be had. */
typedef enum gow_loss_kind {
	GOW_LOSS_UNREADABLE,  /* reading failed: zeros stand there */
	GOW_LOSS_UNMAPPED,    /* its entry names no present block, or is gone: zeros stand there */
	GOW_LOSS_SHARED,      /* copied, but another block claims the same data */
	GOW_LOSS_BEYOND_SIZE  /* lies past the end of the disk: left out */
} gow_loss_kind;

const char *gow_loss_name(gow_loss_kind kind);

typedef struct gow_loss {
	gow_loss_kind kind;
	uint64_t start;  /* guest bytes */
	uint64_t length;
} gow_loss;

enum {
	GOW_CONVERT_FORCE = 1 << 0,    /* replace an existing destination */
	GOW_CONVERT_SALVAGE = 1 << 1,  /* go on past what a damaged source cannot give */
	GOW_CONVERT_VERIFY = 1 << 2,   /* read the destination back and compare digests */
	GOW_CONVERT_DRY_RUN = 1 << 3,  /* read and count, write nothing */
	GOW_CONVERT_NO_LOCK = 1 << 4,
	GOW_CONVERT_DROP_ZEROS = 1 << 5 /* to an archive: read the source twice, to leave out
	                                 * allocated blocks that hold only zeros */
};

typedef struct gow_convert_options {
	unsigned flags;
	gow_format source_format;
	gow_format dest_format;
	double wait_seconds;
	const gow_monitor *monitor;
	/* With GOW_CONVERT_SALVAGE: called for every part that was lost. May be NULL. */
	void (*lost)(void *context, const gow_loss *loss);
	void *lost_context;
	/* What of an archive that is read: which member, NULL: the only disk in it; and what is in
	 * it, GOW_FORMAT_PROBE: told by content. */
	const char *member_name;
	/* What of an archive that is written: GOW_FORMAT_PROBE is an image of the source's version,
	 * of the newest if it has none. */
	gow_format member_format;
	gow_compression compression;
	int level;     /* GOW_LEVEL_USUAL, or one of the compressor's */
	int64_t mtime; /* of its members, seconds since 1970; or GOW_TIME_OF_SOURCE */
} gow_convert_options;

typedef struct gow_convert_result {
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
} gow_convert_result;

/*
 * Copies what the guest sees in source to dest in another form; "-" is standard input or output,
 * for raw disks and archives. A name appears only when the file is whole and durable. On failure no file of
 * that name has been made or changed (a block device apart).
 */
int gow_convert(const char *source, const char *dest, const gow_convert_options *options,
                gow_convert_result *result, gow_error *error);

/* ---- repairing --------------------------------------------------------------------------- */

/* What may be done without asking further. */
typedef enum gow_repair_level {
	GOW_REPAIR_PREEN, /* what needs no judgement and can lose nothing */
	GOW_REPAIR_ALL,   /* everything that has a mend */
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
	GOW_STEP_FINISH    /* an interrupted upgrade is gone on with */
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
	const gow_problem *problem; /* that it mends; NULL: the preamble is rebuilt */
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

typedef struct gow_repair_options {
	gow_repair_level level;
	bool dry_run;            /* make the plan, and change nothing */
	bool no_lock;
	bool digest;             /* make the guest digest before and after */
	bool reset_versions;     /* mend version.exhausted: all version numbers anew from 1 */
	unsigned assume_version; /* rebuild a ruined preamble as this version; 0: do not */
	uint64_t size;           /* mend header.size and map.beyond-size with this; 0: not told */
	double wait_seconds;
	const char *salvage;     /* save blocks that nobody names in this new file; may be NULL */
	const char *undo_file;   /* where the undo file is to be; NULL: beside the image */
	const gow_monitor *monitor;
	/* For GOW_REPAIR_ASK: whether to mend what is wrong at place. */
	gow_answer (*ask)(void *context, const gow_problem *problem, const gow_place *place);
	/* Told every finding, in the catalogue's order, before the steps. May be NULL. */
	void (*found)(void *context, const gow_finding *finding);
	/* Told every step of the plan, in order, before the first is done. May be NULL. */
	void (*step)(void *context, const gow_repair_step *step);
	void *context;
} gow_repair_options;

typedef struct gow_repair_left {
	gow_finding finding;
	const char *why; /* why it was not mended; static */
} gow_repair_left;

typedef struct gow_repair_result {
	gow_finding found[GOW_PROBLEM_COUNT]; /* what was wrong, in the catalogue's order */
	size_t found_count;
	gow_repair_left left[GOW_PROBLEM_COUNT]; /* and what is, or of a dry run would be, left */
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
 * Finds what is wrong with the image at path, plans what mends it, and does that, or nothing: what
 * comes out is what the plan foresaw, or everything is rolled back and the call fails. Whatever is
 * overwritten is in an undo file before.
 */
int gow_repair(const char *path, const gow_repair_options *options, gow_repair_result *result,
               gow_error *error);

typedef struct gow_undo_options {
	bool dry_run;
	bool no_lock;
	bool digest; /* make the guest digest before and after */
	double wait_seconds;
	const gow_monitor *monitor;
} gow_undo_options;

typedef struct gow_undo_result {
	char undo_file[4096];
	char what[256];        /* what the repair mended */
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
	GOW_COMPACT_DRY_RUN = 1 << 0,    /* find out what would be done, change nothing */
	GOW_COMPACT_KEEP_ZEROS = 1 << 1, /* leave blocks that hold only zeros allocated */
	GOW_COMPACT_PUNCH = 1 << 2,      /* give space back as holes, and move nothing */
	GOW_COMPACT_NO_LOCK = 1 << 3,
	GOW_COMPACT_DIGEST = 1 << 4      /* make the guest digest before and after; GOW_ERR_MISMATCH
	                                  * if they differ (a new file does not appear then) */
};

typedef struct gow_compact_options {
	unsigned flags;
	const char *output;  /* NULL: in place; otherwise a new file, and the image stays as it is */
	double wait_seconds;
	const gow_monitor *monitor;
} gow_compact_options;

typedef struct gow_compact_result {
	bool changed;            /* the file was changed, or would be */
	uint64_t leaked_blocks;  /* physical blocks that no entry named, and that were given back */
	uint64_t zero_blocks;    /* allocated blocks of zeros that were given back */
	uint64_t moved_blocks;   /* that changed their place; copied, for a new file */
	uint64_t written_bytes;  /* blocks, map entries and block_count */
	uint64_t punched_bytes;  /* given back as holes */
	uint64_t extra_bytes;    /* disk that it took: holes that blocks were moved into */
	uint64_t old_file_size, new_file_size; /* bytes */
	gow_digests digests;
} gow_compact_result;

/*
 * Gives back the space of leaked blocks and of blocks that hold only zeros, moves the last blocks
 * into the gaps, and cuts the file. Killed at any instant it leaves a sound image (with leaks at
 * worst) of the same guest, and the next call goes on. A sound image is needed
 * (GOW_ERR_CORRUPT). Of the numbers above, a dry run tells what a real one would.
 */
int gow_compact(const char *path, const gow_compact_options *options,
                gow_compact_result *result, gow_error *error);

/* ---- upgrading --------------------------------------------------------------------------- */

enum {
	GOW_UPGRADE_DRY_RUN = 1 << 0,  /* find out what would be done, change nothing */
	GOW_UPGRADE_ROLLBACK = 1 << 1, /* take an interrupted upgrade back */
	GOW_UPGRADE_NO_LOCK = 1 << 2,
	GOW_UPGRADE_DIGEST = 1 << 3    /* make the guest digest before and after; GOW_ERR_MISMATCH
	                                * if they differ (a new file does not appear then) */
};

typedef struct gow_upgrade_options {
	unsigned flags;
	unsigned to;         /* the version wanted; 0: the newest */
	const char *output;  /* NULL: in place; otherwise a new file, and the image stays as it is */
	double wait_seconds;
	const gow_monitor *monitor;
} gow_upgrade_options;

typedef struct gow_upgrade_result {
	unsigned old_version, new_version; /* of the image, before and after */
	bool changed;            /* the file was changed, or would be */
	bool resumed;            /* an interrupted upgrade was found, and gone on with */
	bool rolled_back;        /* it was taken back */
	uint64_t moved_bytes;    /* data that changed its place in the file; copied, for a new file */
	uint64_t written_bytes;  /* all that was written, headers and the record included */
	uint64_t extra_bytes;    /* disk that it took while it lasted, beyond what the file had */
	uint64_t old_file_size, new_file_size; /* bytes */
	gow_digests digests;     /* what is pending has none before */
} gow_upgrade_result;

/*
 * Makes an image of a newer version of path, in place. Killed at any instant it leaves an image
 * that is either sound or pending (journal.pending), and that the next call goes on with, or with
 * GOW_UPGRADE_ROLLBACK takes back, byte for byte. A sound image is needed (GOW_ERR_CORRUPT); an
 * older version than the image's is refused (GOW_ERR_ARGUMENT); one that is there already is
 * left as it is. Of the numbers above, a dry run tells what a real one would; where an upgrade to
 * an older version than the one wanted is under way, of that one alone.
 */
int gow_upgrade(const char *path, const gow_upgrade_options *options,
                gow_upgrade_result *result, gow_error *error);

/* The library's version, "MAJOR.MINOR.PATCH". */
const char *gow_version(void);

#ifdef __cplusplus
}
#endif
#endif
