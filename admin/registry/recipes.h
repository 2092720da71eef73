/* SPDX-License-Identifier: Apache-2.0 */
/* What files that came by the Xet store are made of, so that they can be read by it: under which
 * hash, from which ranges of chunks of which xorbs, and where in its own blob a file has those. So
 * whoever may have the file may have them, whatever else there is of the xorb; and they are there
 * as long as the blob. All calls but those of notes run inside a transaction of db. Threads: any.
 */
#ifndef MATRIXFS_RECIPES_H
#define MATRIXFS_RECIPES_H

#include "admin/db.h"
#include "admin/registry/recipe_xorb.h"
#include "daemon/xet/xet_shard.h"

/* What is to be remembered of some files; zeroed but for db it is empty. Threads: one at a time. */
struct recipe_notes {
	struct db *db;    /* borrowed */
	struct buf files; /* a head and rows of each */
	/* The xorb that was looked at last. */
	uint8_t xorb[XET_HASH];
	struct xorb_map map;
};
/* Frees what it holds. */
void recipe_notes_fini(struct recipe_notes *n);
/* Adds a file, whose blob is there, and whose xorbs have rows. db_write's, if some are kept to make
 * room; -ENOENT: a xorb is not known; -EFBIG: it is too large: then the others stay. */
MUST_USE int recipes_note(struct recipe_notes *n, const char *etag,
			  const uint8_t hash[static XET_HASH], const struct xet_term *terms,
			  uint32_t count);
/* Keeps them: of what is remembered already nothing changes. db_write's. */
MUST_USE int recipes_keep(struct recipe_notes *n);
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

/* What the file has of a xorb. -ENOENT; ERR_CORRUPT. */
MUST_USE int recipes_xorb(struct db_txn *t, const char *etag, const uint8_t xorb[static XET_HASH],
			  struct recipe_xorb *ret);

#endif
