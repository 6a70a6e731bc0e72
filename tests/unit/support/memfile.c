/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/memfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "support/check.h"

/* ---- sparse content ---------------------------------------------------------------------- */

/*
 * A tree of pages by page number, its nodes shared by all copies until one of them writes: a
 * crash state costs what it changes.
 */
enum { PAGE_SIZE = 4096, FAN_BITS = 6, FAN = 1 << FAN_BITS, LEVELS = 9 };

struct page {
	unsigned refs;
	uint8_t bytes[PAGE_SIZE];
};

struct node {
	unsigned refs;
	void *slot[FAN]; /* nodes, on the lowest level pages; NULL: zeros */
};

struct content {
	struct node *root;
	uint64_t size; /* past it all bytes are zeros in the tree, too */
};

/* Both kinds begin with the count. */
static void *retain(void *item)
{
	if (item)
		++*(unsigned *)item;
	return item;
}

static void release(void *item, unsigned level)
{
	if (!item || --*(unsigned *)item)
		return;
	for (unsigned i = 0; level && i < FAN; i++)
		release(((struct node *)item)->slot[i], level - 1);
	free(item);
}

/* Makes what stands in slot, on that level, one that nobody else sees. */
static void *own(void **slot, unsigned level)
{
	const size_t size = level ? sizeof(struct node) : sizeof(struct page);
	void *there = *slot, *made;

	if (there && *(unsigned *)there == 1)
		return there;
	made = check_alloc(size);
	if (there) {
		memcpy(made, there, size);
		for (unsigned i = 0; level && i < FAN; i++)
			(void)retain(((struct node *)made)->slot[i]);
		release(there, level);
	}
	*(unsigned *)made = 1;
	*slot = made;
	return made;
}

static unsigned index_on(unsigned level, uint64_t number)
{
	return (unsigned)(number >> (FAN_BITS * (level - 1))) % FAN;
}

static struct page *page_to_write(struct content *content, uint64_t number)
{
	void *root = content->root;
	struct node *node = own(&root, LEVELS);

	content->root = node;
	for (unsigned level = LEVELS; level > 1; level--)
		node = own(&node->slot[index_on(level, number)], level - 1);
	return own(&node->slot[index_on(1, number)], 0);
}

static const struct page *page_to_read(const struct content *content, uint64_t number)
{
	const void *item = content->root;

	for (unsigned level = LEVELS; level && item; level--)
		item = ((const struct node *)item)->slot[index_on(level, number)];
	return item;
}

/* Drops the pages from first to last of a subtree that begins with page base. */
static void drop_pages(void **slot, unsigned level, uint64_t base, uint64_t first, uint64_t last)
{
	const uint64_t span = UINT64_C(1) << (FAN_BITS * level);
	struct node *node;

	if (!*slot || base > last || base + (span - 1) < first)
		return;
	if (base >= first && base + (span - 1) <= last) {
		release(*slot, level);
		*slot = NULL;
		return;
	}
	node = own(slot, level);
	for (unsigned i = 0; i < FAN; i++)
		drop_pages(&node->slot[i], level - 1, base + i * (span / FAN), first, last);
}

/* The first page at or after number, in a subtree that begins with page base. */
static bool find_page(const void *item, unsigned level, uint64_t base, uint64_t *number)
{
	const uint64_t span = UINT64_C(1) << (FAN_BITS * level);

	if (!item || base + (span - 1) < *number)
		return false;
	if (!level) {
		*number = base;
		return true;
	}
	for (unsigned i = 0; i < FAN; i++)
		if (find_page(((const struct node *)item)->slot[i], level - 1,
		              base + i * (span / FAN), number))
			return true;
	return false;
}

static bool same_pages(const void *a, const void *b, unsigned level)
{
	static const uint8_t zeros[PAGE_SIZE];

	if (a == b)
		return true;
	if (!level)
		return memcmp(a ? ((const struct page *)a)->bytes : zeros,
		              b ? ((const struct page *)b)->bytes : zeros, PAGE_SIZE) == 0;
	for (unsigned i = 0; i < FAN; i++)
		if (!same_pages(a ? ((const struct node *)a)->slot[i] : NULL,
		                b ? ((const struct node *)b)->slot[i] : NULL, level - 1))
			return false;
	return true;
}

static void content_copy(struct content *to, const struct content *from)
{
	struct node *root = retain(from->root);

	release(to->root, LEVELS);
	*to = (struct content){ root, from->size };
}

static void content_put(struct content *content, uint64_t offset, const uint8_t *bytes,
                        uint64_t size)
{
	if (size)
		content->size = gow_max(content->size, offset + size);
	while (size) {
		uint64_t inside = offset % PAGE_SIZE;
		uint64_t part = gow_min(size, PAGE_SIZE - inside);

		memcpy(page_to_write(content, offset / PAGE_SIZE)->bytes + inside, bytes,
		       (size_t)part);
		offset += part;
		bytes += part;
		size -= part;
	}
}

static void content_get(const struct content *content, uint64_t offset, uint8_t *bytes,
                        uint64_t size)
{
	while (size) {
		uint64_t inside = offset % PAGE_SIZE;
		uint64_t part = gow_min(size, PAGE_SIZE - inside);
		const struct page *page = page_to_read(content, offset / PAGE_SIZE);

		if (page)
			memcpy(bytes, page->bytes + inside, (size_t)part);
		else
			memset(bytes, 0, (size_t)part);
		offset += part;
		bytes += part;
		size -= part;
	}
}

static void zero_in_page(struct content *content, uint64_t offset, uint64_t size)
{
	if (size && page_to_read(content, offset / PAGE_SIZE))
		memset(page_to_write(content, offset / PAGE_SIZE)->bytes + offset % PAGE_SIZE, 0,
		       (size_t)size);
}

