/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faultio: a shared object to preload, that makes calls on files fail on demand.
 * It shows what no sound disk ever does: a read error in one place, the disk full at
 * the fifth write, a failing fsync, a process killed at an exact call, a file that is
 * cut while it is read.
 *
 *	LD_PRELOAD=faultio.so FAULTIO_... COMMAND
 *
 *	FAULTIO_FILE=PATTERN   which files: a glob over the absolute path, as
 *	                       /proc/self/fd names it (every file unless told)
 *	FAULTIO_READ=START-END[,START-END...]
 *	                       reading any of these bytes (END not included) fails with
 *	                       EIO; as with a disk, a read that begins before them is cut
 *	                       short
 *	FAULTIO_FAIL=CALL:N[+]:ERROR[,...]
 *	                       the Nth CALL on such a file fails (with `+`, it and every
 *	                       later one).  CALL is read, write, sync, close, truncate,
 *	                       allocate, seek, rename, unlink, lock, lease or any (each of
 *	                       them); ERROR is EIO, ENOSPC, EINTR, EDQUOT, EACCES, EINVAL,
 *	                       EAGAIN, EFBIG, EROFS, ENOSYS, EOPNOTSUPP, EPERM, ENXIO,
 *	                       EEXIST, a number, or
 *	                       short (a read or write of half the bytes), kill (SIGKILL
 *	                       before the call), signal=NUMBER (that signal to itself
 *	                       before the call, which then goes on), cut=LENGTH (the
 *	                       file is cut to LENGTH before the call, which then goes on;
 *	                       needs FAULTIO_CUT), poke=OFFSET (that byte of the same file
 *	                       becomes an x before the call), flip (a read(), pread(), write() or
 *	                       pwrite() whose last byte becomes another one on its way),
 *	                       flip=OFFSET (likewise, the byte at that place of the file, if the
 *	                       call has it), swap (FAULTIO_SWAP takes the name of the call's
 *	                       file before the call, which then goes on), or come=read,
 *	                       come=write (somebody opens the file that way before the
 *	                       call, which then goes on: breaks a lease, and does not wait)
 *	FAULTIO_CUT=FILE       the file which cut=LENGTH cuts and poke=OFFSET writes.  It is opened for writing
 *	                       before the command starts, since nobody could open it past
 *	                       the command's lease
 *	FAULTIO_COME=FILE      the file which come= opens, where it is not the call's own
 *	FAULTIO_SWAP=FILE      the file that swap renames
 *	FAULTIO_SWAP_TO=FILE   whose name it takes, where it is not the call's own
 *	FAULTIO_FS=NUMBER      which kind of file system fstatfs says that such a file is on
 *	                       (f_type, statfs(2))
 *	FAULTIO_CLOCK=SECONDS  by how much the clock that tells the time of day is ahead.  What waits
 *	                       by it waits as long as where it was set back so far
 *	FAULTIO_TRACE=FILE     appends a line `CALL N PATH OFFSET LENGTH` for every call on
 *	                       such a file, failing or not: how many there are to fail
 *
 * Calls are counted from 1, over all matching files and threads.  Bad values end the
 * command with status 125, so that a test never passes because nothing failed.
 */
/* Headers that replace the functions wrapped here would get in the way. */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_RULES 32

enum call {
	CALL_READ,
	CALL_WRITE,
	CALL_SYNC,
	CALL_CLOSE,
	CALL_TRUNCATE,
	CALL_ALLOCATE,
	CALL_SEEK,
	CALL_RENAME,
	CALL_UNLINK,
	CALL_LOCK,
	CALL_LEASE,
	CALL_ANY, /* in rules, and the count of all of them */
	CALLS
};

static const char *const call_names[CALLS] = {
	"read", "write",  "sync", "close", "truncate", "allocate",
	"seek", "rename", "unlink", "lock", "lease", "any",
};

enum action {
	ACTION_ERROR,
	ACTION_SHORT,
	ACTION_KILL,
	ACTION_SIGNAL,
	ACTION_CUT,
	ACTION_FLIP,
	ACTION_COME,
	ACTION_POKE,
	ACTION_SWAP,
};

struct rule {
	enum call call;
	uint64_t from, to; /* counts, both included */
	enum action action;
	int64_t value; /* errno, signal, length, offset or how to open */
};

struct bad_range {
	uint64_t start, end;
};

