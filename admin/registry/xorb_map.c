/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with pieces is done in one go over lists that are sorted for it: a client may name
 * as many of them as it likes. */
#include "admin/registry/xorb_map.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/err.h"

#define SHA256 32
#define PIECE (4 + 4 + 8 + SHA256) /* bytes, packed */
#define CHUNK (4 + XET_HASH)

/* ---- chunks ---- */

void xorb_map_fini(struct xorb_map *m)
{
	buf_free(&m->ends);
	buf_free(&m->hashes);
	buf_free(&m->pieces);
}

uint32_t xorb_map_count(const struct xorb_map *m)
{
	return (uint32_t)(m->ends.len / sizeof(uint32_t));
}

uint32_t xorb_map_start(const struct xorb_map *m, uint32_t i)
{
	return i ? ((const uint32_t *)(const void *)m->ends.data)[i - 1] : 0;
}

const uint8_t *xorb_map_hashes(const struct xorb_map *m, uint32_t from)
{
	return (const uint8_t *)m->hashes.data + (size_t)from * XET_HASH;
}

int xorb_map_add(struct xorb_map *m, const uint8_t hash[static XET_HASH], uint32_t bytes)
{
	uint32_t end = xorb_map_start(m, xorb_map_count(m)) + bytes;
	int r = buf_add(&m->ends, &end, sizeof(end));

	return r < 0 ? r : buf_add(&m->hashes, hash, XET_HASH);
}

void xorb_map_name(const struct xorb_map *m, uint8_t ret[static XET_HASH])
{
	struct xet_tree tree = { .bytes = 0 };

	for (uint32_t i = 0; i < xorb_map_count(m); i++)
		xet_tree_add(&tree, xorb_map_hashes(m, i),
			     xorb_map_start(m, i + 1) - xorb_map_start(m, i));
	xet_tree_xorb(&tree, ret);
}

/* ---- as bytes ---- */

static uint32_t read_u32(const uint8_t *at)
{
	uint32_t n;

	memcpy(&n, at, sizeof(n));
	return le32toh(n);
}

static uint64_t read_u64(const uint8_t *at)
{
	uint64_t n;

	memcpy(&n, at, sizeof(n));
	return le64toh(n);
}

int xorb_map_pack(const struct xorb_map *m, struct buf *ret)
{
	uint32_t count = xorb_map_count(m);

	buf_add_u32(ret, count);
	for (uint32_t i = 0; i < count; i++) {
		buf_add_u32(ret, xorb_map_start(m, i + 1) - xorb_map_start(m, i));
		buf_add(ret, xorb_map_hashes(m, i), XET_HASH);
	}
	return ret->failed;
}

static int unpack_chunks(const uint8_t *at, uint32_t count, struct xorb_map *ret)
{
	int r = buf_reserve(&ret->ends, count * sizeof(uint32_t));

	if (r == 0)
		r = buf_reserve(&ret->hashes, (size_t)count * XET_HASH);
	for (uint32_t i = 0; r == 0 && i < count; i++, at += CHUNK) {
		uint32_t bytes = read_u32(at);

		r = !bytes || bytes > XORB_CHUNK_MAX ? ERR_CORRUPT
						     : xorb_map_add(ret, at + 4, bytes);
	}
	return r;
}

int xorb_map_unpack(const void *data, size_t len, struct xorb_map *ret, size_t *ret_len)
{
	CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
	uint32_t count = len >= 4 ? read_u32(data) : UINT32_MAX;
	int r;

	if (count > XORB_CHUNKS_MAX || len < 4 + (size_t)count * CHUNK)
		return ERR_CORRUPT;
	r = unpack_chunks((const uint8_t *)data + 4, count, &m);
	if (r < 0)
		return r;
	*ret_len = 4 + (size_t)count * CHUNK;
	*ret = m;
	m = (struct xorb_map){ 0 };
	return 0;
}

size_t xorb_pieces_count(const struct buf *pieces)
{
	return pieces->len / sizeof(struct xorb_piece);
}

struct xorb_piece *xorb_pieces_at(const struct buf *pieces, size_t i)
{
	return (struct xorb_piece *)(void *)pieces->data + i;
}

static int pack_piece(const struct xorb_piece *p, struct buf *ret)
{
	uint8_t sha256[SHA256];
	int r = hex_parse(p->etag, SHA256, sha256);

	if (r < 0)
		return r;
	buf_add_u32(ret, p->from);
	buf_add_u32(ret, p->to);
	buf_add_u64(ret, p->off);
	return buf_add(ret, sha256, SHA256);
}

int xorb_pieces_pack(const struct buf *pieces, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < xorb_pieces_count(pieces); i++)
		r = pack_piece(xorb_pieces_at(pieces, i), ret);
	return r;
}

int xorb_pieces_unpack(const void *data, size_t len, struct xorb_map *ret)
{
	const uint8_t *at = data;
	int r = len % PIECE ? ERR_CORRUPT : 0;

	for (; r == 0 && len; at += PIECE, len -= PIECE) {
		struct xorb_piece p = { read_u32(at), read_u32(at + 4), read_u64(at + 8), "" };

		hex_print(at + 16, SHA256, p.etag);
		r = p.from >= p.to || p.to > xorb_map_count(ret)
			    ? ERR_CORRUPT
			    : buf_add(&ret->pieces, &p, sizeof(p));
	}
	return r;
}

/* ---- who lies over whom ---- */

