/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mkimage: writes the bytes of a GOW image which a recipe describes.
 *
 * The tests compare what the tools say and do with images that the tools' own
 * code had no part in making, so this program is written from the format's
 * description alone: it must never include or link anything from lib/.
 *
 *	mkimage [RECIPE|-] OUT             the image
 *	mkimage --raw [RECIPE|-] OUT       the disk as the guest of that image sees it
 *	mkimage --raw --salvage ...        the same, with zeros for what the image lost
 *
 * A recipe is text, one directive a line; '#' starts a comment, a word may stand
 * in double quotes.  The first directive is `version`.  VALUE is a number (decimal
 * or 0x...; suffixes K M G T P E are powers of 1024) or a sum, difference or
 * product of numbers and names, without blanks:
 *
 *	block limit entries map_at versions_at header_end data_start max32 max64
 *	size (as given so far)
 *	present, end (only in count, truncate, extend and poke): physical blocks laid
 *	out, and the file's length at that moment
 *
 *	version N                     1, 2 or 3: whose layout the file follows
 *	size VALUE                    logical_size, any 64-bit value
 *	map L[-M] P [step S]          entries L..M name P, P+S, P+2S... (S is 1 unless
 *	                              told, may be 0 or negative); P may be `none`
 *	map L[-M] P shuffle SEED      ... name P, P+1, ... in a random order
 *	fill map VALUE|none           every entry of the map
 *	ver L[-M] VALUE               version numbers (version 3).  Entries not told:
 *	                              1 where the map names a block, 0 elsewhere
 *	fill ver VALUE                every version number
 *	blocks VALUE                  physical blocks in the file; unless told, as many
 *	                              as map and data speak of
 *	data P[-Q] pattern SEED [length N]
 *	                              bytes none of which is zero, that differ by block
 *	                              and seed; with a length, zeros after it
 *	data P[-Q] text "..."         the text, and zeros
 *	data P[-Q] last HH            zeros up to one last byte
 *	data P[-Q] zero               zeros that are really written
 *	data P[-Q] hole               nothing written (what every block is unless told)
 *	magic HEX                     the first four bytes, instead of GOW\0
 *	version-field VALUE           the version field, instead of the layout's
 *	count VALUE                   block_count, instead of `present`
 *
 * When all that is laid out, these are done in the order they stand in:
 *
 *	truncate VALUE                cut the file to this length
 *	extend VALUE                  make it longer, with a hole
 *	poke OFFSET HEX               overwrite bytes inside the file
 *	poke32 OFFSET VALUE           the same with a little-endian number
 *	poke64 OFFSET VALUE
 *	repeat OFFSET LENGTH HH       overwrite bytes with one byte, so many times
 *	copy OFFSET LENGTH FROM       overwrite bytes with others of the file; those past
 *	                              its end are zeros
 *
 * Exit status: 0 done, 1 a call failed, 2 a bad recipe or bad usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK UINT64_C(65536)
#define NONE UINT32_C(0xffffffff)
#define MAX_WORDS 8

struct layout {
	uint32_t version;
	uint64_t limit;
	uint32_t entries;
	uint64_t map_at;
	uint64_t versions_at; /* 0: this version has none */
	uint64_t header_end;
	uint64_t data_start;
};

/* The table of the format's description, number for number. */
static const struct layout layouts[] = {
	{ 1, UINT64_C(1) << 36, UINT32_C(1) << 20, 20, 0, 4194324, 4194324 },
	{ 2, UINT64_C(1) << 38, UINT32_C(1) << 22, 20, 0, 16777236, 16777728 },
	{ 3, UINT64_C(1) << 38, UINT32_C(1) << 22, 20, 16777236, 33554452, 33554944 },
};

enum content { CONTENT_PATTERN, CONTENT_TEXT, CONTENT_LAST, CONTENT_ZERO, CONTENT_HOLE };

struct data {
	uint64_t first, last; /* physical blocks */
	enum content content;
	uint64_t seed;
	uint64_t length;
	uint8_t byte;
	char *text;
};