static struct {
	const char *pattern;
	const char *come;
	const char *swap, *swap_to;
	struct rule rules[MAX_RULES];
	size_t rule_count;
	struct bad_range ranges[MAX_RULES];
	size_t range_count;
	int cut;
	int trace;
} setup = { .cut = -1, .trace = -1 };

static atomic_uint_fast64_t counts[CALLS];
static atomic_bool ready;

/* ---- setting up; plain system calls, since the wrappers are ours ---- */

static _Noreturn void refuse(const char *what, const char *value)
{
	dprintf(STDERR_FILENO, "faultio: bad %s: %s\n", what, value);
	_exit(125);
}

static int parse_error(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} errors[] = {
		{ "EIO", EIO },	      { "ENOSPC", ENOSPC }, { "EINTR", EINTR },
		{ "EDQUOT", EDQUOT }, { "EACCES", EACCES }, { "EINVAL", EINVAL },
		{ "EAGAIN", EAGAIN }, { "EFBIG", EFBIG },   { "EROFS", EROFS },
		{ "ENOSYS", ENOSYS }, { "EPERM", EPERM },   { "EOPNOTSUPP", EOPNOTSUPP },
		{ "ENXIO", ENXIO },   { "EEXIST", EEXIST },
	};
	char *end;
	long number;

	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (strcmp(name, errors[i].name) == 0)
			return errors[i].number;
	number = strtol(name, &end, 10);
	if (*end != '\0' || number < 1 || number > 4095)
		refuse("FAULTIO_FAIL", name);
	return (int)number;
}

static int64_t parse_operand(const char *text)
{
	char *end;
	int64_t number = strtoll(text, &end, 10);

	if (*text == '\0' || *end != '\0' || number < 0)
		refuse("FAULTIO_FAIL", text);
	return number;
}

static void parse_rule(char *text)
{
	struct rule rule = { .call = CALLS };
	char *name = strsep(&text, ":");
	char *count = strsep(&text, ":");
	char *end;

	if (!text || setup.rule_count == MAX_RULES)
		refuse("FAULTIO_FAIL", name);
	for (int i = 0; i < CALLS; i++)
		if (strcmp(name, call_names[i]) == 0)
			rule.call = (enum call)i;
	if (rule.call == CALLS)
		refuse("FAULTIO_FAIL", name);
	rule.from = rule.to = strtoull(count, &end, 10);
	if (*end == '+') {
		rule.to = UINT64_MAX;
		end++;
	}
	if (*end != '\0' || rule.from == 0)
		refuse("FAULTIO_FAIL", count);
	if (strcmp(text, "short") == 0) {
		rule.action = ACTION_SHORT;
	} else if (strcmp(text, "kill") == 0) {
		rule.action = ACTION_KILL;
	} else if (strcmp(text, "flip") == 0) {
		rule.action = ACTION_FLIP;
		rule.value = -1;
	} else if (strncmp(text, "flip=", 5) == 0) {
		rule.action = ACTION_FLIP;
		rule.value = parse_operand(text + 5);
	} else if (strcmp(text, "swap") == 0 && getenv("FAULTIO_SWAP")) {
		rule.action = ACTION_SWAP;
	} else if (strncmp(text, "signal=", 7) == 0) {
		rule.action = ACTION_SIGNAL;
		rule.value = parse_operand(text + 7);
	} else if (strcmp(text, "come=read") == 0 || strcmp(text, "come=write") == 0) {
		rule.action = ACTION_COME;
		rule.value = text[5] == 'r' ? O_RDONLY : O_WRONLY;
	} else if (strncmp(text, "cut=", 4) == 0 || strncmp(text, "poke=", 5) == 0) {
		rule.action = text[0] == 'c' ? ACTION_CUT : ACTION_POKE;
		rule.value = parse_operand(strchr(text, '=') + 1);
		if (setup.cut < 0)
			refuse("FAULTIO_FAIL (without FAULTIO_CUT)", text);
	} else {
		rule.value = parse_error(text);
	}
	setup.rules[setup.rule_count++] = rule;
}

static void parse_bad_range(char *text)
{
	struct bad_range *range = &setup.ranges[setup.range_count];
	char *end;

	if (setup.range_count == MAX_RULES)
		refuse("FAULTIO_READ", text);
	range->start = strtoull(text, &end, 10);
	if (*end != '-')
		refuse("FAULTIO_READ", text);
	range->end = strtoull(end + 1, &end, 10);
	if (*end != '\0' || range->end <= range->start)
		refuse("FAULTIO_READ", text);
	setup.range_count++;
}

