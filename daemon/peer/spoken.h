/* SPDX-License-Identifier: Apache-2.0 */
/* A request to a member, as it is signed, and whether a member has signed its answer. Threads: one
 * per request. */
#ifndef MATRIXFS_SPOKEN_H
#define MATRIXFS_SPOKEN_H

#include "daemon/base/httpc.h"
#include "daemon/peer/cluster_key.h"
#include "daemon/peer/members.h"

/* Who asks, and by what. Borrowed. */
struct asker {
	struct cluster_key *key;
	struct httpc *http;
	bool secure;                /* members speak TLS */
	const char *address, *zone; /* of this node */
	const char *process;        /* what its own answers are signed by */
};

/* Zeroed, but for the first two. */
struct spoken {
	const struct asker *who; /* borrowed, like the next */
	struct member *member;
	struct buf url;
	const char *fields[3]; /* for httpc_request */
	unsigned field_count;
	/* Its own. */
	struct buf authorization, range, zone;
	char nonce[CLUSTER_NONCE_HEX + 1];
};

/* Writes and signs one; target and range ("" for none) are as they go over the line. */
MUST_USE int spoken_write(struct spoken *s, const char *method, const char *target,
			  const char *range);
/* 0 if a member has signed this head, whatever it says; its clock is noted then, or that it is
 * this node itself. ERR_BUSY: nobody has, but who has as many connections as it may says so before
 * it knows who asks; ERR_TOKEN. */
MUST_USE int spoken_check(struct spoken *s, const struct httpc_response *r);
void spoken_fini(struct spoken *s);

#endif