/* What has to wait until everything is laid out; its words are kept unread. */
struct late {
	unsigned line;
	int words;
	char *word[MAX_WORDS];
};

struct recipe {
	const struct layout *layout;
	uint8_t magic[4];
	uint32_t version_field;
	uint64_t size;
	bool size_told;
	uint32_t *map;
	uint32_t *ver;
	bool *ver_told;
	uint64_t named; /* one more than the highest block that map and data speak of */
	uint64_t blocks;
	bool blocks_told;
	struct data *data;
	size_t data_count;
	struct late *late;
	size_t late_count;
};

static const char *recipe_name = "recipe";
static unsigned line_number;
static const char *unfinished; /* the output, until it is whole */

static _Noreturn void give_up(int status)
{
	if (unfinished)
		unlink(unfinished);
	exit(status);
}

__attribute__((format(printf, 1, 2))) static _Noreturn void bad(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "mkimage: %s: line %u: ", recipe_name, line_number);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	give_up(2);
}

static _Noreturn void failed(const char *what)
{
	fprintf(stderr, "mkimage: %s: %s\n", what, strerror(errno));
	give_up(1);
}

static void *grown(void *memory, size_t count, size_t size)
{
	void *more = reallocarray(memory, count, size);

	if (!more)
		failed("memory");
	return more;
}

/* ---- values ---- */

/* `present` and `end` are known only once the file is laid out. */
struct late_values {
	uint64_t present, end;
};

static uint64_t checked(char operator, uint64_t left, uint64_t right)
{
	uint64_t result;
	bool wrapped;

	if (operator == '+')
		wrapped = __builtin_add_overflow(left, right, &result);
	else if (operator == '-')
		wrapped = __builtin_sub_overflow(left, right, &result);
	else
		wrapped = __builtin_mul_overflow(left, right, &result);
	if (wrapped)
		bad("a value is below 0 or above 2^64 - 1");
	return result;
}

static uint64_t parse_number(const char **at)
{
	static const char suffixes[] = "KMGTPE";
	const char *suffix;
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(*at, &end, **at == '0' && (*at)[1] == 'x' ? 16 : 10);
	if (errno != 0)
		bad("number out of range: %s", *at);
	if (*end != '\0' && (suffix = strchr(suffixes, *end)) != NULL) {
		for (ptrdiff_t i = 0; i <= suffix - suffixes; i++)
			value = checked('*', value, 1024);
		end++;
	}
	*at = end;
	return value;
}

static uint64_t named_value(const struct recipe *recipe, const struct late_values *late,
			    const char *name, size_t length)
{
	const struct layout *layout = recipe->layout;
	const struct {
		const char *name;
		bool known;
		uint64_t value;
	} names[] = {
		{ "block", true, BLOCK },
		{ "limit", true, layout->limit },
		{ "entries", true, layout->entries },
		{ "map_at", true, layout->map_at },
		{ "versions_at", layout->versions_at != 0, layout->versions_at },
		{ "header_end", true, layout->header_end },
		{ "data_start", true, layout->data_start },
		{ "max32", true, UINT32_MAX },
		{ "max64", true, UINT64_MAX },
		{ "size", recipe->size_told, recipe->size },
		{ "present", late != NULL, late ? late->present : 0 },
		{ "end", late != NULL, late ? late->end : 0 },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strlen(names[i].name) != length || strncmp(names[i].name, name, length) != 0)
			continue;
		if (!names[i].known)
			bad("%s is not known here", names[i].name);
		return names[i].value;
	}
	bad("not a value: %.*s", (int)length, name);
}

static uint64_t parse_factor(const struct recipe *recipe, const struct late_values *late,
			     const char **at)
{
	const char *name = *at;
	size_t length;

	if (*name >= '0' && *name <= '9')
		return parse_number(at);
	length = strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789");
	if (length == 0)
		bad("a value is missing at \"%s\"", name);
	*at = name + length;
	return named_value(recipe, late, name, length);
}

