/* SPDX-License-Identifier: BSD-2-Clause */
/* What is fetched for whoever reads a file that answers slowly, and what he is told of failures. */
#include "io/windows.h"

#include <string.h>

#include "base/error.h"
#include "support/check.h"

enum { KIB = 1 << 10, MIB = 1 << 20, FILE_SIZE = 16 * MIB, NONE = -1, BEGUN_MOST = 8 };

static gow_error error;

/* A server's file: every byte tells where it stands. */
struct server {
	struct gow_windows windows;
	int64_t bad; /* a byte that cannot be read, or NONE */
	uint64_t bytes, requests;
	const struct gow_remote_range *begun[BEGUN_MOST]; /* NULL: a free place */
	uint64_t begun_count, abandoned;
	double takes; /* seconds, of each request */
};

static double now;

static double fake_clock(void)
{
	return now;
}

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset ^ offset >> 9 ^ offset >> 17);
}

static int fetch(void *context, uint64_t offset, void *buf, size_t size, gow_error *why)
{
	struct server *server = context;
	uint8_t *to = buf;

	CHECK(size != 0 && offset + size <= FILE_SIZE);
	now += server->takes;
	server->requests++;
	server->bytes += size;
	if (server->bad != NONE && (uint64_t)server->bad >= offset &&
	    (uint64_t)server->bad < offset + size)
		return gow_fail(why, GOW_ERR_IO, "bad");
	for (size_t i = 0; i < size; i++)
		to[i] = byte_at(offset + i);
	return GOW_OK;
}

static const struct gow_remote_range **place_of(struct server *server,
                                                const struct gow_remote_range *range)
{
	for (size_t i = 0; i < BEGUN_MOST; i++)
		if (server->begun[i] == range)
			return &server->begun[i];
	CHECK_FAIL("%s", range ? "it was not begun" : "too much was begun");
	return &server->begun[0];
}

static void begin(void *context, const struct gow_remote_range *range)
{
	struct server *server = context;

	CHECK(range->size != 0 && range->offset + range->size <= FILE_SIZE);
	*place_of(server, NULL) = range;
	server->begun_count++;
	/* Nothing of it is there before it is finished. */
	memset(range->buf, 0xee, range->size);
}

static int finish(void *context, const struct gow_remote_range *range, gow_error *why)
{
	struct server *server = context;

	*place_of(server, range) = NULL;
	return fetch(server, range->offset, range->buf, range->size, why);
}

static void abandon(void *context, const struct gow_remote_range *range)
{
	struct server *server = context;

	*place_of(server, range) = NULL;
	server->abandoned++;
}

/* ahead: it can be asked for what is wanted later. */
static void start(struct server *server, bool ahead)
{
	*server = (struct server){
		.windows = { .file_size = FILE_SIZE, .clock = fake_clock, .fetch = fetch },
		.bad = NONE
	};
	server->windows.context = server;
	if (ahead) {
		server->windows.expected = FILE_SIZE;
		server->windows.begin = begin;
		server->windows.finish = finish;
		server->windows.abandon = abandon;
	}
}

static void stop(struct server *server)
{
	gow_windows_release(&server->windows);
	for (size_t i = 0; i < BEGUN_MOST; i++)
		CHECK(!server->begun[i]);
}

/* Reads a range, which is right where it can be read. */
static int read_range(struct server *server, uint64_t offset, size_t size)
{
	static uint8_t buf[4 * MIB];
	size_t done = 0;

	while (done < size) {
		size_t got = 0;
		int code = gow_windows_read(&server->windows, offset + done, buf, size - done, &got,
		                            &error);

		if (code)
			return code;
		CHECK(got != 0 && got <= size - done);
		for (size_t i = 0; i < got; i++)
			if (buf[i] != byte_at(offset + done + i))
				CHECK_FAIL("byte %zu is wrong", (size_t)offset + done + i);
		done += got;
	}
	return GOW_OK;
}

/* Reads in order up to an end, pieces of so many bytes. */
static void read_up_to(struct server *server, uint64_t end, size_t piece)
{
	for (uint64_t at = 0; at < end; at += piece)
		CHECK_OK(read_range(server, at, at + piece < end ? piece : (size_t)(end - at)),
		         &error);
}

