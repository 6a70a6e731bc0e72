/* SPDX-License-Identifier: BSD-2-Clause */
/* A backend that can read, and nothing else: no writes, holes, locks, identity or attributes. What
 * reads an image must do with that. */
#include <stdlib.h>
#include <string.h>

#include "disk/disk.h"
#include "journal/open.h"
#include "ops/check/check.h"
#include "support/sample.h"

static gow_error error;

struct plain {
	struct gow_file base;
	struct gow_file *real;
};

static int plain_read(struct gow_file *file, uint64_t offset, void *buf, size_t size, size_t *got,
                      gow_error *why)
{
	return gow_file_read(((struct plain *)file)->real, offset, buf, size, got, why);
}

static int plain_size(struct gow_file *file, uint64_t *size, gow_error *why)
{
	return gow_file_size(((struct plain *)file)->real, size, why);
}

static int plain_close(struct gow_file *file, gow_error *why)
{
	int code = gow_file_close(((struct plain *)file)->real, why);

	free(file->name);
	free(file);
	return code;
}

static const struct gow_file_ops plain_ops = {
	.read = plain_read,
	.size = plain_size,
	.close = plain_close,
};

static struct gow_file *plain_open(struct memfile *file)
{
	struct plain *made = calloc(1, sizeof *made);

	made->base = (struct gow_file){ .ops = &plain_ops, .name = strdup("plain") };
	made->real = memfile_open(file);
	return &made->base;
}

static void make(struct sample *sample, enum hm_row row)
{
	const struct sample_plan plan = {
		.layout = hm_layout(row, 40),
		.present = 30,
		.leaked = 20,
		.zero = 30,
		.size_odd = 1024,
		.seed = 7 + (uint64_t)row,
	};

	sample_make(sample, &plan);
}

static void can_nothing(void)
{
	struct sample sample;
	struct gow_file *file;

	make(&sample, HM_SMALL3);
	file = plain_open(sample.file);
	for (int can = GOW_FILE_CAN_WRITE; can <= GOW_FILE_CAN_DRESS; can++)
		CHECK(!gow_file_can(file, (enum gow_file_ability)can));
	CHECK_OK(gow_file_close(file, &error), &error);
	sample_free(&sample);
}

/* gow-check finds the same as on a disk that can all. */
static void check_finds_the_same(void)
{
	for (int row = 0; row < HM_ROWS; row++) {
		struct sample sample;
		struct gow_file *files[2];
		gow_check *checks[2];
		const gow_finding *found[2];
		size_t count;

		make(&sample, (enum hm_row)row);
		files[0] = memfile_open(sample.file);
		files[1] = plain_open(sample.file);
		for (int i = 0; i < 2; i++)
			CHECK_OK(gow_check_of_file(files[i], NULL, &sample.image.layout, 1, NULL,
			                           &checks[i], &error),
			         &error);
		count = gow_check_findings(checks[0], &found[0]);
		CHECK_EQ(count, gow_check_findings(checks[1], &found[1]));
		for (size_t i = 0; i < count; i++) {
			CHECK_EQ(found[0][i].problem->id, found[1][i].problem->id);
			CHECK_EQ(found[0][i].count, found[1][i].count);
		}
		for (int i = 0; i < 2; i++) {
			gow_check_close(checks[i]);
			CHECK_OK(gow_file_close(files[i], &error), &error);
		}
		sample_free(&sample);
	}
}

static gow_image *open_plain(const struct sample *sample)
{
	static const struct gow_image_policy policy = { .write = false };
	gow_image *image = NULL;

	CHECK_OK(gow_image_from_file(plain_open(sample->file), &sample->image.layout, 1, &policy,
	                             &image, &error),
	         &error);
	return image;
}

static int add_extent(void *context, const gow_guest_extent *extent)
{
	*(uint64_t *)context += extent->size;
	return 0;
}

/* What gow-info shows, and what the guest reads. */
static void an_image_reads_the_same(void)
{
	for (int row = 0; row < HM_ROWS; row++) {
		struct sample sample;
		uint64_t size, seen = 0;
		gow_image *image;
		uint8_t *bytes;

		make(&sample, (enum hm_row)row);
		image = open_plain(&sample);
		size = gow_image_size(image);
		CHECK_EQ(sample.image.logical_size, size);
		bytes = malloc((size_t)size);
		CHECK_OK(gow_image_read(image, 0, bytes, (size_t)size, &error), &error);
		CHECK(memcmp(bytes, sample.guest, (size_t)size) == 0);
		CHECK_OK(gow_image_each_extent(image, 0, size, add_extent, &seen, &error), &error);
		CHECK_EQ(size, seen);
		free(bytes);
		gow_image_close(image);
		sample_free(&sample);
	}
}

/* Digest and conversion: a copy from such a file to a raw disk. */
static void a_copy_is_the_same(void)
{
	for (int row = 0; row < HM_ROWS; row++) {
		struct sample sample;
		struct memdisk *disk = memdisk_new();
		struct memfile *raw = memdisk_file(disk, "raw");
		struct gow_file *to = memfile_open(raw);
		struct gow_copy copy = { .wants_digest = true, .size_unit = 512, .phase = "test" };
		gow_image *image, *again;
		gow_digest digest;
		uint8_t *bytes;

		make(&sample, (enum hm_row)row);
		image = open_plain(&sample);
		CHECK_OK(gow_source_of_image(image, &copy.source, &error), &error);
		CHECK_OK(gow_sink_raw_file(to, &copy.sink, &error), &error);
		CHECK_OK(gow_copy_disk(&copy, &error), &error);
		bytes = malloc((size_t)copy.size);
		CHECK_OK(gow_file_read_all(to, 0, bytes, (size_t)copy.size, &error), &error);
		CHECK(memcmp(bytes, sample.guest, (size_t)sample.image.logical_size) == 0);
		again = open_plain(&sample);
		CHECK_OK(gow_image_digest(again, NULL, &digest, &error), &error);
		CHECK_STR(copy.digest.text, digest.text);
		free(bytes);
		gow_sink_release(copy.sink);
		gow_source_close(copy.source);
		gow_image_close(again);
		gow_image_close(image);
		CHECK_OK(gow_file_close(to, &error), &error);
		memdisk_free(disk);
		sample_free(&sample);
	}
}

/* A session is refused: nothing could be made durable. */
static void no_session_begins(void)
{
	static const struct gow_image_policy policy = { .write = true };
	static const uint8_t byte = 1;
	struct sample sample;
	gow_image *image = NULL;
	int code;

	make(&sample, HM_SMALL3);
	code = gow_image_from_file(plain_open(sample.file), &sample.image.layout, 1, &policy,
	                           &image, &error);
	if (!code)
		code = gow_image_write(image, 0, &byte, 1, &error);
	CHECK(code != GOW_OK);
	gow_image_close(image);
	sample_free(&sample);
}

CHECK_MAIN(CHECK_TEST(can_nothing), CHECK_TEST(check_finds_the_same),
           CHECK_TEST(an_image_reads_the_same), CHECK_TEST(a_copy_is_the_same),
           CHECK_TEST(no_session_begins))
