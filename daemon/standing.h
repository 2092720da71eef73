/* SPDX-License-Identifier: Apache-2.0 */
/* How a node is, in words of one line. Threads: any. */
#ifndef MATRIXFS_STANDING_H
#define MATRIXFS_STANDING_H

#include "daemon/node.h"

/* Appends "3 hubs, 2 of 3 reachable, cache 41.0 of 100.0 GiB": what is known, without asking
 * anybody. `hub` is what it calls one it reads from. */
void standing_tell(struct node *n, const char *hub, struct buf *ret);

#endif