static uint64_t parse_term(const struct recipe *recipe, const struct late_values *late,
			   const char **at)
{
	uint64_t value = parse_factor(recipe, late, at);

	while (**at == '*') {
		(*at)++;
		value = checked('*', value, parse_factor(recipe, late, at));
	}
	return value;
}

static uint64_t parse_value(const struct recipe *recipe, const struct late_values *late,
			    const char *word)
{
	const char *at = word;
	uint64_t value = parse_term(recipe, late, &at);

	while (*at == '+' || *at == '-') {
		char operator = *at++;

		value = checked(operator, value, parse_term(recipe, late, &at));
	}
	if (*at != '\0')
		bad("not a value: %s", word);
	return value;
}

static uint32_t parse_value32(const struct recipe *recipe, const struct late_values *late,
			      const char *word)
{
	uint64_t value = parse_value(recipe, late, word);

	if (value > UINT32_MAX)
		bad("more than 32 bits: %s", word);
	return (uint32_t)value;
}

/* A map entry: a value, or `none`. */
static uint32_t parse_entry(const struct recipe *recipe, const char *word)
{
	return strcmp(word, "none") == 0 ? NONE : parse_value32(recipe, NULL, word);
}

/*
 * L or L-M.  The dash that parts the two ends is also the minus of a value, so the
 * ends are plain numbers or names here; a value that needs a minus is given as the
 * range `X..Y`.
 */
static void parse_range(const struct recipe *recipe, const char *word, uint64_t limit,
			uint64_t *first, uint64_t *last)
{
	char copy[128];
	char *parted;
	size_t gap = 2;

	if (strlen(word) >= sizeof copy)
		bad("not a range: %s", word);
	strcpy(copy, word);
	parted = strstr(copy, "..");
	if (!parted && copy[strspn(copy, "0123456789abcdefxKMGTPE")] == '-' &&
	    strspn(copy, "0123456789") > 0) {
		parted = strchr(copy, '-');
		gap = 1;
	}
	if (parted) {
		*parted = '\0';
		*first = parse_value(recipe, NULL, copy);
		*last = parse_value(recipe, NULL, parted + gap);
	} else {
		*first = *last = parse_value(recipe, NULL, copy);
	}
	if (*first > *last)
		bad("the range ends before it begins: %s", word);
	if (*last >= limit)
		bad("at most %" PRIu64 " here: %s", limit - 1, word);
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

static size_t parse_hex(const char *word, uint8_t *bytes, size_t room)
{
	size_t length = strlen(word);

	if (length == 0 || length % 2 != 0 || length / 2 > room)
		bad("not an even number of hexadecimal digits: %s", word);
	for (size_t i = 0; i < length; i += 2) {
		int high = hex_digit(word[i]);
		int low = hex_digit(word[i + 1]);

		if (high < 0 || low < 0)
			bad("not hexadecimal: %s", word);
		bytes[i / 2] = (uint8_t)(high << 4 | low);
	}
	return length / 2;
}

/* ---- content that repeats from run to run ---- */

static uint64_t next_random(uint64_t *state)
{
	uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);

	mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
	return mixed ^ mixed >> 31;
}

static void fill_pattern(uint8_t *bytes, uint64_t seed, uint64_t block)
{
	uint64_t state = seed;

	/* Two steps of mixing, so that (seed, block + 1) shares nothing with
	 * (seed + 1, block). */
	state = next_random(&state) ^ block;
	state = next_random(&state);
	for (size_t i = 0; i < BLOCK; i += 8) {
		uint64_t word = next_random(&state);

		for (unsigned j = 0; j < 8; j++, word >>= 8)
			bytes[i + j] = (uint8_t)(word & 0xff ? word & 0xff : 0x5a);
	}
}

/* ---- directives ---- */

static void need_words(int words, int fewest, int most)
{
	if (words < fewest || words > most)
		bad("%s here", words < fewest ? "something is missing" : "too much");
}

static void speak_of(struct recipe *recipe, uint64_t block)
{
	if (block + 1 > recipe->named)
		recipe->named = block + 1;
}

