/* SPDX-License-Identifier: Apache-2.0 */
/* One thing a member is asked for that is not bytes of a blob: signed like those, answered with
 * JSON. */
#ifndef MATRIXFS_ERRAND_H
#define MATRIXFS_ERRAND_H

#include "daemon/peer/spoken.h"

struct errand {
	struct member *member; /* borrowed */
	const char *method, *target;
	int64_t patience_ms; /* of silence */
};

/* Asks; appends the answer. The status, which a member has signed; ERR_TOKEN as question_ask has
 * it, or how it failed. Blocking. */
MUST_USE int errand_run(const struct errand *e, const struct asker *who, struct buf *ret);

#endif
