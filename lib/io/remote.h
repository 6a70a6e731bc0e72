/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * remote.h - files that a server holds: the backend over the protocol modules (module.h), which are
 * loaded when a URI (uri.h) asks for one. What a tool reads in order is
 * read ahead in large requests; small reads near each other are served from one.
 */
#ifndef GOW_IO_REMOTE_H
#define GOW_IO_REMOTE_H

#include "io/file.h"
#include "io/module.h"
#include "io/uri.h"

struct gow_remote_options {
	bool write;                 /* a raw disk over NBD */
	unsigned connections;       /* requests at the same time; 0: the usual number */
	double wait_seconds;        /* how long a server that cannot be reached is tried again */
	const gow_monitor *monitor; /* may be NULL; asked by the thread that opens only */
};

/*
 * Opens what a URI names. GOW_ERR_UNSUPPORTED for an unknown scheme (the message lists the known
 * ones), a protocol whose module is not installed (it names the package), and writing where the
 * protocol cannot.
 */
int gow_remote_open(const char *uri, const struct gow_remote_options *options,
                    struct gow_file **file, gow_error *error);

/* Whether the file is a remote one. */
bool gow_file_is_remote(const struct gow_file *file);

/* What the server says of the content (struct gow_remote_info); "" where it says nothing, and of
 * another file. Owned by the file. */
const char *gow_remote_identity(const struct gow_file *file);

/* Whether that proves it (struct gow_remote_info). Of another file false. */
bool gow_remote_has_proof(const struct gow_file *file);

/* What lies before end is going to be read in order: the next part of it is asked for while one is looked
 * at. Of another file it does nothing. */
void gow_file_expect(struct gow_file *base, uint64_t end);

/* How many bytes, and in how many requests, came from the server. Of another file both are 0. */
void gow_remote_count(const struct gow_file *file, uint64_t *bytes, uint64_t *requests);

/*
 * Reads many ranges, several requests in flight, past the read-ahead: nothing more than asked for
 * is fetched. Each lies inside the file base. Of a local file they are read one after the other.
 */
int gow_file_read_ranges(struct gow_file *base, const struct gow_remote_range *ranges, size_t count,
                         gow_error *error);

/*
 * Reads a range that is on its way since it was begun. What was read ahead is there at once, and
 * *range is what is left of it. That stays where it is, with its memory, until it is finished or
 * abandoned; what fails of it fails nobody before. For a file that begins ranges only, which not all
 * protocols' do.
 */
bool gow_file_begins_ranges(const struct gow_file *file);
void gow_file_begin_range(struct gow_file *base, struct gow_remote_range *range);
int gow_file_finish_range(struct gow_file *base, const struct gow_remote_range *range,
                          gow_error *error);
void gow_file_abandon_range(struct gow_file *base, const struct gow_remote_range *range);

/* Reads a range and hands its bytes on in order, as they come (module.h); of a file that pours only,
 * which not all protocols' do. */
bool gow_file_pours(const struct gow_file *file);
int gow_file_pour(struct gow_file *base, uint64_t offset, size_t size, gow_remote_taker take,
                  void *context, gow_error *error);

/* Reads ranges that come one by one (module.h). */
int gow_file_read_stream(struct gow_file *base, const struct gow_remote_stream *stream,
                         gow_error *error);

/* The same of what cannot do that by itself, as a local file: a few ranges at a time. */
int gow_file_read_in_batches(struct gow_file *base, const struct gow_remote_stream *stream,
                             gow_error *error);

/* The same for ranges in any order: neighbours are fetched in one request, and what little lies
 * between them with it. */
int gow_file_read_gathered(struct gow_file *base, const struct gow_remote_range *ranges,
                           size_t count, gow_error *error);

#endif
