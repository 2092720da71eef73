/* SPDX-License-Identifier: Apache-2.0 */
/* Who keeps blobs open for others, and is asked to close one when somebody wants to open it with
 * another size. Threads: any. */
#ifndef MATRIXFS_YIELD_H
#define MATRIXFS_YIELD_H

#include <stdbool.h>

#include "daemon/base/lock.h"

struct yield {
	struct lock lock;
	/* Guarded by lock. */
	struct cond asked;
	bool (*fn)(void *arg, const char *etag, bool in_use);
	void *arg;
	unsigned asking;
};

/* Nobody is asked. */
void yield_init(struct yield *y);
void yield_fini(struct yield *y);
/* fn is asked from now on, no lock held: true if it has closed the blob, or, where it may be
 * `in_use`, whoever uses it is about to. Or NULL: nobody, and who was set before is not being asked
 * any more when this returns. */
void yield_set(struct yield *y, bool (*fn)(void *arg, const char *etag, bool in_use), void *arg);
/* True if the blob was closed, or is about to be. */
bool yield_ask(struct yield *y, const char *etag, bool in_use);

#endif
