/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/undo.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/error.h"
#include "io/draft.h"
#include "io/overlay.h"

/*
 * The format, which gow-undo(5) tells. All of it is in sectors, so that what is written later
 * (done, undone) shares none with what was written before.
 */
enum {
	SECTOR = 512,
	SEAL = SECTOR - 8, /* where the checksum of a sector stands, over what is before it */
	FORMAT = 1,
	RECORD = 32,       /* bytes of a record before the old bytes */
	RECORD_SEALED = 24,
	RECORD_MAX = GOW_BLOCK_SIZE,
	WHAT_AT = 72,
	BUFFER = 2 * GOW_BLOCK_SIZE,
};

enum { RECORD_MARK = 1 }; /* goes back last */

static const uint8_t head_magic[8] = { 'G', 'O', 'W', '-', 'U', 'N', 'D', 'O' };
static const uint8_t end_magic[8] = { 'G', 'O', 'W', '-', 'E', 'N', 'D', '.' };
static const uint8_t done_magic[8] = { 'G', 'O', 'W', '-', 'D', 'O', 'N', 'E' };
static const uint8_t back_magic[8] = { 'G', 'O', 'W', '-', 'B', 'A', 'C', 'K' };
static const uint8_t link_magic[8] = { 'G', 'O', 'W', '-', 'L', 'I', 'N', 'K' };

struct record {
	uint64_t offset;
	uint32_t length;
	uint32_t flags;
	uint64_t after; /* XXH3-64 of what the change made of the bytes */
	const uint8_t *old;
};

static uint64_t get(const uint8_t *at, unsigned width)
{
	return gow_load(at, width, GOW_LITTLE_ENDIAN);
}

static void put(uint8_t *at, unsigned width, uint64_t value)
{
	gow_store(at, width, GOW_LITTLE_ENDIAN, value);
}

static void seal(uint8_t sector[SECTOR])
{
	put(sector + SEAL, 8, XXH3_64bits(sector, SEAL));
}

static bool is_sealed(const uint8_t sector[SECTOR], const uint8_t magic[8])
{
	return memcmp(sector, magic, 8) == 0 && get(sector + SEAL, 8) == XXH3_64bits(sector, SEAL);
}

/* How much of the image before the change its digest is over. */
static uint64_t header_length(const struct gow_undo *undo)
{
	return gow_min(undo->old_size, gow_layout_header_end(undo->layout));
}

static uint64_t end_at(const struct gow_undo *undo)
{
	return gow_round_up(SECTOR + undo->records_size, SECTOR);
}

static uint64_t done_at(const struct gow_undo *undo)
{
	return end_at(undo) + SECTOR;
}

static uint64_t back_at(const struct gow_undo *undo)
{
	return done_at(undo) + SECTOR;
}

static uint64_t file_end(const struct gow_undo *undo)
{
	return back_at(undo) + SECTOR;
}

/* ---- digests ----------------------------------------------------------------------------- */

/* XXH3-128, canonical, of the bytes [start, end) of a file. */
static int digest_range(struct gow_file *file, uint64_t start, uint64_t end,
                        uint8_t digest[GOW_UNDO_DIGEST], gow_error *error)
{
	XXH3_state_t *state = XXH3_createState();
	uint8_t *buffer = malloc(BUFFER);
	XXH128_canonical_t canonical;
	int code = GOW_OK;

	if (!state || !buffer || XXH3_128bits_reset(state) != XXH_OK)
		code = gow_fail_memory(error, BUFFER);
	while (!code && start < end) {
		size_t part = (size_t)gow_min(end - start, BUFFER);

		code = gow_file_read_all(file, start, buffer, part, error);
		if (!code)
			(void)XXH3_128bits_update(state, buffer, part);
		start += part;
	}
	if (!code) {
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
		memcpy(digest, canonical.digest, GOW_UNDO_DIGEST);
	}
	free(buffer);
	(void)XXH3_freeState(state);
	return code;
}

/* ---- what a change does ------------------------------------------------------------------ */

void gow_marks_of(const struct gow_layout *layout, struct gow_mark marks[GOW_MARKS])
{
	marks[0] = (struct gow_mark){ layout->magic_offset, GOW_MAGIC_SIZE };
	marks[1] = (struct gow_mark){ layout->version_field.offset, layout->version_field.width };
}

/* Collects pieces into ranges. */
struct ranges {
	const struct gow_layout *layout;
	uint64_t end;
	gow_range_visitor visit;
	void *context;
	uint64_t start, past; /* what has been collected, [start, past) */
};

static int flush_range(struct ranges *ranges, gow_error *error)
{
	int code = GOW_OK;

	if (ranges->past > ranges->start)
		code = ranges->visit(ranges->context, ranges->start,
		                     (uint32_t)(ranges->past - ranges->start), error);
	ranges->start = ranges->past;
	return code;
}

static int add_range(struct ranges *ranges, uint64_t start, uint64_t past, gow_error *error)
{
	int code = GOW_OK;

	if (start >= past)
		return GOW_OK;
	if (start != ranges->past) {
		code = flush_range(ranges, error);
		ranges->start = ranges->past = start;
	}
	while (!code && ranges->past < past) {
		uint64_t room = RECORD_MAX - (ranges->past - ranges->start);

		ranges->past += gow_min(room, past - ranges->past);
		if (ranges->past - ranges->start == RECORD_MAX)
			code = flush_range(ranges, error);
	}
	return code;
}

