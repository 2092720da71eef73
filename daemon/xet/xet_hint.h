/* SPDX-License-Identifier: Apache-2.0 */
/* A shard as it is given to a client of a Xet store that asked for a chunk: which chunks some xorbs
 * have, so that it need not bring those. Their hashes stand there under a key of the answer's own:
 * who has a chunk finds it, and who has it not learns nothing. Pure. */
#ifndef MATRIXFS_XET_HINT_H
#define MATRIXFS_XET_HINT_H

#include "daemon/base/buf.h"
#include "daemon/xet/xet_hash.h"

/* As it grows; zeroed it is empty. */
struct xet_hint {
	struct buf bytes;
	uint8_t key[XET_HASH];
	uint64_t of_chunks; /* bytes of those that are told of */
	size_t xorb_at;     /* where the last xorb begins, ... */
	uint32_t of_xorb;   /* ... and what it has of those bytes */
};

/* Frees what it holds. */
void xet_hint_fini(struct xet_hint *h);
/* A shard of no files, and then, as often as wanted, a xorb of so many chunks, and each of those
 * with its length. `hash` NULL: it is not for who asks, and counts no bytes, neither as its own nor
 * of the xorb nor in front of those behind it: the length of a chunk tells much of what it is. It
 * only has a number. -ENOMEM. */
MUST_USE int xet_hint_begin(struct xet_hint *h, const uint8_t key[static XET_HASH]);
MUST_USE int xet_hint_xorb(struct xet_hint *h, const uint8_t xorb[static XET_HASH],
			   uint32_t chunks);
MUST_USE int xet_hint_chunk(struct xet_hint *h, const uint8_t *hash, uint32_t bytes);
/* That was all. It is made at that second, and good until that one (wall clock). */
MUST_USE int xet_hint_end(struct xet_hint *h, int64_t now_s, int64_t until_s);

#endif
