/* SPDX-License-Identifier: Apache-2.0 */
/* Names that repositories had: what is asked for by one of them is found as it is called now. A
 * name that somebody gives to another repository leads to that one from then on. Rules of who may
 * do what to one repository (rules.h), and grants of tokens that name it, go where it goes, and
 * never to another that gets its name; below, grants are meant with the rules.
 * All calls run inside a transaction of db. Threads: any. */
#ifndef MATRIXFS_RENAMING_H
#define MATRIXFS_RENAMING_H

#include "admin/registry/registry.h"

/* The repository that is called so, or else the one that was. -ENOENT; ERR_CORRUPT. */
MUST_USE int renaming_get(struct db_txn *t, const struct repo_id *id, struct registry_repo *ret);
/* It is called `to` from now on, and found by all that it was called. -EEXIST: another one is
 * called so; -ENOENT: it is not there any more by the name that `repo` says. What is kept under
 * its uid stays where it is, and the rules about it hold by the new name; what is said of who may
 * see it is for the caller to say anew. The old name is given up: renaming_forget. */
MUST_USE int renaming_move(struct db_txn *t, struct registry_repo *repo, const struct repo_id *to);
/* The name is given to another repository. */
MUST_USE int renaming_take(struct db_txn *t, const struct repo_id *name);
/* The repository of that name goes, with all names that led to it, and the rules about all of them.
 * Its name is given up. */
MUST_USE int renaming_drop(struct db_txn *t, const struct repo_id *id);
/* A name that was given up is forgotten, with the rules about it; nothing happens if somebody has
 * it again. */
MUST_USE int renaming_forget(struct db_txn *t, const struct repo_id *name);
typedef int (*renaming_fn)(void *arg, const struct repo_id *was);
/* Calls fn for each name that one had, in small letters, until it returns non-zero, and returns
 * that. fn may read. */
MUST_USE int renaming_each(struct db_txn *t, renaming_fn fn, void *arg);
/* The same of names that were given up, and not forgotten yet; of damaged rows as well: a name is
 * all they say. Those are logged here, where alone they are seen. */
MUST_USE int renaming_each_given_up(struct db_txn *t, renaming_fn fn, void *arg);

#endif
