/* SPDX-License-Identifier: Apache-2.0 */
/* Xorbs whose chunks lie in blobs: which chunks they have, and where each is. Clients name xorbs
 * long after they brought them, for another file that has some of their chunks; so what they were
 * is remembered while a blob holds of it. And for which repositories each was brought: knowing a
 * hash is not having it. Lists are in struct buf, without gaps. All calls but the pure ones run
 * inside a transaction of db. Threads: any. */
#ifndef MATRIXFS_XORB_ROWS_H
#define MATRIXFS_XORB_ROWS_H

#include <stdbool.h>

#include "admin/db.h"
#include "daemon/base/buf.h"
#include "daemon/base/digest.h"
#include "daemon/xet/xet_hash.h"

/* Chunks [from, to) lie in a row in a blob. */
struct xorb_piece {
	uint32_t from, to;
	uint64_t off;
	char etag[DIGEST_HEX_MAX + 1]; /* a SHA-256 */
};

/* Zeroed it is empty. */
struct xorb_map {
	struct buf ends;   /* uint32_t: where each chunk ends, of all bytes of the xorb */
	struct buf hashes; /* XET_HASH bytes of each chunk */
	struct buf pieces; /* struct xorb_piece; some may lie over others */
};

/* Frees what it holds. */
void xorb_map_fini(struct xorb_map *m);
/* How many chunks it has; the bytes in front of chunk i, which may be that count. Pure. */
uint32_t xorb_map_count(const struct xorb_map *m);
uint32_t xorb_map_start(const struct xorb_map *m, uint32_t i);
/* The hashes of its chunks from that one on; borrowed. Pure. */
const uint8_t *xorb_map_hashes(const struct xorb_map *m, uint32_t from);
/* Adds a chunk. Pure. -ENOMEM. */
MUST_USE int xorb_map_add(struct xorb_map *m, const uint8_t hash[static XET_HASH], uint32_t bytes);
/* Its name, by its chunks. Pure. */
void xorb_map_name(const struct xorb_map *m, uint8_t ret[static XET_HASH]);
/* Its chunks as bytes, appended; and back: ERR_CORRUPT; *ret_len bytes were read. Pure. */
MUST_USE int xorb_map_pack(const struct xorb_map *m, struct buf *ret);
MUST_USE int xorb_map_unpack(const void *data, size_t len, struct xorb_map *ret, size_t *ret_len);
/* What is known of a xorb. -ENOENT; ERR_CORRUPT. */
MUST_USE int xorb_rows_get(struct db_txn *t, const uint8_t xorb[static XET_HASH],
			   struct xorb_map *ret);
/* It came for the repository of that uid, and those pieces lie in blobs from now on, beside what is
 * known. *ret_whole: each of its chunks lies in some. */
MUST_USE int xorb_rows_put(struct db_txn *t, const uint8_t xorb[static XET_HASH],
			   const struct xorb_map *m, const struct buf *pieces, const char *uid,
			   bool *ret_whole);
typedef int (*xorb_rows_fn)(void *arg, const char *uid);
/* Calls fn for each repository that it was brought for, until it returns non-zero, and returns
 * that. fn may read. */
MUST_USE int xorb_rows_owners(struct db_txn *t, const uint8_t xorb[static XET_HASH],
			      xorb_rows_fn fn, void *arg);
/* The blob goes: nothing lies in it any more. */
MUST_USE int xorb_rows_forget(struct db_txn *t, const char *etag);
/* A number, from 1, that is another one once a chunk has gone: what clients remember of an older
 * one is not to be relied on. */
MUST_USE int xorb_rows_generation(struct db_txn *t, uint32_t *ret);
/* Chunks go that no blob has. */
MUST_USE int xorb_rows_renew(struct db_txn *t);

#endif