/* Makes a hole of [start, end), without a word about the size. */
static void content_punch(struct content *content, uint64_t start, uint64_t end)
{
	uint64_t first = gow_divide_up(start, PAGE_SIZE), past = end / PAGE_SIZE;
	void *root = content->root;

	if (start >= end)
		return;
	if (first > past) { /* inside one page */
		zero_in_page(content, start, end - start);
		return;
	}
	zero_in_page(content, start, first * PAGE_SIZE - start);
	zero_in_page(content, past * PAGE_SIZE, end - past * PAGE_SIZE);
	root = content->root;
	if (first < past)
		drop_pages(&root, LEVELS, 0, first, past - 1);
	content->root = root;
}

static void content_resize(struct content *content, uint64_t size)
{
	if (size < content->size)
		content_punch(content, size, content->size);
	content->size = size;
}

/* ---- disks and files --------------------------------------------------------------------- */

enum { FILES_MAX = 48, NAMES_MAX = 24, BROKEN_MAX = 8 };

struct memfile {
	struct memdisk *disk;
	char name[32]; /* the first that it had */
	struct content content;
	struct content base; /* durable when recording began */
	/* After a failed sync lost something: what reads return once the cache is dropped. */
	struct content truth;
	bool lost;
	struct { uint64_t first, end; } broken[BROKEN_MAX];
	size_t broken_count;
};

/* What a directory has under a name: an index of files, or NOTHING. What is made under a name that
 * was removed is another file. */
enum { NOTHING = -1 };

struct name {
	char text[32];
	int file;
	int base;
};

struct handle;

struct memdisk {
	struct memfile *files[FILES_MAX];
	size_t file_count;
	struct name names[NAMES_MAX];
	size_t name_count;
	struct memfile_call *log;
	size_t log_count, log_room;
	struct memfile_fault fault;
	size_t seen; /* calls that count for the fault */
	bool has_failed;
	size_t open_files;
	struct handle *handles;
	bool recorded; /* so that it is known what is durable */
	bool refuses_drop;
};

struct memdisk *memdisk_new(void)
{
	return check_alloc(sizeof(struct memdisk));
}

static void forget_log(struct memdisk *disk)
{
	for (size_t i = 0; i < disk->log_count; i++)
		free(disk->log[i].bytes);
	disk->log_count = 0;
}

void memdisk_free(struct memdisk *disk)
{
	if (!disk)
		return;
	forget_log(disk);
	free(disk->log);
	for (size_t i = 0; i < disk->file_count; i++) {
		release(disk->files[i]->content.root, LEVELS);
		release(disk->files[i]->base.root, LEVELS);
		release(disk->files[i]->truth.root, LEVELS);
		free(disk->files[i]);
	}
	free(disk);
}

/* A file that no name leads to. */
static int make_file(struct memdisk *disk, const char *name)
{
	struct memfile *made;

	if (disk->file_count == FILES_MAX)
		CHECK_FAIL("a disk has no more than %d files", FILES_MAX);
	made = check_alloc(sizeof *made);
	made->disk = disk;
	(void)snprintf(made->name, sizeof made->name, "%s", name);
	disk->files[disk->file_count] = made;
	return (int)disk->file_count++;
}

/* The name, which may lead to nothing. */
static struct name *name_in(struct memdisk *disk, const char *text)
{
	struct name *name;

	for (size_t i = 0; i < disk->name_count; i++)
		if (strcmp(disk->names[i].text, text) == 0)
			return &disk->names[i];
	if (disk->name_count == NAMES_MAX)
		CHECK_FAIL("a disk has no more than %d names", NAMES_MAX);
	name = &disk->names[disk->name_count++];
	(void)snprintf(name->text, sizeof name->text, "%s", text);
	name->file = name->base = NOTHING;
	return name;
}

struct memfile *memdisk_file(struct memdisk *disk, const char *name)
{
	struct name *entry = name_in(disk, name);

	if (entry->file == NOTHING)
		entry->file = entry->base = make_file(disk, name);
	return disk->files[entry->file];
}

/* The copies in their order, so that an index means the same file, and the same name. */
static struct memdisk *clone_of(const struct memdisk *disk, bool base)
{
	struct memdisk *made = memdisk_new();

	for (size_t i = 0; i < disk->file_count; i++) {
		const struct memfile *file = disk->files[i];

		struct memfile *copy = made->files[make_file(made, file->name)];

		content_copy(&copy->content, base ? &file->base : &file->content);
		memcpy(copy->broken, file->broken, sizeof file->broken);
		copy->broken_count = file->broken_count;
	}
	made->name_count = disk->name_count;
	memcpy(made->names, disk->names, disk->name_count * sizeof *disk->names);
	for (size_t i = 0; i < made->name_count && base; i++)
		made->names[i].file = made->names[i].base;
	return made;
}

struct memdisk *memdisk_clone(const struct memdisk *disk)
{
	return clone_of(disk, false);
}

void memfile_put(struct memfile *file, uint64_t offset, const void *bytes, size_t size)
{
	content_put(&file->content, offset, bytes, size);
}

void memfile_get(const struct memfile *file, uint64_t offset, void *bytes, size_t size)
{
	content_get(&file->content, offset, bytes, size);
}

uint64_t memfile_size(const struct memfile *file)
{
	return file->content.size;
}

void memfile_resize(struct memfile *file, uint64_t size)
{
	content_resize(&file->content, size);
}

bool memfile_equal(const struct memfile *a, const struct memfile *b)
{
	return a->content.size == b->content.size &&
	       same_pages(a->content.root, b->content.root, LEVELS);
}

void memfile_break(struct memfile *file, uint64_t offset, uint64_t size)
{
	CHECK(file->broken_count < BROKEN_MAX);
	file->broken[file->broken_count].first = offset;
	file->broken[file->broken_count++].end = offset + size;
}

/* What is written can be read again. */
static void heal(struct memfile *file, uint64_t offset, uint64_t size)
{
	for (size_t i = 0; i < file->broken_count; i++)
		if (file->broken[i].first >= offset && file->broken[i].end <= offset + size)
			file->broken[i--] = file->broken[--file->broken_count];
}

