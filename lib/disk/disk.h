/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk.h - a guest's disk as something to read from (a source) or to write to (a sink), in whatever
 * form it is stored: a raw file or device, a pipe, a GOW image, an archive. Converting is copying
 * from a source to a sink; another form is another pair of them.
 */
#ifndef GOW_DISK_DISK_H
#define GOW_DISK_DISK_H

#include <stdatomic.h>

#include "base/hasher.h"
#include "image/image.h"
#include "io/draft.h"

/* ---- sources ----------------------------------------------------------------------------- */

struct gow_source;

struct gow_source_ops {
	/* The next guest bytes at or after offset that may be other than zero; *start == *end
	 * where there are none to the end of the disk. */
	int (*next_data)(struct gow_source *source, uint64_t offset, uint64_t *start, uint64_t *end,
	                 gow_error *error);
	/* *got falls short of size only at the end of a disk whose size was unknown. */
	int (*read)(struct gow_source *source, uint64_t offset, void *buf, size_t size, size_t *got,
	            gow_error *error);
	/* In place of read, for a source whose blocks are stored in another order than the disk's
	 * (next_data says from the start where all of them belong): the next piece, beginning at
	 * a block's start and ending at a block's end or the disk's. *got == 0 at the end. */
	int (*pull)(struct gow_source *source, uint64_t *offset, void *buf, size_t size,
	            size_t *got, gow_error *error);
	/* NULL, or called when all has been read, with the result: whether the source as a
	 * whole was what it had to be. */
	int (*finish)(struct gow_source *source, uint64_t size, const gow_digest *digest,
	              gow_error *error);
	/* Whether another process wants to change what is read; NULL: none can. */
	int (*poll)(struct gow_source *source, gow_error *error);
	void (*close)(struct gow_source *source);
};

struct gow_source {
	const struct gow_source_ops *ops;
	gow_format format;        /* as found */
	gow_format member_format; /* of an archive: of the disk in it */
	uint64_t size;            /* bytes; GOW_NOWHERE: known only at the end */
	bool once;                /* can be read once, front to back */
	bool waits;       /* asks the monitor while it reads, so the caller's thread reads */
	atomic_bool stop; /* another thread that reads is to give up */
	bool damaged;     /* opened for salvage, with corrupt findings */
	const uint32_t *versions; /* version numbers by logical block, or NULL; owned */
	const uint32_t *entries;  /* map entries by logical block, or NULL; owned */
	struct gow_file *file;    /* that it is stored in, for mode and identity; NULL for a pipe */
	struct gow_lock *lock;    /* of that; NULL for a pipe */
	uint64_t file_length;     /* of that, when it was opened */
};

struct gow_source_options {
	gow_opener open_image;   /* of a file that is an image */
	gow_format format;       /* GOW_FORMAT_PROBE: by content */
	const char *member_name; /* of an archive; NULL: the only disk in it */
	bool ours;               /* an archive that was just written: what is in it is a disk */
	unsigned occurrence;     /* which of the members of that name, from 1 on; 0: the only one */
	bool salvage;
	gow_common common;
	gow_loss_visitor lost; /* for salvage; may be NULL */
	void *lost_context;
	gow_layouts_finder find_layout; /* for --layout auto; NULL: none is inferred */
};

/* "-" is standard input. Free with gow_source_close, which accepts NULL. */
int gow_source_open(const char *path, const struct gow_source_options *options,
                    struct gow_source **source, gow_error *error);
void gow_source_close(struct gow_source *source);

/* Has source->versions be as long as a destination's table of numbers, where the map has fewer or
 * more: *fitted is freed with the source. */
int gow_source_fit_versions(struct gow_source *source, const struct gow_map *map, uint32_t **fitted,
                            gow_error *error);

/* A raw disk in an open file, which it owns from then on, also when it fails. */
int gow_source_of_file(struct gow_file *file, struct gow_source **source, gow_error *error);

/* The disk of an open image, which is not owned. */
int gow_source_of_image(gow_image *image, struct gow_source **source, gow_error *error);

/* ---- sinks ------------------------------------------------------------------------------- */

struct gow_sink;

