/* SPDX-License-Identifier: BSD-2-Clause */
/* Structs of callers that are older or newer than the library. */
#include "base/growing.h"

#include <string.h>

#include "support/check.h"

static gow_error error;

/* One option struct in the course of time. */
struct options_1 {
	size_t struct_size;
	gow_common common;
	unsigned flags, number;
};
struct options_2 {
	struct options_1 old;
	const char *text;
};

static void an_older_struct_gets_the_defaults_of_what_it_lacks(void)
{
	struct options_2 full = { .old = { .struct_size = sizeof full, .number = 7 },
		                  .text = "default" };
	struct {
		struct options_1 given;
		unsigned char other[64];
	} caller;

	memset(&caller, 0xff, sizeof caller);
	caller.given = (struct options_1){ .struct_size = sizeof caller.given, .flags = 2,
		                           .number = 5 };
	CHECK_OK(gow_take_options(&caller.given, &full, sizeof full, 3, &error), &error);
	CHECK_EQ(5, full.old.number);
	CHECK_EQ(2, full.old.flags);
	CHECK_EQ(sizeof full, full.old.struct_size);
	CHECK_STR("default", full.text);
}

static void a_newer_struct_is_taken_while_what_is_new_is_zero(void)
{
	struct options_1 full = { .struct_size = sizeof full };
	struct options_2 given = { .old = { .struct_size = sizeof given, .number = 5 } };

	CHECK_OK(gow_take_options(&given, &full, sizeof full, 0, &error), &error);
	CHECK_EQ(5, full.number);
	CHECK_EQ(sizeof full, full.struct_size);
	given.text = "something";
	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_take_options(&given, &full, sizeof full, 0, &error),
	           &error);
}

static void what_was_not_set_is_refused(void)
{
	static const size_t sizes[] = { 0, 1, sizeof(size_t) - 1, SIZE_MAX, SIZE_MAX / 2 };
	struct options_1 full = { .struct_size = sizeof full }, given = { .number = 5 };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		given.struct_size = sizes[i];
		CHECK_CODE(GOW_ERR_ARGUMENT,
		           gow_take_options(&given, &full, sizeof full, 0, &error), &error);
		CHECK_CODE(GOW_ERR_ARGUMENT, gow_check_result(&given, &error), &error);
	}
	CHECK_EQ(0, full.number);
}

static void flags_that_nobody_knows_are_refused(void)
{
	struct options_1 full = { .struct_size = sizeof full };
	struct options_1 given = { .struct_size = sizeof given, .flags = 4 };

	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_take_options(&given, &full, sizeof full, 3, &error),
	           &error);
	given.flags = 0;
	given.common.flags = 1u << 31;
	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_take_options(&given, &full, sizeof full, 3, &error),
	           &error);
	CHECK_OK(gow_take_options(NULL, &full, sizeof full, 3, &error), &error);
}

static void a_result_is_written_as_far_as_it_goes(void)
{
	const struct options_2 full = { .old = { .struct_size = sizeof full, .number = 5 },
		                        .text = "new" };
	struct {
		struct options_1 given;
		unsigned char other[64];
	} older;
	struct {
		struct options_2 given;
		unsigned char more[8];
	} newer;

	memset(&older, 0xff, sizeof older);
	older.given.struct_size = sizeof older.given;
	CHECK_OK(gow_check_result(&older, &error), &error);
	gow_give_result(&older, &full, sizeof full);
	CHECK_EQ(sizeof older.given, older.given.struct_size);
	CHECK_EQ(5, older.given.number);
	for (size_t i = 0; i < sizeof older.other; i++)
		CHECK_EQ(0xff, older.other[i]);
	memset(&newer, 0xff, sizeof newer);
	newer.given.old.struct_size = sizeof newer;
	gow_give_result(&newer, &full, sizeof full);
	CHECK_EQ(sizeof newer, newer.given.old.struct_size);
	CHECK_STR("new", newer.given.text);
	for (size_t i = 0; i < sizeof newer.more; i++)
		CHECK_EQ(0, newer.more[i]);
	CHECK_OK(gow_check_result(NULL, &error), &error);
	gow_give_result(NULL, &full, sizeof full);
}

/* An older program's padding has any value, so a new member must not come to stand in it. */
#define ENDS_AT(type, last) \
	CHECK_EQ(sizeof(type), offsetof(type, last) + sizeof(((type *)NULL)->last))

static void structs_of_options_end_without_padding(void)
{
	ENDS_AT(gow_common, room);
	ENDS_AT(gow_open_options, reserved);
	ENDS_AT(gow_digest_options, write_manifest);
	ENDS_AT(gow_create_options, version);
	ENDS_AT(gow_convert_options, reserved);
	ENDS_AT(gow_repair_options, reserved);
	ENDS_AT(gow_undo_options, reserved);
	ENDS_AT(gow_compact_options, output);
	ENDS_AT(gow_upgrade_options, output);
	ENDS_AT(gow_sync_options, limit_rate);
	ENDS_AT(gow_sync_result, reserved);
}

CHECK_MAIN(CHECK_TEST(an_older_struct_gets_the_defaults_of_what_it_lacks),
           CHECK_TEST(a_newer_struct_is_taken_while_what_is_new_is_zero),
           CHECK_TEST(what_was_not_set_is_refused),
           CHECK_TEST(flags_that_nobody_knows_are_refused),
           CHECK_TEST(a_result_is_written_as_far_as_it_goes),
           CHECK_TEST(structs_of_options_end_without_padding))
