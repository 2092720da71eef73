/* SPDX-License-Identifier: Apache-2.0 */
/* From a whole path to its place, for those who do not come through the kernel. Names of refs are
 * taken as they are known; what was never asked is asked now. No FUSE in here. Threads: any. */
#ifndef MATRIXFS_RESOLVE_H
#define MATRIXFS_RESOLVE_H

#include "fs/view.h"

struct walk;

/* A walk along a path (below the mount point, '/' between names), which is copied; the view is
 * borrowed until it is freed. Another name of a repository leads to that one: at the path's end
 * only if follow. -ENOMEM. */
MUST_USE int walk_new(const struct view *v, const char *path, bool follow, struct walk **ret);
void walk_free(struct walk *w);
/* Goes on until its end: 0 and the place, owned. Waiter as in node.h: when it was woken the walk is
 * to go on with what it was woken with, which is 0 the first time. */
MUST_USE int walk_on(struct walk *w, struct waiter *waiter, int ended, struct place *ret);

/* Looks up `path` and calls done once, before or after it returns, from any thread, no lock held:
 * with 0 and the place, owned by done, or with a negative error. The path is copied, the view is
 * borrowed until then. */
void resolve(const struct view *v, const char *path, int64_t timeout_ms,
	     void (*done)(void *arg, int r, struct place *p), void *arg);

#endif
