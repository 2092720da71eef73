/* SPDX-License-Identifier: Apache-2.0 */
/* Rules about tags, which administrators make: which are locked, and by which promotions they move.
 * A rule is about all repositories of a namespace, or about one, which keeps it under whatever name
 * it has. All calls run inside a transaction of db. Threads: any. */
#ifndef MATRIXFS_TAG_RULES_H
#define MATRIXFS_TAG_RULES_H

#include "admin/registry/checks.h"
#include "daemon/base/jwrite.h"

#define TAG_GLOB_MAX 128
#define TAG_ANY "*"
#define TAG_WHY_MAX 1024 /* bytes of a reason */
#define TAG_RULE_NAME_MAX 64
#define TAG_RULE_LIST_MAX 16
#define TAG_WHO_MAX (ACCOUNT_NAME_MAX + sizeof(":write") - 1)
#define TAG_WANTED_MAX (CHECK_NAME_MAX + 1 + ACCOUNT_NAME_MAX)
#define TAG_SCOPE_MAX (ACCOUNT_NAME_MAX + 1)

/* What a rule is about: the uid of a repository, or a slash and a namespace in small letters. */
struct tag_scope {
	char key[TAG_SCOPE_MAX + 1];
};
bool tag_scope_is_repo(const struct tag_scope *s);
struct tag_scope tag_scope_of_repo(const char *uid);
struct tag_scope tag_scope_of_namespace(const char *namespace);
/* Of the namespace that the repository of that uid is in now; of none, if there is no such. */
MUST_USE int tag_scope_above(struct db_txn *t, const char *uid, struct tag_scope *ret);

/* Tags that match do not move, but by promotion, nor go. */
struct lock_rule {
	char tags[TAG_GLOB_MAX + 1];     /* a name with '*' and '?' */
	char user[ACCOUNT_NAME_MAX + 1]; /* who made it */
	char why[TAG_WHY_MAX + 1];
	int64_t at_s;
	bool damaged; /* its row is: it holds, and why is TAG_RULE_DAMAGED */
};

/* Why a rule holds whose row is damaged. */
#define TAG_RULE_DAMAGED "the rule is damaged: it holds until it is removed"

/* The tag `to` gets what a ref named, and moves in no other way. */
struct promotion_rule {
	char name[TAG_RULE_NAME_MAX + 1];
	char to[REVISION_MAX + 1];
	char from[TAG_GLOB_MAX + 1]; /* tags; "refs/heads/main" and the like: branches */
	/* "ann", "org", or "org:write": its members of that role. None: who may administer it. */
	char who[TAG_RULE_LIST_MAX][TAG_WHO_MAX + 1];
	char require[TAG_RULE_LIST_MAX][TAG_WANTED_MAX + 1]; /* see check_wanted_valid */
	unsigned who_count, require_count;
	char user[ACCOUNT_NAME_MAX + 1]; /* who made it */
	int64_t at_s;
	bool damaged; /* its row is: nobody promotes by it, and `to` is TAG_ANY */
};

/* True if nothing but a name with '*' and '?' stands there. */
bool tag_glob_valid(const char *glob);
/* '*' is any letters, slashes among them, '?' is one. */
bool tag_glob_matches(const char *glob, const char *name);
/* Neither what git refuses, nor what would look like another ref or a commit. */
bool tag_name_valid(const char *name);
/* "ann", "org:admin". *ret_role: ROLE_READ unless it is said; ret_name gets the rest. */
bool tag_who_parse(const char *who, char ret_name[static ACCOUNT_NAME_MAX + 1],
		   enum role *ret_role);

/* Sets it, made now, in the place of one with the same glob. */
MUST_USE int lock_rule_put(struct db_txn *t, const struct tag_scope *s, const struct lock_rule *r);
/* -ENOENT. */
MUST_USE int lock_rule_del(struct db_txn *t, const struct tag_scope *s, const char *tags);
typedef int (*lock_rule_fn)(void *arg, const struct tag_scope *s, const struct lock_rule *r);
/* Calls fn for each (s NULL: of all, those of namespaces first), by glob, until it returns
 * non-zero, and returns that. fn may read. A rule that cannot be read is one that holds. */
MUST_USE int lock_rule_each(struct db_txn *t, const struct tag_scope *s, lock_rule_fn fn,
			    void *arg);

/* Sets it, made now, in the place of one of that name. -EEXIST: that is about another tag, which
 * would no longer be held. */
MUST_USE int promotion_rule_put(struct db_txn *t, const struct tag_scope *s,
				const struct promotion_rule *r);
/* True if it says that account who may promote, or whose word it takes. */
bool promotion_rule_names(const struct promotion_rule *r, const char *account);
/* -ENOENT. */
MUST_USE int promotion_rule_del(struct db_txn *t, const struct tag_scope *s, const char *name);
/* Writes what it says of tags and people: members of an object. */
void promotion_rule_write(struct jwrite *w, const struct promotion_rule *r);
typedef int (*promotion_rule_fn)(void *arg, const struct tag_scope *s,
				 const struct promotion_rule *r);
/* The same of those, by name. One that cannot be read holds whatever it may have meant. */
MUST_USE int promotion_rule_each(struct db_txn *t, const struct tag_scope *s, promotion_rule_fn fn,
				 void *arg);
#endif
