/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a repository's folder of the shown tree: its blobs, refs, snapshots and the files
 * below them, .no_exist and trees. Threads: any. */
#ifndef MATRIXFS_VIEW_REPO_H
#define MATRIXFS_VIEW_REPO_H

#include "fs/view.h"

/* True for a directory whose names are looked up here. */
bool view_repo_has(const struct place *dir);
/* As view_lookup for such a directory, whoever may see it, and what clients wrote left out.
 * *ret_ttl_ms is VIEW_FOREVER before. */
MUST_USE int view_repo_lookup(const struct view *v, const struct place *dir, const char *name,
			      struct waiter *w, struct place *ret, int64_t *ret_ttl_ms);
/* As view_shows_itself; false for a directory that is not looked up here. */
bool view_repo_shows_itself(const struct view *v, const struct place *dir, const char *name);

#endif