static int add_piece(void *context, const struct gow_piece *piece, gow_error *error)
{
	struct ranges *ranges = context;
	uint64_t start = piece->offset;
	uint64_t past = gow_min(piece->offset + piece->length, ranges->end);
	struct gow_mark marks[GOW_MARKS];
	int code = GOW_OK;

	if (piece->kind == GOW_PIECE_COPY)
		return GOW_OK;
	gow_marks_of(ranges->layout, marks);
	if (marks[1].offset < marks[0].offset) {
		struct gow_mark first = marks[1];

		marks[1] = marks[0];
		marks[0] = first;
	}
	for (size_t i = 0; i < GOW_MARKS && !code; i++) {
		uint64_t mark_past = marks[i].offset + marks[i].length;

		if (start >= mark_past || past <= marks[i].offset)
			continue;
		code = add_range(ranges, start, gow_min(past, marks[i].offset), error);
		start = gow_max(start, mark_past);
	}
	return code ? code : add_range(ranges, start, past, error);
}

int gow_change_each(struct gow_file *overlay, const struct gow_layout *layout, uint64_t end,
                    gow_range_visitor visit, void *context, gow_error *error)
{
	struct ranges ranges = { .layout = layout, .end = end, .visit = visit, .context = context };
	int code = gow_overlay_each(overlay, add_piece, &ranges, error);

	return code ? code : flush_range(&ranges, error);
}

/* ---- writing ----------------------------------------------------------------------------- */

/* Appends to the undo file, by way of a buffer, and digests what goes by. */
struct writer {
	struct gow_undo *undo;
	struct gow_file *image;
	struct gow_file *overlay;
	uint8_t *buffer;
	size_t used;
	uint64_t at;
	uint8_t old[RECORD_MAX], new[RECORD_MAX];
};

static int drain(struct writer *writer, gow_error *error)
{
	int code = gow_file_write(writer->undo->file, writer->at, writer->buffer, writer->used,
	                          error);

	writer->at += writer->used;
	writer->used = 0;
	return code;
}

static int append(struct writer *writer, const uint8_t *bytes, size_t size, gow_error *error)
{
	int code = GOW_OK;

	while (!code && size) {
		size_t part = (size_t)gow_min(size, BUFFER - writer->used);

		memcpy(writer->buffer + writer->used, bytes, part);
		writer->used += part;
		bytes += part;
		size -= part;
		if (writer->used == BUFFER)
			code = drain(writer, error);
	}
	return code;
}

static int append_record(struct writer *writer, uint64_t offset, uint32_t length, uint32_t flags,
                         gow_error *error)
{
	uint8_t head[RECORD];
	XXH3_state_t *state;
	int code = gow_file_read_all(writer->image, offset, writer->old, length, error);

	if (!code)
		code = gow_file_read_all(writer->overlay, offset, writer->new, length, error);
	if (code)
		return code;
	state = XXH3_createState();
	if (!state)
		return gow_fail_memory(error, BUFFER);
	put(head, 8, offset);
	put(head + 8, 4, length);
	put(head + 12, 4, flags);
	put(head + 16, 8, XXH3_64bits(writer->new, length));
	(void)XXH3_64bits_reset(state);
	(void)XXH3_64bits_update(state, head, RECORD_SEALED);
	(void)XXH3_64bits_update(state, writer->old, length);
	put(head + RECORD_SEALED, 8, XXH3_64bits_digest(state));
	(void)XXH3_freeState(state);
	code = append(writer, head, sizeof head, error);
	return code ? code : append(writer, writer->old, length, error);
}

static int append_range(void *context, uint64_t offset, uint32_t length, gow_error *error)
{
	return append_record(context, offset, length, 0, error);
}

static int count_range(void *context, uint64_t offset, uint32_t length, gow_error *error)
{
	struct gow_undo *undo = context;

	(void)offset;
	(void)error;
	undo->records++;
	undo->records_size += RECORD + (uint64_t)length;
	return GOW_OK;
}

/* How many records there will be, and how long. */
static int count_records(struct gow_undo *undo, struct gow_file *overlay, gow_error *error)
{
	struct gow_mark marks[GOW_MARKS];

	gow_marks_of(undo->layout, marks);
	undo->records = undo->records_size = 0;
	for (size_t i = 0; i < GOW_MARKS; i++)
		(void)count_range(undo, marks[i].offset, marks[i].length, error);
	return gow_change_each(overlay, undo->layout, undo->old_size, count_range, undo, error);
}

static void fill_head(const struct gow_undo *undo, uint8_t sector[SECTOR])
{
	memset(sector, 0, SECTOR);
	memcpy(sector, head_magic, 8);
	put(sector + 8, 4, FORMAT);
	put(sector + 12, 4, undo->layout->version);
	put(sector + 16, 8, undo->old_size);
	put(sector + 24, 8, undo->new_size);
	put(sector + 32, 8, undo->records);
	put(sector + 40, 8, undo->records_size);
	put(sector + 48, 8, undo->header_length);
	memcpy(sector + 56, undo->header_digest, GOW_UNDO_DIGEST);
	memcpy(sector + WHAT_AT, undo->what, GOW_UNDO_WHAT);
	seal(sector);
}

static int write_records(struct writer *writer, gow_error *error)
{
	struct gow_undo *undo = writer->undo;
	static const uint8_t zeros[SECTOR];
	struct gow_mark marks[GOW_MARKS];
	uint8_t head[SECTOR];
	int code;

	fill_head(undo, head);
	gow_marks_of(undo->layout, marks);
	code = append(writer, head, sizeof head, error);
	for (size_t i = 0; i < GOW_MARKS && !code; i++)
		code = append_record(writer, marks[i].offset, marks[i].length, RECORD_MARK, error);
	if (!code)
		code = gow_change_each(writer->overlay, undo->layout, undo->old_size, append_range,
		                       writer, error);
	if (!code)
		code = append(writer, zeros, (size_t)(end_at(undo) - SECTOR - undo->records_size),
		              error);
	return code ? code : drain(writer, error);
}