static void parse_list(const char *variable, void (*parse)(char *))
{
	const char *value = getenv(variable);
	char *copy, *rest, *item;

	if (!value)
		return;
	copy = rest = strdup(value);
	while ((item = strsep(&rest, ",")) != NULL)
		parse(item);
	free(copy);
}

static int open_for(const char *variable, int flags)
{
	const char *name = getenv(variable);
	long fd;

	if (!name)
		return -1;
	fd = syscall(SYS_openat, AT_FDCWD, name, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		refuse(variable, name);
	/* Out of the way of a program that counts on low numbers. */
	return fcntl((int)fd, F_DUPFD_CLOEXEC, 500);
}

__attribute__((constructor)) static void set_up(void)
{
	setup.pattern = getenv("FAULTIO_FILE");
	setup.come = getenv("FAULTIO_COME");
	setup.swap = getenv("FAULTIO_SWAP");
	setup.swap_to = getenv("FAULTIO_SWAP_TO");
	setup.cut = open_for("FAULTIO_CUT", O_RDWR);
	setup.trace = open_for("FAULTIO_TRACE", O_WRONLY | O_CREAT | O_APPEND);
	parse_list("FAULTIO_FAIL", parse_rule);
	parse_list("FAULTIO_READ", parse_bad_range);
	atomic_store(&ready, true);
}

/* ---- judging a call ---- */

struct verdict {
	bool fails; /* errno is set */
	bool flips; /* one of the bytes is to be another one */
	int64_t place; /* where in the file; negative: the last one */
	int64_t offset; /* of the call */
	size_t length; /* what is left of the bytes asked for */
};

static bool path_of(int fd, char *path, size_t room)
{
	char name[64];
	ssize_t length;

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	length = readlink(name, path, room - 1);
	if (length < 0)
		return false;
	path[length] = '\0';
	return true;
}

static bool watched(const char *path)
{
	return !setup.pattern || fnmatch(setup.pattern, path, 0) == 0;
}

/* The kernel does not ask who it is that breaks a lease, so this process will do. */
static void come(const char *path, int flags)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, flags | O_NONBLOCK | O_CLOEXEC, 0);

	if (fd >= 0)
		syscall(SYS_close, fd);
}

/* True where the call must fail; errno is set then. */
static bool apply(const struct rule *rule, const char *path, struct verdict *verdict)
{
	int kept = errno;

	switch (rule->action) {
	case ACTION_ERROR:
		errno = (int)rule->value;
		return true;
	case ACTION_SHORT:
		if (verdict->length > 1)
			verdict->length /= 2;
		return false;
	case ACTION_FLIP:
		verdict->flips = true;
		verdict->place = rule->value;
		return false;
	case ACTION_COME:
		come(setup.come ? setup.come : path, (int)rule->value);
		errno = kept;
		return false;
	case ACTION_KILL:
		syscall(SYS_kill, getpid(), SIGKILL);
		return false;
	case ACTION_SIGNAL:
		syscall(SYS_kill, getpid(), (int)rule->value);
		return false;
	case ACTION_SWAP:
		if (syscall(SYS_renameat, AT_FDCWD, setup.swap, AT_FDCWD,
			    setup.swap_to ? setup.swap_to : path) != 0)
			refuse("swap", strerror(errno));
		errno = kept;
		return false;
	case ACTION_POKE:
		if (syscall(SYS_pwrite64, setup.cut, "x", (size_t)1, (off_t)rule->value) != 1)
			refuse("poke", strerror(errno));
		errno = kept;
		return false;
	case ACTION_CUT:
		if (syscall(SYS_ftruncate, setup.cut, (off_t)rule->value) != 0)
			refuse("cut", strerror(errno));
		return false;
	}
	return false;
}

static void trace(enum call call, uint64_t number, const char *path, int64_t offset, size_t length)
{
	char line[PATH_MAX + 128];
	int used = snprintf(line, sizeof line, "%s %" PRIu64 " %s %" PRId64 " %zu\n",
			    call_names[call], number, path, offset, length);

	/* One write, so that lines of two threads never mix. */
	if (used > 0 && (size_t)used < sizeof line)
		syscall(SYS_write, setup.trace, line, (size_t)used);
}

static struct verdict judge_path(enum call call, const char *path, int64_t offset, size_t length)
{
	struct verdict verdict = { .offset = offset, .length = length };
	uint64_t number, any;
	int kept = errno;

