/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout_table.h - the layouts that an image may have: those built in, those in files, or the
 * one that the caller chose.
 */
#ifndef GOW_IMAGE_LAYOUT_TABLE_H
#define GOW_IMAGE_LAYOUT_TABLE_H

#include "image/layout.h"
#include "io/file.h"

/* Must outlive whatever was opened with it; several threads may use it at the same time. */
struct gow_layouts {
	struct gow_layout *rows; /* those tried, the first that fits is taken; owned */
	size_t count;
	bool given; /* one row, chosen by the caller: built-in ones do not count */
};

/*
 * With choice NULL those built in and those in the configuration directories that have a magic; a file
 * there that cannot be used is left out with a note. Otherwise the one named, or in the file named,
 * by choice. GOW_ERR_ARGUMENT: there is no such layout; GOW_ERR_DAMAGED: the file is no layout.
 */
int gow_layouts_load(const char *choice, const gow_monitor *monitor, struct gow_layouts **layouts,
                     gow_error *error);
void gow_layouts_free(struct gow_layouts *layouts); /* accepts NULL */

/* Finds the layouts of an image that is open, as common->layout asks for them, with the help of what
 * is in and beside it. */
typedef int (*gow_layouts_finder)(struct gow_file *file, const gow_common *common,
                                  struct gow_layouts **layouts, gow_error *error);

/* Whether the layout is to be inferred. */
bool gow_layouts_are_inferred(const char *choice);

/* The same for an image that is open to be read, which is left to find. With find NULL, and by
 * gow_layouts_load, the choice "auto" is refused (GOW_ERR_ARGUMENT). */
int gow_layouts_load_for(const gow_common *common, struct gow_file *file, gow_layouts_finder find,
                         struct gow_layouts **layouts, gow_error *error);

/* A finder for what is read in order, where nothing can be inferred: "auto" is those that are known. */
int gow_layouts_find_known(struct gow_file *file, const gow_common *common,
                           struct gow_layouts **layouts, gow_error *error);

/* Refuses a choice that is for reading only (GOW_ERR_ARGUMENT). */
int gow_layouts_check_writing(const char *choice, gow_error *error);

/* The rows of layouts, or the built-in ones where it is NULL. */
const struct gow_layout *gow_layouts_rows(const struct gow_layouts *layouts, size_t *count);

/* Adds a row behind the others (its variants are made anew). GOW_ERR_LIMIT: there are too many. */
int gow_layouts_add(struct gow_layouts *layouts, const struct gow_layout *row, gow_error *error);

/* A table of that one row, which is copied (its variants are made anew). */
int gow_layouts_of_row(const struct gow_layout *row, struct gow_layouts **layouts,
                       gow_error *error);

#endif