static void set_version(struct recipe *recipe, const char *word)
{
	if (recipe->layout)
		bad("version is told twice");
	for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
		if (word[0] == (char)('0' + layouts[i].version) && word[1] == '\0')
			recipe->layout = &layouts[i];
	if (!recipe->layout)
		bad("version is 1, 2 or 3 (version-field writes any other): %s", word);
	recipe->version_field = recipe->layout->version;
	recipe->map = grown(NULL, recipe->layout->entries, sizeof *recipe->map);
	recipe->ver = grown(NULL, recipe->layout->entries, sizeof *recipe->ver);
	recipe->ver_told = grown(NULL, recipe->layout->entries, sizeof *recipe->ver_told);
	for (uint32_t i = 0; i < recipe->layout->entries; i++) {
		recipe->map[i] = NONE;
		recipe->ver_told[i] = false;
	}
}

static void shuffle(uint32_t *entries, uint64_t count, uint64_t seed)
{
	for (uint64_t i = count; i > 1; i--) {
		uint64_t other = next_random(&seed) % i;
		uint32_t kept = entries[i - 1];

		entries[i - 1] = entries[other];
		entries[other] = kept;
	}
}

static void set_map(struct recipe *recipe, int words, char **word)
{
	uint64_t first, last, physical, step = 1;
	bool back = false;

	need_words(words, 3, 5);
	parse_range(recipe, word[1], recipe->layout->entries, &first, &last);
	physical = parse_entry(recipe, word[2]);
	if (words == 4)
		bad("step or shuffle needs a number");
	if (words == 5 && strcmp(word[3], "step") == 0) {
		back = word[4][0] == '-';
		step = parse_value(recipe, NULL, word[4] + (back ? 1 : 0));
	} else if (words == 5 && strcmp(word[3], "shuffle") != 0) {
		bad("step or shuffle: %s", word[3]);
	}
	if (physical == NONE)
		step = 0;
	for (uint64_t i = first; i <= last; i++) {
		recipe->map[i] = (uint32_t)physical;
		if (physical != NONE)
			speak_of(recipe, physical);
		if (i < last)
			physical = checked(back ? '-' : '+', physical, step);
		if (physical > NONE || (physical == NONE && step != 0))
			bad("the run leaves the 32 bits of an entry");
	}
	if (words == 5 && strcmp(word[3], "shuffle") == 0)
		shuffle(recipe->map + first, last - first + 1,
			parse_value(recipe, NULL, word[4]));
}

static void set_ver(struct recipe *recipe, uint64_t first, uint64_t last, const char *word)
{
	uint32_t value = parse_value32(recipe, NULL, word);

	if (recipe->layout->versions_at == 0)
		bad("version %" PRIu32 " has no version numbers", recipe->layout->version);
	for (uint64_t i = first; i <= last; i++) {
		recipe->ver[i] = value;
		recipe->ver_told[i] = true;
	}
}

static void fill(struct recipe *recipe, int words, char **word)
{
	uint32_t last = recipe->layout->entries - 1;

	need_words(words, 3, 3);
	if (strcmp(word[1], "ver") == 0) {
		set_ver(recipe, 0, last, word[2]);
	} else if (strcmp(word[1], "map") == 0) {
		uint32_t value = parse_entry(recipe, word[2]);

		for (uint32_t i = 0; i <= last; i++)
			recipe->map[i] = value;
		if (value != NONE)
			speak_of(recipe, value);
	} else {
		bad("fill map or fill ver: %s", word[1]);
	}
}

