/* SPDX-License-Identifier: Apache-2.0 */
/* One thing a member is asked for that is not bytes of a blob: signed like those, answered with
 * JSON. */
#ifndef MATRIXFS_PEER_CALL_H
#define MATRIXFS_PEER_CALL_H

#include "daemon/peer/peer_request.h"

struct peer_call {
	struct member *member; /* borrowed */
	const char *method, *target;
	int64_t patience_ms;         /* of silence */
	int64_t connect_ms;          /* to reach the member; 0: likewise */
	int64_t whole_ms;            /* for its whole answer; 0: ten seconds */
	struct httpc_cancel *cancel; /* borrowed, or NULL */
};

/* Asks; appends the answer, at most PEER_REQUEST_BODY_MAX bytes, which are to come in that
 * time. As peer_request_run. Blocking. */
MUST_USE int peer_call_run(const struct peer_call *e, const struct asker *who, struct buf *ret);

#endif
