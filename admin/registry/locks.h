/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of tags: whether one may move or go. One is locked by itself, by a rule whose glob it
 * matches, or because a rule of promotions is the way that it moves (tag_rules.h). An administrator
 * may release one that a rule holds: for one change, after which the rule holds it again. All calls
 * run inside a transaction of db, those that decide inside the one that makes the change.
 * Threads: any. */
#ifndef MATRIXFS_LOCKS_H
#define MATRIXFS_LOCKS_H

#include "admin/registry/tag_rules.h"

enum lock_kind {
	LOCK_NONE,
	LOCK_PROMOTION, /* the rule's promotions move it, and nothing else */
	LOCK_RULE,      /* its name matches the rule's glob; promotions move it */
	LOCK_TAG,       /* it is locked by itself: nothing moves it */
};

struct tag_lock {
	enum lock_kind kind;
	enum lock_kind beneath;          /* of one that is locked by itself: what else holds it */
	bool released;                   /* for one change, although a rule holds it */
	bool damaged;                    /* the rule is */
	char rule[TAG_GLOB_MAX + 1];     /* the glob, or the promotion's name, also beneath; "" */
	struct tag_scope of;             /* what that rule is about */
	char user[ACCOUNT_NAME_MAX + 1]; /* who locked it, or released it, or made the rule */
	char why[TAG_WHY_MAX + 1];
	int64_t at_s;
};

/* "none", "promotion", "rule", "tag". */
const char *tag_lock_word(enum lock_kind kind);
#define LOCK_WORDS "none|promotion|rule|tag"
/* True if it holds now. */
bool tag_lock_holds(const struct tag_lock *l);
/* What holds a tag of that repository. Of one that is not there yet: what would. */
MUST_USE int tag_lock_get(struct db_txn *t, const char *uid, const char *tag, struct tag_lock *ret);
/* Appends by what it is held: a clause, to be gone on with. */
void tag_lock_say(const struct tag_lock *l, const char *tag, struct buf *ret);

/* Locks a tag by itself; one that was released is only held again. -ENOENT: there is none; -EEXIST:
 * it is locked by itself already; -ENOTUNIQ: a branch has its name, and readers get that one. */
MUST_USE int tag_lock_add(struct db_txn *t, const char *uid, const char *tag, const char *user,
			  const char *why);
/* It is no longer locked by itself, and what is beneath holds it; if only a rule held it, it is
 * released for one change. -ENOENT: there is no such tag, or nothing holds it. */
MUST_USE int tag_lock_release(struct db_txn *t, const char *uid, const char *tag, const char *user,
			      const char *why);
/* 1: a branch has the name of that tag, and readers get it in the tag's place; 0: none has. */
MUST_USE int tag_is_hidden(struct db_txn *t, const char *uid, const char *tag);
/* The tag has changed or gone: what was said of it alone is over. */
MUST_USE int tag_lock_used(struct db_txn *t, const char *uid, const char *tag);

#endif