static void reading_in_order_takes_large_requests(void)
{
	static const size_t pieces[] = { 4000, 64 * KIB, MIB, 3 * MIB };

	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		struct server server;

		check_about("pieces of %zu bytes", pieces[i]);
		start(&server, false);
		read_up_to(&server, FILE_SIZE, pieces[i]);
		CHECK_EQ(FILE_SIZE, server.bytes);
		CHECK(server.requests <= FILE_SIZE / MIB + 1);
		stop(&server);
	}
}

static void reading_here_and_there_takes_small_ones(void)
{
	for (int ahead = 0; ahead < 2; ahead++) {
		struct rng rng = { 1 };
		struct server server;

		start(&server, ahead);
		for (int i = 0; i < 100; i++)
			CHECK_OK(read_range(&server, rng_below(&rng, FILE_SIZE - 512), 512),
			         &error);
		CHECK(server.bytes <= (uint64_t)server.requests * 64 * KIB);
		CHECK_EQ(0, server.begun_count);
		stop(&server);
	}
}

/* What is wanted as a whole goes to where it is wanted; what is read after it is in order. */
static void much_at_a_time_needs_no_window(void)
{
	struct server server;

	start(&server, false);
	for (uint64_t at = 0; at < 12 * MIB; at += 4 * MIB)
		CHECK_OK(read_range(&server, at, 4 * MIB), &error);
	CHECK_EQ(3, server.requests);
	for (size_t i = 0; i < GOW_WINDOWS; i++)
		CHECK_EQ(0, server.windows.list[i].room);
	for (uint64_t at = 12 * MIB; at < FILE_SIZE; at += 64 * KIB)
		CHECK_OK(read_range(&server, at, 64 * KIB), &error);
	CHECK(server.requests <= 3 + 4);
	CHECK_EQ(FILE_SIZE, server.bytes);
	stop(&server);
}

static void what_is_there_can_be_taken(void)
{
	static uint8_t buf[2 * MIB];
	struct server server;

	start(&server, false);
	CHECK_EQ(0, gow_windows_take(&server.windows, 0, buf, 512));
	CHECK_OK(read_range(&server, MIB, 512), &error);
	CHECK_EQ(0, gow_windows_take(&server.windows, MIB - 1, buf, 512));
	CHECK_EQ(512, gow_windows_take(&server.windows, MIB + 5, buf, 512));
	CHECK_EQ(byte_at(MIB + 5), buf[0]);
	CHECK_EQ(64 * KIB - 5, gow_windows_take(&server.windows, MIB + 5, buf, MIB));
	CHECK_EQ(byte_at(MIB + 64 * KIB - 1), buf[64 * KIB - 6]);
	CHECK_EQ(1, server.requests);
	stop(&server);
}

/* Whoever reads in pieces loses the one that has it, and no other. */
static void a_bad_byte_spoils_what_has_it_only(void)
{
	static const size_t pieces[] = { 512, 64 * KIB, 100000, MIB };
	static const int64_t bad[] = { 0, 70 * KIB, 5 * MIB + 77, FILE_SIZE - 1 };

	for (size_t i = 0; i < 2 * sizeof pieces / sizeof *pieces; i++)
		for (size_t j = 0; j < sizeof bad / sizeof *bad; j++) {
			const size_t piece = pieces[i / 2];
			struct server server;

			check_about("pieces of %zu bytes, byte %lld is bad, %s", piece,
			            (long long)bad[j], i % 2 ? "ahead" : "as it is wanted");
			start(&server, i % 2);
			server.bad = bad[j];
			for (uint64_t at = 0; at + piece <= FILE_SIZE; at += piece) {
				const bool has = (uint64_t)bad[j] >= at &&
				                 (uint64_t)bad[j] < at + piece;

				CHECK_CODE(has ? GOW_ERR_IO : GOW_OK,
				           read_range(&server, at, piece), &error);
			}
			CHECK(server.bytes <= FILE_SIZE + 6 * MIB);
			stop(&server);
		}
}

