/* SPDX-License-Identifier: Apache-2.0 */
/* Who keeps blobs open for others, and is asked to close one when somebody wants to open it with
 * another size. Threads: any. */
#ifndef MATRIXFS_MAKE_WAY_H
#define MATRIXFS_MAKE_WAY_H

#include <stdbool.h>

#include "daemon/base/lock.h"

struct make_way {
	struct lock lock;
	/* Guarded by lock. */
	struct cond asked;
	bool (*fn)(void *arg, const char *etag, bool in_use);
	void *arg;
	unsigned asking;
};

/* Nobody is asked. */
void make_way_init(struct make_way *w);
void make_way_fini(struct make_way *w);
/* fn is asked from now on, no lock held: true if it has closed the blob, or, where it may be
 * `in_use`, whoever uses it is about to. Or NULL: nobody, and who was set before is not being asked
 * any more when this returns. */
void make_way_set(struct make_way *w, bool (*fn)(void *arg, const char *etag, bool in_use),
		  void *arg);
/* True if the blob was closed, or is about to be. */
bool make_way_ask(struct make_way *w, const char *etag, bool in_use);

#endif