static int compare_u32(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_from(const void *a, const void *b)
{
	const struct xorb_piece *p = a, *q = b;
	int c = compare_u32(p->from, q->from);

	return c ? c : compare_u32(q->to, p->to);
}

static int compare_etag(const void *a, const void *b)
{
	const struct xorb_piece *p = a, *q = b;
	int c = strcmp(p->etag, q->etag);

	return c ? c : compare_from(a, b);
}

static void sort(struct buf *pieces, int (*compare)(const void *a, const void *b))
{
	if (pieces->len)
		qsort(pieces->data, xorb_pieces_count(pieces), sizeof(struct xorb_piece), compare);
}

void xorb_pieces_cover(struct buf *pieces, uint32_t count, uint32_t ret[static XORB_CHUNKS_MAX])
{
	size_t all = xorb_pieces_count(pieces), next = 0;
	uint32_t far = XORB_NO_PIECE; /* of those that have begun, the one that goes on longest */

	sort(pieces, compare_from);
	for (uint32_t i = 0; i < count; i++) {
		/* One stays until it ends: so they are few. */
		uint32_t now = i ? ret[i - 1] : XORB_NO_PIECE;

		for (; next < all && xorb_pieces_at(pieces, next)->from <= i; next++)
			if (far == XORB_NO_PIECE ||
			    xorb_pieces_at(pieces, next)->to > xorb_pieces_at(pieces, far)->to)
				far = (uint32_t)next;
		if (now == XORB_NO_PIECE || xorb_pieces_at(pieces, now)->to <= i)
			now = far;
		ret[i] = now == XORB_NO_PIECE || xorb_pieces_at(pieces, now)->to <= i
				 ? XORB_NO_PIECE
				 : now;
	}
}

bool xorb_pieces_are_whole(struct buf *pieces, uint32_t count)
{
	uint32_t of[XORB_CHUNKS_MAX];

	xorb_pieces_cover(pieces, count, of);
	for (uint32_t i = 0; i < count; i++)
		if (of[i] == XORB_NO_PIECE)
			return false;
	return true;
}

/* ---- twins ---- */

static int compare_hashes(const void *a, const void *b, void *hashes)
{
	const uint8_t *all = hashes;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	int c = memcmp(all + (size_t)i * XET_HASH, all + (size_t)j * XET_HASH, XET_HASH);

	return c ? c : compare_u32(i, j);
}

static int add_twin(const struct xorb_map *m, uint32_t chunk, uint32_t other, uint32_t piece,
		    struct buf *pieces)
{
	const struct xorb_piece *p = xorb_pieces_at(pieces, piece);
	struct xorb_piece twin = *p;

	twin.from = chunk;
	twin.to = chunk + 1;
	twin.off = p->off + xorb_map_start(m, other) - xorb_map_start(m, p->from);
	return buf_add(pieces, &twin, sizeof(twin));
}

/* Chunks of one hash. */
static int add_twins(const struct xorb_map *m, const uint32_t *chunks, uint32_t count,
		     const uint32_t *of, struct buf *pieces)
{
	uint32_t placed = 0;
	int r = 0;

	while (placed < count && of[chunks[placed]] == XORB_NO_PIECE)
		placed++;
	for (uint32_t i = 0; r == 0 && placed < count && i < count; i++)
		if (of[chunks[i]] == XORB_NO_PIECE)
			r = add_twin(m, chunks[i], chunks[placed], of[chunks[placed]], pieces);
	return r;
}

int xorb_pieces_add_twins(const struct xorb_map *m, struct buf *pieces)
{
	uint32_t of[XORB_CHUNKS_MAX], order[XORB_CHUNKS_MAX], count = xorb_map_count(m), n;
	int r = 0;

	xorb_pieces_cover(pieces, count, of);
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	if (count)
		qsort_r(order, count, sizeof(*order), compare_hashes, m->hashes.data);
	for (uint32_t i = 0; r == 0 && i < count; i += n) {
		const uint8_t *hash = xorb_map_hashes(m, order[i]);

		for (n = 1; i + n < count; n++)
			if (memcmp(xorb_map_hashes(m, order[i + n]), hash, XET_HASH) != 0)
				break;
		r = n > 1 ? add_twins(m, order + i, n, of, pieces) : 0;
	}
	return r;
}

/* ---- fewer of them ---- */

static void drop_inner(struct buf *pieces)
{
	size_t count = xorb_pieces_count(pieces), kept = 0;

	sort(pieces, compare_etag);
	for (size_t i = 0; i < count; i++) {
		const struct xorb_piece *p = xorb_pieces_at(pieces, i);
		const struct xorb_piece *last = kept ? xorb_pieces_at(pieces, kept - 1) : NULL;

		if (last && last->to >= p->to && !strcmp(last->etag, p->etag))
			continue;
		*xorb_pieces_at(pieces, kept++) = *p;
	}
	pieces->len = kept * sizeof(struct xorb_piece);
}

void xorb_pieces_reduce(struct buf *pieces, uint32_t count, size_t most)
{
	uint32_t of[XORB_CHUNKS_MAX], needed = 0, at = 0;
	size_t kept = 0, all;

	drop_inner(pieces);
	all = xorb_pieces_count(pieces);
	if (all <= most)
		return;
	xorb_pieces_cover(pieces, count, of);
	for (uint32_t i = 0; i < count; i++)
		needed += of[i] != XORB_NO_PIECE && (!i || of[i] != of[i - 1]);
	for (size_t i = 0; i < all; i++) {
		bool covers;

		while (at < count && (of[at] == XORB_NO_PIECE || of[at] < i))
			at++;
		covers = at < count && of[at] == i;
		if (!covers && kept + needed >= most)
			continue;
		needed -= covers;
		*xorb_pieces_at(pieces, kept++) = *xorb_pieces_at(pieces, i);
	}
	pieces->len = kept * sizeof(struct xorb_piece);
}
