/* SPDX-License-Identifier: BSD-2-Clause */
/* Images whose file somebody else opened: what a descriptor must be, its lock, and its end. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "support/check.h"
#include "support/place.h"

enum { SIZE = 1 << 20 };

static gow_error error;
static const gow_open_options write_it = { .struct_size = sizeof write_it,
	                                   .flags = GOW_OPEN_WRITE };

static const char *make_image(void)
{
	const gow_create_options create = { .struct_size = sizeof create, .version = 3 };
	const char *path = place_path();

	CHECK_OK(gow_create(path, SIZE, &create, &error), &error);
	return path;
}

static int open_with(const char *path, int flags)
{
	const int fd = open(path, flags | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* A file without a name serves as well as any. */
static void what_is_written_is_read_back(void)
{
	const char *path = make_image();
	const int fd = open_with(path, O_RDWR), again = open_with(path, O_RDONLY);
	uint8_t bytes[512] = { 1, 2, 3 }, back[512];
	gow_image *image;

	CHECK_EQ(0, unlink(path));
	/* The other descriptor keeps a lease from being taken, so it is opened without. */
	gow_open_options options = write_it;
	options.common.flags = GOW_COMMON_NO_LOCK;
	CHECK_OK(gow_image_open_fd(fd, "the image", &options, &image, &error), &error);
	CHECK_EQ(SIZE, gow_image_size(image));
	CHECK_OK(gow_image_write(image, 70000, bytes, sizeof bytes, &error), &error);
	CHECK_OK(gow_image_flush(image, &error), &error);
	CHECK(is_open(fd));
	gow_image_close(image);
	CHECK(!is_open(fd));

	CHECK_OK(gow_image_open_fd(again, "the image", NULL, &image, &error), &error);
	CHECK_OK(gow_image_read(image, 70000, back, sizeof back, &error), &error);
	CHECK_BYTES(bytes, back, sizeof back);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_write(image, 0, bytes, 1, &error), &error);
	gow_image_close(image);
	CHECK(!is_open(again));
}

static void the_file_is_locked_until_it_is_closed(void)
{
	const char *path = make_image();
	gow_image *image, *other;

	CHECK_OK(gow_image_open_fd(open_with(path, O_RDWR), path, &write_it, &image, &error), &error);
	CHECK_CODE(GOW_ERR_BUSY, gow_image_open(path, NULL, &other, &error), &error);
	gow_image_close(image);
	const int fd = open_with(path, O_RDWR);
	CHECK_OK(gow_image_open(path, NULL, &image, &error), &error);
	CHECK_CODE(GOW_ERR_BUSY, gow_image_open_fd(fd, path, &write_it, &other, &error), &error);
	CHECK_STR(path, error.file);
	CHECK(!is_open(fd));
	gow_image_close(image);
}

static void unfit_descriptors_are_refused(void)
{
	static const struct {
		int flags;
		bool write; /* for a session only */
	} rows[] = { { O_RDONLY, true },
		     { O_RDWR | O_APPEND, true },
		     { O_WRONLY, false },
		     { O_PATH, false } };
	const char *path = make_image();
	gow_image *image = NULL;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const int fd = open_with(path, rows[i].flags);

		check_about("row %zu", i);
		CHECK_CODE(GOW_ERR_ARGUMENT,
		           gow_image_open_fd(fd, path, rows[i].write ? &write_it : NULL, &image, &error),
		           &error);
		CHECK(!is_open(fd));
	}
	check_about(" ");
	CHECK_CODE(GOW_ERR_IO, gow_image_open_fd(-1, "nothing", NULL, &image, &error), &error);
	CHECK_EQ(EBADF, error.sys_errno);
	CHECK(!image);
}

static void other_kinds_are_refused(void)
{
	gow_open_options salvage = write_it;
	gow_image *image;
	int ends[2], fd = open_with("/", O_RDONLY | O_DIRECTORY);

	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_image_open_fd(fd, "/", NULL, &image, &error), &error);
	CHECK_EQ(0, pipe2(ends, O_CLOEXEC));
	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_image_open_fd(ends[0], "pipe", NULL, &image, &error),
	           &error);
	CHECK_EQ(0, close(ends[1]));
	fd = open_with("/dev/null", O_RDWR);
	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_image_open_fd(fd, "null", NULL, &image, &error), &error);
	/* Options that cannot be close it as well. */
	salvage.flags |= GOW_OPEN_SALVAGE;
	fd = open_with(make_image(), O_RDWR);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_open_fd(fd, "image", &salvage, &image, &error), &error);
	CHECK(!is_open(fd));
}

static void what_is_no_image_is_refused(void)
{
	const char *path = place_path();
	gow_image *image;

	place_file(path, "no image", 8);
	CHECK_CODE(GOW_ERR_NOT_GOW,
	           gow_image_open_fd(open_with(path, O_RDONLY), "it", NULL, &image, &error), &error);
	CHECK_STR("it", error.file);
}

/* What a program asks that has a name, or an image, and wants the digest alone. */
static void a_name_has_the_digest_of_its_image(void)
{
	const char *path = make_image();
	uint8_t bytes[512] = { 1, 2, 3 };
	gow_digest empty, of_image, of_path;
	gow_image *image;

	CHECK_OK(gow_digest_path(path, NULL, &empty, &error), &error);
	CHECK_OK(gow_image_open(path, &write_it, &image, &error), &error);
	CHECK_OK(gow_image_write(image, 70000, bytes, sizeof bytes, &error), &error);
	CHECK_OK(gow_image_digest(image, NULL, &of_image, &error), &error);
	CHECK_OK(gow_image_flush(image, &error), &error);
	gow_image_close(image);
	CHECK_OK(gow_digest_path(path, NULL, &of_path, &error), &error);
	CHECK_STR(of_image.text, of_path.text);
	CHECK(strcmp(empty.text, of_path.text) != 0);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_digest_path(path, &write_it, &of_path, &error), &error);
}

CHECK_MAIN(CHECK_TEST(what_is_written_is_read_back),
           CHECK_TEST(the_file_is_locked_until_it_is_closed),
           CHECK_TEST(unfit_descriptors_are_refused), CHECK_TEST(other_kinds_are_refused),
           CHECK_TEST(what_is_no_image_is_refused),
           CHECK_TEST(a_name_has_the_digest_of_its_image))
