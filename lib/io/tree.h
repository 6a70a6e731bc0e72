/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tree.h - things by offset, no two at the same: a treap, so that any order of additions and
 * removals costs a few steps each. A node is the first member of whatever stands in the tree.
 */
#ifndef GOW_IO_TREE_H
#define GOW_IO_TREE_H

#include <stddef.h>
#include <stdint.h>

struct gow_tree_node {
	struct gow_tree_node *left, *right;
	uint64_t offset;
	uint32_t priority;
};

struct gow_tree {
	struct gow_tree_node *root;
	uint32_t random;
};

void gow_tree_init(struct gow_tree *tree);

/* Adds a node, whose offset is set and no other's. */
void gow_tree_add(struct gow_tree *tree, struct gow_tree_node *node);

/* Takes the nodes with offsets in [start, end) out; they are the caller's, as a tree of their own. */
struct gow_tree_node *gow_tree_take(struct gow_tree *tree, uint64_t start, uint64_t end);

/* Calls release for all nodes of such a tree. */
void gow_tree_release(struct gow_tree_node *root, void (*release)(struct gow_tree_node *node));

/* The last node before offset, and the first at or behind it; NULL: there is none. */
struct gow_tree_node *gow_tree_before(const struct gow_tree *tree, uint64_t offset);
struct gow_tree_node *gow_tree_from(const struct gow_tree *tree, uint64_t offset);

#endif
