/* SPDX-License-Identifier: Apache-2.0 */
/* Where the segments of a blob lie now: what is here, and what other members say that they have.
 * For people. Threads: any. */
#ifndef MATRIXFS_PEER_WHERE_H
#define MATRIXFS_PEER_WHERE_H

#include "daemon/base/buf.h"
#include "daemon/node.h"
#include "daemon/peer/peers.h"

#define WHERE_NAMED 8 /* holders of a segment that are named; more are counted */
#define WHERE_MS 2000 /* nobody is asked later, and each has as long for his answer */

struct where_segment {
	uint32_t count;              /* members that have all of it, this node included */
	uint32_t named[WHERE_NAMED]; /* the first of them that said so, by their index */
};

struct where {
	uint32_t answered; /* members, this node included */
	struct where_segment segments[];
};

/* The blob if some of it is here, to be given back; else NULL. Nothing is made for a look. */
struct blob *where_peek(struct node *n, const char *etag, uint64_t size);
/* Appends a character for each segment of a blob of that size: '1' if all of it is here, else '0'.
 * -ENOMEM. */
MUST_USE int where_here(struct node *n, const char *etag, uint64_t size, struct buf *ret);
/* Asks all members at once. To be freed; -ENOMEM. Blocking: twice WHERE_MS at most, and as long
 * again for those whose clock is another one. */
MUST_USE int where_ask(struct node *n, const struct membership *members, const char *etag,
		       uint64_t size, struct where **ret);

#endif
