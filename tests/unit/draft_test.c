/* SPDX-License-Identifier: BSD-2-Clause */
/* New files: a name that appears only with its whole content, and rights never wider than asked. */
#include "io/draft.h"
#include "io/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/check.h"
#include "support/place.h"

static gow_error error;

#define TEMPORARY ".gow-tmp-"

static struct gow_draft *begin(const char *path, const struct gow_draft_options *options)
{
	struct gow_draft *draft;

	CHECK_OK(gow_draft_begin(path, options, &draft, &error), &error);
	return draft;
}

static void put(struct gow_draft *draft, const char *text)
{
	CHECK_OK(gow_file_write(gow_draft_file(draft), 0, text, strlen(text), &error), &error);
}

static void check_content(const char *path, const char *text)
{
	char bytes[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(read(fd, bytes, sizeof bytes - 1) >= 0);
	CHECK(close(fd) == 0);
	CHECK_STR(text, bytes);
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	CHECK(stat(path, &st) == 0);
	return st.st_mode & 07777;
}

/* ---- names ------------------------------------------------------------------------------- */

static void the_name_appears_at_the_end(void)
{
	const char *path = place_path();
	struct gow_draft *draft = begin(path, &(struct gow_draft_options){ .force = false });

	CHECK(!exists(path));
	CHECK_EQ(1, place_count(place(), TEMPORARY));
	CHECK(exists(gow_draft_temporary(draft)));
	put(draft, "whole");
	CHECK(!exists(path));
	CHECK_OK(gow_draft_publish(draft, &error), &error);
	check_content(path, "whole");
	CHECK_EQ(0, place_count(place(), TEMPORARY));
}

static void a_discarded_draft_leaves_nothing(void)
{
	const char *path = place_path();
	struct gow_draft *draft = begin(path, &(struct gow_draft_options){ .force = false });

	put(draft, "never mind");
	gow_draft_discard(draft);
	CHECK(!exists(path));
	CHECK_EQ(0, place_count(place(), TEMPORARY));
	gow_draft_discard(NULL);
}

/* Messages name the file that the user named, not the temporary. */
static void errors_name_the_destination(void)
{
	const char *path = place_path();
	struct gow_draft *draft = begin(path, &(struct gow_draft_options){ .force = false });

	CHECK(gow_file_write(gow_draft_file(draft), UINT64_MAX, "x", 1, &error) != GOW_OK);
	CHECK_STR(path, error.file);
	gow_draft_discard(draft);
}

static void an_existing_name_is_not_touched(void)
{
	const char *path = place_path();
	struct gow_draft *draft;

	place_file(path, "old", 3);
	CHECK_CODE(GOW_ERR_EXISTS, gow_draft_check(path, false, &error), &error);
	CHECK_STR(path, error.file);
	CHECK_OK(gow_draft_check(path, true, &error), &error);
	CHECK_CODE(GOW_ERR_EXISTS,
	           gow_draft_begin(path, &(struct gow_draft_options){ .force = false }, &draft,
	                           &error),
	           &error);
	check_content(path, "old");
	CHECK_EQ(0, place_count(place(), TEMPORARY));
}

static void a_name_taken_meanwhile_is_not_replaced(void)
{
	const char *path = place_path();
	struct gow_draft *draft = begin(path, &(struct gow_draft_options){ .force = false });

	put(draft, "new");
	place_file(path, "faster", 6);
	CHECK_CODE(GOW_ERR_EXISTS, gow_draft_publish(draft, &error), &error);
	CHECK_STR(path, error.file);
	check_content(path, "faster");
	CHECK_EQ(0, place_count(place(), TEMPORARY));
}

static void force_replaces_at_the_end(void)
{
	const char *path = place_path();
	struct gow_draft *draft;
	struct stat old, now;
	int keeper;

	place_file(path, "old", 3);
	keeper = open(path, O_PATH | O_CLOEXEC); /* opens nothing that a lease would mind */
	CHECK(keeper >= 0);
	draft = begin(path, &(struct gow_draft_options){ .force = true });
	put(draft, "new");
	CHECK(fstat(keeper, &old) == 0 && stat(path, &now) == 0);
	CHECK(old.st_ino == now.st_ino && now.st_size == 3);
	CHECK(close(keeper) == 0);
	CHECK_OK(gow_draft_publish(draft, &error), &error);
	check_content(path, "new");
	/* With force, too, a name may be free. */
	path = place_path();
	draft = begin(path, &(struct gow_draft_options){ .force = true });
	put(draft, "new");
	CHECK_OK(gow_draft_publish(draft, &error), &error);
	check_content(path, "new");
	/* Nothing of the old one is left to a draft that fails. */
	draft = begin(path, &(struct gow_draft_options){ .force = true });
	gow_draft_discard(draft);
	check_content(path, "new");
	CHECK_EQ(0, place_count(place(), TEMPORARY));
}

static void a_link_stays_and_its_target_is_replaced(void)
{
	const char *directory = place_path(), *link = place_path(), *dangling = place_path();
	char target[4300];
	struct gow_draft *draft;
	struct stat st;

	CHECK(mkdir(directory, 0755) == 0);
	(void)snprintf(target, sizeof target, "%s/target", directory);
	place_file(target, "old", 3);
	CHECK(symlink(target, link) == 0);
	CHECK_CODE(GOW_ERR_EXISTS, gow_draft_check(link, false, &error), &error);
	draft = begin(link, &(struct gow_draft_options){ .force = true });
	/* Beside the target: a rename cannot leave its file system. */
	CHECK_EQ(1, place_count(directory, TEMPORARY));
	CHECK_EQ(0, place_count(place(), TEMPORARY));
	put(draft, "new");
	CHECK_OK(gow_draft_publish(draft, &error), &error);
	CHECK(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
	check_content(target, "new");
	/* A link to nothing is a name that is taken. */
	CHECK(symlink("nowhere-at-all", dangling) == 0);
	CHECK_CODE(GOW_ERR_EXISTS,
	           gow_draft_begin(dangling, &(struct gow_draft_options){ .force = false }, &draft,
	                           &error),
	           &error);
	CHECK_CODE(GOW_ERR_EXISTS,
	           gow_draft_begin(dangling, &(struct gow_draft_options){ .force = true }, &draft,
	                           &error),
	           &error);
	CHECK(lstat(dangling, &st) == 0 && S_ISLNK(st.st_mode));
}

static void what_is_no_file_is_not_replaced(void)
{
	const char *directory = place_path(), *fifo = place_path();
	char missing[4300];
	struct gow_draft *draft;

	(void)alarm(20);
	CHECK(mkdir(directory, 0755) == 0);
	CHECK(mkfifo(fifo, 0600) == 0);
	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_draft_check(directory, true, &error), &error);
	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_draft_check(fifo, true, &error), &error);
	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_draft_check("/dev/null", true, &error), &error);
	CHECK_CODE(GOW_ERR_UNSUPPORTED, gow_draft_check("/dev/null", false, &error), &error);
	CHECK_CODE(GOW_ERR_UNSUPPORTED,
	           gow_draft_begin(directory, &(struct gow_draft_options){ .force = true }, &draft,
	                           &error),
	           &error);
	(void)snprintf(missing, sizeof missing, "%s/no/such", directory);
	CHECK_CODE(GOW_ERR_IO, gow_draft_check(missing, false, &error), &error);
	CHECK_EQ(ENOENT, error.sys_errno);
	CHECK_STR(missing, error.file);
	(void)snprintf(missing, sizeof missing, "%s/under-a-fifo", fifo);
	CHECK_CODE(GOW_ERR_IO, gow_draft_check(missing, false, &error), &error);
	CHECK_EQ(ENOTDIR, error.sys_errno);
	CHECK_EQ(0, place_count(directory, ""));
	(void)alarm(0);
}

