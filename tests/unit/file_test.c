/* SPDX-License-Identifier: BSD-2-Clause */
/* Files: the wrappers over any backend, and the POSIX backend on real files. */
#include "io/file.h"
#include "io/directory.h"
#include "io/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/check.h"
#include "support/memfile.h"
#include "support/place.h"

static gow_error error;

static struct gow_file *open_file(const char *path, unsigned flags)
{
	struct gow_file *file;

	CHECK_OK(gow_file_open(path, flags, &file, &error), &error);
	return file;
}

/* ---- reading and writing ----------------------------------------------------------------- */

static void reading_past_the_end_is_short(void)
{
	const char *path = place_path();
	struct gow_file *file;
	char bytes[20];
	size_t got = 99;

	place_file(path, "0123456789", 10);
	file = open_file(path, 0);
	CHECK_OK(gow_file_read(file, 0, bytes, sizeof bytes, &got, &error), &error);
	CHECK_EQ(10, got);
	CHECK_BYTES("0123456789", bytes, 10);
	CHECK_OK(gow_file_read(file, 10, bytes, sizeof bytes, &got, &error), &error);
	CHECK_EQ(0, got);
	CHECK_OK(gow_file_read(file, INT64_MAX - 20, bytes, sizeof bytes, &got, &error), &error);
	CHECK_EQ(0, got);
	memset(bytes, 'x', sizeof bytes);
	CHECK_OK(gow_file_read_padded(file, 5, bytes, 10, &error), &error);
	CHECK_BYTES("56789\0\0\0\0\0xx", bytes, 12);
	CHECK_OK(gow_file_read_all(file, 0, bytes, 10, &error), &error);
	CHECK_CODE(GOW_ERR_CHANGED, gow_file_read_all(file, 4, bytes, 7, &error), &error);
	CHECK_EQ(10, error.offset);
	CHECK_STR(path, error.file);
	CHECK_OK(gow_file_close(file, &error), &error);
}

static void ranges_past_the_largest_file_are_refused(void)
{
	static const struct {
		uint64_t offset, size;
	} ranges[] = { { INT64_MAX, 1 },
		       { (uint64_t)INT64_MAX + 1, 0 },
		       { UINT64_MAX, 1 },
		       { UINT64_MAX, 0 },
		       { 1, INT64_MAX },
		       { 4096, UINT64_MAX - 4096 },
		       { 4096, UINT64_MAX },
		       { INT64_MAX - 4095, 4096 } };
	const char *path = place_path();
	struct gow_file *file;
	uint64_t length;
	char bytes[4096];
	size_t got;

	place_file(path, "", 0);
	file = open_file(path, GOW_FILE_WRITE);
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		uint64_t offset = ranges[i].offset, size = ranges[i].size;

		check_about("range %zu", i);
		CHECK_CODE(GOW_ERR_NO_SPACE, gow_file_zero(file, offset, size, &error), &error);
		CHECK_EQ(EFBIG, error.sys_errno);
		CHECK_EQ(offset, error.offset);
		CHECK_CODE(GOW_ERR_NO_SPACE, gow_file_allocate(file, offset, size, &error), &error);
		if (offset > INT64_MAX)
			CHECK_CODE(GOW_ERR_NO_SPACE, gow_file_truncate(file, offset, &error), &error);
		if (size > SIZE_MAX) /* no buffer of a machine of 32 bits has such a size */
			continue;
		CHECK_CODE(GOW_ERR_NO_SPACE,
		           gow_file_read(file, offset, bytes, (size_t)size, &got, &error), &error);
		CHECK_EQ(EFBIG, error.sys_errno);
		CHECK_EQ(offset, error.offset);
		CHECK_CODE(GOW_ERR_NO_SPACE,
		           gow_file_write(file, offset, bytes, (size_t)size, &error), &error);
	}
	CHECK_OK(gow_file_size(file, &length, &error), &error);
	CHECK_EQ(0, length);
	CHECK_OK(gow_file_close(file, &error), &error);
}