struct gow_sink_ops {
	/* Guest bytes, beginning at a block's start; size ends at a block's end or at the disk's.
	 * They may hold zeros. Ascending, but for a sink that takes any order: there, no block
	 * comes twice. */
	int (*data)(struct gow_sink *sink, uint64_t offset, const void *buf, size_t size,
	            gow_error *error);
	/* Guest bytes that are zeros: all those that data is not called for. */
	int (*zeros)(struct gow_sink *sink, uint64_t offset, uint64_t size, gow_error *error);
	/* NULL, or wants to know the hash of every block that has data; ascending. */
	int (*hashed)(struct gow_sink *sink, uint64_t index, const struct gow_hash *hash,
	              gow_error *error);
	/* All has been given: a disk of that many bytes; its digest, if one was made. The file is
	 * whole then, and not durable yet. */
	int (*finish)(struct gow_sink *sink, uint64_t size, const gow_digest *digest,
	              gow_error *error);
	void (*release)(struct gow_sink *sink);
};

struct gow_sink {
	const struct gow_sink_ops *ops;
	const gow_monitor *monitor;
	bool any_order;
	uint64_t written; /* bytes of an archive, or counted */
};

/* Sinks into a file that is not owned. A new file must be empty. */
int gow_sink_raw_file(struct gow_file *file, struct gow_sink **sink, gow_error *error);
int gow_sink_raw_device(struct gow_file *file, const gow_monitor *monitor, struct gow_sink **sink,
                        gow_error *error);
int gow_sink_raw_stream(int fd, const char *name, const gow_monitor *monitor,
                        struct gow_sink **sink, gow_error *error);
/* versions: NULL, or one number for each map entry, not owned. */
int gow_sink_image(struct gow_file *file, const struct gow_layout *layout, const uint32_t *versions,
                   struct gow_sink **sink, gow_error *error);

/* Counts (written) what a raw file would take, where nothing is written that holds zeros. */
int gow_sink_count(struct gow_sink **sink, gow_error *error);

/* Marks the blocks that have data in a set (base/bits.h) of the disk's, not owned. */
int gow_sink_marks(uint64_t *set, struct gow_sink **sink, gow_error *error);

/* Accepts NULL. */
void gow_sink_release(struct gow_sink *sink);

/* ---- copying ----------------------------------------------------------------------------- */

/* The first bytes of a disk and its last ones, kept while it is copied. What was not
 * copied is zeros. */
enum { GOW_SAMPLE_FIRST = 1152 << 10, GOW_SAMPLE_LAST = 128 << 10 };

struct gow_sample {
	uint8_t *first;       /* GOW_SAMPLE_FIRST bytes; owned */
	uint8_t *last;        /* GOW_SAMPLE_LAST, */
	uint64_t last_offset; /* which stand there in the disk */
	bool is_fixed;        /* the disk's size is known, and so is where they stand */
};

/* size: of the disk, or GOW_NOWHERE. */
int gow_sample_new(struct gow_sample *sample, uint64_t size, gow_error *error);
void gow_sample_note(struct gow_sample *sample, uint64_t offset, const uint8_t *bytes, size_t size);
/* False where the bytes were not kept. */
bool gow_sample_read(const struct gow_sample *sample, uint64_t offset, void *buf, size_t size);
void gow_sample_release(struct gow_sample *sample);

struct gow_copy {
	struct gow_source *source;
	struct gow_sink *sink; /* NULL: only read, count and digest */
	bool wants_digest;
	struct gow_draft *draft; /* what the sink writes; NULL: nothing that replaces a file */
	const gow_monitor *monitor;
	const char *phase;     /* its name in progress */
	uint64_t size_unit;    /* the disk is rounded up to a multiple of this */
	uint64_t limit;        /* a disk of more bytes is refused; 0: none is */
	bool salvage;          /* zeros stand for what cannot be read */
	gow_loss_visitor lost; /* called for that; may be NULL */
	void *lost_context;
	struct gow_sample *sample; /* gets what is copied; may be NULL */
	/* The result. */
	uint64_t source_size; /* of the disk, bytes */
	uint64_t size;        /* the same, rounded up */
	uint64_t data_blocks; /* blocks that were not all zeros */
	uint64_t losses;
	gow_digest digest; /* "" where it was not wanted. Of a disk rounded up to a
	                                * multiple of 512, as every guest's is */
};

/* Copies the whole disk; the sink has been finished when it succeeds. GOW_ERR_LIMIT: the disk is
 * larger than the limit. A source with pull needs a sink that takes data in any order. */
int gow_copy_disk(struct gow_copy *copy, gow_error *error);

#endif
