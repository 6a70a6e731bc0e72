/* SPDX-License-Identifier: BSD-2-Clause */
/* Locks and leases, between processes: who is kept out, who is noticed, and who is named. */
#include "io/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/check.h"
#include "support/place.h"

static gow_error error;

/* ---- another process --------------------------------------------------------------------- */

/* What it does with the file before it says that it is ready; false: it could not. */
typedef bool (*deed)(const char *path);

struct other {
	pid_t pid;
	int to, from;
};

static void send_byte(int fd, char c)
{
	CHECK(write(fd, &c, 1) == 1);
}

/* The next byte, or 0 at the end or after ten seconds. */
static char receive(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char c = 0;

	if (poll(&poll_fd, 1, 10000) != 1 || read(fd, &c, 1) != 1)
		return 0;
	return c;
}

/*
 * Starts a process that does first, says so, waits to be told, does then, says so, and waits to
 * be ended. To be called before the file is opened here: descriptors are inherited.
 */
static struct other start(const char *path, deed first, deed then)
{
	struct other other;
	int to[2], from[2];

	CHECK(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
	other.pid = fork();
	CHECK(other.pid >= 0);
	if (other.pid == 0) {
		(void)close(to[1]);
		(void)close(from[0]);
		(void)alarm(60);
		if (first && !first(path))
			_exit(1);
		if (write(from[1], "1", 1) != 1 || receive(to[0]) == 0)
			_exit(0);
		if (then && !then(path))
			_exit(1);
		if (write(from[1], "2", 1) == 1)
			(void)receive(to[0]);
		_exit(0);
	}
	(void)close(to[0]);
	(void)close(from[1]);
	other.to = to[1];
	other.from = from[0];
	if (receive(other.from) != '1')
		CHECK_FAIL("the other process failed");
	return other;
}

static void finish(struct other *other)
{
	int status;

	(void)close(other->to);
	CHECK(waitpid(other->pid, &status, 0) == other->pid);
	(void)close(other->from);
	CHECK_EQ(0, status);
}

static struct gow_file *held;
static struct gow_lock held_lock;

static bool lock_to_read(const char *path)
{
	return gow_open_locked(path, 0, NULL, &held, &held_lock, NULL) == GOW_OK;
}

static bool lock_to_write(const char *path)
{
	return gow_open_locked(path, GOW_FILE_WRITE, NULL, &held, &held_lock, NULL) == GOW_OK;
}

static bool release(const char *path)
{
	(void)path;
	return gow_file_close(held, NULL) == GOW_OK;
}

static int plain = -1;

static bool open_to_read(const char *path)
{
	return (plain = open(path, O_RDONLY | O_CLOEXEC)) >= 0;
}

static bool open_to_write(const char *path)
{
	return (plain = open(path, O_RDWR | O_CLOEXEC)) >= 0;
}

static bool try_to_read(const char *path)
{
	plain = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return plain < 0 && errno == EWOULDBLOCK;
}

static bool try_to_write(const char *path)
{
	plain = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	return plain < 0 && errno == EWOULDBLOCK;
}

static bool close_again(const char *path)
{
	(void)path;
	return close(plain) == 0;
}

static bool posix_lock(const char *path, short type, off_t start, off_t length)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };

	return (type == F_RDLCK ? open_to_read(path) : open_to_write(path)) &&
	       fcntl(plain, F_SETLK, &lock) == 0;
}

static bool posix_lock_to_write(const char *path)
{
	return posix_lock(path, F_WRLCK, 100, 1);
}

static bool posix_lock_to_read(const char *path)
{
	return posix_lock(path, F_RDLCK, 100, 1);
}

/* ---- this process ------------------------------------------------------------------------ */

struct listener {
	unsigned notes, warnings;
	unsigned ticks, stop_at;
	char text[512];
};

static int hear_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
	struct listener *listener = context;

	(void)phase;
	(void)done;
	(void)total;
	return ++listener->ticks == listener->stop_at;
}

static void hear_note(void *context, gow_note_level level, const char *file, const char *text)
{
	struct listener *listener = context;

	(void)file;
	listener->notes++;
	listener->warnings += level != GOW_NOTE_DETAIL;
	(void)snprintf(listener->text, sizeof listener->text, "%s", text);
}