static bool is_broken(const struct memfile *file, uint64_t offset, uint64_t size)
{
	for (size_t i = 0; i < file->broken_count; i++)
		if (file->broken[i].first < offset + size && file->broken[i].end > offset)
			return true;
	return false;
}

void memfile_flip(struct memfile *file, uint64_t bit)
{
	uint8_t byte;

	content_get(&file->content, bit / 8, &byte, 1);
	byte = (uint8_t)(byte ^ 1u << bit % 8);
	content_put(&file->content, bit / 8, &byte, 1);
}

static void drop(struct memfile *file)
{
	if (file->lost)
		content_copy(&file->content, &file->truth);
	file->lost = false;
}

void memdisk_drop_caches(struct memdisk *disk)
{
	for (size_t i = 0; i < disk->file_count; i++)
		drop(disk->files[i]);
}

void memdisk_refuse_drop(struct memdisk *disk, bool refuse)
{
	disk->refuses_drop = refuse;
}

/* ---- the log and the faults -------------------------------------------------------------- */

void memdisk_record(struct memdisk *disk)
{
	forget_log(disk);
	disk->recorded = true;
	for (size_t i = 0; i < disk->file_count; i++)
		disk->files[i]->lost = false;
	for (size_t i = 0; i < disk->file_count; i++)
		content_copy(&disk->files[i]->base, &disk->files[i]->content);
	for (size_t i = 0; i < disk->name_count; i++)
		disk->names[i].base = disk->names[i].file;
}

const struct memfile_call *memdisk_log(const struct memdisk *disk, size_t *count)
{
	*count = disk->log_count;
	return disk->log;
}

void memdisk_fail(struct memdisk *disk, const struct memfile_fault *fault)
{
	disk->fault = *fault;
	disk->seen = 0;
	disk->has_failed = false;
}

bool memdisk_has_failed(const struct memdisk *disk)
{
	return disk->has_failed;
}

size_t memdisk_open_files(const struct memdisk *disk)
{
	return disk->open_files;
}

static bool must_fail(struct memdisk *disk, enum memfile_kind kind, uint64_t offset)
{
	const struct memfile_fault *fault = &disk->fault;
	const unsigned kinds = fault->kinds ? fault->kinds : MEMFILE_ALL_KINDS;

	if (!(kinds >> kind & 1) || offset < fault->from)
		return false;
	disk->seen++;
	if (!fault->nth || (fault->for_good ? disk->seen < fault->nth : disk->seen != fault->nth))
		return false;
	disk->has_failed = true;
	return true;
}

/* Adds a call to the log; the result is good until the next. */
static struct memfile_call *record(struct memfile *file, enum memfile_kind kind, uint64_t offset,
                                   uint64_t size)
{
	struct memdisk *disk = file->disk;
	struct memfile_call *call;

	if (disk->log_count == disk->log_room) {
		size_t room = disk->log_room ? 2 * disk->log_room : 256;
		struct memfile_call *grown = check_alloc(room * sizeof *grown);

		if (disk->log_count)
			memcpy(grown, disk->log, disk->log_count * sizeof *grown);
		free(disk->log);
		disk->log = grown;
		disk->log_room = room;
	}
	call = &disk->log[disk->log_count++];
	*call = (struct memfile_call){ .file = file, .kind = kind, .offset = offset, .size = size };
	call->failed = must_fail(disk, kind, offset);
	return call;
}

/* ---- struct gow_file_ops ----------------------------------------------------------------- */

struct handle {
	struct gow_file base;
	struct memfile *file;
	struct handle *next; /* of the same disk */
};

static struct memfile *file_of(struct gow_file *file)
{
	return ((struct handle *)file)->file;
}

static int fail(const struct gow_file *file, uint64_t offset, gow_error *error)
{
	int sys_errno = ((const struct handle *)file)->file->disk->fault.sys_errno;
	int code = gow_fail_errno(error, sys_errno ? sys_errno : EIO, "made to fail");

	return gow_fail_in_file(error, gow_fail_at_offset(error, code, offset), file->name);
}

static void perform(struct content *content, const struct memfile_call *call);

/* A call changes what is read, and what would be read after the cache is dropped. */
static void change(struct memfile *file, const struct memfile_call *call)
{
	perform(&file->content, call);
	if (file->lost)
		perform(&file->truth, call);
	if (call->kind == MEMFILE_WRITE)
		heal(file, call->offset, call->size);
}

static int mem_read(struct gow_file *handle, uint64_t offset, void *buf, size_t size, size_t *got,
                    gow_error *error)
{
	struct memfile *file = file_of(handle);
	const uint64_t end = file->content.size;
	size_t there = offset < end ? (size_t)gow_min(size, end - offset) : 0;

	if (record(file, MEMFILE_READ, offset, size)->failed) {
		if (file->disk->fault.sys_errno)
			return fail(handle, offset, error);
		there /= 2;
	}
	if (is_broken(file, offset, there))
		return gow_fail_in_file(
			error,
			gow_fail_at_offset(error, gow_fail_errno(error, EIO, "a bad sector"), offset),
			handle->name);
	content_get(&file->content, offset, buf, there);
	*got = there;
	return GOW_OK;
}

static int mem_write(struct gow_file *handle, uint64_t offset, const void *buf, size_t size,
                     gow_error *error)
{
	struct memfile *file = file_of(handle);
	struct memfile_call *call = record(file, MEMFILE_WRITE, offset, size);

	if (call->failed)
		call->size = gow_min(size, file->disk->fault.partial);
	call->bytes = check_alloc((size_t)call->size);
	if (call->size)
		memcpy(call->bytes, buf, (size_t)call->size);
	change(file, call);
	return call->failed ? fail(handle, offset + call->size, error) : GOW_OK;
}

static int mem_size(struct gow_file *handle, uint64_t *size, gow_error *error)
{
	struct memfile *file = file_of(handle);

	if (record(file, MEMFILE_SIZE, 0, 0)->failed)
		return fail(handle, GOW_NOWHERE, error);
	*size = file->content.size;
	return GOW_OK;
}

