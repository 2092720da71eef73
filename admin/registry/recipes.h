/* SPDX-License-Identifier: Apache-2.0 */
/* What files that came by the Xet store are made of, so that they can be read by it: under which
 * hash, from which ranges of chunks of which xorbs, and where in its own blob a file has those. So
 * whoever may have the file may have them, whatever else there is of the xorb; and they are there
 * as long as the blob. All calls but recipes_keep and the pure ones run inside a transaction of db.
 * Threads: any. */
#ifndef MATRIXFS_RECIPES_H
#define MATRIXFS_RECIPES_H

#include "admin/registry/xorb_rows.h"
#include "daemon/xet/xet_shard.h"

#define RECIPE_HEADER 8 /* bytes in front of each chunk of a xorb, as it travels */

/* Remembers what a file is made of, whose blob is there, and whose xorbs have rows; of what is
 * remembered already nothing changes. db_write's; -ENOENT: a xorb is not known, nothing was done.
 */
MUST_USE int recipes_keep(struct db *db, const char *etag, const uint8_t hash[static XET_HASH],
			  const struct xet_term *terms, uint32_t count);
/* The blob goes. */
MUST_USE int recipes_forget(struct db_txn *t, const char *etag);

/* A file by its etag, or by its hash: the other, and its size. -ENOENT; ERR_CORRUPT. */
struct recipe {
	uint8_t hash[XET_HASH];
	uint64_t size;
	char etag[DIGEST_HEX_MAX + 1];
};
MUST_USE int recipes_get(struct db_txn *t, const char *etag, struct recipe *ret);
MUST_USE int recipes_find(struct db_txn *t, const uint8_t hash[static XET_HASH],
			  struct recipe *ret);

/* Chunks [from, to) of a xorb: bytes of the file from `off` on. */
struct recipe_term {
	uint8_t xorb[XET_HASH];
	uint32_t from, to, bytes;
	uint64_t off;
};
/* Appends those that have bytes of [from, to) of the file, in their order: struct recipe_term.
 * -E2BIG: they are more than that; ERR_CORRUPT. */
#define RECIPE_TERMS_MAX 32768
MUST_USE int recipes_terms(struct db_txn *t, const char *etag, uint64_t from, uint64_t to,
			   struct buf *ret);

/* Chunks [from, to) in a row in the blob from `off` on; `start` bytes of chunks are in front of
 * them in the xorb. Where each ends, of the piece's: from ends[first] on. */
struct recipe_piece {
	uint32_t from, to, start, first;
	uint64_t off;
};
/* What of a xorb a file has: by its chunks, none of them twice. Zeroed it is empty. */
struct recipe_xorb {
	struct buf pieces; /* struct recipe_piece */
	struct buf ends;   /* uint32_t */
};
void recipe_xorb_fini(struct recipe_xorb *x);
/* -ENOENT; ERR_CORRUPT. */
MUST_USE int recipes_xorb(struct db_txn *t, const char *etag, const uint8_t xorb[static XET_HASH],
			  struct recipe_xorb *ret);

/* One chunk: where it is among the bytes of its xorb, unpacked, and in the blob. */
struct recipe_chunk {
	uint32_t chunk, start, bytes;
	uint64_t off;
};
/* False if the file has no such chunk. Pure. */
bool recipe_chunk(const struct recipe_xorb *x, uint32_t chunk, struct recipe_chunk *ret);
/* The same of the one that has that byte of the xorb as it travels, packed by none: each chunk
 * behind its header. Pure. */
bool recipe_chunk_at(const struct recipe_xorb *x, uint64_t byte, struct recipe_chunk *ret);
/* Where its header begins there. Pure. */
uint64_t recipe_chunk_byte(const struct recipe_chunk *c);

#endif
