/* SPDX-License-Identifier: Apache-2.0 */
/* From a whole path to its place, for those who do not come through the kernel. Names of refs are
 * taken as they are known; what was never asked is asked now. No FUSE in here. Threads: any. */
#ifndef MATRIXFS_RESOLVE_H
#define MATRIXFS_RESOLVE_H

#include "fs/view.h"

/* Looks up `path` (below the mount point, '/' between names) and calls done once, before or after
 * it returns, from any thread, no lock held: with 0 and the place, owned by done, or with a
 * negative error. Both strings are copied, the view is borrowed until then. */
void resolve(const struct view *v, const char *path, int64_t timeout_ms,
	     void (*done)(void *arg, int r, struct place *p), void *arg);

#endif
