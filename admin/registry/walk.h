/* SPDX-License-Identifier: Apache-2.0 */
/* All that refs of a repository reach, each object once: first the commits, those before others
 * that were made from them, then the trees and files of each in that order, so that a file is met
 * in the first commit that has it. Runs inside a transaction of db, which it only reads. Threads:
 * any. */
#ifndef MATRIXFS_WALK_H
#define MATRIXFS_WALK_H

#include "admin/registry/registry.h"

struct walk_commit {
	uint8_t id[GIT_ID], tree[GIT_ID];
	int64_t at_s;
	char ref[REGISTRY_REF_MAX + 1]; /* main, or else the first of those that lead to it */
};

/* Each may be NULL. What they return but 0 ends the walk, and is returned. They may read. */
struct walk_events {
	int (*commit)(void *arg, const struct walk_commit *c);
	int (*tree)(void *arg, const uint8_t id[static GIT_ID], const struct buf *bytes);
	int (*file)(void *arg, const struct walk_commit *c, const char *path,
		    const struct git_entry *e);
};

/* ERR_CORRUPT: something that is named is not there. */
MUST_USE int walk_history(struct db_txn *t, const char *uid, const struct walk_events *events,
			  void *arg);
/* The same from commits instead of refs: their ids, one after the other. */
MUST_USE int walk_commits(struct db_txn *t, const char *uid, const struct buf *ids,
			  const struct walk_events *events, void *arg);

#endif
