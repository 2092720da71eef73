/* SPDX-License-Identifier: Apache-2.0 */
/* One request to a member: signed, sent, and its answer believed if a member has signed that.
 * Threads: any. */
#ifndef MATRIXFS_PEER_REQUEST_H
#define MATRIXFS_PEER_REQUEST_H

#include "daemon/base/httpc.h"
#include "daemon/peer/cluster_key.h"
#include "daemon/peer/members.h"
#include "daemon/peer/tls_troubles.h"

/* Who asks, and by what. Borrowed. */
struct asker {
	struct cluster_key *key;
	struct httpc *http;
	bool secure;                   /* members speak TLS */
	const char *address, *zone;    /* of this node */
	const char *process;           /* what its own answers are signed by */
	struct tls_troubles *troubles; /* with whom TLS fails is noted there; NULL: nowhere */
};

struct peer_request {
	struct member *member;       /* who is asked; borrowed, like all here */
	const char *method, *target; /* as they go over the line, */
	const char *range;           /* and the value of Range; "" for none */
	struct httpc_cancel *cancel; /* its limits are set, and afterwards as they were */
	int64_t patience_ms;         /* of silence */
	int64_t connect_ms;          /* it may take so long to reach the member; 0: likewise */
	int64_t whole_ms;            /* the head is to come in such a time, and the whole answer */
	int lasting; /* but not one of this status: silence alone ends that; 0: all are */
	/* Called with a head that a member has signed, took_ms after it was asked. */
	int (*head)(void *arg, const struct httpc_response *r, int64_t took_ms);
	/* Then with its body, of which at most PEER_REQUEST_BODY_MAX come if it does not last. Of
	 * both a non-zero result ends the request and becomes its own. */
	int (*body)(void *arg, const void *data, size_t len);
	/* Called each PEER_REQUEST_TICK_MS, or NULL. Likewise. */
	int (*tick)(void *arg);
	void *arg;
};
#define PEER_REQUEST_TICK_MS 200 /* of each request under way: a thread wakes up for it */
#define PEER_REQUEST_BODY_MAX (64 << 10)

/* Asks; if the member finds that its clock is another one, once more by that. Notes its clock, or
 * that it is this node itself. The status, which a member has signed; what head or body said;
 * ERR_TOKEN (the member takes no word of ours, or we none of its); ERR_BUSY (nobody has signed it:
 * who has no connection free says so before it knows who asks); ERR_TIMEOUT or ERR_PROTO for what
 * is longer than it may be; or as httpc_run. Blocking. */
MUST_USE int peer_request_run(const struct peer_request *s, const struct asker *who);

#endif