/* What a call does to the content. */
static void perform(struct content *content, const struct memfile_call *call)
{
	switch (call->kind) {
	case MEMFILE_WRITE:
		content_put(content, call->offset, call->bytes, call->size);
		break;
	case MEMFILE_TRUNCATE:
		content_resize(content, call->offset);
		break;
	case MEMFILE_ZERO:
		content_punch(content, call->offset, call->offset + call->size);
		content->size = gow_max(content->size, call->offset + call->size);
		break;
	case MEMFILE_PUNCH:
		content_punch(content, call->offset,
		              gow_min(call->offset + call->size, content->size));
		break;
	case MEMFILE_ALLOCATE:
		content->size = gow_max(content->size, call->offset + call->size);
		break;
	default:
		break;
	}
}

static void lose(struct memfile *file);

static int mem_change(struct gow_file *handle, enum memfile_kind kind, uint64_t offset,
                      uint64_t size, gow_error *error)
{
	struct memfile *file = file_of(handle);
	const struct memfile_call *call = record(file, kind, offset, size);

	if (call->failed && kind == MEMFILE_SYNC)
		lose(file);
	if (call->failed)
		return fail(handle, kind == MEMFILE_SYNC ? GOW_NOWHERE : offset, error);
	change(file, call);
	return GOW_OK;
}

static int mem_truncate(struct gow_file *handle, uint64_t size, gow_error *error)
{
	return mem_change(handle, MEMFILE_TRUNCATE, size, 0, error);
}

static int mem_sync(struct gow_file *handle, gow_error *error)
{
	return mem_change(handle, MEMFILE_SYNC, 0, 0, error);
}

static int mem_zero(struct gow_file *handle, uint64_t offset, uint64_t size, gow_error *error)
{
	return mem_change(handle, MEMFILE_ZERO, offset, size, error);
}

static int mem_allocate(struct gow_file *handle, uint64_t offset, uint64_t size,
                        gow_error *error)
{
	return mem_change(handle, MEMFILE_ALLOCATE, offset, size, error);
}

static int mem_punch(struct gow_file *handle, uint64_t offset, uint64_t size, gow_error *error)
{
	return mem_change(handle, MEMFILE_PUNCH, offset, size, error);
}

static int mem_reserve(struct gow_file *handle, uint64_t offset, uint64_t size, gow_error *error)
{
	return mem_change(handle, MEMFILE_RESERVE, offset, size, error);
}

static void mem_drop_cache(struct gow_file *handle)
{
	struct memfile *file = file_of(handle);

	(void)record(file, MEMFILE_DROP, 0, 0);
	if (!file->disk->refuses_drop)
		drop(file);
}

static int mem_next_data(struct gow_file *handle, uint64_t offset, uint64_t *start, uint64_t *end,
                         gow_error *error)
{
	struct memfile *file = file_of(handle);
	const struct content *content = &file->content;
	uint64_t page = offset / PAGE_SIZE;

	if (record(file, MEMFILE_NEXT_DATA, offset, 0)->failed)
		return fail(handle, offset, error);
	if (!find_page(content->root, LEVELS, 0, &page) || page * PAGE_SIZE >= content->size) {
		*start = *end = offset;
		return GOW_OK;
	}
	*start = gow_max(offset, page * PAGE_SIZE);
	while (page_to_read(content, page))
		page++;
	*end = gow_min(page * PAGE_SIZE, content->size);
	if (*start >= *end) /* offset is past the end of the file, in its last page */
		*start = *end = offset;
	return GOW_OK;
}

static int mem_close(struct gow_file *handle, gow_error *error)
{
	struct memfile *file = file_of(handle);
	int code = record(file, MEMFILE_CLOSE, 0, 0)->failed ? fail(handle, GOW_NOWHERE, error)
	                                                     : GOW_OK;

	file->disk->open_files--;
	for (struct handle **at = &file->disk->handles; *at; at = &(*at)->next)
		if (&(*at)->base == handle) {
			*at = (*at)->next;
			break;
		}
	free(handle->name);
	free(handle);
	return code;
}

static const struct gow_file_ops all_ops = {
	.read = mem_read,
	.write = mem_write,
	.size = mem_size,
	.truncate = mem_truncate,
	.sync = mem_sync,
	.drop_cache = mem_drop_cache,
	.next_data = mem_next_data,
	.zero = mem_zero,
	.allocate = mem_allocate,
	.reserve = mem_reserve,
	.punch = mem_punch,
	.close = mem_close,
};

static const struct gow_file_ops plain_ops = {
	.read = mem_read,
	.write = mem_write,
	.size = mem_size,
	.truncate = mem_truncate,
	.sync = mem_sync,
	.drop_cache = mem_drop_cache,
	.close = mem_close,
};

static struct gow_file *open_with(struct memfile *file, const struct gow_file_ops *ops)
{
	struct handle *made = check_alloc(sizeof *made);

	made->base.ops = ops;
	made->base.name = check_alloc(sizeof file->name);
	memcpy(made->base.name, file->name, sizeof file->name);
	made->file = file;
	made->next = file->disk->handles;
	file->disk->handles = made;
	file->disk->open_files++;
	return &made->base;
}

struct gow_file *memfile_open(struct memfile *file)
{
	return open_with(file, &all_ops);
}

struct gow_file *memfile_open_plain(struct memfile *file)
{
	return open_with(file, &plain_ops);
}

/* ---- what failed syncs lose -------------------------------------------------------------- */

enum { SECTOR = 512 };

/* Whether it changes a range of bytes, which may be done in part. */
static bool has_sectors(const struct memfile_call *call)
{
	return call->kind == MEMFILE_WRITE || call->kind == MEMFILE_ZERO ||
	       call->kind == MEMFILE_PUNCH;
}

