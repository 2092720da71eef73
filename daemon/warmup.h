/* SPDX-License-Identifier: Apache-2.0 */
/* A revision fetched by all nodes of a cluster, or its share by each: one node is asked, and tells
 * the others. It is a job of that node, whose end is that of all; what the others do goes on if it
 * ends before. Threads: any. */
#ifndef MATRIXFS_WARMUP_H
#define MATRIXFS_WARMUP_H

#include "daemon/base/jwrite.h"
#include "daemon/keeper.h"

struct warmups;

/* What other nodes ask this one to fetch becomes jobs of the keeper, from now on. Both are borrowed
 * until warmups_free. -ENOMEM. */
MUST_USE int warmups_new(struct node *n, struct keeper *k, struct warmups **ret);
/* After keeper_stop and node_stop, before keeper_free. NULL is fine. */
void warmups_free(struct warmups *w);

/* Starts one, or finds the one that does the same. -ENOENT if this node has no peers; else as
 * keeper_pull. */
MUST_USE int warmup_start(struct warmups *w, const struct repo_id *id, const char *revision,
			  bool share, uint64_t *ret_id);
/* Writes an object that tells how far each node is with one of the last ones. -ENOENT. */
MUST_USE int warmup_write(struct warmups *w, uint64_t id, struct jwrite *to);

#endif