static void content_survives(void)
{
	const char *path = place_path();
	uint8_t *bytes = check_alloc(300000), *back = check_alloc(300000);
	struct rng rng = { 1 };
	struct gow_file *file;
	uint64_t size;
	int code;

	rng_fill(&rng, bytes, 300000);
	place_file(path, "", 0);
	file = open_file(path, GOW_FILE_WRITE);
	CHECK(!gow_file_is_device(file));
	CHECK_OK(gow_file_write(file, 100000, bytes + 100000, 200000, &error), &error);
	CHECK_OK(gow_file_write(file, 0, bytes, 100000, &error), &error);
	CHECK_OK(gow_file_write(file, 5, bytes + 5, 0, &error), &error);
	CHECK_OK(gow_file_sync(file, &error), &error);
	CHECK_OK(gow_file_read_all(file, 0, back, 300000, &error), &error);
	CHECK_BYTES(bytes, back, 300000);
	/* Zeros over an odd range, inside and past the end. */
	memset(bytes + 70001, 0, 100000);
	CHECK_OK(gow_file_zero(file, 70001, 100000, &error), &error);
	CHECK_OK(gow_file_read_all(file, 0, back, 300000, &error), &error);
	CHECK_BYTES(bytes, back, 300000);
	CHECK_OK(gow_file_truncate(file, 200000, &error), &error);
	CHECK_OK(gow_file_truncate(file, 300000, &error), &error);
	memset(bytes + 200000, 0, 100000);
	CHECK_OK(gow_file_size(file, &size, &error), &error);
	CHECK_EQ(300000, size);
	code = gow_file_allocate(file, 10000, 400000, &error);
	if (code)
		CHECK_CODE(GOW_ERR_UNSUPPORTED, code, &error);
	CHECK_OK(gow_file_read_all(file, 0, back, 300000, &error), &error);
	CHECK_BYTES(bytes, back, 300000);
	CHECK_OK(gow_file_close(file, &error), &error);
	free(bytes);
	free(back);
}

static void read_only_means_it(void)
{
	const char *path = place_path();
	struct gow_file *file;
	uint64_t size;

	place_file(path, "abc", 3);
	file = open_file(path, 0);
	CHECK_CODE(GOW_ERR_IO, gow_file_write(file, 0, "x", 1, &error), &error);
	CHECK_EQ(EBADF, error.sys_errno);
	CHECK_STR(path, error.file);
	CHECK_EQ(0, error.offset);
	CHECK(gow_file_truncate(file, 0, &error) != GOW_OK);
	CHECK_OK(gow_file_size(file, &size, &error), &error);
	CHECK_EQ(3, size);
	CHECK_OK(gow_file_close(file, &error), &error);
	CHECK_OK(gow_file_close(NULL, &error), &error);
}

/* ---- holes ------------------------------------------------------------------------------- */

static void holes_are_passed_over(void)
{
	enum { MIB = 1 << 20 };
	const char *path = place_path();
	uint8_t *bytes = check_alloc(MIB);
	struct gow_file *file;
	uint64_t start, end;

	memset(bytes, 1, MIB);
	place_file(path, "", 0);
	file = open_file(path, GOW_FILE_WRITE);
	CHECK_OK(gow_file_next_data(file, 0, &start, &end, &error), &error);
	CHECK_EQ(start, end);
	CHECK_OK(gow_file_truncate(file, 64 * (uint64_t)MIB, &error), &error);
	CHECK_OK(gow_file_write(file, 5 * MIB, bytes, MIB, &error), &error);
	CHECK_OK(gow_file_write(file, 40 * (uint64_t)MIB, bytes, MIB, &error), &error);
	CHECK_OK(gow_file_next_data(file, 0, &start, &end, &error), &error);
	if (start == 0 && end == 64 * (uint64_t)MIB) {
		free(bytes);
		(void)gow_file_close(file, NULL);
		check_skip("the file system of %s does not tell holes from data", place());
	}
	CHECK(start > 4 * MIB && start <= 5 * MIB);
	CHECK(end >= 6 * MIB && end < 7 * MIB);
	/* From anywhere, in any order: what was found last must not be told in its stead. */
	for (int i = 0; i < 3; i++) {
		CHECK_OK(gow_file_next_data(file, 5 * MIB + 7, &start, &end, &error), &error);
		CHECK_EQ(5 * MIB + 7, start);
		CHECK(end >= 6 * MIB && end < 7 * MIB);
		CHECK_OK(gow_file_next_data(file, 20 * MIB, &start, &end, &error), &error);
		CHECK(start > 39 * MIB && start <= 40 * MIB);
		CHECK_OK(gow_file_next_data(file, 1 * MIB, &start, &end, &error), &error);
		CHECK(start > 4 * MIB && start <= 5 * MIB);
		CHECK_OK(gow_file_next_data(file, 50 * MIB, &start, &end, &error), &error);
		CHECK_EQ(start, end);
		CHECK_OK(gow_file_next_data(file, 64 * (uint64_t)MIB, &start, &end, &error), &error);
		CHECK_EQ(start, end);
		CHECK_OK(gow_file_next_data(file, INT64_MAX, &start, &end, &error), &error);
		CHECK_EQ(start, end);
		CHECK_OK(gow_file_next_data(file, UINT64_MAX, &start, &end, &error), &error);
		CHECK_EQ(start, end);
	}
	/* A hole that is one no longer. */
	CHECK_OK(gow_file_next_data(file, 20 * MIB, &start, &end, &error), &error);
	CHECK_OK(gow_file_write(file, 30 * MIB, bytes, MIB, &error), &error);
	CHECK_OK(gow_file_next_data(file, 20 * MIB, &start, &end, &error), &error);
	CHECK(start > 29 * MIB && start <= 30 * MIB);
	CHECK_OK(gow_file_zero(file, 25 * MIB, MIB, &error), &error);
	CHECK_OK(gow_file_next_data(file, 20 * MIB, &start, &end, &error), &error);
	CHECK(start > 24 * MIB && start <= 30 * MIB);
	CHECK_OK(gow_file_next_data(file, 8 * MIB, &start, &end, &error), &error);
	CHECK(start > 24 * MIB);
	CHECK_OK(gow_file_copy(file, 5 * MIB, file, 10 * MIB, MIB, &error), &error);
	CHECK_OK(gow_file_next_data(file, 8 * MIB, &start, &end, &error), &error);
	CHECK(start > 9 * MIB && start <= 10 * MIB);
	/* Data that is there no longer. */
	CHECK_OK(gow_file_next_data(file, 40 * (uint64_t)MIB, &start, &end, &error), &error);
	CHECK_OK(gow_file_truncate(file, 35 * MIB, &error), &error);
	CHECK_OK(gow_file_next_data(file, 40 * (uint64_t)MIB, &start, &end, &error), &error);
	CHECK_EQ(start, end);
	CHECK_OK(gow_file_close(file, &error), &error);
	free(bytes);
}

