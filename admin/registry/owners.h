/* SPDX-License-Identifier: Apache-2.0 */
/* Whose the objects of a repository are, by its uid: the repository they belong to, how many bytes
 * its files have, and so what its namespace holds (holdings.h). All calls run inside a transaction
 * of db. Threads: any. */
#ifndef MATRIXFS_OWNERS_H
#define MATRIXFS_OWNERS_H

#include <stdint.h>

#include "admin/account/accounts.h"
#include "admin/db.h"
#include "daemon/model/repo_id.h"

struct owner {
	char repo[REPO_KEY_MAX + 1]; /* its key, in small letters */
	char namespace[ACCOUNT_NAME_MAX + 1];
	uint64_t bytes; /* of all files in its history, each once */
};

/* -ENOENT. */
MUST_USE int owners_get(struct db_txn *t, const char *uid, struct owner *ret);
/* It belongs to that repository from now on; the bytes stay. */
MUST_USE int owners_put(struct db_txn *t, const char *uid, const char *repo);
/* To delete what is absent is no failure. */
MUST_USE int owners_del(struct db_txn *t, const char *uid);
/* A file has come into its history: ERR_QUOTA, as holdings_add. Or has gone from it. Its bytes are
 * held by the namespace `payer`, or, if that is "", by the repository's. Nothing happens to what
 * nobody owns. */
MUST_USE int owners_add(struct db_txn *t, const char *uid, const char *payer, const char *etag,
			uint64_t size);
MUST_USE int owners_drop(struct db_txn *t, const char *uid, const char *payer, const char *etag,
			 uint64_t size);
typedef int (*owners_fn)(void *arg, const char *uid, const struct owner *owner);
/* Calls fn for each, by its uid, until it returns non-zero, and returns that. fn may read. */
MUST_USE int owners_each(struct db_txn *t, owners_fn fn, void *arg);

#endif