/* The committed end, and room for the marks that come later. */
static int write_end(struct gow_undo *undo, gow_error *error)
{
	uint8_t sectors[3 * SECTOR] = { 0 };
	int code = digest_range(undo->file, 0, end_at(undo), undo->end_digest, error);

	if (code)
		return code;
	memcpy(sectors, end_magic, 8);
	memcpy(sectors + 8, undo->end_digest, GOW_UNDO_DIGEST);
	seal(sectors);
	return gow_file_write(undo->file, end_at(undo), sectors, sizeof sectors, error);
}

static int measure(struct gow_undo *undo, struct gow_file *image, struct gow_file *overlay,
                   gow_error *error)
{
	int code = gow_file_size(image, &undo->old_size, error);

	if (!code)
		code = gow_file_size(overlay, &undo->new_size, error);
	undo->header_length = header_length(undo);
	return code ? code : count_records(undo, overlay, error);
}

int gow_undo_size(struct gow_file *image, struct gow_file *overlay,
                  const struct gow_layout *layout, uint64_t *size, gow_error *error)
{
	struct gow_undo undo = { .layout = layout };
	int code = measure(&undo, image, overlay, error);

	*size = file_end(&undo);
	return code;
}

/* Writes the whole file, and syncs it. */
static int fill(struct gow_undo *undo, struct gow_file *image, struct gow_file *overlay,
                gow_error *error)
{
	struct writer *writer = calloc(1, sizeof *writer);
	int code = measure(undo, image, overlay, error);

	if (writer)
		writer->buffer = malloc(BUFFER);
	if (!code && (!writer || !writer->buffer))
		code = gow_fail_memory(error, BUFFER);
	if (!code)
		code = digest_range(image, 0, undo->header_length, undo->header_digest, error);
	if (!code) {
		writer->undo = undo;
		writer->image = image;
		writer->overlay = overlay;
		code = write_records(writer, error);
	}
	if (!code)
		code = write_end(undo, error);
	if (!code)
		code = gow_file_sync(undo->file, error);
	if (writer)
		free(writer->buffer);
	free(writer);
	return code;
}

/* ---- names ------------------------------------------------------------------------------- */

static const char suffix[] = ".gow-undo";
static const char unfinished[] = ".new";
static const char unfinished_elsewhere[] = ".gow-undo.new"; /* there are the user's files, too */

char *gow_undo_name(const struct gow_undo_place *place, uint32_t layer)
{
	char *name;
	int size = layer == 1 ? asprintf(&name, "%s%s", place->image, suffix)
	                      : asprintf(&name, "%s%s.%" PRIu32, place->image, suffix, layer);

	return size < 0 ? NULL : name;
}

enum { LAYER_MAX = INT32_MAX };

struct layer_list {
	const struct gow_undo_place *place;
	uint32_t *layers;
	size_t count;
};

/* The layer that a name stands for; 0: none. */
static uint32_t layer_of(const struct gow_undo_place *place, const char *name)
{
	size_t length = strlen(place->image);
	uint64_t layer = 0;

	if (strncmp(name, place->image, length) != 0 ||
	    strncmp(name + length, suffix, sizeof suffix - 1) != 0)
		return 0;
	name += length + sizeof suffix - 1;
	if (!*name)
		return 1;
	if (*name++ != '.' || *name < '1' || *name > '9')
		return 0;
	for (; *name >= '0' && *name <= '9' && layer <= LAYER_MAX; name++)
		layer = layer * 10 + (uint64_t)(*name - '0');
	return *name || layer < 2 || layer > LAYER_MAX ? 0 : (uint32_t)layer;
}

static int add_layer(void *context, const char *name, gow_error *error)
{
	struct layer_list *list = context;
	uint32_t layer = layer_of(list->place, name);
	uint32_t *grown;

	if (!layer)
		return GOW_OK;
	grown = realloc(list->layers, (list->count + 1) * sizeof *grown);
	if (!grown)
		return gow_fail_memory(error, (list->count + 1) * sizeof *grown);
	list->layers = grown;
	grown[list->count++] = layer;
	return GOW_OK;
}

static int newest_first(const void *a, const void *b)
{
	uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;

	return (first < second) - (first > second);
}

int gow_undo_layers(const struct gow_undo_place *place, uint32_t **layers, size_t *count,
                    gow_error *error)
{
	struct layer_list list = { .place = place };
	int code = gow_folder_each(place->folder, add_layer, &list, error);

	if (code) {
		free(list.layers);
		return code;
	}
	if (list.count)
		qsort(list.layers, list.count, sizeof *list.layers, newest_first);
	*layers = list.layers;
	*count = list.count;
	return GOW_OK;
}

/* ---- making a name ----------------------------------------------------------------------- */

typedef int (*filler)(void *context, struct gow_file *file, gow_error *error);

static int refuse_taken(struct gow_folder *folder, const char *name, gow_error *error)
{
	struct gow_file *taken = NULL;
	int code = gow_folder_open_file(folder, name, 0, &taken, error);

	if (!code && taken)
		code = gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_EXISTS,
		                                 "exists already; an undo file is never replaced"),
		                        taken->name);
	(void)gow_file_close(taken, NULL);
	return code;
}

/* Makes a file that stands under its name only when it is whole and durable; *file is open then.
 * It has an ending meanwhile; what a crash left of an earlier attempt makes way. */
static int publish(struct gow_folder *folder, const char *name, const char *ending,
                   const struct gow_file *like, filler fill_file, void *context,
                   struct gow_file **file, gow_error *error)
{
	struct gow_file *made = NULL;
	char *meanwhile;
	int code;