/* ---- what can be opened ------------------------------------------------------------------ */

static void refuse(const char *path, unsigned flags, const char *kind)
{
	struct gow_file *file;

	check_about("%s", path);
	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_file_open(path, flags, &file, &error), &error);
	CHECK_STR(path, error.file);
	if (!strstr(error.what, kind))
		CHECK_FAIL("\"%s\" does not say \"%s\"", error.what, kind);
}

static void other_kinds_are_refused_at_once(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *fifo = place_path(), *link = place_path(), *socket_path = place_path();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Waiting for a FIFO's other end would last for ever. */
	(void)alarm(20);
	CHECK(mkfifo(fifo, 0600) == 0);
	CHECK(symlink(fifo, link) == 0);
	CHECK(strlen(socket_path) < sizeof address.sun_path);
	strcpy(address.sun_path, socket_path);
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
	for (unsigned flags = 0; flags < 4; flags++) {
		refuse(fifo, flags, "a FIFO");
		refuse(link, flags, "a FIFO");
		refuse(place(), flags, "a directory");
		refuse(socket_path, flags, "a socket");
		refuse("/dev/null", flags, "a character device");
	}
	CHECK(close(fd) == 0);
	(void)alarm(0);
}

static void a_missing_file_is_an_error(void)
{
	const char *path = place_path();
	struct gow_file *file = NULL;

	CHECK_CODE(GOW_ERR_IO, gow_file_open(path, 0, &file, &error), &error);
	CHECK_EQ(ENOENT, error.sys_errno);
	CHECK_STR(path, error.file);
	CHECK(!file);
	CHECK(gow_file_open("", 0, &file, NULL) == GOW_ERR_IO);
	place_file(path, "", 0);
	CHECK(chmod(path, 0) == 0);
	if (geteuid() == 0)
		return; /* root may read it all the same */
	CHECK_CODE(GOW_ERR_IO, gow_file_open(path, 0, &file, &error), &error);
	CHECK_EQ(EACCES, error.sys_errno);
}

static void a_bad_descriptor_is_an_error(void)
{
	struct gow_file *file = NULL;

	CHECK_CODE(GOW_ERR_IO, gow_file_from_fd(-1, "nothing", &file, &error), &error);
	CHECK_STR("nothing", error.file);
	CHECK(!file);
}

/* ---- what holds for every backend -------------------------------------------------------- */

/* A directory that another took the place of, between the opening of a file and of its directory: what
 * would be kept beside the file would stand beside another one. */