	if (!watched(path))
		return verdict;
	number = atomic_fetch_add(&counts[call], 1) + 1;
	any = atomic_fetch_add(&counts[CALL_ANY], 1) + 1;
	if (setup.trace >= 0)
		trace(call, number, path, offset, length);
	errno = kept;
	for (size_t i = 0; i < setup.rule_count && !verdict.fails; i++) {
		const struct rule *rule = &setup.rules[i];
		uint64_t count = rule->call == CALL_ANY ? any : number;

		if ((rule->call == call || rule->call == CALL_ANY) && count >= rule->from &&
		    count <= rule->to)
			verdict.fails = apply(rule, path, &verdict);
	}
	return verdict;
}

static struct verdict judge(enum call call, int fd, int64_t offset, size_t length)
{
	struct verdict verdict = { .length = length };
	char path[PATH_MAX];
	int kept = errno;
	bool known;

	/* A sanitizer's runtime calls before our constructor has run. */
	if (!atomic_load(&ready) || fd == setup.trace || fd == setup.cut)
		return verdict;
	known = path_of(fd, path, sizeof path);
	errno = kept;
	return known ? judge_path(call, path, offset, length) : verdict;
}

static struct verdict judge_read(int fd, int64_t offset, size_t length)
{
	struct verdict verdict = judge(CALL_READ, fd, offset, length);
	uint64_t start = (uint64_t)offset;
	char path[PATH_MAX];

	if (verdict.fails || setup.range_count == 0 || !path_of(fd, path, sizeof path) ||
	    !watched(path))
		return verdict;
	for (size_t i = 0; i < setup.range_count; i++) {
		const struct bad_range *range = &setup.ranges[i];

		if (start >= range->end || start + verdict.length <= range->start)
			continue;
		if (start >= range->start) {
			errno = EIO;
			verdict.fails = true;
			return verdict;
		}
		verdict.length = (size_t)(range->start - start);
	}
	return verdict;
}

/* Makes one of the bytes that a call has another one. */
static void flip(const struct verdict *verdict, uint8_t *bytes, size_t length)
{
	int64_t at = verdict->place < 0 ? (int64_t)length - 1 : verdict->place - verdict->offset;

	if (at >= 0 && at < (int64_t)length)
		bytes[at] ^= 1;
}

/* A read that has been done, with its bytes flipped if they are to be. */
static ssize_t flip_read(const struct verdict *verdict, void *bytes, ssize_t got)
{
	if (verdict->flips && got > 0)
		flip(verdict, bytes, (size_t)got);
	return got;
}

/* The real function of this name, of which there is exactly one next in line. */
#define REAL(result, name, ...)                                                       \
	static result (*real)(__VA_ARGS__);                                           \
	do {                                                                          \
		if (!real)                                                            \
			*(void **)(&real) = dlsym(RTLD_NEXT, name);                   \
		if (!real)                                                            \
			refuse("function", name);                                     \
	} while (0)

static int64_t position(int fd)
{
	return syscall(SYS_lseek, fd, (off_t)0, SEEK_CUR);
}

static size_t total(const struct iovec *vector, int count)
{
	size_t length = 0;

	for (int i = 0; i < count; i++)
		length += vector[i].iov_len;
	return length;
}

/* A vector cut to a length, in the room given; returns how many parts are left. */
static int cut_vector(const struct iovec *vector, int count, size_t length, struct iovec *cut)
{
	int parts = 0;

	for (; parts < count && length > 0; parts++) {
		cut[parts] = vector[parts];
		if (cut[parts].iov_len > length)
			cut[parts].iov_len = length;
		length -= cut[parts].iov_len;
	}
	return parts;
}

/* ---- the wrappers; glibc's headers declare all but the checked ones ---- */

ssize_t __read_chk(int fd, void *bytes, size_t length, size_t room);
ssize_t __pread_chk(int fd, void *bytes, size_t length, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *bytes, size_t length, off64_t offset, size_t room);

static ssize_t faulty_pread(int fd, void *bytes, size_t length, off64_t offset)
{
	REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
	struct verdict verdict = judge_read(fd, offset, length);

	return verdict.fails ? -1
			     : flip_read(&verdict, bytes, real(fd, bytes, verdict.length, offset));
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset)
{
	return faulty_pread(fd, bytes, length, offset);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset)
{
	return faulty_pread(fd, bytes, length, offset);
}

