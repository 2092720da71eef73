/* SPDX-License-Identifier: Apache-2.0 */
/* Xorbs whose chunks lie in blobs: which chunks they have, and where each is. Clients name xorbs
 * long after they brought them, for another file that has some of their chunks; so what they were
 * is remembered while a blob holds of it. And for which repositories each was brought, and by whom.
 * Knowing a hash is not having it, nor is having had it: xorb_rights.h. All calls run inside a
 * transaction of db. Threads: any. */
#ifndef MATRIXFS_XORB_ROWS_H
#define MATRIXFS_XORB_ROWS_H

#include "admin/db.h"
#include "admin/registry/xorb_map.h"

/* Who brought it. */
struct xorb_owner {
	const char *uid;  /* for this repository */
	const char *user; /* in small letters */
};

/* What is known of a xorb. -ENOENT; ERR_CORRUPT; then *ret stays as it was. */
MUST_USE int xorb_rows_get(struct db_txn *t, const uint8_t xorb[static XET_HASH],
			   struct xorb_map *ret);
/* It came for that one, and those pieces, reduced and with their twins, lie in blobs from now on,
 * beside what is known: *ret_all becomes all that are. The pieces get another order for it. */
MUST_USE int xorb_rows_put(struct db_txn *t, const uint8_t xorb[static XET_HASH],
			   const struct xorb_map *m, struct buf *pieces,
			   const struct xorb_owner *owner, struct buf *ret_all);
typedef int (*xorb_rows_fn)(void *arg, const char *uid);
/* Calls fn for each repository that it was brought for, until it returns non-zero, and returns
 * that. fn may read. */
MUST_USE int xorb_rows_owners(struct db_txn *t, const uint8_t xorb[static XET_HASH],
			      xorb_rows_fn fn, void *arg);
/* 1 if it was brought for that repository, else 0. db_get's. */
MUST_USE int xorb_rows_is_for(struct db_txn *t, const uint8_t xorb[static XET_HASH],
			      const char *uid);
/* 1 if that user brought it for that repository, else 0. db_get's. */
MUST_USE int xorb_rows_brought(struct db_txn *t, const uint8_t xorb[static XET_HASH],
			       const char *uid, const char *user);
/* Calls fn for each xorb that has that chunk, of those that clients ask for, until it returns
 * non-zero, and returns that; perhaps also for one that is not known any more. fn may read. */
typedef int (*xorb_chunk_fn)(void *arg, const uint8_t xorb[static XET_HASH]);
MUST_USE int xorb_rows_having(struct db_txn *t, const uint8_t chunk[static XET_HASH],
			      xorb_chunk_fn fn, void *arg);
/* The blob goes: nothing lies in it any more. Of so many xorbs at most, which are subtracted: each
 * takes time. 1 if there are more. */
#define XORB_ROWS_SOME 256 /* for a transaction */
MUST_USE int xorb_rows_forget(struct db_txn *t, const char *etag, unsigned *left);
/* 1 if anything lies in it, else 0. */
MUST_USE int xorb_rows_any(struct db_txn *t, const char *etag);
/* The same of one xorb: what lies there is something else. */
MUST_USE int xorb_rows_drop(struct db_txn *t, const uint8_t xorb[static XET_HASH],
			    const char *etag);
/* A number of a user, in small letters; from 1. It is another one once a chunk has gone that they
 * brought: what their clients remember of an older one is not to be relied on. */
MUST_USE int xorb_rows_generation(struct db_txn *t, const char *user, uint32_t *ret);
/* Chunks of theirs go that no blob has, or are not to be had. */
MUST_USE int xorb_rows_renew(struct db_txn *t, const char *user);

#endif
