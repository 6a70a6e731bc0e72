/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * module.h - what a protocol module gives: bytes of an object that a server holds. The modules
 * (modules/nbd.c, modules/http.c) are shared objects that remote.c loads when a name asks for
 * one, so that a tool that reads local files never pays for libnbd and libcurl. A module knows
 * this header and base/error.h only.
 *
 * One thread at a time calls a module. A failed call fills the error with what is wrong and what
 * to do; the caller adds the name of the object. No message contains a secret of the URI.
 */
#ifndef GOW_IO_MODULE_H
#define GOW_IO_MODULE_H

#include "gow.h"

/* Raised with every change of this page: a module of another number is not used. */
enum { GOW_MODULE_ABI = 9 };

/* The symbol that a module exports, a struct gow_module. */
#define GOW_MODULE_SYMBOL "gow_module"

/* The message for what is no URI to a library, without repeating it. */
#define GOW_BAD_URI                                                                                \
	"the URI is not valid: see gow-uri(7); a space, / and @ in a name or a password are "      \
	"written as %%20, %%2F and %%40"

struct gow_remote; /* one connection, the module's own */

/* What is asked for. */
struct gow_remote_request {
	const char *uri;
	bool write;           /* a raw disk that is written to */
	unsigned connections; /* requests at the same time; 0: as many as the module finds good */
	double wait_seconds;  /* how long a server that cannot be reached is tried again */
	/* How often a request of a range is made at most before the range is given up. It changes
	 * between calls. */
	const int *tries;
	/* Asked a few times a second, in the thread that calls the module, while it waits for the
	 * server: whether to give up with GOW_ERR_STOPPED. */
	bool (*stop)(void *context);
	void *context;
};

/* What the server says of the object. */
struct gow_remote_info {
	uint64_t size;         /* bytes */
	char identity[256];    /* two answers with the same text are of the same content; "" where
	                         * the server gives nothing to compare */
	bool has_proof;        /* the identity is compared with that of every answer, and no change,
	                         * however soon after another, leaves it as it was */
	bool has_holes;        /* next_data knows more than "all is data" */
	bool can_zero;         /* zero is quicker than a write of zeros */
	uint64_t rounding;     /* the object's own size may be less, by less than this: servers of
	                         * blocks round it up; 0: it is exact */
	uint64_t request_best; /* bytes: a request of so many is efficient */
};

/* A range of the object, and where its bytes go. */
struct gow_remote_range {
	uint64_t offset;
	size_t size;
	void *buf;
};

/* Ranges that become known, and for which there is room, while others are read. All of it is called
 * by the thread that reads. */
struct gow_remote_stream {
	void *context;
	/* The next range, which stays valid until it is done or reading has ended. NULL: there is none
	 * now; with wait, which may take its time, there is none any more. */
	const struct gow_remote_range *(*next)(void *context, bool wait);
	/* All bytes of that range are there. */
	void (*done)(void *context, const struct gow_remote_range *range);
};

/* Gets bytes in their order, and each once; they are valid during the call. */
typedef void (*gow_remote_taker)(void *context, const void *bytes, size_t size);

struct gow_module {
	unsigned abi;
	const char *library; /* "libcurl 7.88.1", for messages */
	int (*open)(const struct gow_remote_request *request, struct gow_remote **remote,
	            struct gow_remote_info *info, gow_error *error);
	/* Reads all ranges, several at a time; they lie inside the object. Retries what can pass.
	 * GOW_ERR_CHANGED where the object is not the one that was opened any more. */
	int (*read)(struct gow_remote *remote, const struct gow_remote_range *ranges, size_t count,
	            gow_error *error);
	/*
	 * The same of a range whose bytes will be wanted later; NULL in a module that has none of
	 * these three. begin asks for as much of it as may be in flight, and fails nobody;
	 * the range and its memory stay as they are until it is finished, or abandoned, which accepts
	 * one that was not begun. Other calls than these may come between.
	 */
	void (*begin)(struct gow_remote *remote, const struct gow_remote_range *range);
	int (*finish)(struct gow_remote *remote, const struct gow_remote_range *range,
	              gow_error *error);
	void (*abandon)(struct gow_remote *remote, const struct gow_remote_range *range);
	/* Reads a range by one request, and hands its bytes on as they come, so that they are nowhere
	 * kept; those before what fails, too. NULL: where they come in another order. */
	int (*pour)(struct gow_remote *remote, uint64_t offset, size_t size, gow_remote_taker take,
	            void *context, gow_error *error);
	/* Reads ranges that come one by one; NULL: they are read in batches. */
	int (*stream)(struct gow_remote *remote, const struct gow_remote_stream *stream,
	              gow_error *error);
	/* The next run that may be other than zeros, as gow_file_next_data; NULL: all is data. */
	int (*next_data)(struct gow_remote *remote, uint64_t offset, uint64_t *start, uint64_t *end,
	                 gow_error *error);
	/* Of an object opened for writing; NULL in a module that cannot. */
	int (*write)(struct gow_remote *remote, uint64_t offset, const void *buf, size_t size,
	             gow_error *error);
	int (*zero)(struct gow_remote *remote, uint64_t offset, uint64_t size, gow_error *error);
	int (*sync)(struct gow_remote *remote, gow_error *error);
	/* Frees everything. */
	void (*close)(struct gow_remote *remote);
};

#endif