static void set_data(struct recipe *recipe, int words, char **word)
{
	struct data data = { .length = BLOCK };
	const char *kind;

	need_words(words, 3, 6);
	kind = word[2];
	parse_range(recipe, word[1], NONE, &data.first, &data.last);
	if (strcmp(kind, "pattern") == 0) {
		need_words(words, 4, 6);
		data.content = CONTENT_PATTERN;
		data.seed = parse_value(recipe, NULL, word[3]);
		if (words > 4) {
			need_words(words, 6, 6);
			if (strcmp(word[4], "length") != 0)
				bad("length: %s", word[4]);
			data.length = parse_value(recipe, NULL, word[5]);
		}
	} else if (strcmp(kind, "text") == 0) {
		need_words(words, 4, 4);
		data.content = CONTENT_TEXT;
		data.length = strlen(word[3]);
		data.text = strdup(word[3]);
		if (!data.text)
			failed("memory");
	} else if (strcmp(kind, "last") == 0) {
		need_words(words, 4, 4);
		data.content = CONTENT_LAST;
		if (parse_hex(word[3], &data.byte, 1) != 1 || data.byte == 0)
			bad("last needs a byte that is not zero");
	} else if (strcmp(kind, "zero") == 0 || strcmp(kind, "hole") == 0) {
		need_words(words, 3, 3);
		data.content = kind[0] == 'z' ? CONTENT_ZERO : CONTENT_HOLE;
	} else {
		bad("pattern, text, last, zero or hole: %s", kind);
	}
	if (data.length > BLOCK)
		bad("longer than a block");
	speak_of(recipe, data.last);
	recipe->data = grown(recipe->data, recipe->data_count + 1, sizeof data);
	recipe->data[recipe->data_count++] = data;
}

static void keep_for_later(struct recipe *recipe, int words, char **word)
{
	struct late late = { .line = line_number, .words = words };

	for (int i = 0; i < words; i++)
		if (!(late.word[i] = strdup(word[i])))
			failed("memory");
	recipe->late = grown(recipe->late, recipe->late_count + 1, sizeof late);
	recipe->late[recipe->late_count++] = late;
}

static bool is_late(const char *name, int *words)
{
	static const struct {
		const char *name;
		int words;
	} late[] = {
		{ "count", 2 },	 { "truncate", 2 }, { "extend", 2 },
		{ "poke", 3 },	 { "poke32", 3 },   { "poke64", 3 },
		{ "repeat", 4 }, { "copy", 4 },
	};

	for (size_t i = 0; i < sizeof late / sizeof *late; i++)
		if (strcmp(name, late[i].name) == 0) {
			*words = late[i].words;
			return true;
		}
	return false;
}

static void directive(struct recipe *recipe, int words, char **word)
{
	const char *name = word[0];
	uint64_t first, last;
	int late_words = 0;

	if (strcmp(name, "version") == 0) {
		need_words(words, 2, 2);
		set_version(recipe, word[1]);
		return;
	}
	if (!recipe->layout)
		bad("version comes first");
	if (strcmp(name, "map") == 0) {
		set_map(recipe, words, word);
	} else if (strcmp(name, "ver") == 0) {
		need_words(words, 3, 3);
		parse_range(recipe, word[1], recipe->layout->entries, &first, &last);
		set_ver(recipe, first, last, word[2]);
	} else if (strcmp(name, "fill") == 0) {
		fill(recipe, words, word);
	} else if (strcmp(name, "data") == 0) {
		set_data(recipe, words, word);
	} else if (strcmp(name, "size") == 0) {
		need_words(words, 2, 2);
		recipe->size = parse_value(recipe, NULL, word[1]);
		recipe->size_told = true;
	} else if (strcmp(name, "blocks") == 0) {
		need_words(words, 2, 2);
		recipe->blocks = parse_value(recipe, NULL, word[1]);
		recipe->blocks_told = true;
	} else if (strcmp(name, "magic") == 0) {
		need_words(words, 2, 2);
		if (parse_hex(word[1], recipe->magic, 4) != 4)
			bad("magic is four bytes");
	} else if (strcmp(name, "version-field") == 0) {
		need_words(words, 2, 2);
		recipe->version_field = parse_value32(recipe, NULL, word[1]);
	} else if (is_late(name, &late_words)) {
		need_words(words, late_words, late_words);
		keep_for_later(recipe, words, word);
	} else {
		bad("no such directive: %s", name);
	}
}