static uint64_t sectors_of(const struct memfile_call *call)
{
	if (!call->size || !has_sectors(call))
		return 1;
	return (call->offset + call->size - 1) / SECTOR - call->offset / SECTOR + 1;
}

/* Applies the part of a write that lies in sectors [first, end), counted within it. */
static void land_sectors(struct content *content, const struct memfile_call *call, uint64_t first,
                         uint64_t end)
{
	const uint64_t base = call->offset / SECTOR;
	const uint64_t start = gow_max(call->offset, (base + first) * SECTOR);
	const uint64_t past = gow_min(call->offset + call->size, (base + end) * SECTOR);

	if (start >= past)
		return;
	if (call->kind == MEMFILE_WRITE) {
		content_put(content, start, call->bytes + (start - call->offset), past - start);
	} else {
		struct memfile_call part = *call;

		part.offset = start;
		part.size = past - start;
		perform(content, &part);
	}
}

/* Metadata that a file system has a journal for is not lost without a word. */
static bool can_be_lost(const struct memfile_call *call)
{
	return call->kind == MEMFILE_WRITE && call->size && !call->lost_by;
}

static void lose_call(struct memfile_call *call, size_t by, struct rng *rng, bool in_part)
{
	const uint64_t sectors = sectors_of(call);

	call->lost_by = by;
	call->kept_first = call->kept_end = 0;
	call->kept_size = in_part && rng_chance(rng, 50);
	if (in_part && sectors > 1 && rng_chance(rng, 60)) {
		call->kept_first = rng_chance(rng, 50) ? 0 : sectors / 2;
		call->kept_end = call->kept_first ? sectors : sectors / 2;
	}
}

/* What is left of a call that was lost. */
static void land_kept(struct content *content, const struct memfile_call *call)
{
	land_sectors(content, call, call->kept_first, call->kept_end);
	if (call->kept_size && call->kind == MEMFILE_WRITE)
		content->size = gow_max(content->size, call->offset + call->size);
}

static bool changes_content(const struct memfile_call *call);

/* What is read once the cache is dropped: all that was not lost. */
static void find_truth(struct memfile *file)
{
	const struct memdisk *disk = file->disk;

	content_copy(&file->truth, &file->base);
	for (size_t i = 0; i < disk->log_count; i++) {
		const struct memfile_call *call = &disk->log[i];

		if (call->file != file || !changes_content(call))
			continue;
		if (call->lost_by)
			land_kept(&file->truth, call);
		else
			perform(&file->truth, call);
	}
	file->lost = true;
}

/* Whether the file's pending call number `back`, from the last one on, is lost. */
static bool is_to_lose(const struct memfile_fault *fault, size_t back, size_t count, struct rng *rng)
{
	switch (fault->lose) {
	case MEMFILE_LOSE_ALL:
		return true;
	case MEMFILE_LOSE_ONE:
		return count && back == fault->seed % count;
	case MEMFILE_LOSE_SOME:
		return rng_chance(rng, 50);
	default:
		return false;
	}
}

/* The last call of the log is a sync of the file that failed. */
static void lose(struct memfile *file)
{
	struct memdisk *disk = file->disk;
	const struct memfile_fault *fault = &disk->fault;
	struct rng rng = { fault->seed };
	const size_t by = disk->log_count;
	size_t first = by - 1, count = 0, back = 0;

	if (fault->lose == MEMFILE_LOSE_NOTHING)
		return;
	CHECK(disk->recorded);
	while (first && !(disk->log[first - 1].file == file && !disk->log[first - 1].failed &&
	                  disk->log[first - 1].kind == MEMFILE_SYNC)) {
		first--;
		count += disk->log[first].file == file && can_be_lost(&disk->log[first]);
	}
	for (size_t i = by - 1; i-- > first;) {
		struct memfile_call *call = &disk->log[i];

		if (call->file == file && can_be_lost(call) &&
		    is_to_lose(fault, back++, count, &rng))
			lose_call(call, by, &rng, fault->lose == MEMFILE_LOSE_SOME);
	}
	find_truth(file);
}

/* ---- struct gow_directory_ops --------------------------------------------------------------- */

struct memdirectory {
	struct gow_directory base;
	struct memdisk *disk;
	const char *prefix; /* of the names that are in it */
};

static struct memdisk *disk_of(struct gow_directory *directory)
{
	return ((struct memdirectory *)directory)->disk;
}

static struct name *name_of(struct gow_directory *directory, const char *text)
{
	char full[32];

	(void)snprintf(full, sizeof full, "%s%s", ((struct memdirectory *)directory)->prefix, text);
	return name_in(disk_of(directory), full);
}

static size_t index_of(const struct memdisk *disk, const struct name *name)
{
	return (size_t)(name - disk->names);
}

/* What a call to a directory does to its names. */
static void perform_name(struct memdisk *disk, const struct memfile_call *call)
{
	struct name *subject = &disk->names[call->subject];

	if (call->kind == MEMFILE_RENAME)
		disk->names[call->target].file = call->named;
	if (call->kind == MEMFILE_CREATE)
		subject->file = call->named;
	else if (subject->file == call->named)
		subject->file = NOTHING;
}

static int call_directory(struct gow_directory *directory, enum memfile_kind kind,
                       const struct name *subject, const struct name *target, int named,
                       gow_error *error)
{
	struct memdisk *disk = disk_of(directory);
	struct memfile *itself = disk->files[name_of(directory, ".")->file];
	struct memfile_call *call = record(itself, kind, 0, 0);

	call->subject = subject ? index_of(disk, subject) : 0;
	call->target = target ? index_of(disk, target) : 0;
	call->named = named;
	if (call->failed)
		return gow_fail_errno(error, disk->fault.sys_errno ? disk->fault.sys_errno : EIO,
		                      "made to fail");
	if (subject)
		perform_name(disk, call);
	return GOW_OK;
}

static int directory_open(struct gow_directory *directory, const char *name, unsigned flags,
                       struct gow_file **file, gow_error *error)
{
	struct memdisk *disk = disk_of(directory);
	struct name *subject = name_of(directory, name);
	int code = GOW_OK;

