/* SPDX-License-Identifier: Apache-2.0 */
/* Checks: what somebody found out about a commit, under a name, as "eval passed". Promotions ask
 * for them. The last result of a name counts. Threads: any. */
#ifndef MATRIXFS_CHECKS_H
#define MATRIXFS_CHECKS_H

#include "admin/registry/registry.h"

#define CHECK_NAME_MAX 64
#define CHECK_URL_MAX 512
#define CHECK_RESULTS "passed|failed"

struct check {
	char name[CHECK_NAME_MAX + 1];
	bool passed;
	char user[ACCOUNT_NAME_MAX + 1]; /* who said so */
	char url[CHECK_URL_MAX + 1];     /* where more is told, or "" */
	int64_t at_s;
};

/* True for letters, digits, '.', '_' and '-'. */
bool check_name_valid(const char *name);
/* True for "NAME" and "NAME@USER": of that user alone, as promotions ask for them. */
bool check_wanted_valid(const char *wanted);

/* Sets a result, which is said now, in the place of the one of that name. */
MUST_USE int check_put(struct db_txn *t, const char *uid, const char *commit,
		       const struct check *check);
/* -ENOENT: nobody has said. */
MUST_USE int check_get(struct db_txn *t, const char *uid, const char *commit, const char *name,
		       struct check *ret);
typedef int (*check_fn)(void *arg, const struct check *check);
/* Calls fn for each of a commit, by name, until it returns non-zero, and returns that. */
MUST_USE int check_each(struct db_txn *t, const char *uid, const char *commit, check_fn fn,
			void *arg);
/* A commit was written anew with the same tree: what was found out about its bytes is so of the new
 * one, unless that was said there already. Of another tree nothing is known. */
MUST_USE int check_follow(struct db_txn *t, const char *uid, const char *from, const char *to);
/* The commit goes: what was said of it, too. */
MUST_USE int check_forget(struct db_txn *t, const char *uid, const char *commit);
/* 0 if "NAME" or "NAME@USER" has passed, else -ENODATA and a sentence in why; `lenient`: if it has
 * not failed. */
MUST_USE int check_demand(struct db_txn *t, const char *uid, const char *commit, const char *wanted,
			  bool lenient, struct buf *why);

#endif