/* Whoever reads in order finds the next bytes under way, and nothing is fetched twice. */
static void a_quick_server_is_asked_ahead(void)
{
	static const size_t pieces[] = { 4000, 64 * KIB, 100000 };

	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		struct server server;

		check_about("pieces of %zu bytes", pieces[i]);
		start(&server, true);
		read_up_to(&server, FILE_SIZE, pieces[i]);
		CHECK_EQ(FILE_SIZE, server.bytes);
		CHECK(server.begun_count >= FILE_SIZE / MIB - 3);
		CHECK_EQ(0, server.abandoned);
		stop(&server);
	}
}

/* Larger requests serve it better. */
static void a_slow_server_is_not(void)
{
	struct server server;

	start(&server, true);
	server.takes = 0.01;
	read_up_to(&server, FILE_SIZE, 64 * KIB);
	CHECK_EQ(FILE_SIZE, server.bytes);
	CHECK_EQ(0, server.begun_count);
	stop(&server);
}

/* What was begun is waited for also where it is wanted no more: who gives it up may lose the server. Only
 * in the end nothing is waited for. */
static void what_is_not_wanted_is_waited_for(void)
{
	struct server server;

	start(&server, true);
	read_up_to(&server, 3 * MIB, 64 * KIB);
	CHECK(server.begun[0] != NULL);
	for (uint64_t at = 8 * MIB; at < 13 * MIB; at += MIB)
		CHECK_OK(read_range(&server, at, 512), &error);
	CHECK(!server.begun[0]);
	read_up_to(&server, 3 * MIB, 64 * KIB);
	gow_windows_forget(&server.windows);
	CHECK(!server.begun[0]);
	CHECK_EQ(0, server.abandoned);
	read_up_to(&server, 3 * MIB, 64 * KIB);
	stop(&server);
	CHECK_EQ(1, server.abandoned);
}

/* Whoever wants much at a time gets what was begun, too. */
static void what_was_begun_is_read(void)
{
	struct server server;
	uint64_t end;

	start(&server, true);
	read_up_to(&server, 3 * MIB, 64 * KIB);
	end = server.bytes;
	CHECK(server.begun[0] && server.begun[0]->offset == end);
	CHECK_OK(read_range(&server, 3 * MIB, 3 * MIB), &error);
	CHECK(server.bytes < 8 * MIB);
	CHECK_EQ(0, server.abandoned);
	stop(&server);
}

/* Behind the end of what is expected to be read nothing is begun, so that nothing is left over. */
static void what_is_not_expected_is_not_begun(void)
{
	struct server server;

	start(&server, true);
	server.windows.expected = 5 * MIB + 512;
	read_up_to(&server, server.windows.expected, 512);
	CHECK(server.begun_count >= 3);
	CHECK_EQ(5 * MIB + 512, server.bytes);
	stop(&server);
	CHECK_EQ(0, server.abandoned);
}

/* What fails soon may be had in part; what fails late has kept the reader waiting long enough. */
static void a_silent_server_is_not_waited_for_twice(void)
{
	static const double takes[] = { 1, 9 };

	for (size_t i = 0; i < 2; i++) {
		struct server server;

		start(&server, false);
		server.bad = 70 * KIB;
		server.takes = takes[i];
		CHECK_CODE(i ? GOW_ERR_IO : GOW_OK, read_range(&server, 64 * KIB, 512), &error);
		CHECK_EQ(i ? 1 : 2, server.requests);
		stop(&server);
	}
}

CHECK_MAIN(CHECK_TEST(reading_in_order_takes_large_requests),
           CHECK_TEST(reading_here_and_there_takes_small_ones),
           CHECK_TEST(much_at_a_time_needs_no_window), CHECK_TEST(what_is_there_can_be_taken),
           CHECK_TEST(a_bad_byte_spoils_what_has_it_only),
           CHECK_TEST(a_silent_server_is_not_waited_for_twice),
           CHECK_TEST(a_quick_server_is_asked_ahead), CHECK_TEST(a_slow_server_is_not),
           CHECK_TEST(what_is_not_wanted_is_waited_for), CHECK_TEST(what_was_begun_is_read),
           CHECK_TEST(what_is_not_expected_is_not_begun))
