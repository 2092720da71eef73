/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that belong to a user or an organization: what they collect, what they want to be told
 * of. A document is a JSON text under its owner's name and an id. Inside a transaction of db.
 * Threads: any. */
#ifndef MATRIXFS_OWNED_H
#define MATRIXFS_OWNED_H

#include "admin/account/accounts.h"
#include "admin/db.h"

#define OWNED_ID 24 /* hex digits; registry_make_uid makes them */

/* Puts it, in the place of what was there. */
MUST_USE int owned_put(struct db_txn *t, enum db_table table, const char *owner, const char *id,
		       const struct buf *text);
/* Appends it. -ENOENT. */
MUST_USE int owned_get(struct db_txn *t, enum db_table table, const char *owner, const char *id,
		       struct buf *ret);
/* To delete what is absent is no failure. */
MUST_USE int owned_del(struct db_txn *t, enum db_table table, const char *owner, const char *id);
typedef int (*owned_fn)(void *arg, const char *owner, const char *id, const char *text, size_t len);
/* Calls fn for each of an owner, NULL: of all, until it returns non-zero, and returns that. The
 * owner comes in small letters. */
MUST_USE int owned_each(struct db_txn *t, enum db_table table, const char *owner, owned_fn fn,
			void *arg);
/* All of an owner go. */
MUST_USE int owned_del_all(struct db_txn *t, enum db_table table, const char *owner);

#endif
