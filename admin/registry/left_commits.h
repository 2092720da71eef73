/* SPDX-License-Identifier: Apache-2.0 */
/* Commits that a ref named once, and when it ceased to: who deleted a branch by mistake may make it
 * anew from its commit while the collector spares it. All calls run inside a transaction of db.
 * Threads: any. */
#ifndef MATRIXFS_LEFT_COMMITS_H
#define MATRIXFS_LEFT_COMMITS_H

#include <stdint.h>

#include "admin/db.h"

/* It was left now. */
MUST_USE int left_commits_put(struct db_txn *t, const char *uid, const char *commit, int64_t now_s);
typedef int (*left_commits_fn)(void *arg, const char *commit, int64_t left_s);
/* Calls fn for each of a repository until it returns non-zero, and returns that. */
MUST_USE int left_commits_each(struct db_txn *t, const char *uid, left_commits_fn fn, void *arg);
/* Forgets those that were left before that second. */
MUST_USE int left_commits_forget(struct db_txn *t, const char *uid, int64_t before_s);

#endif