	if (asprintf(&meanwhile, "%s%s", name, ending) < 0)
		return gow_fail_memory(error, strlen(name));
	code = refuse_taken(folder, name, error);
	if (!code)
		code = gow_folder_remove(folder, meanwhile, error);
	if (!code)
		code = gow_folder_open_file(folder, meanwhile, GOW_FOLDER_CREATE, &made, error);
	if (!code)
		code = gow_dress_like(made, like, error);
	if (!code)
		code = fill_file(context, made, error);
	if (!code)
		code = gow_folder_rename(folder, meanwhile, name, error);
	if (!code) {
		made->name[strlen(made->name) - strlen(ending)] = '\0';
		code = gow_folder_sync(folder, error);
		if (code) /* nothing has been changed by it: it must not be found later */
			(void)gow_folder_remove(folder, name, NULL);
	} else if (made) {
		(void)gow_folder_remove(folder, meanwhile, NULL);
	}
	free(meanwhile);
	if (code)
		(void)gow_file_close(made, NULL);
	else
		*file = made;
	return code;
}

struct filling {
	struct gow_undo *undo;
	struct gow_file *image;
	struct gow_file *overlay;
};

static int fill_undo(void *context, struct gow_file *file, gow_error *error)
{
	const struct filling *filling = context;
	int code;

	filling->undo->file = file;
	code = fill(filling->undo, filling->image, filling->overlay, error);
	filling->undo->file = NULL;
	return code;
}

static int fill_pointer(void *context, struct gow_file *file, gow_error *error)
{
	const char *path = context;
	uint32_t length = (uint32_t)strlen(path);
	uint8_t bytes[12 + PATH_MAX + 8];
	int code;

	memcpy(bytes, link_magic, 8);
	put(bytes + 8, 4, length);
	memcpy(bytes + 12, path, length); // NOLINT(bugprone-not-null-terminated-result): counted
	put(bytes + 12 + length, 8, XXH3_64bits(bytes, 12 + length));
	code = gow_file_write(file, 0, bytes, 12 + length + 8, error);
	return code ? code : gow_file_sync(file, error);
}

/* The absolute name of a file that is yet to be made in folder. */
static char *absolute(const struct gow_folder *folder, const char *name)
{
	char *real = realpath(folder->path, NULL);
	char *path = NULL;

	if (real && asprintf(&path, "%s/%s", real, name) < 0)
		path = NULL;
	free(real);
	return path;
}

/* A name that layers have, or are going to have: the pointer would stand in its way. */
static int refuse_beside(const struct gow_undo_place *place, const char *path, gow_error *error)
{
	char *image = absolute(place->folder, place->image);
	size_t length = image ? strlen(image) : 0;
	int code = image ? GOW_OK : gow_fail_memory(error, PATH_MAX);

	if (!code && strncmp(path, image, length) == 0 &&
	    strncmp(path + length, suffix, sizeof suffix - 1) == 0)
		code = gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_ARGUMENT,
		                                 "is a name for undo files beside the image; leave "
		                                 "--undo-file out"),
		                        path);
	free(image);
	return code;
}

/* Makes the undo file at path, away from the image, and the pointer to it. */
static int make_elsewhere(const struct gow_undo_place *place, const char *name, const char *path,
                          struct filling *filling, gow_error *error)
{
	struct gow_file *pointer = NULL;
	struct gow_undo *undo = filling->undo;
	struct gow_folder *folder;
	char *there;
	int code = gow_folder_reach(place->folder, path, &folder, &there, error);

	if (code)
		return code;
	undo->pointed = absolute(folder, there);
	if (!undo->pointed || strlen(undo->pointed) >= PATH_MAX)
		code = gow_fail_memory(error, PATH_MAX);
	if (!code)
		code = refuse_beside(place, undo->pointed, error);
	if (!code)
		code = publish(folder, there, unfinished_elsewhere, filling->image, fill_undo,
		               filling, &undo->file, error);
	if (!code) {
		code = publish(place->folder, name, unfinished, filling->image, fill_pointer,
		               undo->pointed, &pointer, error);
		if (code)
			(void)gow_folder_remove(folder, there, NULL);
	}
	(void)gow_file_close(pointer, NULL);
	gow_folder_close(folder);
	free(there);
	return code;
}

int gow_undo_make(const struct gow_undo_place *place, struct gow_file *image,
                  struct gow_file *overlay, const struct gow_layout *layout, const char *what,
                  const char *pointed, struct gow_undo **undo, gow_error *error)
{
	struct gow_undo *made = calloc(1, sizeof *made);
	struct filling filling = { made, image, overlay };
	uint32_t *layers = NULL;
	char *name = NULL;
	size_t count = 0;
	int code = made ? gow_undo_layers(place, &layers, &count, error)
	                : gow_fail_memory(error, sizeof *made);

	if (!code && count && layers[0] == LAYER_MAX)
		code = gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "there is no number left for another undo file");
	if (!code) {
		made->layer = count ? layers[0] + 1 : 1;
		made->layout = layout;
		(void)snprintf(made->what, sizeof made->what, "%s", what);
		name = gow_undo_name(place, made->layer);
		if (!name)
			code = gow_fail_memory(error, strlen(place->image));
	}
	if (!code && pointed)
		code = make_elsewhere(place, name, pointed, &filling, error);
	else if (!code)
		code = publish(place->folder, name, unfinished, image, fill_undo, &filling,
		               &made->file, error);
	free(layers);
	free(name);
	if (code)
		gow_undo_close(made);
	else
		*undo = made;
	return code;
}

/* ---- reading ----------------------------------------------------------------------------- */

static int bad(const struct gow_undo *undo, const char *what, uint64_t offset, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_MISMATCH, "is no undo file that can be used: %s", what);

	return gow_fail_in_file(error, gow_fail_at_offset(error, code, offset), undo->file->name);
}