	if (flags & GOW_DIRECTORY_CREATE && subject->file != NOTHING)
		return gow_fail(error, GOW_ERR_EXISTS, "cannot make it");
	if (flags & GOW_DIRECTORY_CREATE)
		code = call_directory(directory, MEMFILE_CREATE, subject, NULL,
		                   make_file(disk, subject->text), error);
	if (!code)
		*file = subject->file == NOTHING ? NULL : memfile_open(disk->files[subject->file]);
	return code;
}

static int directory_rename(struct gow_directory *directory, const char *from, const char *to,
                         gow_error *error)
{
	struct name *subject = name_of(directory, from), *target = name_of(directory, to);

	return call_directory(directory, MEMFILE_RENAME, subject, target, subject->file, error);
}

static int directory_rename_new(struct gow_directory *directory, const char *from, const char *to,
                             gow_error *error)
{
	return name_of(directory, to)->file == NOTHING
	               ? directory_rename(directory, from, to, error)
	               : gow_fail(error, GOW_ERR_EXISTS, "came into being meanwhile");
}

static int directory_remove(struct gow_directory *directory, const char *name, gow_error *error)
{
	struct name *subject = name_of(directory, name);

	return subject->file == NOTHING ? GOW_OK
	                                : call_directory(directory, MEMFILE_REMOVE, subject, NULL,
	                                              subject->file, error);
}

static int directory_sync(struct gow_directory *directory, gow_error *error)
{
	return call_directory(directory, MEMFILE_SYNC, NULL, NULL, NOTHING, error);
}

static int directory_each(struct gow_directory *directory, gow_name_visitor visit, void *context,
                       gow_error *error)
{
	const char *prefix = ((struct memdirectory *)directory)->prefix;
	struct memdisk *disk = disk_of(directory);
	size_t length = strlen(prefix);
	int code = GOW_OK;

	for (size_t i = 0; i < disk->name_count && !code; i++) {
		const struct name *name = &disk->names[i];

		if (name->file != NOTHING && strncmp(name->text, prefix, length) == 0 &&
		    !strchr(name->text + length, '/'))
			code = visit(context, name->text + length, error);
	}
	return code;
}

static struct gow_directory *open_prefix(struct memdisk *disk, const char *path, const char *prefix);

/* Every other path leads into the other directory. */
static int directory_reach(struct gow_directory *directory, const char *path,
                           struct gow_directory **there, char **name, gow_error *error)
{
	const char *slash = strrchr(path, '/');

	(void)error;
	*there = open_prefix(disk_of(directory), "/", MEMDIRECTORY_AWAY);
	*name = strdup(slash ? slash + 1 : path);
	CHECK(*name);
	return GOW_OK;
}

static void directory_close(struct gow_directory *directory)
{
	free(directory->path);
	free(directory);
}

static const struct gow_directory_ops directory_ops = {
	.open = directory_open,
	.rename = directory_rename,
	.rename_new = directory_rename_new,
	.remove = directory_remove,
	.sync = directory_sync,
	.each = directory_each,
	.reach = directory_reach,
	.close = directory_close,
};

static struct gow_directory *open_prefix(struct memdisk *disk, const char *path, const char *prefix)
{
	struct memdirectory *made = check_alloc(sizeof *made);
	char itself[32];

	made->base.ops = &directory_ops;
	made->base.path = check_alloc(strlen(path) + 1);
	memcpy(made->base.path, path, strlen(path));
	made->disk = disk;
	made->prefix = prefix;
	(void)snprintf(itself, sizeof itself, "%s.", prefix);
	(void)memdisk_file(disk, itself);
	return &made->base;
}

struct gow_directory *memdirectory_open(struct memdisk *disk)
{
	return open_prefix(disk, ".", "");
}

bool memdirectory_has(struct memdisk *disk, const char *name)
{
	return name_in(disk, name)->file != NOTHING;
}

/* ---- crashes ----------------------------------------------------------------------------- */

enum tear { WHOLE, FRONT, BACK, MIX, SIZE_ALONE };

/* What becomes of one call that was not synced. */
struct fate {
	bool landed;
	enum tear tear;
	uint64_t seed; /* of MIX */
};

struct walk {
	const struct memdisk *disk;
	const struct memfile_crash_plan *plan;
	memfile_crash_visitor visit;
	void *context;
	struct memdisk *durable; /* everything that has been synced */
	size_t *pending;         /* in the log; ascending */
	struct fate *fates;      /* of the pending calls */
	size_t count;
	size_t moment;           /* calls made when the last sync was over */
	size_t next_moment;      /* calls made before the next one */
	size_t position;         /* in the log: what is lost later is not lost yet */
	size_t states;           /* until now, visited or not */
	size_t visited;
	uint64_t flip;           /* the bit to flip, or GOW_NOWHERE */
	size_t unreadable;       /* the pending call with a sector that cannot be read, or SIZE_MAX */
	struct rng rng;
};

static bool can_tear(const struct memfile_call *call)
{
	return sectors_of(call) > 1;
}

static void land(struct content *content, const struct memfile_call *call,
                 const struct fate *fate)
{
	const uint64_t sectors = sectors_of(call);
	struct rng rng = { fate->seed };

	if (!has_sectors(call)) {
		perform(content, call);
		return;
	}
	switch (fate->tear) {
	case SIZE_ALONE:
		content->size = gow_max(content->size, call->offset + call->size);
		break;
	case WHOLE:
		land_sectors(content, call, 0, sectors);
		break;
	case FRONT:
		land_sectors(content, call, 0, sectors / 2);
		break;
	case BACK:
		land_sectors(content, call, sectors / 2, sectors);
		break;
	case MIX:
		/* Runs of some length, so that a long range costs no more than a short one. */
		for (uint64_t at = 0, step = sectors / 128 + 1; at < sectors; at += step)
			if (rng_chance(&rng, 50))
				land_sectors(content, call, at, gow_min(at + step, sectors));
		break;
	}
}

