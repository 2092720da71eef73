/* SPDX-License-Identifier: Apache-2.0 */
/* Which files two trees of one repository do not have alike. Directories that are the same are not
 * looked into. Inside a transaction of db. Threads: any. */
#ifndef MATRIXFS_TREEDIFF_H
#define MATRIXFS_TREEDIFF_H

#include "admin/registry/registry.h"

/* One side of a file; mode 0: it is not there. */
struct tree_side {
	unsigned mode;
	uint8_t id[GIT_ID];
};

typedef int (*treediff_fn)(void *arg, const char *path, const struct tree_side *from,
			   const struct tree_side *to);
/* Calls fn for each file that is another one, in git's order of their paths, until it returns
 * non-zero, and returns that. A tree that is NULL is empty. ERR_CORRUPT. */
MUST_USE int treediff_each(struct db_txn *t, const char *uid, const uint8_t *from,
			   const uint8_t *to, treediff_fn fn, void *arg);
/* What lies by that path, which may be a directory; mode 0 if nothing does. -ENOTDIR: a file lies
 * where one of its directories would. */
MUST_USE int treediff_find(struct db_txn *t, const char *uid, const uint8_t tree[static GIT_ID],
			   const char *path, struct tree_side *ret);

#endif