/* Flags that all operations share are told beside those of opening. */
enum {
	COMMON = 1 << 8,
	FORCE_SHARE = GOW_COMMON_FORCE_SHARE * COMMON,
	NO_LOCK = GOW_COMMON_NO_LOCK * COMMON,
};

/* Opens with these options, expects that code, and closes; what was heard is in listener. */
static void expect(gow_code code, const char *path, unsigned file_flags, unsigned flags, bool in_use,
                   struct listener *listener)
{
	struct listener unheard;
	const gow_monitor monitor = { sizeof monitor, listener ? listener : &unheard, hear_progress,
		                      hear_note };
	const gow_open_options options = { .flags = flags % COMMON,
		                           .common = { .flags = flags / COMMON,
		                                       .monitor = &monitor } };
	struct gow_file *file;
	struct gow_lock lock;

	memset(&unheard, 0, sizeof unheard);
	if (listener)
		memset(listener, 0, sizeof *listener);
	memset(&error, 0, sizeof error);
	check_about("file flags %#x, flags %#x", file_flags, flags);
	CHECK_CODE(code, gow_open_locked(path, file_flags, &options, &file, &lock, &error), &error);
	if (code) {
		CHECK_STR(path, error.file);
		return;
	}
	CHECK_EQ(in_use, lock.in_use);
	CHECK_OK(gow_lock_poll(&lock, &error), &error);
	CHECK_OK(gow_file_close(file, &error), &error);
}

static void check_named(const struct other *other)
{
	char pid[32];

	(void)snprintf(pid, sizeof pid, "process %ld (", (long)other->pid);
	if (!strstr(error.what, pid))
		CHECK_FAIL("\"%s\" does not name process %ld", error.what, (long)other->pid);
}

static const char *new_file(void)
{
	const char *path = place_path();

	place_file(path, "content", 7);
	return path;
}

/* Some file systems know no leases; what they cannot do is not our failure, and not passed over. */
static void need_leases(void)
{
	const char *path = new_file();
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int result = fcntl(fd, F_SETLEASE, F_WRLCK);

	(void)close(fd);
	if (result < 0)
		check_skip("no leases on the file system of %s", place());
}

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* ---- locks ------------------------------------------------------------------------------- */

static void readers_share(void)
{
	const char *path = new_file();
	struct other other = start(path, lock_to_read, NULL);
	struct listener listener;

	expect(GOW_OK, path, 0, 0, false, &listener);
	CHECK_EQ(0, listener.warnings);
	expect(GOW_OK, path, 0, GOW_OPEN_STEADY, false, &listener);
	CHECK_EQ(0, listener.warnings);
	finish(&other);
}

static void a_writer_is_kept_off_a_reader(void)
{
	const char *path = new_file();
	struct other other = start(path, lock_to_read, NULL);

	/* Twice: a failed try leaves nothing behind that a second one would meet. */
	for (int i = 0; i < 2; i++) {
		expect(GOW_ERR_BUSY, path, GOW_FILE_WRITE, 0, false, NULL);
		check_named(&other);
	}
	finish(&other);
	expect(GOW_OK, path, GOW_FILE_WRITE, 0, false, NULL);
}

static void a_reader_is_kept_off_a_writer(void)
{
	const char *path = new_file();
	struct other other = start(path, lock_to_write, NULL);

	expect(GOW_ERR_BUSY, path, 0, 0, false, NULL);
	check_named(&other);
	expect(GOW_ERR_BUSY, path, 0, GOW_OPEN_STEADY, false, NULL);
	check_named(&other);
	expect(GOW_ERR_BUSY, path, GOW_FILE_WRITE, 0, false, NULL);
	check_named(&other);
	finish(&other);
	expect(GOW_OK, path, 0, GOW_OPEN_STEADY, false, NULL);
}

static void posix_locks_are_met(void)
{
	const char *path = new_file();
	struct other other = start(path, posix_lock_to_write, NULL);
	struct listener listener;

	expect(GOW_ERR_BUSY, path, 0, 0, false, NULL);
	check_named(&other);
	expect(GOW_ERR_BUSY, path, GOW_FILE_WRITE, 0, false, NULL);
	check_named(&other);
	expect(GOW_OK, path, 0, FORCE_SHARE, true, &listener);
	CHECK(listener.warnings >= 1);
	finish(&other);
	other = start(path, posix_lock_to_read, NULL);
	expect(GOW_OK, path, 0, 0, false, NULL);
	expect(GOW_ERR_BUSY, path, GOW_FILE_WRITE, 0, false, NULL);
	check_named(&other);
	finish(&other);
}

