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
	uint64_t of_chunks; /* bytes that they have */
};

/* Frees what it holds. */
void xet_hint_fini(struct xet_hint *h);
/* A shard of no files, and then, as often as wanted, a xorb of so many chunks, and each of those:
 * how many bytes of others are in front of it, and of its own. `hash` NULL: whatever it is, it is
 * not for who asks. -ENOMEM. */
MUST_USE int xet_hint_begin(struct xet_hint *h, const uint8_t key[static XET_HASH]);
MUST_USE int xet_hint_xorb(struct xet_hint *h, const uint8_t xorb[static XET_HASH], uint32_t chunks,
			   uint32_t bytes);
MUST_USE int xet_hint_chunk(struct xet_hint *h, const uint8_t *hash, uint32_t start,
			    uint32_t bytes);
/* That was all. It is made at that second, and good until that one (wall clock). */
MUST_USE int xet_hint_end(struct xet_hint *h, int64_t now_s, int64_t until_s);

#endif