/* The longest name a file system takes leaves no room for a suffix. */
static void the_longest_name_has_a_draft(void)
{
	char path[4500];
	struct gow_draft *draft;

	(void)snprintf(path, sizeof path, "%s/%0255d", place(), 7);
	draft = begin(path, &(struct gow_draft_options){ .force = false });
	put(draft, "long");
	CHECK_OK(gow_draft_publish(draft, &error), &error);
	check_content(path, "long");
}

/* Names without a directory are in the current one. */
static void a_bare_name_is_here(void)
{
	char before[4096];
	struct gow_draft *draft;

	CHECK(getcwd(before, sizeof before));
	CHECK(chdir(place()) == 0);
	draft = begin("bare-name", &(struct gow_draft_options){ .force = false });
	put(draft, "here");
	CHECK_OK(gow_draft_publish(draft, &error), &error);
	check_content("bare-name", "here");
	CHECK(chdir(before) == 0);
}

/* ---- rights ------------------------------------------------------------------------------ */

static void rights_are_never_wider_than_the_source_s(void)
{
	static const mode_t modes[] = { 0600, 0640, 0400, 0644, 0444, 0666, 0777, 0604, 0, 04755, 02770 };
	const mode_t old = umask(0);

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		const char *source = place_path(), *path = place_path();
		struct gow_file *like;
		struct gow_draft *draft;

		check_about("mode %04o", (unsigned)modes[i]);
		place_file(source, "", 0);
		CHECK_OK(gow_file_open(source, 0, &like, &error), &error);
		CHECK(chmod(source, modes[i]) == 0);
		draft = begin(path, &(struct gow_draft_options){ .like = like });
		/* At no time, not only at the end. */
		CHECK_EQ(modes[i] & 0777, mode_of(gow_draft_temporary(draft)));
		put(draft, "x");
		CHECK_OK(gow_draft_publish(draft, &error), &error);
		CHECK_EQ(modes[i] & 0777, mode_of(path));
		CHECK_OK(gow_file_close(like, &error), &error);
	}
	(void)umask(old);
}

