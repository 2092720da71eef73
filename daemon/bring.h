/* SPDX-License-Identifier: Apache-2.0 */
/* Brings all files of a commit into the cache: the work of pull and pin jobs. A few files at a
 * time, in the class of bytes that nobody waits for. */
#ifndef MATRIXFS_BRING_H
#define MATRIXFS_BRING_H

#include <stdbool.h>

#include "daemon/job.h"
#include "daemon/node_parts.h"

struct bring {
	struct node *node;
	const struct node_parts *parts; /* its */
	struct repo_id id;
	char revision[256];
	bool share;        /* only what of it is this node's to bring for its peers */
	bool pin;          /* remembered in the node's pins, and tried until it is whole */
	bool anew;         /* the pin is asked for now: it is of what the revision names now */
	unsigned failures; /* in a row */
	/* keeper_conf's. */
	bool (*wants)(void *arg, const struct repo_id *id, const char *path);
	void *arg;
	int error; /* of the last turn, or 0 */
};

/* One turn of a job; arg is a struct bring. A pull fails with the first thing that cannot be had;
 * a pin tries again, later and later, as long as waiting can mend it. ERR_TOO_LARGE: with a new pin
 * all pins would have more bytes than the cache may take. */
int bring_turn(struct job *j, void *arg);

#endif