/* Parts a line into words, in place. */
static int split(char *line, char **word)
{
	int words = 0;
	char *at = line;

	for (;;) {
		at += strspn(at, " \t\r\n");
		if (*at == '\0' || *at == '#')
			return words;
		if (words == MAX_WORDS)
			bad("too much");
		if (*at == '"') {
			word[words++] = ++at;
			at = strchr(at, '"');
			if (!at)
				bad("the closing quote is missing");
		} else {
			word[words++] = at;
			at += strcspn(at, " \t\r\n#");
			/* A comment may follow a word without a blank. */
			if (*at == '#') {
				*at = '\0';
				return words;
			}
		}
		if (*at != '\0')
			*at++ = '\0';
	}
}

static void read_recipe(struct recipe *recipe, FILE *input)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, input) >= 0) {
		char *word[MAX_WORDS];
		int words;

		line_number++;
		words = split(line, word);
		if (words > 0)
			directive(recipe, words, word);
	}
	if (ferror(input))
		failed(recipe_name);
	free(line);
	if (!recipe->layout)
		bad("a recipe says at least version and size");
	if (!recipe->size_told)
		bad("size is missing");
	if (!recipe->blocks_told)
		recipe->blocks = recipe->named;
	if (recipe->blocks > ((uint64_t)INT64_MAX - recipe->layout->data_start) / BLOCK)
		bad("the file would be too long");
	for (size_t i = 0; i < recipe->data_count; i++)
		if (recipe->data[i].last >= recipe->blocks)
			bad("data for physical block %" PRIu64 ", and the file has %" PRIu64,
			    recipe->data[i].last, recipe->blocks);
}

/* ---- writing ---- */

