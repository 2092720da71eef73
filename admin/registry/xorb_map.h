/* SPDX-License-Identifier: Apache-2.0 */
/* Which chunks a xorb has, and where in blobs they lie, as one value. Lists are in struct buf,
 * without gaps. Pure. */
#ifndef MATRIXFS_XORB_MAP_H
#define MATRIXFS_XORB_MAP_H

#include <stdbool.h>

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"
#include "daemon/xet/xet_hash.h"
#include "daemon/xet/xorb.h"

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
/* How many chunks it has; the bytes in front of chunk i, which may be that count. */
uint32_t xorb_map_count(const struct xorb_map *m);
uint32_t xorb_map_start(const struct xorb_map *m, uint32_t i);
/* The hashes of its chunks from that one on; borrowed. */
const uint8_t *xorb_map_hashes(const struct xorb_map *m, uint32_t from);
/* Adds a chunk. -ENOMEM. */
MUST_USE int xorb_map_add(struct xorb_map *m, const uint8_t hash[static XET_HASH], uint32_t bytes);
/* Its name, by its chunks. */
void xorb_map_name(const struct xorb_map *m, uint8_t ret[static XET_HASH]);
/* Its chunks as bytes, appended; and back: ERR_CORRUPT, and *ret stays empty; *ret_len bytes were
 * read. */
MUST_USE int xorb_map_pack(const struct xorb_map *m, struct buf *ret);
MUST_USE int xorb_map_unpack(const void *data, size_t len, struct xorb_map *ret, size_t *ret_len);

/* A list of pieces: how many, and one of them; borrowed until it changes. */
size_t xorb_pieces_count(const struct buf *pieces);
struct xorb_piece *xorb_pieces_at(const struct buf *pieces, size_t i);
/* Its pieces as bytes, appended; and back, behind the chunks: ERR_CORRUPT. */
MUST_USE int xorb_pieces_pack(const struct buf *pieces, struct buf *ret);
MUST_USE int xorb_pieces_unpack(const void *data, size_t len, struct xorb_map *ret);

#define XORB_NO_PIECE UINT32_MAX
/* For each of `count` chunks a piece that has it, by its number, or XORB_NO_PIECE: as few different
 * ones as can be. The pieces get another order for it. */
void xorb_pieces_cover(struct buf *pieces, uint32_t count, uint32_t ret[static XORB_CHUNKS_MAX]);
/* True if each of them has one. */
bool xorb_pieces_are_whole(struct buf *pieces, uint32_t count);
/* Chunks without a place get that of another of the same hash, which is as good: clients that bring
 * equal files at once put their chunks into a xorb twice, and name one of both. -ENOMEM. */
MUST_USE int xorb_pieces_add_twins(const struct xorb_map *m, struct buf *pieces);
/* Drops those that lie within others of the same blob; of more than `most`, those whose chunks
 * others have. */
void xorb_pieces_reduce(struct buf *pieces, uint32_t count, size_t most);

#endif