typedef int (*record_visitor)(void *context, const struct record *record, gow_error *error);

struct reader {
	const struct gow_undo *undo;
	uint8_t *buffer; /* BUFFER bytes of the file, from buffer_at on */
	uint64_t buffer_at;
	size_t buffer_used;
};

/* Makes size bytes at offset, at most RECORD + RECORD_MAX, stand in the buffer. */
static int need(struct reader *reader, uint64_t offset, size_t size, const uint8_t **bytes,
                gow_error *error)
{
	if (offset < reader->buffer_at ||
	    offset + size > reader->buffer_at + reader->buffer_used) {
		int code = gow_file_read(reader->undo->file, offset, reader->buffer, BUFFER,
		                         &reader->buffer_used, error);

		if (code)
			return code;
		reader->buffer_at = offset;
		if (reader->buffer_used < size)
			return bad(reader->undo, "it ends too early", offset, error);
	}
	*bytes = reader->buffer + (offset - reader->buffer_at);
	return GOW_OK;
}

/* Where the record before ended; what it must not come before. */
struct order {
	uint64_t past;
	bool past_marks;
};

static bool is_over_a_mark(const struct gow_layout *layout, const struct record *record)
{
	struct gow_mark marks[GOW_MARKS];

	gow_marks_of(layout, marks);
	for (size_t i = 0; i < GOW_MARKS; i++)
		if (record->offset < marks[i].offset + marks[i].length &&
		    marks[i].offset < record->offset + record->length)
			return true;
	return false;
}

static const char *record_fault(const struct gow_undo *undo, const struct record *record,
                                struct order *order)
{
	if (record->flags > RECORD_MARK || !record->length || record->length > RECORD_MAX)
		return "a record makes no sense";
	if (record->offset > undo->old_size || record->length > undo->old_size - record->offset)
		return "a record lies outside the image";
	if (record->flags == RECORD_MARK)
		return order->past_marks ? "its records are out of order" : NULL;
	if (order->past_marks && record->offset < order->past)
		return "its records are out of order";
	if (is_over_a_mark(undo->layout, record))
		return "a record lies over the magic or the version";
	order->past_marks = true;
	order->past = record->offset + record->length;
	return NULL;
}

static int read_record(struct reader *reader, uint64_t at, uint64_t room, struct record *record,
                       gow_error *error)
{
	const uint8_t *bytes = NULL;
	XXH3_state_t *state;
	uint64_t sum;
	int code = room < RECORD ? bad(reader->undo, "its records do not fit", at, error)
	                         : need(reader, at, RECORD, &bytes, error);

	if (code)
		return code;
	record->offset = get(bytes, 8);
	record->length = (uint32_t)get(bytes + 8, 4);
	record->flags = (uint32_t)get(bytes + 12, 4);
	record->after = get(bytes + 16, 8);
	if (record->length > RECORD_MAX || record->length > room - RECORD)
		return bad(reader->undo, "a record is damaged", at, error);
	code = need(reader, at, RECORD + (size_t)record->length, &bytes, error);
	if (code)
		return code;
	state = XXH3_createState();
	if (!state)
		return gow_fail_memory(error, BUFFER);
	(void)XXH3_64bits_reset(state);
	(void)XXH3_64bits_update(state, bytes, RECORD_SEALED);
	(void)XXH3_64bits_update(state, bytes + RECORD, record->length);
	sum = XXH3_64bits_digest(state);
	(void)XXH3_freeState(state);
	if (sum != get(bytes + RECORD_SEALED, 8))
		return bad(reader->undo, "a record is damaged", at, error);
	record->old = bytes + RECORD;
	return GOW_OK;
}

static int each_record(const struct gow_undo *undo, record_visitor visit, void *context,
                       gow_error *error)
{
	struct reader reader = { .undo = undo, .buffer = malloc(BUFFER) };
	struct order order = { .past = 0 };
	uint64_t at = SECTOR;
	uint64_t past = SECTOR + undo->records_size;
	int code = reader.buffer ? GOW_OK : gow_fail_memory(error, BUFFER);

	for (uint64_t i = 0; i < undo->records && !code; i++) {
		struct record record;
		const char *fault;

		code = read_record(&reader, at, past - at, &record, error);
		if (code)
			break;
		fault = record_fault(undo, &record, &order);
		code = fault ? bad(undo, fault, at, error) : visit(context, &record, error);
		at += RECORD + record.length;
	}
	if (!code && at != past)
		code = bad(undo, "its records do not fill it", at, error);
	free(reader.buffer);
	return code;
}

/* The marks must be the layout's: whoever writes GOW! counts on their coming back. */
struct mark_check {
	struct gow_mark marks[GOW_MARKS];
	size_t found;
	bool wrong;
};

static int check_mark(void *context, const struct record *record, gow_error *error)
{
	struct mark_check *check = context;

	(void)error;
	if (record->flags != RECORD_MARK)
		return GOW_OK;
	if (check->found == GOW_MARKS || record->offset != check->marks[check->found].offset ||
	    record->length != check->marks[check->found].length)
		check->wrong = true;
	else
		check->found++;
	return GOW_OK;
}

static int check_records(const struct gow_undo *undo, gow_error *error)
{
	struct mark_check check = { .found = 0 };
	int code;

	gow_marks_of(undo->layout, check.marks);
	code = each_record(undo, check_mark, &check, error);
	if (!code && (check.wrong || check.found != GOW_MARKS))
		code = bad(undo, "it does not hold the magic and the version", SECTOR, error);
	return code;
}

/* What the old bytes take in memory, and reading them in time, must have a bound: no change that we
 * make exceeds it. */
