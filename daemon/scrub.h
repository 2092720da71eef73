/* SPDX-License-Identifier: Apache-2.0 */
/* Reads again what is kept, at a bounded rate, and mends what has rotted: the work of scrub jobs. */
#ifndef MATRIXFS_SCRUB_H
#define MATRIXFS_SCRUB_H

#include "daemon/job.h"
#include "daemon/node.h"

struct scrub {
	struct node *node;
	uint64_t bytes_per_s; /* 0: as fast as it goes */
};

/* One turn of a job; arg is a struct scrub. */
int scrub_turn(struct job *j, void *arg);

#endif