static void put(uint8_t *bytes, uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

static void write_at(int fd, const uint8_t *bytes, size_t length, uint64_t offset)
{
	while (length > 0) {
		ssize_t written = pwrite(fd, bytes, length, (off_t)offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			failed("write");
		bytes += written;
		length -= (size_t)written;
		offset += (uint64_t)written;
	}
}

/* Reads what is there; bytes past the end of the file are zeros. */
static void read_at(int fd, uint8_t *bytes, size_t length, uint64_t offset)
{
	while (length > 0) {
		ssize_t got = pread(fd, bytes, length, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			failed("read");
		if (got == 0) {
			memset(bytes, 0, length);
			return;
		}
		bytes += got;
		length -= (size_t)got;
		offset += (uint64_t)got;
	}
}

static bool all_zero(const uint8_t *bytes, size_t length)
{
	return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* Numbers in a row; a stretch of zeros stays a hole. */
static void write_numbers(int fd, const uint32_t *numbers, uint32_t count, uint64_t offset)
{
	enum { AT_ONCE = 1 << 16 };
	static uint8_t bytes[4 * AT_ONCE];
	size_t filled = 0;

	for (uint32_t i = 0; i < count; i++) {
		put(bytes + filled, numbers[i], 4);
		filled += 4;
		if (filled < sizeof bytes && i + 1 < count)
			continue;
		if (!all_zero(bytes, filled))
			write_at(fd, bytes, filled, offset + 4 * ((uint64_t)i + 1) - filled);
		filled = 0;
	}
}

static void write_header(int fd, struct recipe *recipe)
{
	const struct layout *layout = recipe->layout;
	uint8_t preamble[20];

	memcpy(preamble, recipe->magic, 4);
	put(preamble + 4, recipe->version_field, 4);
	put(preamble + 8, recipe->size, 8);
	put(preamble + 16, recipe->blocks > UINT32_MAX ? UINT32_MAX : recipe->blocks, 4);
	write_at(fd, preamble, sizeof preamble, 0);
	write_numbers(fd, recipe->map, layout->entries, layout->map_at);
	if (layout->versions_at == 0)
		return;
	for (uint32_t i = 0; i < layout->entries; i++)
		if (!recipe->ver_told[i])
			recipe->ver[i] = recipe->map[i] != NONE;
	write_numbers(fd, recipe->ver, layout->entries, layout->versions_at);
}

static void write_data(int fd, const struct recipe *recipe, const struct data *data)
{
	static uint8_t bytes[BLOCK];

	if (data->content == CONTENT_HOLE)
		return;
	for (uint64_t block = data->first; block <= data->last; block++) {
		memset(bytes, 0, sizeof bytes);
		if (data->content == CONTENT_PATTERN) {
			fill_pattern(bytes, data->seed, block);
			memset(bytes + data->length, 0, sizeof bytes - (size_t)data->length);
		} else if (data->content == CONTENT_TEXT) {
			memcpy(bytes, data->text, (size_t)data->length);
		} else if (data->content == CONTENT_LAST) {
			bytes[BLOCK - 1] = data->byte;
		}
		write_at(fd, bytes, sizeof bytes, recipe->layout->data_start + block * BLOCK);
	}
}

static void set_length(int fd, uint64_t length)
{
	if (length > (uint64_t)INT64_MAX)
		bad("the file would be too long");
	if (ftruncate(fd, (off_t)length) != 0)
		failed("ftruncate");
}

/* repeat and copy: any number of bytes inside the file. */
static void do_many(int fd, const struct recipe *recipe, const struct late *late,
		    const struct late_values *values, uint64_t offset)
{
	uint64_t length = parse_value(recipe, values, late->word[2]);
	uint8_t bytes[BLOCK];
	uint64_t from = 0;

	if (length > values->end || offset > values->end - length)
		bad("%s past the end of the file", late->word[0]);
	if (late->word[0][0] == 'c')
		from = parse_value(recipe, values, late->word[3]);
	else if (parse_hex(late->word[3], bytes, 1) == 1)
		memset(bytes, bytes[0], sizeof bytes);
	while (length) {
		size_t part = length < BLOCK ? (size_t)length : BLOCK;

		if (late->word[0][0] == 'c') {
			ssize_t got = pread(fd, bytes, part, (off_t)from);

			if (got < 0)
				bad("copy: %s", strerror(errno));
			memset(bytes + got, 0, part - (size_t)got);
		}
		write_at(fd, bytes, part, offset);
		offset += part;
		from += part;
		length -= part;
	}
}

static void do_late(int fd, const struct recipe *recipe, const struct late *late,
		    struct late_values *values)
{
	const char *name = late->word[0];
	uint64_t value;
	uint8_t bytes[256];
	size_t length = 0;

	line_number = late->line;
	value = parse_value(recipe, values, late->word[1]);
	if (strcmp(name, "truncate") == 0 || strcmp(name, "extend") == 0) {
		if ((name[0] == 't') != (value < values->end) && value != values->end)
			bad("%s from %" PRIu64 " to %" PRIu64, name, values->end, value);
		set_length(fd, value);
		values->end = value;
		return;
	}
	if (strcmp(name, "repeat") == 0 || strcmp(name, "copy") == 0) {
		do_many(fd, recipe, late, values, value);
		return;
	}
	if (strcmp(name, "count") == 0) {
		put(bytes, parse_value32(recipe, values, late->word[1]), 4);
		value = 16;
		length = 4;
	} else if (strcmp(name, "poke") == 0) {
		length = parse_hex(late->word[2], bytes, sizeof bytes);
	} else if (strcmp(name, "poke32") == 0) {
		put(bytes, parse_value32(recipe, values, late->word[2]), 4);
		length = 4;
	} else {
		put(bytes, parse_value(recipe, values, late->word[2]), 8);
		length = 8;
	}
	if (length > values->end || value > values->end - length)
		bad("%s past the end of the file", name);
	write_at(fd, bytes, length, value);
}

static uint64_t write_image(int fd, struct recipe *recipe)
{
	struct late_values values = { .present = recipe->blocks };

	values.end = recipe->layout->data_start + recipe->blocks * BLOCK;
	set_length(fd, values.end);
	write_header(fd, recipe);
	for (size_t i = 0; i < recipe->data_count; i++)
		write_data(fd, recipe, &recipe->data[i]);
	for (size_t i = 0; i < recipe->late_count; i++)
		do_late(fd, recipe, &recipe->late[i], &values);
	return values.end;
}

/*
 * The guest's disk.  The map and the blocks are read back from the image's bytes,
 * so that pokes and cuts count.
 */
static void write_raw(int fd, int image, uint64_t end, const struct recipe *recipe, bool salvage)
{
	static uint8_t bytes[BLOCK];
	const struct layout *layout = recipe->layout;
	uint64_t blocks = recipe->size / BLOCK + (recipe->size % BLOCK != 0);
	uint8_t *map = grown(NULL, layout->entries, 4);

	if (recipe->size > layout->limit)
		bad("the recipe's size is no guest disk's");
	read_at(image, map, 4 * (size_t)layout->entries, layout->map_at);
	set_length(fd, recipe->size);
	for (uint64_t block = 0; block < blocks; block++) {
		uint64_t inside = recipe->size - block * BLOCK;
		uint32_t physical = get32(map + 4 * block);
		uint64_t offset = layout->data_start + physical * BLOCK;

		if (inside > BLOCK)
			inside = BLOCK;
		if (physical == NONE)
			continue;
		if (offset >= end) {
			if (!salvage)
				bad("logical block %" PRIu64 " is not in the file", block);
			continue;
		}
		read_at(image, bytes, (size_t)inside, offset);
		if (!all_zero(bytes, (size_t)inside))
			write_at(fd, bytes, (size_t)inside, block * BLOCK);
	}
	free(map);
}

static void close_file(int fd)
{
	if (close(fd) != 0)
		failed("close");
}

static int open_output(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		failed(name);
	unfinished = name;
	return fd;
}

static void make_raw(const char *out, struct recipe *recipe, bool salvage)
{
	char name[PATH_MAX];
	int image, fd;

	if (snprintf(name, sizeof name, "%s.XXXXXX", out) >= (int)sizeof name) {
		errno = ENAMETOOLONG;
		failed(out);
	}
	image = mkstemp(name);
	if (image < 0)
		failed(name);
	if (unlink(name) != 0)
		failed(name);
	fd = open_output(out);
	write_raw(fd, image, write_image(image, recipe), recipe, salvage);
	close_file(image);
	close_file(fd);
}

static _Noreturn void usage(void)
{
	fputs("usage: mkimage [--raw [--salvage]] [RECIPE|-] OUT\n", stderr);
	exit(2);
}

static void free_recipe(struct recipe *recipe)
{
	for (size_t i = 0; i < recipe->data_count; i++)
		free(recipe->data[i].text);
	for (size_t i = 0; i < recipe->late_count; i++)
		for (int j = 0; j < recipe->late[i].words; j++)
			free(recipe->late[i].word[j]);
	free(recipe->data);
	free(recipe->late);
	free(recipe->map);
	free(recipe->ver);
	free(recipe->ver_told);
}

int main(int argc, char **argv)
{
	struct recipe recipe = { .magic = { 'G', 'O', 'W', '\0' } };
	bool raw = false, salvage = false;
	FILE *input = stdin;
	int at = 1;

	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		if (strcmp(argv[at], "--raw") == 0)
			raw = true;
		else if (strcmp(argv[at], "--salvage") == 0)
			salvage = true;
		else
			usage();
	}
	if (argc - at < 1 || argc - at > 2 || (salvage && !raw))
		usage();
	if (argc - at == 2 && strcmp(argv[at], "-") != 0) {
		recipe_name = argv[at];
		input = fopen(recipe_name, "re");
		if (!input)
			failed(recipe_name);
	}
	read_recipe(&recipe, input);
	if (input != stdin && fclose(input) != 0)
		failed(recipe_name);
	if (raw) {
		make_raw(argv[argc - 1], &recipe, salvage);
	} else {
		int fd = open_output(argv[argc - 1]);

		write_image(fd, &recipe);
		close_file(fd);
	}
	unfinished = NULL;
	free_recipe(&recipe);
	return 0;
}
