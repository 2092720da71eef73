/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where refs change: whether that may be is decided in the transaction that changes
 * them, and where they have been is noted there. What a lock holds (locks.h): neither does the tag
 * move or go, nor its repository, nor does a branch get its name, whose commit readers would get
 * in its place. Threads: any. */
#ifndef MATRIXFS_REFS_H
#define MATRIXFS_REFS_H

#include "admin/registry/locks.h"

struct ref_change {
	const char *uid;    /* of the repository */
	const char *ref;    /* "refs/tags/v1" */
	const char *commit; /* what it names from now on; NULL: it goes */
	/* What it is called where it is noted ("tag.create"); NULL: it is a commit to a branch,
	 * which git's history tells. */
	const char *act;
	const char *user, *why; /* who, and a reason or NULL */
	/* Of a promotion: by which rule, from which ref, what had passed; else NULL. */
	const char *rule, *from, *checks;
};

/* Sets it, in the place of what it named, or takes it away. ERR_TAG_LOCKED: a sentence in why.
 * -EEXIST: it is new, and cannot stand beside another one ("a" and "a/b"); -ENOENT: there is none
 * to take away. */
MUST_USE int ref_change(struct db_txn *t, const struct ref_change *c, struct buf *why);
/* 0 if the repository may be deleted or get another name: no lock holds a tag of it. Else
 * ERR_TAG_LOCKED, and a sentence. */
MUST_USE int ref_check_repo(struct db_txn *t, const char *uid, struct buf *why);
/* Once it has another name: 0 if its tags could have been made where it is now. ERR_TAG_LOCKED with
 * a sentence: promotions lead to one, or one would be locked that a branch of its name hides. */
MUST_USE int ref_check_arrival(struct db_txn *t, const char *uid, struct buf *why);

typedef int (*ref_held_fn)(void *arg, const char *commit);
/* Calls fn for each commit that must stay whatever else refs name: those that locked tags name, and
 * those that tags which move by promotion have named, for a rollback. Some come more than once.
 * Until it returns non-zero, and returns that. */
MUST_USE int ref_each_held(struct db_txn *t, const char *uid, ref_held_fn fn, void *arg);

#endif
