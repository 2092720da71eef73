/* SPDX-License-Identifier: Apache-2.0 */
/* What a client of a Xet store sends, made by hand: for the tests of who takes it. */
#ifndef MATRIXFS_XET_MAKER_H
#define MATRIXFS_XET_MAKER_H

#include "daemon/base/buf.h"
#include "daemon/xet/xet_hash.h"

enum xet_packing { XET_PLAIN, XET_LZ4, XET_GROUPED };

/* A xorb as it grows; zeroed it is empty. */
struct made_xorb {
	struct buf bytes;  /* as they travel */
	struct buf raw;    /* of all chunks */
	struct buf hashes; /* of each */
	uint32_t ends[64];
	unsigned count;
	struct xet_tree tree;
};

void made_xorb_free(struct made_xorb *x);
/* Adds a chunk, packed so. */
void made_xorb_add(struct made_xorb *x, const void *data, size_t len, enum xet_packing packing);
/* Adds one that has other bytes than its header says: so many zeros, in blocks as large as can
 * be. */
void made_xorb_bomb(struct made_xorb *x, size_t says, size_t has);
/* Some chunks, whose bytes depend on the seed. */
void made_xorb_fill(struct made_xorb *x, unsigned chunks, unsigned seed);
void made_xorb_name(const struct made_xorb *x, uint8_t ret[static XET_HASH]);

/* A shard as it grows. */
void made_shard_head(struct buf *shard);
/* A file of so many terms, which follow. sha256: hex digits, or NULL. */
void made_shard_file(struct buf *shard, const uint8_t hash[static XET_HASH], uint32_t terms,
		     const char *sha256);
/* Chunks [from, to) of the xorb, and what proves that one has them. */
void made_shard_term(struct buf *shard, const struct made_xorb *x, uint32_t from, uint32_t to);
void made_shard_range(struct buf *shard, const struct made_xorb *x, uint32_t from, uint32_t to);
void made_shard_sha256(struct buf *shard, const char *sha256);
/* The mark behind all files, and what describes one xorb. */
void made_shard_end(struct buf *shard, const struct made_xorb *x);

#endif
