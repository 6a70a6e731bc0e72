/* SPDX-License-Identifier: BSD-2-Clause */
/* upgrade_steps.h - the parts of an upgrade, for upgrade*.c. */
#ifndef GOW_OPS_UPGRADE_STEPS_H
#define GOW_OPS_UPGRADE_STEPS_H

#include "image/map.h"
#include "journal/trailer.h"
#include "ops/inplace/move.h"
#include "ops/inplace/upgrade.h"

/* One upgrade, under way. */
struct gow_upgrade {
	const struct gow_upgrade_job *job;
	const struct gow_layout *from, *to;
	struct gow_trailer trailer;
	struct gow_hole_map holes; /* of what is to be moved */
	struct gow_pen pen;
	struct gow_reserved reserved;
	bool resumed; /* the record was there when this run began */
	bool begun;   /* the record is in the file, and the magic says so */
	bool back;    /* it is taken back */
	uint64_t carried;
	/* For the new header; made when first needed. */
	uint8_t *old_header;
	uint32_t *entries, *versions;
};

static inline bool gow_upgrade_writes(const struct gow_upgrade *upgrade)
{
	return upgrade->pen.pass == GOW_PASS_WRITE;
}

/* The layout, and the size, that the file is to have in the end. */
const struct gow_layout *gow_upgrade_target(const struct gow_upgrade *upgrade);
uint64_t gow_upgrade_target_size(const struct gow_upgrade *upgrade);

/* ---- upgrade_plan.c ---------------------------------------------------------------------- */

/* Makes the record of an upgrade of the image with that header, from upgrade->from to ->to. */
int gow_upgrade_plan(struct gow_upgrade *upgrade, const struct gow_header *header,
                     gow_error *error);

/* Takes the layouts from the record that was found, if it can be resumed. */
int gow_upgrade_take_record(struct gow_upgrade *upgrade, gow_error *error);

/* By how many blocks an entry's number falls when the slots below block 0 are moved away; 0 where
 * all data is shifted instead. */
uint64_t gow_upgrade_slots_taken(const struct gow_layout *from, const struct gow_layout *to);

/* ---- upgrade_header.c -------------------------------------------------------------------- */

/* Writes the header of the target, pending, and reads it back, as the pass wants. */
int gow_upgrade_write_header(struct gow_upgrade *upgrade, gow_error *error);

/* Fails with GOW_ERR_IO unless the old header that was read is the one in the record. */
int gow_upgrade_check_old_header(const struct gow_upgrade *upgrade, gow_error *error);
void gow_upgrade_free_tables(struct gow_upgrade *upgrade);

/* ---- upgrade_steps.c --------------------------------------------------------------------- */

/* Finds the holes, and goes over everything once without writing. */
int gow_upgrade_measure(struct gow_upgrade *upgrade, gow_error *error);

/* Does what was measured. */
int gow_upgrade_carry_out(struct gow_upgrade *upgrade, gow_error *error);

/* Writes the magic, durably, and reads it back. */
int gow_upgrade_write_magic(struct gow_upgrade *upgrade, const struct gow_layout *layout,
                            bool pending, gow_error *error);

/* Cuts the file, durably. */
int gow_upgrade_cut(struct gow_upgrade *upgrade, uint64_t size, gow_error *error);

#endif
