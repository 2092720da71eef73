/* SPDX-License-Identifier: Apache-2.0 */
/* The places where a blob lies, as readers here and guests have named them, and which of them is
 * asked for next: a reader's before a guest's, for whom it is brought to be given away, and those
 * where no source had it lately after all others. Who names a wrong one costs others a question.
 * Threads: one at a time, but for what an origin is: that stays as long as it is not dropped. */
#ifndef MATRIXFS_ORIGINS_H
#define MATRIXFS_ORIGINS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/hub/source.h"

#define ORIGINS_MAX 16        /* of readers, and as many of guests: not all are closed to us */
#define ORIGINS_REST_MS 60000 /* so long another place is asked for rather */

struct origin {
	struct origin *next;
	unsigned number; /* its bit among those that were tried */
	bool guests;     /* no reader here has named it */
	int64_t rests_until_ms;
	struct source_blob what; /* what.path is the path below */
	char path[];
};

/* All zero: none. */
struct origins {
	struct origin *first; /* is never dropped */
};

/* Notes a place; also that a reader has named it, too, unless there are many of readers. If there
 * are many of guests, one that rests is dropped for it if may_drop: nobody uses any then; else it
 * is passed over. -ENOMEM. */
MUST_USE int origins_add(struct origins *o, const struct source_blob *what, bool guests,
			 bool may_drop, int64_t now_ms);
/* The one whose turn it is when those of `tried` had theirs (bit: number); NULL if there is none.
 * A guest's that rests has none but where there is nothing else. */
struct origin *origins_next(const struct origins *o, uint64_t tried, int64_t now_ms);
/* No source had it there. */
void origin_rest(struct origin *origin, int64_t now_ms);
/* True if there is one that does not rest. */
bool origins_fresh(const struct origins *o, int64_t now_ms);
void origins_free(struct origins *o);

#endif
