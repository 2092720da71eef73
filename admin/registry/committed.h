/* SPDX-License-Identifier: Apache-2.0 */
/* The files of commits that are made: one by one, or all of them. Inside a transaction of db.
 * Threads: any, one at a time for each struct. */
#ifndef MATRIXFS_COMMITTED_H
#define MATRIXFS_COMMITTED_H

#include "admin/git/gittrees.h"
#include "admin/registry/registry.h"

/* A commit's trees, read as far as they are asked for. It stays where it is; zeroed: none. */
struct committed {
	struct db_txn *txn;
	const char *uid;
	struct git_trees *trees;
};

/* Those of a commit, or none at all (NULL). uid is borrowed, and the transaction as long as
 * something may be read. -ENOMEM. */
MUST_USE int committed_open(struct committed *c, struct db_txn *t, const char *uid,
			    const struct git_commit *commit);
void committed_fini(struct committed *c);
/* The file of a path: only the directories on the way to it are read. -ENOENT. */
MUST_USE int committed_find(struct committed *c, const char *path, struct manifest_file *ret);

/* All files of a commit: what a manifest tells of them. */
MUST_USE int committed_files(struct db_txn *t, const char *uid, const struct git_commit *commit,
			     struct manifest **ret);

#endif
