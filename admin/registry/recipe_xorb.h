/* SPDX-License-Identifier: Apache-2.0 */
/* What a file has of a xorb: which chunks, where in its blob, and where they would be in the xorb
 * as it travels. Pure. */
#ifndef MATRIXFS_RECIPE_XORB_H
#define MATRIXFS_RECIPE_XORB_H

#include <stdbool.h>

#include "admin/registry/xorb_map.h"

#define RECIPE_HEADER 8 /* bytes in front of each chunk of a xorb, as it travels */

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
/* Frees what it holds. */
void recipe_xorb_fini(struct recipe_xorb *x);
/* Adds chunks [from, to) of the xorb, which are in the blob from `off` on; behind those it has.
 * -ENOMEM. */
MUST_USE int recipe_xorb_add(struct recipe_xorb *x, const struct xorb_map *m, uint32_t from,
			     uint32_t to, uint64_t off);
/* As bytes, appended, -ENOMEM; and back: ERR_CORRUPT. */
MUST_USE int recipe_xorb_pack(const struct recipe_xorb *x, struct buf *ret);
MUST_USE int recipe_xorb_unpack(const void *data, size_t len, struct recipe_xorb *ret);

/* One chunk: where it is among the bytes of its xorb, unpacked, and in the blob. */
struct recipe_chunk {
	uint32_t chunk, start, bytes;
	uint64_t off;
};
/* False if the file has no such chunk. */
bool recipe_chunk(const struct recipe_xorb *x, uint32_t chunk, struct recipe_chunk *ret);
/* The same of the one that has that byte of the xorb as it travels, packed by none: each chunk
 * behind its header. */
bool recipe_chunk_at(const struct recipe_xorb *x, uint64_t byte, struct recipe_chunk *ret);
/* Where its header begins there. */
uint64_t recipe_chunk_byte(const struct recipe_chunk *c);

#endif
