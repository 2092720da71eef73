/* SPDX-License-Identifier: Apache-2.0 */
/* A job that waits for an answer of the node, as a reader would, and gives up when it shall end.
 * For the thread that runs the job. */
#ifndef MATRIXFS_NAP_H
#define MATRIXFS_NAP_H

#include <stdbool.h>

#include "daemon/base/lock.h"
#include "daemon/base/wait.h"
#include "daemon/job.h"
#include "daemon/node.h"

struct nap {
	struct waiter waiter; /* for a call that may answer PARKED */
	struct node *node;
	struct lock lock;
	struct cond cond;
	/* Guarded by lock. */
	bool woken;
	int result;
};

/* Begins and ends one wait, of at most the node's time-out. */
void nap_init(struct nap *nap, struct node *n);
void nap_fini(struct nap *nap);
/* After PARKED: PARKED again ("ask once more"), or negative. j: NULL is none that could end.
 * `leave` is node_leave_lookup or node_leave_read, whichever suits the call. */
MUST_USE int nap_wait(struct nap *nap, struct job *j,
		      int (*leave)(struct node *n, struct waiter *w));
/* Waits until these bytes of a file (len > 0, within it) have come. */
MUST_USE int nap_read(struct node *n, struct job *j, struct handle *h, uint64_t off, uint64_t len);

#endif
