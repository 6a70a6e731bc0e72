/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * problem.c - the catalogue: everything that can be wrong with an image, once. The tools, the
 * manual page gow-problems(7) and the tests are made from this table.
 */
#include <stddef.h>

#include "gow.h"

static const gow_problem catalogue[] = {
	{
		.id = GOW_HEADER_SIZE,
		.name = "header.size",
		.severity = GOW_CORRUPT,
		.unit = "header",
		.title = "the logical size is 0, no multiple of 512, or over the version's limit",
		.fix = "set the smallest valid size that covers every allocated block, or --size",
		.about = "The header says how large the guest's disk is, in bytes. A guest that is "
			 "started on a wrong size sees a disk without its end, or none at all.",
	},
	{
		.id = GOW_HEADER_TRUNCATED,
		.name = "header.truncated",
		.severity = GOW_CORRUPT,
		.unit = "header",
		.title = "the file ends before its header does",
		.fix = "extend the header; the entries that are missing become unallocated",
		.about =
			"The magic and the version are there and the map is not, or not all of "
			"it: a copy that was cut short, say. Nothing else is judged then. The place "
			"is where the file ends.",
	},
	{
		.id = GOW_HEADER_COUNT_LOW,
		.name = "header.count-low",
		.severity = GOW_CORRUPT,
		.unit = "header",
		.title = "a block in use lies at or above the number that the next allocation gets",
		.fix = "raise block_count to the number of present blocks",
		.about =
			"block_count is the number of the physical block that the next allocation "
			"hands out. Here that block, or one after it, holds data already, which the "
			"guest's next write to a new block would overwrite.",
	},
	{
		.id = GOW_HEADER_COUNT_HIGH,
		.name = "header.count-high",
		.severity = GOW_ADVISORY,
		.unit = "header",
		.title = "block_count is above the number of blocks in the file",
		.fix = "lower block_count to the number of present blocks",
		.about =
			"A session that ended between raising the count and writing the block leaves "
			"this. The next allocation leaves a gap of leaked blocks.",
	},
	{
		.id = GOW_HEADER_COUNT_WILD,
		.name = "header.count-wild",
		.severity = GOW_CORRUPT,
		.unit = "header",
		.title = "block_count is beyond anything that a sane history leads to",
		.fix = "lower block_count to the number of present blocks",
		.about = "block_count is above the number of blocks in the file by more than the "
			 "number of map entries. Allocations would make an enormous file, or fail.",
	},
	{
		.id = GOW_HEADER_PADDING,
		.name = "header.padding",
		.severity = GOW_ADVISORY,
		.unit = "header",
		.title = "a byte between the header and block 0 is not zero",
		.fix = "write zeros there",
		.about = "The bytes between the end of the header and the first block are ignored, "
			 "and written as zeros. Something else there is a trace of damage, or of a "
			 "program with another idea of the format.",
	},
	{
		.id = GOW_MAP_RANGE,
		.name = "map.range",
		.severity = GOW_CORRUPT,
		.unit = "map entry",
		.title = "an entry names a physical block past the end of the file",
		.fix = "unmap the block, which then reads as zeros; its data is not in the file",
		.about =
			"The data of that block is not there: the file was cut short, or the entry "
			"is damaged.",
	},
	{
		.id = GOW_MAP_CROSSLINK,
		.name = "map.crosslink",
		.severity = GOW_CORRUPT,
		.unit = "physical block",
		.title = "two or more entries name the same physical block",
		.fix = "give each later block a copy of its own at the end of the file",
		.about =
			"A write to one of the logical blocks changes the other. One of the owners "
			"holds foreign data, and nothing in the file tells which.",
	},
	{
		.id = GOW_MAP_BEYOND_SIZE,
		.name = "map.beyond-size",
		.severity = GOW_CORRUPT,
		.unit = "map entry",
		.title = "an entry past the end of the guest's disk is allocated",
		.fix = "unmap the block, or grow the disk over it with --size",
		.about =
			"Either the block is junk or the logical size is wrong, and the file cannot "
			"say which. Not judged while the logical size is invalid (header.size).",
	},
	{
		.id = GOW_SPACE_LEAK,
		.name = "space.leak",
		.severity = GOW_ADVISORY,
		.unit = "physical block",
		.title = "a physical block in the file is named by no entry",
		.fix = "leave it (gow-compact gives the space back); save it with --salvage",
		.about =
			"A block that a session allocated and never mapped, or that lost its entry. "
			"It takes space, and the guest cannot see it.",
	},
	{
		.id = GOW_SPACE_TAIL,
		.name = "space.tail",
		.severity = GOW_ADVISORY,
		.unit = "physical block",
		.title = "the last block is cut short by the end of the file",
		.fix = "extend the file with zeros to the end of the block",
		.about =
			"The missing bytes read as zeros, so the guest is well if they were zeros. "
			"Programs that expect whole blocks may trip over it.",
	},
	{
		.id = GOW_VERSION_ZERO,
		.name = "version.zero",
		.severity = GOW_ADVISORY,
		.unit = "map entry",
		.title = "an allocated block has the version number 0",
		.fix = "give it the image's highest version number plus one",
		.about =
			"A consumer that keeps a copy fetches what has a higher number than its own; "
			"a block with number 0 is never fetched.",
	},
	{
		.id = GOW_VERSION_EXHAUSTED,
		.name = "version.exhausted",
		.severity = GOW_ADVISORY,
		.unit = "map entry",
		.title = "a version number is at its maximum and cannot go up",
		.fix = "leave it; --reset-versions starts all numbers anew",
		.about = "The next change of that block cannot be told from the one before, and no "
			 "consumer will fetch it.",
	},
	{
		.id = GOW_JOURNAL_PENDING,
		.name = "journal.pending",
		.severity = GOW_CORRUPT,
		.unit = "journal",
		.title = "an in-place change was interrupted",
		.fix = "roll back an interrupted repair; finish an interrupted upgrade; a copy that "
		       "gow-sync overwrites in place is finished by gow-sync",
		.about = "The magic is GOW! and the record of the change was found: it must be "
			 "finished or rolled back before the image is used. Nothing else is judged "
			 "then.",
	},
	{
		.id = GOW_JOURNAL_MISSING,
		.name = "journal.missing",
		.severity = GOW_CORRUPT,
		.unit = "journal",
		.title = "an in-place change was interrupted, and its record cannot be found",
		.fix = "with --clear-pending only: set the magic back, at your own risk",
		.about =
			"The magic is GOW! and neither in the image nor beside it is there a record "
			"of the change that set it. If the image was moved or restored alone, bring "
			"the undo file back beside it. The guest's data may be wrong where no check of "
			"the header finds it.",
	},
	{
		.id = GOW_DATA_UNREADABLE,
		.name = "data.unreadable",
		.severity = GOW_CORRUPT,
		.unit = "guest block",
		.title = "reading an allocated block failed",
		.fix = NULL,
		.about =
			"The storage under the file does not give the data back; only a backup has "
			"it. gow-convert --salvage copies everything else. Found only when data is "
			"read (gow-check --data).",
	},
	{
		.id = GOW_DATA_MISMATCH,
		.name = "data.mismatch",
		.severity = GOW_CORRUPT,
		.unit = "guest block",
		.title = "a guest block differs from the manifest",
		.fix = NULL,
		.about =
			"What the guest would read is not what it was when the manifest was written; "
			"only a backup has it. Found only against a manifest.",
	},
};

_Static_assert(sizeof catalogue / sizeof *catalogue == GOW_PROBLEM_COUNT, "every id has its row");

const gow_problem *gow_problem_get(gow_problem_id id)
{
	return (size_t)id < GOW_PROBLEM_COUNT ? &catalogue[id] : NULL;
}

const char *gow_severity_name(gow_severity severity)
{
	return severity == GOW_CORRUPT ? "corrupt" : "advisory";
}
