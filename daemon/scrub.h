/* SPDX-License-Identifier: Apache-2.0 */
/* Reads again what is kept, at a bounded rate and behind everybody else, and mends what has
 * rotted: the work of scrub jobs. Sealed blobs are digested; one that is wrong loses its seal and
 * the chunks whose sums differ (all, if none does), the kernel forgets it, and what is lost is
 * fetched again if a known commit has it and a hub can be asked. Chunks of incomplete blobs are
 * compared with their sums. */
#ifndef MATRIXFS_SCRUB_H
#define MATRIXFS_SCRUB_H

#include "daemon/job.h"
#include "daemon/node_parts.h"

struct scrub {
	struct node *node;
	const struct node_parts *parts; /* its */
	uint64_t bytes_per_s;           /* 0: as fast as it goes */
	uint64_t bad;                   /* after it: chunks that could not be mended */
};

/* One turn of a job; arg is a struct scrub. What could not be mended is counted as bad and left
 * absent: the next reader tries again. */
int scrub_turn(struct job *j, void *arg);

#endif
