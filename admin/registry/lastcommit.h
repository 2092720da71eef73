/* SPDX-License-Identifier: Apache-2.0 */
/* Which commit changed what is in a directory last. Inside a transaction of db. */
#ifndef MATRIXFS_LASTCOMMIT_H
#define MATRIXFS_LASTCOMMIT_H

#include "admin/registry/registry.h"

#define LASTCOMMIT_MAX 1000 /* commits that are looked at; what is older, that one is told of */

/* Called for each entry of the directory: its path, and the commit. */
typedef int (*lastcommit_fn)(void *arg, const char *path, const char *id,
			     const struct git_commit *commit);

/* Of a directory ("": the whole) of a commit, along first parents. ERR_NOREV, ERR_NOENTRY. */
MUST_USE int lastcommit_each(struct db_txn *t, const char *uid, const char *commit, const char *dir,
			     lastcommit_fn fn, void *arg);

#endif
