/* SPDX-License-Identifier: Apache-2.0 */
/* Where the segments of blobs belong, kept while blobs are asked for: a placement is worked out
 * once for a blob and a list of members. Threads: any. */
#ifndef MATRIXFS_PLACEMENT_CACHE_H
#define MATRIXFS_PLACEMENT_CACHE_H

#include "daemon/base/lock.h"
#include "daemon/peer/members.h"
#include "daemon/peer/placement.h"

#define PLACEMENT_CACHE_MAX \
	512 /* blobs whose placement is kept: of those asked for longest ago none is */
#define PLACEMENT_CACHE_BYTES \
	(UINT64_C(4) << 20) /* likewise; one more than that if it is the only one */

struct placement_cache {
	struct lock lock;
	/* Guarded by lock. */
	struct placed {
		uint64_t blob, size, version;
		uint64_t used; /* 0: free */
		struct placement *placement;
	} of[PLACEMENT_CACHE_MAX];
	unsigned count;
	uint64_t bytes, clock; /* bytes: that all placements take, about */
	bool working;          /* somebody works one out, */
	struct cond changed;   /* or did: one at a time, whoever asks */
};

/* Nothing is placed. */
void placement_cache_init(struct placement_cache *p);
void placement_cache_fini(struct placement_cache *p);
/* The owners of a segment of a blob of that size, as placement_owners tells them: indexes in
 * `members`. 0: no memory. */
unsigned placement_cache_owners(struct placement_cache *p, const struct membership *members,
				struct segment segment, uint64_t size,
				uint32_t ret[static PLACEMENT_OWNERS]);

#endif