static const uint64_t records_limit = UINT64_C(1) << 28;

static const char *take_head(const struct gow_undo_place *place, struct gow_undo *undo,
                             const uint8_t sector[SECTOR], uint64_t size)
{
	if (memcmp(sector, head_magic, 8) != 0)
		return "it does not begin like one";
	if (!is_sealed(sector, head_magic))
		return "its first sector is damaged";
	if (get(sector + 8, 4) != FORMAT)
		return "it is of a later format";
	undo->layout = gow_layout_among(place->rows, place->row_count, get(sector + 12, 4));
	if (!undo->layout)
		return "it is of an unknown version of images";
	undo->old_size = get(sector + 16, 8);
	undo->new_size = get(sector + 24, 8);
	undo->records = get(sector + 32, 8);
	undo->records_size = get(sector + 40, 8);
	undo->header_length = get(sector + 48, 8);
	memcpy(undo->header_digest, sector + 56, GOW_UNDO_DIGEST);
	memcpy(undo->what, sector + WHAT_AT, GOW_UNDO_WHAT);
	undo->what[GOW_UNDO_WHAT - 1] = '\0';
	for (char *at = undo->what; *at; at++)
		if (iscntrl((unsigned char)*at)) /* it is going to be printed */
			*at = '?';
	if (undo->records_size > size || file_end(undo) != size)
		return "it is torn: it has not the length that it says";
	if (undo->records_size > records_limit)
		return "it holds more than a repair ever overwrites";
	if (undo->old_size > INT64_MAX || undo->new_size < undo->old_size ||
	    undo->new_size > INT64_MAX || undo->header_length != header_length(undo))
		return "its first sector makes no sense";
	return NULL;
}

static bool is_blank(const uint8_t sector[SECTOR])
{
	for (size_t i = 0; i < SECTOR; i++)
		if (sector[i])
			return false;
	return true;
}

/* What was written after the rest. While the image is pending, writing it may have failed half
 * way, and that must not keep anybody from taking the change back. */
static void take_marks(struct gow_undo *undo, const uint8_t done[SECTOR],
                       const uint8_t back[SECTOR])
{
	undo->done = is_sealed(done, done_magic) &&
	             memcmp(done + 8, undo->end_digest, GOW_UNDO_DIGEST) == 0;
	undo->undone = is_sealed(back, back_magic) &&
	               memcmp(back + 8, undo->end_digest, GOW_UNDO_DIGEST) == 0;
	memcpy(undo->tail_digest, done + 8 + GOW_UNDO_DIGEST, GOW_UNDO_DIGEST);
	undo->spoilt = (!undo->done && !is_blank(done)) || (!undo->undone && !is_blank(back));
}

static int check_end(struct gow_undo *undo, gow_error *error)
{
	uint8_t sectors[3 * SECTOR];
	const char *fault = NULL;
	int code = gow_file_read_all(undo->file, end_at(undo), sectors, sizeof sectors, error);

	if (!code)
		code = digest_range(undo->file, 0, end_at(undo), undo->end_digest, error);
	if (code)
		return code;
	if (!is_sealed(sectors, end_magic))
		fault = "it was not written to its end";
	else if (memcmp(sectors + 8, undo->end_digest, GOW_UNDO_DIGEST) != 0)
		fault = "it is damaged";
	take_marks(undo, sectors + SECTOR, sectors + 2 * (size_t)SECTOR);
	return fault ? bad(undo, fault, end_at(undo), error) : GOW_OK;
}

/* Reads and verifies everything. */
static int verify(const struct gow_undo_place *place, struct gow_undo *undo, gow_error *error)
{
	uint8_t sector[SECTOR];
	const char *fault;
	uint64_t size = 0;
	size_t got;
	int code = gow_file_size(undo->file, &size, error);

	if (!code)
		code = gow_file_read(undo->file, 0, sector, sizeof sector, &got, error);
	if (code)
		return code;
	if (got < sizeof sector)
		return bad(undo, "it is torn: it ends in its first sector", got, error);
	fault = take_head(place, undo, sector, size);
	if (fault)
		return bad(undo, fault, 0, error);
	code = check_end(undo, error);
	return code ? code : check_records(undo, error);
}

/* If file is a pointer, *path is where it leads, allocated. */
static int read_pointer(const struct gow_undo *undo, char **path, gow_error *error)
{
	uint8_t bytes[12 + PATH_MAX + 8];
	uint64_t length;
	size_t got;
	int code = gow_file_read(undo->file, 0, bytes, sizeof bytes, &got, error);

	*path = NULL;
	if (code || got < 12 || memcmp(bytes, link_magic, 8) != 0)
		return code;
	length = get(bytes + 8, 4);
	if (length >= PATH_MAX || got != 12 + length + 8 || bytes[12] != '/' ||
	    memchr(bytes + 12, '\0', (size_t)length) ||
	    get(bytes + 12 + length, 8) != XXH3_64bits(bytes, 12 + (size_t)length))
		return bad(undo, "the pointer to it is damaged", 0, error);
	*path = strndup((const char *)bytes + 12, (size_t)length);
	return *path ? GOW_OK : gow_fail_memory(error, (size_t)length);
}

/* Goes where the pointer leads. */
static int follow_pointer(const struct gow_undo_place *place, struct gow_undo *undo, bool write,
                          gow_error *error)
{
	struct gow_file *there = NULL;
	struct gow_folder *folder;
	char *name;
	int code = gow_folder_reach(place->folder, undo->pointed, &folder, &name, error);

	if (!code) {
		code = gow_folder_open_file(folder, name, write ? GOW_FOLDER_WRITE : 0, &there,
		                            error);
		gow_folder_close(folder);
		free(name);
	}
	if (!code && there) {
		(void)gow_file_close(undo->file, NULL);
		undo->file = there;
		return GOW_OK;
	}
	if (!code)
		code = gow_fail_errno(error, ENOENT,
		                      "leads to an undo file that must be brought back, %s",
		                      undo->pointed);
	return gow_fail_in_file(error, code, undo->file->name);
}

