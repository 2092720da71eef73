/* SPDX-License-Identifier: Apache-2.0 */
/* Which segments of a file this node is to bring for its peers: those it owns. */
#ifndef MATRIXFS_SHARE_H
#define MATRIXFS_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/peer/members.h"

struct share {
	uint64_t size, bytes; /* of the file, and of what of it is this node's */
	uint32_t count;
	bool mine[]; /* a segment each */
};

/* Of a blob of that size, by the members there are now. *ret is owned (free). -ENOMEM. */
MUST_USE int share_of(struct members *m, const char *etag, uint64_t size, struct share **ret);
/* The next bytes of it at or behind *from: true with [*from, *to), else there are no more. */
bool share_next(const struct share *s, uint64_t *from, uint64_t *to);

#endif
