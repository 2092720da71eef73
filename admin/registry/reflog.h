/* SPDX-License-Identifier: Apache-2.0 */
/* Where refs have been: each move of a tag, and each of a branch that is no commit, as a row that
 * says which commit, when, by whom, why, and by which rule. Rows are added in the transaction that
 * makes the move, never changed, and go with their repository. Threads: any. */
#ifndef MATRIXFS_REFLOG_H
#define MATRIXFS_REFLOG_H

#include "admin/registry/registry.h"

/* Texts are borrowed; NULL and "" are none. */
struct ref_event {
	uint64_t number; /* of the moves of its repository, from 1 on */
	int64_t at_s;
	const char *ref;          /* "refs/tags/prod" */
	const char *act;          /* "tag.promote": as the audit trail calls it */
	const char *commit, *was; /* what it names since, and named before */
	const char *user, *why;
	const char *rule, *from, *checks; /* of a promotion */
};

/* Adds a row; its number and time are given here. */
MUST_USE int reflog_add(struct db_txn *t, const char *uid, const struct ref_event *e);
typedef int (*reflog_fn)(void *arg, const struct ref_event *e);
/* Calls fn for each row of a ref (NULL: of all, one ref after the other), oldest first, until it
 * returns non-zero, and returns that. fn may read. */
MUST_USE int reflog_each(struct db_txn *t, const char *uid, const char *ref, reflog_fn fn,
			 void *arg);

#endif