static int no_layer(const struct gow_undo_place *place, const char *name, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_MISMATCH, "is gone");
	char *full;

	if (asprintf(&full, "%s/%s", place->folder->path, name) < 0)
		return gow_fail_memory(error, strlen(name));
	code = gow_fail_in_file(error, code, full);
	free(full);
	return code;
}

int gow_undo_open(const struct gow_undo_place *place, uint32_t layer, bool write,
                  struct gow_undo **undo, gow_error *error)
{
	struct gow_undo *made = calloc(1, sizeof *made);
	char *name = gow_undo_name(place, layer);
	int code;

	if (!made || !name)
		code = gow_fail_memory(error, sizeof *made);
	else
		code = gow_folder_open_file(place->folder, name, write ? GOW_FOLDER_WRITE : 0,
		                            &made->file, error);
	if (!code && !made->file)
		code = no_layer(place, name, error);
	if (!code) {
		made->layer = layer;
		code = read_pointer(made, &made->pointed, error);
	}
	if (!code && made->pointed)
		code = follow_pointer(place, made, write, error);
	if (!code)
		code = verify(place, made, error);
	free(name);
	if (code)
		gow_undo_close(made);
	else
		*undo = made;
	return code;
}

void gow_undo_close(struct gow_undo *undo)
{
	if (!undo)
		return;
	(void)gow_file_close(undo->file, NULL);
	free(undo->pointed);
	free(undo);
}

/* The pointer goes first: one that leads nowhere would stand in the way. */
int gow_undo_remove(const struct gow_undo_place *place, const struct gow_undo *undo,
                    gow_error *error)
{
	char *name = gow_undo_name(place, undo->layer);
	struct gow_folder *folder;
	char *there;
	int code = name ? gow_folder_remove(place->folder, name, error)
	                : gow_fail_memory(error, strlen(place->image));

	free(name);
	if (!code)
		code = gow_folder_sync(place->folder, error);
	if (code || !undo->pointed)
		return code;
	code = gow_folder_reach(place->folder, undo->pointed, &folder, &there, error);
	if (code)
		return code;
	code = gow_folder_remove(folder, there, error);
	if (!code)
		code = gow_folder_sync(folder, error);
	gow_folder_close(folder);
	free(there);
	return code;
}

/* ---- marks that come later --------------------------------------------------------------- */

static int write_mark(const struct gow_undo *undo, uint64_t at, const uint8_t magic[8],
                      gow_error *error)
{
	uint8_t sector[SECTOR] = { 0 };
	int code;

	memcpy(sector, magic, 8);
	memcpy(sector + 8, undo->end_digest, GOW_UNDO_DIGEST);
	memcpy(sector + 8 + GOW_UNDO_DIGEST, undo->tail_digest, GOW_UNDO_DIGEST);
	seal(sector);
	code = gow_file_write(undo->file, at, sector, sizeof sector, error);
	return code ? code : gow_file_sync(undo->file, error);
}

int gow_undo_mark_done(struct gow_undo *undo, struct gow_file *image, gow_error *error)
{
	int code = digest_range(image, undo->old_size, undo->new_size, undo->tail_digest, error);

	if (!code)
		code = write_mark(undo, done_at(undo), done_magic, error);
	undo->done = !code;
	return code;
}

int gow_undo_mark_undone(struct gow_undo *undo, gow_error *error)
{
	int code = write_mark(undo, back_at(undo), back_magic, error);

	undo->undone = !code;
	return code;
}

/* ---- judging and applying ---------------------------------------------------------------- */

static int lay_record(void *context, const struct record *record, gow_error *error)
{
	return gow_file_write(context, record->offset, record->old, record->length, error);
}

int gow_undo_lay(const struct gow_undo *undo, struct gow_file *overlay, gow_error *error)
{
	int code = each_record(undo, lay_record, overlay, error);

	return code ? code : gow_file_truncate(overlay, undo->old_size, error);
}

int gow_undo_restores(const struct gow_undo *undo, struct gow_file *image, bool *restores,
                      gow_error *error)
{
	uint8_t digest[GOW_UNDO_DIGEST] = { 0 };
	struct gow_file *overlay;
	uint64_t size = 0;
	int code = gow_file_size(image, &size, error);

	*restores = false;
	/* The change only ever made it longer, up to its end. */
	if (code || size < undo->old_size || size > undo->new_size)
		return code;
	code = gow_overlay_new(image, &overlay, error);
	if (code)
		return code;
	code = gow_undo_lay(undo, overlay, error);
	if (!code)
		code = digest_range(overlay, 0, undo->header_length, digest, error);
	(void)gow_file_close(overlay, NULL);
	*restores = !code && memcmp(digest, undo->header_digest, sizeof digest) == 0;
	return code;
}

struct comparison {
	struct gow_file *image;
	bool with_old; /* compare with the old bytes, not with what the change made of them */
	bool same;
	uint64_t place; /* of the first record that differs */
	uint8_t bytes[RECORD_MAX];
};

static int compare_record(void *context, const struct record *record, gow_error *error)
{
	struct comparison *with = context;
	int code;

	if (!with->same)
		return GOW_OK;
	code = gow_file_read_padded(with->image, record->offset, with->bytes, record->length,
	                            error);
	if (with->with_old)
		with->same = memcmp(with->bytes, record->old, record->length) == 0;
	else
		with->same = XXH3_64bits(with->bytes, record->length) == record->after;
	if (!with->same)
		with->place = record->offset;
	return code;
}

