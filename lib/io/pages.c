/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/pages.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { PAGE = 512, WORD = 64, WORDS = PAGE / WORD };

struct page {
	struct gow_tree_node node;
	uint64_t there[WORDS]; /* a bit for every byte */
	uint8_t bytes[PAGE];
};

static void release_page(struct gow_tree_node *node)
{
	free((struct page *)node);
}

void gow_pages_init(struct gow_pages *pages)
{
	gow_tree_init(&pages->tree);
}

void gow_pages_release(struct gow_pages *pages)
{
	gow_tree_release(pages->tree.root, release_page);
	gow_pages_init(pages);
}

/* The page that begins at offset, or NULL. */
static struct page *page_at(const struct gow_pages *pages, uint64_t offset)
{
	struct gow_tree_node *node = gow_tree_from(&pages->tree, offset);

	return node && node->offset == offset ? (struct page *)node : NULL;
}

/* Says for each bit in [start, end) whether its byte is there. */
static void set_there(struct page *page, unsigned start, unsigned end, bool there)
{
	for (unsigned at = start; at < end;) {
		unsigned first = at % WORD;
		unsigned count = (unsigned)gow_min(WORD - first, end - at);
		uint64_t bits = (count == WORD ? UINT64_MAX : (UINT64_C(1) << count) - 1) << first;

		if (there)
			page->there[at / WORD] |= bits;
		else
			page->there[at / WORD] &= ~bits;
		at += count;
	}
}

/* The first byte from at on that is there, or is not; PAGE: none. */
static unsigned find(const struct page *page, unsigned at, bool there)
{
	while (at < PAGE) {
		uint64_t word = there ? page->there[at / WORD] : ~page->there[at / WORD];

		word >>= at % WORD;
		if (word)
			return at + (unsigned)__builtin_ctzll(word);
		at += WORD - at % WORD;
	}
	return PAGE;
}

bool gow_pages_prepare(struct gow_pages *pages, uint64_t offset, uint64_t length)
{
	for (uint64_t at = offset - offset % PAGE; at < offset + length; at += PAGE) {
		struct page *made;

		if (page_at(pages, at))
			continue;
		made = malloc(sizeof *made);
		if (!made)
			return false;
		made->node.offset = at;
		memset(made->there, 0, sizeof made->there);
		gow_tree_add(&pages->tree, &made->node);
	}
	return true;
}

void gow_pages_put(struct gow_pages *pages, uint64_t offset, const uint8_t *bytes, uint64_t length)
{
	while (length) {
		unsigned start = (unsigned)(offset % PAGE);
		unsigned size = (unsigned)gow_min(PAGE - start, length);
		struct page *page = page_at(pages, offset - start);

		if (!page) /* it was not prepared */
			return;
		memcpy(page->bytes + start, bytes, size);
		set_there(page, start, start + size, true);
		offset += size;
		bytes += size;
		length -= size;
	}
}

static void clear_page(struct gow_pages *pages, uint64_t start, uint64_t end)
{
	struct page *page = page_at(pages, start - start % PAGE);

	if (!page)
		return;
	set_there(page, (unsigned)(start % PAGE),
	          (unsigned)(gow_min(end, page->node.offset + PAGE) - page->node.offset), false);
}

void gow_pages_clear(struct gow_pages *pages, uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	/* Pages at the two ends keep the rest of their bytes. */
	clear_page(pages, start, end);
	clear_page(pages, gow_max(start, end - 1 - (end - 1) % PAGE), end);
	if (end - start >= PAGE)
		gow_tree_release(gow_tree_take(&pages->tree, start, end - end % PAGE),
		                 release_page);
}

bool gow_pages_next(const struct gow_pages *pages, uint64_t offset, uint64_t *start,
                    uint64_t *length, const uint8_t **bytes)
{
	const struct gow_tree_node *node = gow_tree_from(&pages->tree, offset - offset % PAGE);

	while (node) {
		const struct page *page = (const struct page *)node;
		unsigned from = node->offset < offset ? (unsigned)(offset - node->offset) : 0;
		unsigned at = find(page, from, true);

		if (at < PAGE) {
			*start = node->offset + at;
			*length = find(page, at, false) - at;
			*bytes = page->bytes + at;
			return true;
		}
		node = gow_tree_from(&pages->tree, node->offset + PAGE);
	}
	return false;
}
