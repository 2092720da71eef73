/* SPDX-License-Identifier: Apache-2.0 */
/* One question to one member: a request, signed, and its answer, checked. What the answer holds
 * besides bytes is noted here, and what is to be learned of the member (its clock, its zone). */
#ifndef MATRIXFS_PEER_GET_H
#define MATRIXFS_PEER_GET_H

#include "daemon/peer/peer_request.h"
#include "daemon/peer/wire.h"

struct peer_get {
	struct member *member;      /* borrowed */
	const struct wire_ask *ask; /* borrowed */
	struct httpc_cancel *cancel;
	int64_t patience_ms; /* of silence */
	int64_t connect_ms;  /* it may take so long to reach the member; 0: as long as that */
	/* Gets the bytes in order; non-zero ends the question. Nothing reaches it that the head has
	 * not said to be the first bytes asked for, of this blob. */
	int (*sink)(void *arg, const void *data, size_t len);
	/* Called each PEER_REQUEST_TICK_MS; non-zero ends it, too. NULL: it is not. */
	int (*tick)(void *arg);
	void *arg;
	/* What came. */
	int status;                  /* of an answer that a member has signed; 0: there was none */
	bool nonsense;               /* it is none to this question: ERR_PROTO */
	int64_t first_ms;            /* from the question to its answer's head, or -1 */
	uint64_t len;                /* of a WIRE_BYTES: so many are given */
	struct wire_digests digests; /* of a WIRE_TOLD */
	char others[WIRE_OTHERS_MAX][MEMBER_ADDRESS_MAX + 1];
	unsigned other_count;
	uint32_t number;  /* this node's from now on, or 0 */
	int64_t quiet_ms; /* bytes came to it so long ago, for a WIRE_COMING; -1: it does not say */
	int cause; /* of a failure: the error the member names, as nobody has signed it, or 0 */
	int sunk;  /* what the sink ended it with, or 0 */
};

/* Asks; fills the lower half of *q. 0: it was answered to the end; else what the sink said, or how
 * it failed, as peer_request_run. Blocking. */
MUST_USE int peer_get_run(struct peer_get *q, const struct asker *who);

#endif