static void without_a_source_the_umask_rules(void)
{
	const char *path = place_path();
	const mode_t old = umask(027);
	struct gow_draft *draft = begin(path, &(struct gow_draft_options){ .force = false });

	CHECK_OK(gow_draft_publish(draft, &error), &error);
	(void)umask(old);
	CHECK_EQ(0640, mode_of(path));
}

/* A device says nothing about a file. */
static void a_device_is_no_model(void)
{
	const char *path = place_path();
	struct gow_file *like;
	struct gow_draft *draft;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_OK(gow_file_from_fd(fd, "/dev/null", &like, &error), &error);
	draft = begin(path, &(struct gow_draft_options){ .like = like });
	CHECK_OK(gow_draft_publish(draft, &error), &error);
	CHECK_EQ(0600, mode_of(path));
	CHECK_OK(gow_file_close(like, &error), &error);
}

static void the_owner_is_kept_where_allowed(void)
{
	const char *source = place_path(), *path = place_path();
	struct gow_file *like;
	struct gow_draft *draft;
	struct stat st;

	if (geteuid() != 0)
		check_skip("only root may give files away");
	place_file(source, "", 0);
	CHECK(chown(source, 12345, 23456) == 0 && chmod(source, 0660) == 0);
	CHECK_OK(gow_file_open(source, 0, &like, &error), &error);
	draft = begin(path, &(struct gow_draft_options){ .like = like });
	CHECK_OK(gow_draft_publish(draft, &error), &error);
	CHECK(stat(path, &st) == 0);
	CHECK_EQ(12345, st.st_uid);
	CHECK_EQ(23456, st.st_gid);
	CHECK_EQ(0660, st.st_mode & 0777);
	CHECK_OK(gow_file_close(like, &error), &error);
}

/* In a child that is nobody: 0 if all is as it should be. */
static int copy_as_nobody(const char *path, struct gow_file *like)
{
	struct gow_draft *draft;
	struct stat st;

	if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
		return 2;
	if (gow_draft_begin(path, &(struct gow_draft_options){ .like = like }, &draft, &error) ||
	    gow_draft_publish(draft, &error))
		return 3;
	if (stat(path, &st) < 0 || st.st_uid != 65534 || st.st_gid != 65534)
		return 4;
	return (int)(st.st_mode & 0777) == 0644 ? 0 : 5;
}

