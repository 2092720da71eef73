/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of the administrators: who else may do how much to a repository, or to all of a namespace.
 * Threads: any. */
#ifndef MATRIXFS_RULES_H
#define MATRIXFS_RULES_H

#include "admin/account/tokens.h"

#define RULE_EVERYBODY "*" /* who has a token */

struct rule {
	char what[REPO_KEY_MAX + 1];     /* "models/ns/name", or "ns": all of the namespace */
	char whom[ACCOUNT_NAME_MAX + 1]; /* a user, an organisation, or RULE_EVERYBODY */
	enum role role;
};

typedef int (*rule_fn)(void *arg, const struct rule *rule);

/* Sets a rule, in the place of one with the same `what` and `whom`; ROLE_NONE takes it away. A
 * sentence in why: -EINVAL, -ENOENT (no such account). */
MUST_USE int rules_set(struct db *db, const struct rule *rule, struct buf *why);
/* Calls fn for each rule about exactly `what` (NULL: for all), until it returns non-zero, and
 * returns that. It must not call this module. */
MUST_USE int rules_each(struct db *db, const char *what, rule_fn fn, void *arg);

/* Inside a transaction. The same; and all rules for an account go. */
MUST_USE int rule_each(struct db_txn *t, const char *what, rule_fn fn, void *arg);
MUST_USE int rule_del_all(struct db_txn *t, const char *whom);
/* All rules about exactly `what` go; or hold for `to` as well, which is a repository's key: where
 * both have one for the same account, the larger role counts. */
MUST_USE int rule_drop(struct db_txn *t, const char *what);
MUST_USE int rule_copy(struct db_txn *t, const char *from, const char *to);

#endif
