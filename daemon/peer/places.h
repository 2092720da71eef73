/* SPDX-License-Identifier: Apache-2.0 */
/* Where the segments of blobs belong, kept while blobs are asked for: a placement is worked out
 * once for a blob and a list of members. Threads: any. */
#ifndef MATRIXFS_PLACES_H
#define MATRIXFS_PLACES_H

#include "daemon/base/lock.h"
#include "daemon/peer/members.h"
#include "daemon/peer/placement.h"

#define PLACES_MAX 512 /* blobs whose placement is kept: of those asked for longest ago none is */
#define PLACES_BYTES (UINT64_C(4) << 20) /* likewise; one more than that if it is the only one */

struct places {
	struct lock lock;
	/* Guarded by lock. */
	struct place_of {
		uint64_t blob, size, version;
		uint64_t used; /* 0: free */
		struct placement *placement;
	} of[PLACES_MAX];
	unsigned count;
	uint64_t bytes, clock; /* bytes: that all placements take, about */
	bool working;          /* somebody works one out, */
	struct cond changed;   /* or did: one at a time, whoever asks */
};

/* Nothing is placed. */
void places_init(struct places *p);
void places_fini(struct places *p);
/* The owners of a segment of a blob of that size, as placement_owners tells them: indexes in
 * `members`. 0: no memory. */
unsigned places_owners(struct places *p, const struct membership *members, struct segment segment,
		       uint64_t size, uint32_t ret[static PLACEMENT_OWNERS]);

#endif