/* Who cannot keep the group gives its rights to no other. */
static void rights_of_a_group_are_not_given_to_another(void)
{
	const char *directory = place_path(), *source = place_path();
	char path[4300];
	struct gow_file *like;
	int status;
	pid_t child;

	if (geteuid() != 0)
		check_skip("only root can become another user");
	CHECK(chmod(place(), 0755) == 0);
	CHECK(mkdir(directory, 0777) == 0 && chmod(directory, 0777) == 0);
	(void)snprintf(path, sizeof path, "%s/copy", directory);
	place_file(source, "", 0);
	CHECK(chown(source, 0, 12345) == 0 && chmod(source, 0664) == 0);
	CHECK_OK(gow_file_open(source, 0, &like, &error), &error);
	CHECK(chmod(source, 0674) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		_exit(copy_as_nobody(path, like));
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_EQ(0, status);
	CHECK_OK(gow_file_close(like, &error), &error);
}

static void attributes_are_copied(void)
{
	const char *source = place_path(), *path = place_path();
	struct gow_file *like;
	struct gow_draft *draft;
	char value[32] = "";

	place_file(source, "", 0);
	if (setxattr(source, "user.gow.test", "kept", 4, 0) < 0)
		check_skip("the file system of %s takes no extended attributes", place());
	CHECK(setxattr(source, "user.gow.empty", "", 0, 0) == 0);
	CHECK_OK(gow_file_open(source, 0, &like, &error), &error);
	draft = begin(path, &(struct gow_draft_options){ .like = like });
	CHECK_OK(gow_draft_publish(draft, &error), &error);
	CHECK_EQ(4, getxattr(path, "user.gow.test", value, sizeof value));
	CHECK_STR("kept", value);
	CHECK_EQ(0, getxattr(path, "user.gow.empty", value, sizeof value));
	CHECK_OK(gow_file_close(like, &error), &error);
}

/* ---- room -------------------------------------------------------------------------------- */

static void room_is_asked_for(void)
{
	const char *path = place_path();
	char missing[4300], directory[4300];
	struct gow_file *file;

	place_file(path, "", 0);
	CHECK_OK(gow_file_open(path, 0, &file, &error), &error);
	CHECK_OK(gow_check_room(file, 0, &error), &error);
	CHECK_OK(gow_check_room(file, 1, &error), &error);
	CHECK_CODE(GOW_ERR_NO_SPACE, gow_check_room(file, UINT64_C(1) << 62, &error), &error);
	CHECK_STR(path, error.file);
	CHECK(strstr(error.what, "4611686018427387904"));
	CHECK_CODE(GOW_ERR_NO_SPACE, gow_check_room(file, UINT64_MAX, &error), &error);
	CHECK_OK(gow_check_room_for(place_path(), 1, &error), &error);
	CHECK_CODE(GOW_ERR_NO_SPACE, gow_check_room_for(place_path(), UINT64_MAX, &error), &error);
	(void)snprintf(directory, sizeof directory, "%s/no", place());
	(void)snprintf(missing, sizeof missing, "%s/no/such", place());
	CHECK_CODE(GOW_ERR_IO, gow_check_room_for(missing, 1, &error), &error);
	CHECK_STR(directory, error.file);
	CHECK_OK(gow_file_close(file, &error), &error);
}

/* ---- in use ------------------------------------------------------------------------------ */

static void a_file_in_use_is_not_replaced(void)
{
	const char *path = place_path();
	struct gow_draft *draft;
	struct gow_file *holder;
	struct gow_lock lock;

	place_file(path, "old", 3);
	CHECK_OK(gow_open_locked(path, 0, NULL, &holder, &lock, &error), &error);
	CHECK_CODE(GOW_ERR_BUSY,
	           gow_draft_begin(path, &(struct gow_draft_options){ .force = true }, &draft,
	                           &error),
	           &error);
	CHECK_EQ(0, place_count(place(), TEMPORARY));
	CHECK_OK(gow_file_close(holder, &error), &error);
	draft = begin(path, &(struct gow_draft_options){ .force = true });
	put(draft, "new");
	CHECK_OK(gow_draft_publish(draft, &error), &error);
	check_content(path, "new");
}

static void a_file_opened_meanwhile_is_not_replaced(void)
{
	const char *path = place_path();
	struct gow_draft *draft;
	int fd;

	place_file(path, "old", 3);
	draft = begin(path, &(struct gow_draft_options){ .force = true });
	put(draft, "new");
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		(void)close(fd);
		gow_draft_discard(draft);
		check_skip("no leases on the file system of %s", place());
	}
	CHECK_EQ(EWOULDBLOCK, errno);
	CHECK_CODE(GOW_ERR_BUSY, gow_draft_publish(draft, &error), &error);
	CHECK_STR(path, error.file);
	check_content(path, "old"); /* the lease was given back */
	CHECK_EQ(0, place_count(place(), TEMPORARY));
}

CHECK_MAIN(CHECK_TEST(the_name_appears_at_the_end), CHECK_TEST(a_discarded_draft_leaves_nothing),
           CHECK_TEST(errors_name_the_destination), CHECK_TEST(an_existing_name_is_not_touched),
           CHECK_TEST(a_name_taken_meanwhile_is_not_replaced), CHECK_TEST(force_replaces_at_the_end),
           CHECK_TEST(a_link_stays_and_its_target_is_replaced),
           CHECK_TEST(what_is_no_file_is_not_replaced), CHECK_TEST(the_longest_name_has_a_draft),
           CHECK_TEST(a_bare_name_is_here), CHECK_TEST(rights_are_never_wider_than_the_source_s),
           CHECK_TEST(without_a_source_the_umask_rules), CHECK_TEST(a_device_is_no_model),
           CHECK_TEST(the_owner_is_kept_where_allowed),
           CHECK_TEST(rights_of_a_group_are_not_given_to_another), CHECK_TEST(attributes_are_copied),
           CHECK_TEST(room_is_asked_for), CHECK_TEST(a_file_in_use_is_not_replaced),
           CHECK_TEST(a_file_opened_meanwhile_is_not_replaced))