static void without_locks_nobody_is_met(void)
{
	const char *path = new_file();
	struct other other = start(path, posix_lock_to_write, NULL);
	struct listener listener;

	expect(GOW_OK, path, 0, NO_LOCK, false, &listener);
	CHECK_EQ(0, listener.notes);
	expect(GOW_OK, path, GOW_FILE_WRITE, NO_LOCK, false, &listener);
	CHECK_EQ(0, listener.notes);
	finish(&other);
}

/* A second lock of the same process is another's, too: tools open a file twice by mistake. */
static void a_process_meets_itself(void)
{
	const char *path = new_file();
	struct gow_file *file;
	struct gow_lock lock;

	CHECK_OK(gow_open_locked(path, 0, NULL, &file, &lock, &error), &error);
	expect(GOW_OK, path, 0, 0, false, NULL);
	expect(GOW_ERR_BUSY, path, GOW_FILE_WRITE, 0, false, NULL);
	CHECK_OK(gow_file_close(file, &error), &error);
}

/* ---- leases ------------------------------------------------------------------------------ */

static void an_open_writer_is_noticed(void)
{
	const char *path = new_file();
	struct other other;
	struct listener listener;

	need_leases();
	other = start(path, open_to_write, NULL);
	expect(GOW_ERR_BUSY, path, 0, GOW_OPEN_STEADY, false, NULL);
	check_named(&other);
	expect(GOW_ERR_BUSY, path, GOW_FILE_WRITE, 0, false, NULL);
	check_named(&other);
	expect(GOW_OK, path, 0, 0, true, &listener);
	CHECK_EQ(1, listener.warnings);
	expect(GOW_OK, path, 0, GOW_OPEN_STEADY | FORCE_SHARE, true, &listener);
	CHECK_EQ(1, listener.warnings);
	finish(&other);
	expect(GOW_OK, path, 0, GOW_OPEN_STEADY, false, NULL);
}

static void an_open_reader_keeps_writers_off(void)
{
	const char *path = new_file();
	struct other other;

	need_leases();
	other = start(path, open_to_read, NULL);
	expect(GOW_OK, path, 0, GOW_OPEN_STEADY, false, NULL);
	expect(GOW_ERR_BUSY, path, GOW_FILE_WRITE, 0, false, NULL);
	check_named(&other);
	finish(&other);
}

/* Opens, lets the other try to open, and polls: the tool must give way, and live. */
static void break_lease(unsigned file_flags, unsigned flags, deed then)
{
	const char *path = new_file();
	struct other other = start(path, NULL, then);
	const gow_open_options options = { .flags = flags };
	struct gow_file *file;
	struct gow_lock lock;

	CHECK_OK(gow_open_locked(path, file_flags, &options, &file, &lock, &error), &error);
	CHECK_OK(gow_lock_poll(&lock, &error), &error);
	send_byte(other.to, 'x');
	CHECK_EQ('2', receive(other.from));
	for (int i = 0; i < 2; i++) {
		CHECK_CODE(GOW_ERR_BUSY, gow_lock_poll(&lock, &error), &error);
		CHECK_STR(path, error.file);
	}
	CHECK_OK(gow_file_close(file, &error), &error);
	finish(&other);
	expect(GOW_OK, path, GOW_FILE_WRITE, 0, false, NULL);
}

/* The signal that comes with a broken lease ends no process, whatever it does about signals. */
static void who_opens_it_during_the_work_is_noticed(void)
{
	need_leases();
	CHECK(signal(SIGIO, SIG_DFL) != SIG_ERR);
	break_lease(GOW_FILE_WRITE, 0, try_to_read);
	break_lease(GOW_FILE_WRITE, 0, try_to_write);
	break_lease(0, GOW_OPEN_STEADY, try_to_write);
}

static void other_readers_do_not_disturb(void)
{
	const char *path = new_file();
	struct other other;
	const gow_open_options options = { .flags = GOW_OPEN_STEADY };
	struct gow_file *file;
	struct gow_lock lock;

	need_leases();
	other = start(path, NULL, open_to_read);
	CHECK_OK(gow_open_locked(path, 0, &options, &file, &lock, &error), &error);
	send_byte(other.to, 'x');
	CHECK_EQ('2', receive(other.from));
	CHECK_OK(gow_lock_poll(&lock, &error), &error);
	CHECK_OK(gow_file_close(file, &error), &error);
	finish(&other);
}