ssize_t __pread_chk(int fd, void *bytes, size_t length, off_t offset, size_t room)
{
	if (length > room)
		abort();
	return faulty_pread(fd, bytes, length, offset);
}

ssize_t __pread64_chk(int fd, void *bytes, size_t length, off64_t offset, size_t room)
{
	if (length > room)
		abort();
	return faulty_pread(fd, bytes, length, offset);
}

ssize_t read(int fd, void *bytes, size_t length)
{
	REAL(ssize_t, "read", int, void *, size_t);
	struct verdict verdict = judge_read(fd, position(fd), length);

	return verdict.fails ? -1 : flip_read(&verdict, bytes, real(fd, bytes, verdict.length));
}

ssize_t __read_chk(int fd, void *bytes, size_t length, size_t room)
{
	if (length > room)
		abort();
	return read(fd, bytes, length);
}

static ssize_t faulty_preadv(int fd, const struct iovec *vector, int count, off64_t offset,
			     int flags)
{
	REAL(ssize_t, "preadv64v2", int, const struct iovec *, int, off64_t, int);
	struct verdict verdict;
	struct iovec cut[IOV_MAX];

	if (count < 0 || count > IOV_MAX)
		return real(fd, vector, count, offset, flags);
	verdict = judge_read(fd, offset < 0 ? position(fd) : offset, total(vector, count));
	if (verdict.fails)
		return -1;
	count = cut_vector(vector, count, verdict.length, cut);
	return real(fd, cut, count, offset, flags);
}

ssize_t preadv(int fd, const struct iovec *vector, int count, off_t offset)
{
	return faulty_preadv(fd, vector, count, offset, 0);
}

ssize_t preadv64(int fd, const struct iovec *vector, int count, off64_t offset)
{
	return faulty_preadv(fd, vector, count, offset, 0);
}

ssize_t preadv2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
{
	return faulty_preadv(fd, vector, count, offset, flags);
}

ssize_t preadv64v2(int fd, const struct iovec *vector, int count, off64_t offset, int flags)
{
	return faulty_preadv(fd, vector, count, offset, flags);
}

ssize_t readv(int fd, const struct iovec *vector, int count)
{
	return faulty_preadv(fd, vector, count, -1, 0);
}

/* The bytes with one flipped, to be freed; the caller's own stay as they are. */
static void *flipped(const struct verdict *verdict, const void *bytes)
{
	uint8_t *copy = malloc(verdict->length + 1);

	if (!copy)
		abort();
	memcpy(copy, bytes, verdict->length);
	flip(verdict, copy, verdict->length);
	return copy;
}

static ssize_t faulty_pwrite(int fd, const void *bytes, size_t length, off64_t offset)
{
	REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
	struct verdict verdict = judge(CALL_WRITE, fd, offset, length);
	void *copy = verdict.flips ? flipped(&verdict, bytes) : NULL;
	ssize_t result = verdict.fails ? -1 : real(fd, copy ? copy : bytes, verdict.length, offset);

	free(copy);
	return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
	return faulty_pwrite(fd, bytes, length, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
	return faulty_pwrite(fd, bytes, length, offset);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
	REAL(ssize_t, "write", int, const void *, size_t);
	struct verdict verdict = judge(CALL_WRITE, fd, position(fd), length);
	void *copy = verdict.flips ? flipped(&verdict, bytes) : NULL;
	ssize_t result = verdict.fails ? -1 : real(fd, copy ? copy : bytes, verdict.length);

	free(copy);
	return result;
}

static ssize_t faulty_pwritev(int fd, const struct iovec *vector, int count, off64_t offset,
			      int flags)
{
	REAL(ssize_t, "pwritev64v2", int, const struct iovec *, int, off64_t, int);
	struct verdict verdict;
	struct iovec cut[IOV_MAX];

	if (count < 0 || count > IOV_MAX)
		return real(fd, vector, count, offset, flags);
	verdict = judge(CALL_WRITE, fd, offset < 0 ? position(fd) : offset, total(vector, count));
	if (verdict.fails)
		return -1;
	count = cut_vector(vector, count, verdict.length, cut);
	return real(fd, cut, count, offset, flags);
}

ssize_t pwritev(int fd, const struct iovec *vector, int count, off_t offset)
{
	return faulty_pwritev(fd, vector, count, offset, 0);
}

ssize_t pwritev64(int fd, const struct iovec *vector, int count, off64_t offset)
{
	return faulty_pwritev(fd, vector, count, offset, 0);
}

ssize_t pwritev2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
{
	return faulty_pwritev(fd, vector, count, offset, flags);
}

ssize_t pwritev64v2(int fd, const struct iovec *vector, int count, off64_t offset, int flags)
{
	return faulty_pwritev(fd, vector, count, offset, flags);
}

ssize_t writev(int fd, const struct iovec *vector, int count)
{
	return faulty_pwritev(fd, vector, count, -1, 0);
}

/* Copies inside the kernel read one file and write another: both have their say. */
ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t length,
			unsigned flags)
{
	REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
	struct verdict verdict = judge_read(in, in_at ? *in_at : position(in), length);

	if (!verdict.fails)
		verdict = judge(CALL_WRITE, out, out_at ? *out_at : position(out), verdict.length);
	return verdict.fails ? -1 : real(in, in_at, out, out_at, verdict.length, flags);
}

