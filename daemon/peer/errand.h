/* SPDX-License-Identifier: Apache-2.0 */
/* One thing a member is asked for that is not bytes of a blob: signed like those, answered with
 * JSON. */
#ifndef MATRIXFS_ERRAND_H
#define MATRIXFS_ERRAND_H

#include "daemon/peer/spoken.h"

struct errand {
	struct member *member; /* borrowed */
	const char *method, *target;
	int64_t patience_ms;         /* of silence */
	int64_t connect_ms;          /* to reach the member; 0: likewise */
	struct httpc_cancel *cancel; /* borrowed, or NULL */
};

/* Asks; appends the answer, at most SPOKEN_BODY_MAX bytes, which are to come within ten seconds. As
 * spoken_run. Blocking. */
MUST_USE int errand_run(const struct errand *e, const struct asker *who, struct buf *ret);

#endif
