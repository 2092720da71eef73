/* SPDX-License-Identifier: Apache-2.0 */
/* Reads again what people uploaded. A blob that is not what its name says is set aside: nobody is
 * given it, and a client that has the bytes sends them again, since the hub says it has not. There
 * is nobody else to ask for them. What should be here and is not is told of as well. Threads: one.
 */
#ifndef MATRIXFS_REREAD_H
#define MATRIXFS_REREAD_H

#include <stdint.h>

#include "admin/db.h"
#include "admin/registry/intake.h"

struct reread_counts {
	uint64_t looked, looked_bytes;
	uint64_t damaged, missing; /* found now */
	uint64_t healed;           /* had been damaged, and came again */
};

struct reread {
	struct db *db;
	struct intake *intake;
	/* After each piece: it may wait. Negative: that is the end. */
	int (*rest)(void *arg, uint64_t bytes, const struct reread_counts *so_far);
	/* Of each that is damaged, or missing. */
	void (*tell)(void *arg, const char *etag, bool missing);
	void *arg;
	struct reread_counts counts;
};

/* Negative: of db, of r->rest. */
MUST_USE int reread_all(struct reread *r);
/* The same of one blob alone, if it is there. */
MUST_USE int reread_one(struct reread *r, const char *etag);

#endif