/* Compares all records; *place is GOW_NOWHERE if they are alike. */
static int compare(const struct gow_undo *undo, struct gow_file *image, bool with_old,
                   uint64_t *place, gow_error *error)
{
	struct comparison *with = calloc(1, sizeof *with);
	int code;

	if (!with)
		return gow_fail_memory(error, sizeof *with);
	*with = (struct comparison){ .image = image, .with_old = with_old, .same = true,
		                     .place = GOW_NOWHERE };
	code = each_record(undo, compare_record, with, error);
	*place = with->place;
	free(with);
	return code;
}

static int changed(const char *what, uint64_t offset, gow_error *error)
{
	return gow_fail_at_offset(error, gow_fail(error, GOW_ERR_CHANGED, "%s", what), offset);
}

int gow_undo_check_records(const struct gow_undo *undo, struct gow_file *image, gow_error *error)
{
	uint64_t place = GOW_NOWHERE;
	int code = compare(undo, image, false, &place, error);

	if (!code && place != GOW_NOWHERE)
		code = changed("has changed since the repair, where the undo would overwrite it",
		               place, error);
	return code;
}

int gow_undo_check_done(const struct gow_undo *undo, struct gow_file *image, gow_error *error)
{
	uint8_t digest[GOW_UNDO_DIGEST] = { 0 };
	uint64_t size = 0;
	int code;

	if (!undo->done || undo->spoilt)
		return bad(undo, "what it says of the end of the change is damaged", done_at(undo),
		           error);
	code = gow_file_size(image, &size, error);
	if (!code && size != undo->new_size)
		return changed("is not as long as the repair left it", gow_min(size, undo->new_size),
		               error);
	if (!code)
		code = gow_undo_check_records(undo, image, error);
	if (!code)
		code = digest_range(image, undo->old_size, undo->new_size, digest, error);
	if (!code && memcmp(digest, undo->tail_digest, sizeof digest) != 0)
		code = changed("has changed since the repair, in what the undo would cut off",
		               undo->old_size, error);
	return code;
}

int gow_undo_is_unbegun(const struct gow_undo *undo, struct gow_file *image, bool *unbegun,
                        gow_error *error)
{
	uint64_t size = 0, place = GOW_NOWHERE;
	int code = gow_file_size(image, &size, error);

	if (!code)
		code = compare(undo, image, true, &place, error);
	if (!code)
		*unbegun = size == undo->old_size && place == GOW_NOWHERE;
	return code;
}

/* ---- finding ----------------------------------------------------------------------------- */

/* Damage is no failure here: it is told in doubt. */
static bool is_doubt(int code)
{
	return code == GOW_ERR_MISMATCH || code == GOW_ERR_IO || code == GOW_ERR_UNSUPPORTED ||
	       code == GOW_ERR_CHANGED;
}

/* Some repairs leave GOW! where they found it. Such an image is as its repair left it, and not in
 * the middle of anything that we know of. */
static int is_over(const struct gow_undo *undo, struct gow_file *image, bool *over,
                   gow_error *error)
{
	int code;

	*over = false;
	if (!undo->done || undo->undone || undo->spoilt)
		return GOW_OK;
	code = gow_undo_check_done(undo, image, error);
	*over = !code;
	return code == GOW_ERR_CHANGED ? GOW_OK : code;
}

static int try_layer(const struct gow_undo_place *place, struct gow_file *image, uint32_t layer,
                     bool write, struct gow_undo **undo, gow_error *error)
{
	struct gow_undo *found;
	bool restores = false, over = false;
	int code = gow_undo_open(place, layer, write, &found, error);

	if (code)
		return code;
	code = is_over(found, image, &over, error);
	/* Even if it says that all is undone: the magic may not have got its turn. */
	if (!code && !over)
		code = gow_undo_restores(found, image, &restores, error);
	if (!code && !restores)
		code = gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_CHANGED,
		                                 "does not belong to this image as it is now"),
		                        found->file->name);
	if (code)
		gow_undo_close(found);
	else
		*undo = found;
	return code;
}

/* Whether a layer is a pointer that leads nowhere. */
static bool leads_nowhere(const gow_error *error)
{
	return error->sys_errno == ENOENT || error->sys_errno == ENOTDIR;
}

int gow_undo_find(const struct gow_undo_place *place, struct gow_file *image, bool write,
                  struct gow_undo **undo, bool *missing, char *doubt, size_t doubt_size,
                  gow_error *error)
{
	uint32_t *layers = NULL;
	size_t count = 0;
	bool unread = false;
	int code = gow_undo_layers(place, &layers, &count, error);

	*undo = NULL;
	*missing = false;
	doubt[0] = '\0';
	for (size_t i = 0; i < count && !code && !*undo; i++) {
		gow_error why = { .file = "" };
		char text[sizeof why.what + 128];

		code = try_layer(place, image, layers[i], write, undo, &why);
		if (!is_doubt(code)) {
			if (code && error)
				*error = why;
			continue;
		}
		if (!doubt[0] || (code != GOW_ERR_CHANGED && !unread))
			(void)snprintf(doubt, doubt_size, "%s: %s", why.file,
			               gow_error_text(&why, text, sizeof text));
		*missing = *missing || leads_nowhere(&why);
		unread = unread || code != GOW_ERR_CHANGED;
		code = GOW_OK;
	}
	free(layers);
	/* That it fits is no proof: what the newer one changed may lie where this one puts back. */
	if (!code && *undo && unread) {
		gow_undo_close(*undo);
		*undo = NULL;
		*missing = true;
	}
	return code;
}