static bool fail_to_lock_to_read(const char *path)
{
	return gow_open_locked(path, 0, NULL, &held, &held_lock, NULL) == GOW_ERR_BUSY;
}

static bool fail_to_lock_to_write(const char *path)
{
	return gow_open_locked(path, GOW_FILE_WRITE, NULL, &held, &held_lock, NULL) == GOW_ERR_BUSY;
}

/* Whoever is kept out by a lock does not open the file, which would end the holder's work. */
static void who_is_kept_out_does_not_disturb(void)
{
	const struct {
		unsigned file_flags;
		deed try;
	} cases[] = {
		{ GOW_FILE_WRITE, fail_to_lock_to_read },
		{ GOW_FILE_WRITE, fail_to_lock_to_write },
		{ 0, fail_to_lock_to_write },
	};

	need_leases();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const gow_open_options options = { .flags = GOW_OPEN_STEADY };
		const char *path = new_file();
		struct other other = start(path, NULL, cases[i].try);
		struct gow_file *file;
		struct gow_lock lock;

		check_about("case %zu", i);
		CHECK_OK(gow_open_locked(path, cases[i].file_flags, &options, &file, &lock, &error),
		         &error);
		send_byte(other.to, 'x');
		CHECK_EQ('2', receive(other.from));
		CHECK_OK(gow_lock_poll(&lock, &error), &error);
		CHECK_OK(gow_file_close(file, &error), &error);
		finish(&other);
	}
}

/* A reader that need not be sure warns once, and lets the other in. */
static void a_plain_reader_gives_way(void)
{
	const char *path = new_file();
	struct listener listener;
	const gow_monitor monitor = { sizeof monitor, &listener, NULL, hear_note };
	const gow_open_options options = { .common.monitor = &monitor };
	struct other other;
	struct gow_file *file;
	struct gow_lock lock;
	const double begun = now();

	need_leases();
	memset(&listener, 0, sizeof listener);
	other = start(path, NULL, open_to_write); /* which waits for the lease */
	CHECK_OK(gow_open_locked(path, 0, &options, &file, &lock, &error), &error);
	CHECK(!lock.in_use);
	send_byte(other.to, 'x');
	while (!lock.in_use && now() - begun < 10)
		CHECK_OK(gow_lock_poll(&lock, &error), &error);
	CHECK(lock.in_use);
	CHECK_EQ('2', receive(other.from));
	for (int i = 0; i < 5; i++)
		CHECK_OK(gow_lock_poll(&lock, &error), &error);
	CHECK_EQ(1, listener.warnings);
	CHECK_OK(gow_file_close(file, &error), &error);
	finish(&other);
}

