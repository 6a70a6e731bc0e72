/* SPDX-License-Identifier: BSD-2-Clause */
/* Records beside an image that another user puts there between the look at the name and its
 * opening. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/layout.h"
#include "io/directory.h"
#include "journal/sync_record.h"
#include "journal/undo.h"
#include "support/check.h"
#include "support/place.h"

enum { SOMEBODY = 12345 };

/* A directory in which no name is there yet when it is looked at. */
static struct gow_directory_ops late;

static int not_there(struct gow_directory *directory, const char *name, struct gow_owner *owner,
                     gow_error *error)
{
	(void)directory;
	(void)name;
	(void)error;
	*owner = (struct gow_owner){ .known = false };
	return GOW_OK;
}

static struct gow_directory *open_late(const char *path, char **name)
{
	struct gow_directory *directory = NULL;
	gow_error error;

	CHECK_OK(gow_directory_of(path, &directory, name, &error), &error);
	late = *directory->ops;
	late.owner = not_there;
	directory->ops = &late;
	return directory;
}

static void beside(const char *path, const char *suffix, char full[PATH_MAX])
{
	(void)snprintf(full, PATH_MAX, "%s%s", path, suffix);
}

/* What cannot be read is GOW_ERR_MISMATCH: then it was looked into. */
static void an_undo_file_is_looked_at_once_more(void)
{
	const char *path = place_path();
	char full[PATH_MAX];
	struct gow_undo_place place = { .rows = gow_layouts, .row_count = gow_layout_count };
	struct gow_undo *undo;
	gow_error error;
	char *name = NULL;

	place_file(path, "x", 1);
	beside(path, ".gow-undo", full);
	place_file(full, "x", 1);
	CHECK(chmod(full, 0600) == 0);
	place.directory = open_late(path, &name);
	place.image = name;
	CHECK_CODE(GOW_ERR_MISMATCH, gow_undo_open(&place, 1, true, &undo, &error), &error);
	if (geteuid() == 0) {
		CHECK(chown(full, SOMEBODY, SOMEBODY) == 0);
		CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_undo_open(&place, 1, true, &undo, &error),
		           &error);
		CHECK(chown(full, 0, 0) == 0);
	}
	CHECK(chmod(full, 0620) == 0);
	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_undo_open(&place, 1, true, &undo, &error), &error);
	gow_directory_close(place.directory);
	free(name);
}

static void a_record_of_a_sync_is_looked_at_once_more(void)
{
	const char *path = place_path();
	char full[PATH_MAX];
	struct gow_sync_record record;
	struct gow_directory *directory;
	gow_error error;
	char *name = NULL;
	bool found = false;

	place_file(path, "x", 1);
	beside(path, ".gow-sync", full);
	directory = open_late(path, &name);
	CHECK_OK(gow_sync_record_init(&record, directory, name, &error), &error);
	CHECK_OK(gow_sync_record_begin(&record, false, &error), &error);
	CHECK_OK(gow_sync_record_open(&record, false, &found, &error), &error);
	CHECK(found);
	CHECK(chmod(full, 0602) == 0);
	CHECK_OK(gow_sync_record_open(&record, true, &found, &error), &error);
	CHECK(!found);
	gow_sync_record_release(&record);
	gow_directory_close(directory);
	free(name);
}

CHECK_MAIN(CHECK_TEST(an_undo_file_is_looked_at_once_more),
           CHECK_TEST(a_record_of_a_sync_is_looked_at_once_more))