static struct memfile *file_in(struct memdisk *state, const struct walk *walk,
                               const struct memfile *file)
{
	for (size_t i = 0; i < walk->disk->file_count; i++)
		if (walk->disk->files[i] == file)
			return state->files[i];
	CHECK_FAIL("a call to a file of another disk");
}

static struct content *content_in(struct memdisk *state, const struct walk *walk,
                                  const struct memfile *file)
{
	return &file_in(state, walk, file)->content;
}

/* One call becomes part of a state. */
static void land_in(struct memdisk *state, const struct walk *walk,
                    const struct memfile_call *call, const struct fate *fate)
{
	if (call->kind == MEMFILE_CREATE || call->kind == MEMFILE_RENAME ||
	    call->kind == MEMFILE_REMOVE)
		perform_name(state, call);
	else if (call->lost_by && call->lost_by <= walk->position)
		land_kept(content_in(state, walk, call->file), call);
	else
		land(content_in(state, walk, call->file), call, fate);
}

static void tell_story(const struct walk *walk, size_t calls, char *story, size_t size)
{
	size_t at = (size_t)snprintf(story, size, "after call %zu,%s%s landed of %zu unsynced:",
	                             calls, walk->flip == GOW_NOWHERE ? "" : " a bit flipped,",
	                             walk->unreadable == SIZE_MAX ? "" : " a sector unreadable,",
	                             walk->count);

	for (size_t i = 0; i < walk->count && at < size; i++)
		if (walk->fates[i].landed)
			at += (size_t)snprintf(story + at, size - at, " %zu%s",
			                       walk->pending[i] + 1,
			                       walk->fates[i].tear == WHOLE ? "" : "(torn)");
}

/* Of the write that was interrupted, a sector of which nothing is known. */
static void spoil_sector(struct walk *walk, struct memfile_crash *crash)
{
	const struct memfile_call *call = &walk->disk->log[walk->pending[walk->unreadable]];
	const uint64_t sector = call->offset / SECTOR + sectors_of(call) / 2;

	crash->unreadable = file_in(crash->disk, walk, call->file);
	crash->unreadable_offset = sector * SECTOR;
	memfile_break(crash->unreadable, sector * SECTOR, SECTOR);
}

static void spoil_bit(const struct walk *walk, struct memfile_crash *crash)
{
	crash->flipped = true;
	crash->flipped_bit = walk->flip;
	memfile_flip(memdisk_file(crash->disk, walk->plan->flip_file), walk->flip);
}

/* Makes the state that the fates say and shows it. */
static int show_state(struct walk *walk)
{
	char story[512];
	struct memfile_crash crash = { .calls = walk->moment, .calls_latest = walk->next_moment,
		                       .story = story };
	int result;

	crash.disk = memdisk_clone(walk->durable);
	for (size_t i = 0; i < walk->count; i++) {
		const struct memfile_call *call = &walk->disk->log[walk->pending[i]];

		if (!walk->fates[i].landed)
			continue;
		land_in(crash.disk, walk, call, &walk->fates[i]);
		crash.calls = (size_t)gow_max(crash.calls, walk->pending[i] + 1);
	}
	if (walk->unreadable != SIZE_MAX)
		spoil_sector(walk, &crash);
	if (walk->flip != GOW_NOWHERE)
		spoil_bit(walk, &crash);
	tell_story(walk, crash.calls, story, sizeof story);
	walk->visited++;
	result = walk->visit(walk->context, &crash);
	memdisk_free(crash.disk);
	return result;
}

/* Shows the state, and what else may have become of it. */
static int show(struct walk *walk)
{
	const struct memfile_crash_plan *plan = walk->plan;
	int result;

	if (plan->each && !plan->ignore_sync && walk->states++ % plan->each)
		return 0;
	result = show_state(walk);
	for (unsigned i = 0; i < plan->flips && !result; i++) {
		walk->flip = 8 * plan->flip_first +
		             rng_next(&walk->rng) % (8 * (plan->flip_end - plan->flip_first));
		result = show_state(walk);
	}
	walk->flip = GOW_NOWHERE;
	return result;
}

static void set_fates(struct walk *walk, size_t first, size_t end, bool landed)
{
	for (size_t i = first; i < end; i++)
		walk->fates[i] = (struct fate){ landed, WHOLE, 0 };
}

/* Whether a pending call is a write that makes its file longer. */
static bool grows(const struct walk *walk, size_t i)
{
	const struct memfile_call *call = &walk->disk->log[walk->pending[i]];

	return call->kind == MEMFILE_WRITE &&
	       call->offset + call->size > content_in(walk->durable, walk, call->file)->size;
}

/* Shows the subset that stands in the fates, whole, and torn at random. */
static int show_subset(struct walk *walk)
{
	int result = show(walk);

	for (unsigned variant = 0; variant < walk->plan->torn && !result; variant++) {
		bool torn = false;

		for (size_t i = 0; i < walk->count; i++) {
			struct fate *fate = &walk->fates[i];

			fate->tear = WHOLE;
			if (!fate->landed || (!can_tear(&walk->disk->log[walk->pending[i]]) && !grows(walk, i)) ||
			    rng_chance(&walk->rng, 30))
				continue;
			fate->tear = (enum tear)(FRONT + rng_below(&walk->rng, grows(walk, i) ? 4 : 3));
			fate->seed = rng_next(&walk->rng);
			torn = true;
		}
		if (torn)
			result = show(walk);
	}
	return result;
}

static int show_all_subsets(struct walk *walk)
{
	int result = 0;

	for (uint32_t subset = 0; subset < UINT32_C(1) << walk->count && !result; subset++) {
		for (size_t i = 0; i < walk->count; i++)
			walk->fates[i] = (struct fate){ subset >> i & 1, WHOLE, 0 };
		result = show_subset(walk);
	}
	return result;
}