static void a_directory_that_was_exchanged_is_noticed(void)
{
	const char *old = place_path(), *aside = place_path();
	char path[4096];
	struct gow_directory *directory;
	struct gow_file *file = NULL;
	char *name;

	(void)snprintf(path, sizeof path, "%s/image", old);
	for (int i = 0; i < 2; i++) {
		CHECK(mkdir(old, 0700) == 0);
		place_file(path, "x", 1);
		if (i == 0) {
			file = open_file(path, 0);
			CHECK(rename(old, aside) == 0);
		}
	}
	CHECK_OK(gow_directory_of(path, &directory, &name, &error), &error);
	CHECK_CODE(GOW_ERR_CHANGED,
	           gow_directory_check_entry(directory, name, file, NULL, &error), &error);
	gow_directory_close(directory);
	free(name);
	(void)snprintf(path, sizeof path, "%s/image", aside);
	CHECK_OK(gow_directory_of(path, &directory, &name, &error), &error);
	CHECK_OK(gow_directory_check_entry(directory, name, file, "", &error), &error);
	gow_directory_close(directory);
	free(name);
	CHECK_OK(gow_file_close(file, &error), &error);
}

static void a_failed_sync_is_final(void)
{
	struct memdisk *disk = memdisk_new();
	struct gow_file *file = memfile_open(memdisk_file(disk, "image"));
	size_t before, after;

	CHECK_OK(gow_file_sync(file, &error), &error);
	memdisk_fail(disk, &(struct memfile_fault){
		.nth = 1, .kinds = 1u << MEMFILE_SYNC, .sys_errno = EIO });
	CHECK_CODE(GOW_ERR_IO, gow_file_sync(file, &error), &error);
	(void)memdisk_log(disk, &before);
	CHECK_CODE(GOW_ERR_IO, gow_file_sync(file, &error), &error);
	CHECK_STR("image", error.file);
	(void)memdisk_log(disk, &after);
	CHECK_EQ(before, after);
	CHECK_OK(gow_file_close(file, &error), &error);
	memdisk_free(disk);
}

static void optional_calls_have_stand_ins(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct gow_file *file = memfile_open_plain(mem);
	uint8_t *bytes = check_alloc(300000);
	uint64_t start, end;

	memset(bytes, 1, 300000);
	CHECK_OK(gow_file_write(file, 0, bytes, 300000, &error), &error);
	CHECK_OK(gow_file_zero(file, 1, 299998, &error), &error);
	CHECK_OK(gow_file_zero(file, 3, 0, &error), &error);
	memfile_get(mem, 0, bytes, 300000);
	CHECK(bytes[0] == 1 && bytes[299999] == 1);
	for (size_t i = 1; i < 299999; i++)
		CHECK(bytes[i] == 0);
	CHECK_OK(gow_file_next_data(file, 7, &start, &end, &error), &error);
	CHECK_EQ(7, start);
	CHECK_EQ(300000, end);
	CHECK_OK(gow_file_next_data(file, 300000, &start, &end, &error), &error);
	CHECK_EQ(start, end);
	CHECK_OK(gow_file_next_data(file, UINT64_MAX, &start, &end, &error), &error);
	CHECK_EQ(start, end);
	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_file_allocate(file, 0, 1, &error), &error);
	CHECK_STR("image", error.file);
	CHECK_OK(gow_file_allocate(file, 0, 0, &error), &error);
	memdisk_fail(disk, &(struct memfile_fault){ .nth = 2, .sys_errno = ENOSPC });
	CHECK_CODE(GOW_ERR_NO_SPACE, gow_file_zero(file, 0, 300000, &error), &error);
	CHECK_OK(gow_file_close(file, &error), &error);
	memdisk_free(disk);
	free(bytes);
}

CHECK_MAIN(CHECK_TEST(reading_past_the_end_is_short),
           CHECK_TEST(ranges_past_the_largest_file_are_refused), CHECK_TEST(content_survives),
           CHECK_TEST(read_only_means_it), CHECK_TEST(holes_are_passed_over),
           CHECK_TEST(other_kinds_are_refused_at_once), CHECK_TEST(a_missing_file_is_an_error),
           CHECK_TEST(a_bad_descriptor_is_an_error), CHECK_TEST(a_failed_sync_is_final),
           CHECK_TEST(a_directory_that_was_exchanged_is_noticed),
           CHECK_TEST(optional_calls_have_stand_ins))