/* A session's owner learns of it at the next change, and can still make durable what it wrote. */
static void a_session_gives_way(void)
{
	const gow_create_options create = { .struct_size = sizeof create, .version = 1 };
	const gow_open_options write = { .struct_size = sizeof write, .flags = GOW_OPEN_WRITE };
	const char *path = place_path();
	uint8_t bytes[512] = { 1 }, back[512];
	gow_image *image;

	need_leases();
	CHECK_OK(gow_create(path, 1 << 20, &create, &error), &error);
	CHECK_OK(gow_image_open(path, &write, &image, &error), &error);
	CHECK_OK(gow_image_write(image, 0, bytes, sizeof bytes, &error), &error);
	CHECK_OK(gow_image_poll(image, &error), &error);
	CHECK_EQ(-1, open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	CHECK_CODE(GOW_ERR_BUSY, gow_image_poll(image, &error), &error);
	CHECK_CODE(GOW_ERR_BUSY, gow_image_write(image, 512, bytes, 512, &error), &error);
	CHECK_CODE(GOW_ERR_BUSY, gow_image_zero(image, 0, 512, &error), &error);
	CHECK_CODE(GOW_ERR_BUSY, gow_image_discard(image, 0, 65536, &error), &error);
	CHECK_OK(gow_image_flush(image, &error), &error);
	gow_image_close(image);
	CHECK_OK(gow_image_open(path, NULL, &image, &error), &error);
	CHECK_OK(gow_image_read(image, 0, back, sizeof back, &error), &error);
	CHECK_BYTES(bytes, back, sizeof back);
	CHECK_OK(gow_image_read(image, 512, back, sizeof back, &error), &error);
	CHECK_EQ(0, back[0]);
	gow_image_close(image);
}

static void a_lock_never_taken_is_quiet(void)
{
	struct gow_lock lock = { .file = NULL };

	CHECK_OK(gow_lock_poll(&lock, &error), &error);
}

/* ---- waiting ----------------------------------------------------------------------------- */

static gow_code wait_for(const char *path, double seconds, struct listener *listener, double *took)
{
	const gow_monitor monitor = { sizeof monitor, listener, hear_progress, hear_note };
	const gow_open_options options = { .common = { .wait_seconds = seconds,
		                                       .monitor = &monitor } };
	const double begun = now();
	struct gow_file *file;
	struct gow_lock lock;
	int code = gow_open_locked(path, GOW_FILE_WRITE, &options, &file, &lock, &error);

	*took = now() - begun;
	if (!code)
		CHECK_OK(gow_file_close(file, &error), &error);
	return (gow_code)code;
}

static void waiting_ends_when_told(void)
{
	const char *path = new_file();
	struct other other = start(path, lock_to_read, release);
	struct listener listener = { .stop_at = 0 };
	double took;

	CHECK_EQ(GOW_ERR_BUSY, wait_for(path, 0, &listener, &took));
	CHECK(took < 5);
	CHECK_EQ(0, listener.ticks);
	CHECK_EQ(GOW_ERR_BUSY, wait_for(path, 0.35, &listener, &took));
	check_named(&other);
	CHECK(took >= 0.35 && took < 10);
	CHECK(listener.ticks >= 2);
	listener = (struct listener){ .stop_at = 2 };
	CHECK_EQ(GOW_ERR_STOPPED, wait_for(path, 1000, &listener, &took));
	CHECK(took < 30);
	CHECK_EQ(2, listener.ticks);
	finish(&other);
}

static bool release_later(const char *path)
{
	const struct timespec pause = { .tv_nsec = 300 * 1000 * 1000 };

	(void)nanosleep(&pause, NULL);
	return release(path);
}

static void waiting_is_rewarded(void)
{
	const char *path = new_file();
	struct other other = start(path, lock_to_read, release_later);
	struct listener listener = { .stop_at = 0 };
	double took;

	send_byte(other.to, 'x');
	CHECK_EQ(GOW_OK, wait_for(path, 60, &listener, &took));
	CHECK(took < 30);
	finish(&other);
	other = start(path, open_to_write, close_again); /* who locks nothing is waited for, too */
	send_byte(other.to, 'x');
	CHECK_EQ(GOW_OK, wait_for(path, 60, &listener, &took));
	finish(&other);
}

/* What is not busy but wrong is not waited for. */
static void errors_are_not_waited_for(void)
{
	struct listener listener = { .stop_at = 0 };
	double took;

	CHECK_EQ(GOW_ERR_IO, wait_for(place_path(), 60, &listener, &took));
	CHECK_EQ(GOW_ERR_UNSUPPORTED, wait_for(place(), 60, &listener, &took));
	CHECK(took < 30);
	CHECK_EQ(0, listener.ticks);
}

CHECK_MAIN(CHECK_TEST(readers_share), CHECK_TEST(a_writer_is_kept_off_a_reader),
           CHECK_TEST(a_reader_is_kept_off_a_writer), CHECK_TEST(posix_locks_are_met),
           CHECK_TEST(without_locks_nobody_is_met), CHECK_TEST(a_process_meets_itself),
           CHECK_TEST(an_open_writer_is_noticed), CHECK_TEST(an_open_reader_keeps_writers_off),
           CHECK_TEST(who_opens_it_during_the_work_is_noticed),
           CHECK_TEST(other_readers_do_not_disturb),
           CHECK_TEST(who_is_kept_out_does_not_disturb), CHECK_TEST(a_plain_reader_gives_way),
           CHECK_TEST(a_session_gives_way),
           CHECK_TEST(a_lock_never_taken_is_quiet), CHECK_TEST(waiting_ends_when_told),
           CHECK_TEST(waiting_is_rewarded), CHECK_TEST(errors_are_not_waited_for))