static int show_some_subsets(struct walk *walk)
{
	int result = 0;

	for (size_t i = 0; i <= walk->count && !result; i++) { /* in order, so many of them */
		set_fates(walk, 0, i, true);
		set_fates(walk, i, walk->count, false);
		result = show_subset(walk);
	}
	for (size_t i = 0; i < walk->count && !result; i++) {
		for (int only = 0; only < 2 && !result; only++) {
			set_fates(walk, 0, walk->count, !only);
			walk->fates[i].landed = only;
			result = show_subset(walk);
		}
	}
	for (unsigned n = 0; n < walk->plan->random && !result; n++) {
		size_t end = rng_below(&walk->rng, (uint32_t)walk->count) + 1;

		set_fates(walk, 0, walk->count, false);
		for (size_t i = 0; i < end; i++)
			walk->fates[i].landed = rng_chance(&walk->rng, 50);
		result = show_subset(walk);
	}
	return result;
}

/* Call i as the interrupted one: as the last one, and among all. */
static int show_single(struct walk *walk, size_t i, enum tear tear)
{
	int result = 0;

	for (int among = 0; among < 2 && !result; among++) {
		set_fates(walk, 0, i + 1, true);
		set_fates(walk, i + 1, walk->count, among);
		walk->fates[i].tear = tear;
		result = show(walk);
	}
	return result;
}

/* Every single write torn, without its data, and with a sector that cannot be read. */
static int show_single_tears(struct walk *walk)
{
	int result = 0;

	for (size_t i = 0; i < walk->count && !result; i++) {
		const struct memfile_call *call = &walk->disk->log[walk->pending[i]];

		for (enum tear tear = FRONT; tear <= BACK && !result && can_tear(call); tear++)
			result = show_single(walk, i, tear);
		if (!result && grows(walk, i))
			result = show_single(walk, i, SIZE_ALONE);
		if (result || !walk->plan->unreadable || !has_sectors(call))
			continue;
		walk->unreadable = i;
		result = show_single(walk, i, FRONT);
		walk->unreadable = SIZE_MAX;
	}
	return result;
}

static int show_states(struct walk *walk)
{
	int result = walk->count <= walk->plan->all_subsets ? show_all_subsets(walk)
	                                                    : show_some_subsets(walk);

	return result ? result : show_single_tears(walk);
}

/* A sync is over: what it covers stays. */
static void settle(struct walk *walk, const struct memfile *file)
{
	static const struct fate landed = { true, WHOLE, 0 };
	size_t kept = 0;

	for (size_t i = 0; i < walk->count; i++) {
		const struct memfile_call *call = &walk->disk->log[walk->pending[i]];

		if (call->file == file)
			land_in(walk->durable, walk, call, &landed);
		else
			walk->pending[kept++] = walk->pending[i];
	}
	walk->count = kept;
}

/* A sync failed: what it lost for good is not pending any more. */
static void forget_lost(struct walk *walk)
{
	size_t kept = 0;

	for (size_t i = 0; i < walk->count; i++) {
		const struct memfile_call *call = &walk->disk->log[walk->pending[i]];

		if (!call->lost_by || call->lost_by > walk->position || call->kept_size ||
		    call->kept_first != call->kept_end)
			walk->pending[kept++] = walk->pending[i];
	}
	walk->count = kept;
}

static bool changes_content(const struct memfile_call *call)
{
	switch (call->kind) {
	case MEMFILE_WRITE:
		return call->size != 0;
	case MEMFILE_TRUNCATE:
	case MEMFILE_ZERO:
	case MEMFILE_PUNCH:
	case MEMFILE_ALLOCATE:
	case MEMFILE_CREATE:
	case MEMFILE_RENAME:
	case MEMFILE_REMOVE:
		return !call->failed;
	default:
		return false;
	}
}

/* Whether a failed sync lost anything. */
static bool loses(const struct memdisk *disk, size_t sync)
{
	for (size_t i = 0; i < sync; i++)
		if (disk->log[i].lost_by == sync + 1)
			return true;
	return false;
}

int memdisk_each_crash(const struct memdisk *disk, const struct memfile_crash_plan *plan,
                       memfile_crash_visitor visit, void *context)
{
	struct walk walk = { .disk = disk, .plan = plan, .visit = visit, .context = context,
		             .flip = GOW_NOWHERE, .unreadable = SIZE_MAX };
	size_t syncs = 0;
	int result = 0;

	if (plan->all_subsets > 16)
		CHECK_FAIL("all subsets of more than 16 calls are too many");
	walk.rng.state = plan->seed;
	walk.durable = clone_of(disk, true);
	walk.pending = check_alloc((disk->log_count + 1) * sizeof *walk.pending);
	walk.fates = check_alloc((disk->log_count + 1) * sizeof *walk.fates);
	/* States before a sync contain all that were possible since the sync before it: a crash
	 * after fewer calls is a subset without the later ones. */
	for (size_t i = 0; i < disk->log_count && !result; i++) {
		const struct memfile_call *call = &disk->log[i];

		if (changes_content(call))
			walk.pending[walk.count++] = i;
		if (call->kind != MEMFILE_SYNC || (call->failed && !loses(disk, i)))
			continue;
		walk.next_moment = i;
		result = show_states(&walk);
		walk.position = i + 1;
		if (call->failed) {
			forget_lost(&walk);
			continue;
		}
		walk.moment = i + 1;
		if (++syncs != plan->ignore_sync)
			settle(&walk, call->file);
	}
	walk.next_moment = disk->log_count;
	if (!result)
		result = show_states(&walk);
	check_explored(walk.visited);
	memdisk_free(walk.durable);
	free(walk.pending);
	free(walk.fates);
	return result;
}

size_t memdisk_syncs(const struct memdisk *disk)
{
	size_t syncs = 0;

	for (size_t i = 0; i < disk->log_count; i++)
		syncs += disk->log[i].kind == MEMFILE_SYNC && !disk->log[i].failed;
	return syncs;
}
