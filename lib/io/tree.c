/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/tree.h"

void gow_tree_init(struct gow_tree *tree)
{
	*tree = (struct gow_tree){ .root = NULL, .random = 2463534242u };
}

/* All nodes of left stand before those of right. */
static struct gow_tree_node *join(struct gow_tree_node *left, struct gow_tree_node *right)
{
	if (!left || !right)
		return left ? left : right;
	if (left->priority > right->priority) {
		left->right = join(left->right, right);
		return left;
	}
	right->left = join(left, right->left);
	return right;
}

/* Nodes before offset, and the others. */
static void part(struct gow_tree_node *tree, uint64_t offset, struct gow_tree_node **before,
                 struct gow_tree_node **after)
{
	if (!tree) {
		*before = *after = NULL;
	} else if (tree->offset < offset) {
		part(tree->right, offset, &tree->right, after);
		*before = tree;
	} else {
		part(tree->left, offset, before, &tree->left);
		*after = tree;
	}
}

void gow_tree_add(struct gow_tree *tree, struct gow_tree_node *node)
{
	struct gow_tree_node *before, *after;

	/* xorshift: all a treap asks of its numbers is that the offsets know nothing of them. */
	tree->random ^= tree->random << 13;
	tree->random ^= tree->random >> 17;
	tree->random ^= tree->random << 5;
	node->priority = tree->random;
	node->left = node->right = NULL;
	part(tree->root, node->offset, &before, &after);
	tree->root = join(join(before, node), after);
}

struct gow_tree_node *gow_tree_take(struct gow_tree *tree, uint64_t start, uint64_t end)
{
	struct gow_tree_node *before, *inside, *after;

	part(tree->root, start, &before, &inside);
	part(inside, end, &inside, &after);
	tree->root = join(before, after);
	return inside;
}

void gow_tree_release(struct gow_tree_node *root, void (*release)(struct gow_tree_node *node))
{
	while (root) {
		struct gow_tree_node *right = root->right;

		gow_tree_release(root->left, release);
		release(root);
		root = right;
	}
}

struct gow_tree_node *gow_tree_before(const struct gow_tree *tree, uint64_t offset)
{
	struct gow_tree_node *found = NULL;

	for (struct gow_tree_node *at = tree->root; at;) {
		if (at->offset < offset) {
			found = at;
			at = at->right;
		} else {
			at = at->left;
		}
	}
	return found;
}

struct gow_tree_node *gow_tree_from(const struct gow_tree *tree, uint64_t offset)
{
	struct gow_tree_node *found = NULL;

	for (struct gow_tree_node *at = tree->root; at;) {
		if (at->offset >= offset) {
			found = at;
			at = at->left;
		} else {
			at = at->right;
		}
	}
	return found;
}
