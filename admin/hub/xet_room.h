/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for shards: each is held from its first byte to its answer, and who sends one decides how
 * large it is and how slowly it comes. So all together, and those of one user, have a bound. What
 * is small finds room beside what is large. Threads: any, but one at a time for each hold. */
#ifndef MATRIXFS_XET_ROOM_H
#define MATRIXFS_XET_ROOM_H

#include <stdint.h>

#include "daemon/base/own.h"

#define XET_ROOM_BYTES (UINT64_C(64) << 20)       /* of all shards that are held */
#define XET_ROOM_LARGE_BYTES (UINT64_C(48) << 20) /* of all, if their user has more than ... */
#define XET_ROOM_SMALL_BYTES (UINT64_C(4) << 20)  /* ... this */
#define XET_ROOM_USER_BYTES (UINT64_C(46) << 20)  /* of one user's: the largest that is taken */

struct xet_room;

/* What one shard takes; zeroed it is nothing. */
struct xet_hold {
	struct xet_hold *prev, *next;
	const char *user; /* borrowed */
	uint64_t bytes;
};

/* -ENOMEM. */
MUST_USE int xet_room_new(struct xet_room **ret);
/* NULL is none. */
void xet_room_free(struct xet_room *r);
/* It takes so many bytes, or some more, from now on. -EAGAIN: there is no room for them. */
MUST_USE int xet_room_take(struct xet_room *r, struct xet_hold *h, uint64_t bytes);
/* It takes nothing any more. */
void xet_room_leave(struct xet_room *r, struct xet_hold *h);

#endif
