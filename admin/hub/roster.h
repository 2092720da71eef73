/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories of upstreams on their way to the catalogue: which were asked for here, and what the
 * hub upstream told of their main branch when it was last asked. It is put in before a list is
 * told, when anything has changed. Threads: any. */
#ifndef MATRIXFS_ROSTER_H
#define MATRIXFS_ROSTER_H

#include "admin/db.h"
#include "daemon/node.h"

struct roster;

/* The node and the db are borrowed until roster_free. NULL is none. */
MUST_USE int roster_new(struct node *node, struct db *db, struct roster **ret);
void roster_free(struct roster *r);
/* Now the catalogue has them as they are. -EAGAIN if something is to be written, unless that is
 * welcome, which takes a while. */
MUST_USE int roster_call(struct roster *r, bool may_take_long);

#endif
