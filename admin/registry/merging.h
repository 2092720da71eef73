/* SPDX-License-Identifier: Apache-2.0 */
/* Merging: what one line of commits changed since it left another, put onto that. File by file: one
 * that both changed, each in its own way, is a conflict; texts are not merged line by line. Inside
 * a transaction of db. Threads: any. */
#ifndef MATRIXFS_MERGING_H
#define MATRIXFS_MERGING_H

#include "admin/registry/committing.h"

/* Ids of commits of one repository. */
struct merge {
	const char *uid;
	char base[COMMIT_HEX + 1]; /* where they parted; one that is gone held no files */
	char ours[COMMIT_HEX + 1], theirs[COMMIT_HEX + 1];
	size_t files_max; /* that theirs changed and are looked at; 0: any number */
};

/* What keeps a file from being merged: both changed it; or it was deleted for good, and cannot come
 * into another commit. */
enum merge_obstacle { MERGE_CONFLICT, MERGE_GONE };

typedef int (*merge_fn)(void *arg, const char *path, enum merge_obstacle what);
/* Adds to the plan, unless it is NULL, what ours must change to have what theirs changed; calls
 * fn for each file that keeps it from that, until it returns non-zero, and returns that; without a
 * plan for conflicts alone. ERR_NOREV: one of the two is not there; ERR_CORRUPT: what has to be
 * read of them, or of the base, is damaged; -E2BIG: theirs changed more than files_max;
 * commit_plan_add's. */
MUST_USE int merge_plan(struct db_txn *t, const struct merge *m, struct commit_plan *p, merge_fn fn,
			void *arg);

#endif