static ssize_t faulty_sendfile(int out, int in, off64_t *at, size_t length)
{
	REAL(ssize_t, "sendfile64", int, int, off64_t *, size_t);
	struct verdict verdict = judge_read(in, at ? *at : position(in), length);

	if (!verdict.fails)
		verdict = judge(CALL_WRITE, out, position(out), verdict.length);
	return verdict.fails ? -1 : real(out, in, at, verdict.length);
}

ssize_t sendfile(int out, int in, off_t *at, size_t length)
{
	off64_t wide = at ? *at : 0;
	const ssize_t sent = faulty_sendfile(out, in, at ? &wide : NULL, length);

	if (at)
		*at = (off_t)wide;
	return sent;
}

ssize_t sendfile64(int out, int in, off64_t *at, size_t length)
{
	return faulty_sendfile(out, in, at, length);
}

int fsync(int fd)
{
	REAL(int, "fsync", int);
	return judge(CALL_SYNC, fd, 0, 0).fails ? -1 : real(fd);
}

int fdatasync(int fd)
{
	REAL(int, "fdatasync", int);
	return judge(CALL_SYNC, fd, 0, 0).fails ? -1 : real(fd);
}

int syncfs(int fd)
{
	REAL(int, "syncfs", int);
	return judge(CALL_SYNC, fd, 0, 0).fails ? -1 : real(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags)
{
	REAL(int, "sync_file_range", int, off64_t, off64_t, unsigned);
	return judge(CALL_SYNC, fd, offset, (size_t)length).fails ? -1 :
								   real(fd, offset, length, flags);
}

/* A failed close has closed the file all the same, as Linux does it. */
int close(int fd)
{
	REAL(int, "close", int);
	struct verdict verdict = judge(CALL_CLOSE, fd, 0, 0);
	int error = errno;
	int result = real(fd);

	if (!verdict.fails)
		return result;
	errno = error;
	return -1;
}

static int faulty_ftruncate(int fd, off64_t length)
{
	REAL(int, "ftruncate64", int, off64_t);
	return judge(CALL_TRUNCATE, fd, length, 0).fails ? -1 : real(fd, length);
}

int ftruncate(int fd, off_t length)
{
	return faulty_ftruncate(fd, length);
}

int ftruncate64(int fd, off64_t length)
{
	return faulty_ftruncate(fd, length);
}

static int faulty_fallocate(int fd, int mode, off64_t offset, off64_t length)
{
	REAL(int, "fallocate64", int, int, off64_t, off64_t);
	return judge(CALL_ALLOCATE, fd, offset, (size_t)length).fails ?
		       -1 :
		       real(fd, mode, offset, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	return faulty_fallocate(fd, mode, offset, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	return faulty_fallocate(fd, mode, offset, length);
}

/* posix_fallocate returns its error, and leaves errno alone. */
static int faulty_posix_fallocate(int fd, off64_t offset, off64_t length)
{
	REAL(int, "posix_fallocate64", int, off64_t, off64_t);
	int kept = errno, error;

	if (!judge(CALL_ALLOCATE, fd, offset, (size_t)length).fails)
		return real(fd, offset, length);
	error = errno;
	errno = kept;
	return error;
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
	return faulty_posix_fallocate(fd, offset, length);
}

int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
	return faulty_posix_fallocate(fd, offset, length);
}

static off64_t faulty_lseek(int fd, off64_t offset, int whence)
{
	REAL(off64_t, "lseek64", int, off64_t, int);
	return judge(CALL_SEEK, fd, offset, 0).fails ? -1 : real(fd, offset, whence);
}

off_t lseek(int fd, off_t offset, int whence)
{
	return (off_t)faulty_lseek(fd, offset, whence);
}

off64_t lseek64(int fd, off64_t offset, int whence)
{
	return faulty_lseek(fd, offset, whence);
}

/*
 * Names: the pattern is tried on the path as it will be, made absolute by its
 * directory's.
 */
static struct verdict judge_name(enum call call, int directory, const char *name)
{
	struct verdict none = { 0 };
	char path[2 * PATH_MAX];
	int kept = errno;

	if (!atomic_load(&ready))
		return none;
	if (name[0] == '/')
		return judge_path(call, name, 0, 0);
	if (directory == AT_FDCWD ? getcwd(path, PATH_MAX) == NULL :
				 !path_of(directory, path, PATH_MAX))
		return none;
	errno = kept;
	strcat(path, "/");
	strncat(path, name, PATH_MAX);
	return judge_path(call, path, 0, 0);
}

int rename(const char *from, const char *to)
{
	REAL(int, "rename", const char *, const char *);
	return judge_name(CALL_RENAME, AT_FDCWD, to).fails ? -1 : real(from, to);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to)
{
	REAL(int, "renameat", int, const char *, int, const char *);
	return judge_name(CALL_RENAME, to_directory, to).fails
	               ? -1
	               : real(from_directory, from, to_directory, to);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to,
              unsigned flags)
{
	REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
	return judge_name(CALL_RENAME, to_directory, to).fails ?
		       -1 :
		       real(from_directory, from, to_directory, to, flags);
}

/* A link is how a nameless temporary file gets its name: counted as a rename. */
int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
	REAL(int, "linkat", int, const char *, int, const char *, int);
	return judge_name(CALL_RENAME, to_directory, to).fails ?
		       -1 :
		       real(from_directory, from, to_directory, to, flags);
}

int link(const char *from, const char *to)
{
	REAL(int, "link", const char *, const char *);
	return judge_name(CALL_RENAME, AT_FDCWD, to).fails ? -1 : real(from, to);
}

int unlink(const char *name)
{
	REAL(int, "unlink", const char *);
	return judge_name(CALL_UNLINK, AT_FDCWD, name).fails ? -1 : real(name);
}

int unlinkat(int directory, const char *name, int flags)
{
	REAL(int, "unlinkat", int, const char *, int);
	return judge_name(CALL_UNLINK, directory, name).fails ? -1 : real(directory, name, flags);
}

static void disguise(int fd, long *type)
{
	const char *number = getenv("FAULTIO_FS");
	char path[PATH_MAX];

	if (number && path_of(fd, path, sizeof path) && watched(path))
		*type = strtol(number, NULL, 0);
}

int fstatfs(int fd, struct statfs *fs)
{
	REAL(int, "fstatfs", int, struct statfs *);
	int result = real(fd, fs);
	long type = result == 0 ? (long)fs->f_type : 0;

	disguise(fd, &type);
	if (result == 0)
		fs->f_type = (__fsword_t)type;
	return result;
}

int fstatfs64(int fd, struct statfs64 *fs)
{
	REAL(int, "fstatfs64", int, struct statfs64 *);
	int result = real(fd, fs);
	long type = result == 0 ? (long)fs->f_type : 0;

	disguise(fd, &type);
	if (result == 0)
		fs->f_type = (__fsword_t)type;
	return result;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	REAL(int, "clock_gettime", clockid_t, struct timespec *);
	const char *ahead = getenv("FAULTIO_CLOCK");
	int result = real(clock, time);

	if (ahead && result == 0 && clock == CLOCK_REALTIME)
		time->tv_sec += strtol(ahead, NULL, 10);
	return result;
}

/* Locks and leases; every other command passes. */
static int faulty_fcntl(int fd, int command, void *argument)
{
	REAL(int, "fcntl64", int, int, ...);
	enum call call = CALLS;

	if (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK ||
	    command == F_OFD_SETLKW)
		call = CALL_LOCK;
	else if (command == F_SETLEASE)
		call = CALL_LEASE;
	if (call != CALLS && judge(call, fd, 0, 0).fails)
		return -1;
	return real(fd, command, argument);
}

int fcntl(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return faulty_fcntl(fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return faulty_fcntl(fd, command, argument);
}
