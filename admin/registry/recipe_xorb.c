/* SPDX-License-Identifier: Apache-2.0 */
/* As bytes: for each piece u32 first chunk, u32 the one behind the last, u32 start, u64 off, and
 * u32 for each chunk: where it ends. */
#include "admin/registry/recipe_xorb.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/xet/xorb.h"

#define UNPACKED_MAX ((uint32_t)XORB_CHUNKS_MAX * XORB_CHUNK_MAX)
#define PIECE (3 * 4 + 8) /* bytes in front of its ends */

void recipe_xorb_fini(struct recipe_xorb *x)
{
	buf_free(&x->pieces);
	buf_free(&x->ends);
}

static const struct recipe_piece *piece_at(const struct recipe_xorb *x, size_t i)
{
	return (const struct recipe_piece *)(const void *)x->pieces.data + i;
}

static size_t piece_count(const struct recipe_xorb *x)
{
	return x->pieces.len / sizeof(struct recipe_piece);
}

static const uint32_t *ends_of(const struct recipe_xorb *x, const struct recipe_piece *p)
{
	return (const uint32_t *)(const void *)x->ends.data + p->first;
}

int recipe_xorb_add(struct recipe_xorb *x, const struct xorb_map *m, uint32_t from, uint32_t to,
		    uint64_t off)
{
	const struct recipe_piece p = { from, to, xorb_map_start(m, from),
					(uint32_t)(x->ends.len / sizeof(uint32_t)), off };
	int r = buf_add(&x->pieces, &p, sizeof(p));

	for (uint32_t i = from; r == 0 && i < to; i++) {
		uint32_t end = xorb_map_start(m, i + 1) - p.start;

		r = buf_add(&x->ends, &end, sizeof(end));
	}
	return r;
}

/* ---- as bytes ---- */

int recipe_xorb_pack(const struct recipe_xorb *x, struct buf *ret)
{
	for (size_t i = 0; i < piece_count(x); i++) {
		const struct recipe_piece *p = piece_at(x, i);

		buf_add_u32(ret, p->from);
		buf_add_u32(ret, p->to);
		buf_add_u32(ret, p->start);
		buf_add_u64(ret, p->off);
		for (uint32_t c = 0; c < p->to - p->from; c++)
			buf_add_u32(ret, ends_of(x, p)[c]);
	}
	return ret->failed;
}

/* Behind the one in front of it, among the chunks and among the bytes. */
static bool fits(const struct recipe_xorb *x, const struct recipe_piece *p)
{
	size_t count = piece_count(x);
	const struct recipe_piece *last = count ? piece_at(x, count - 1) : NULL;

	if (p->from >= p->to || p->to > XORB_CHUNKS_MAX || p->start > UNPACKED_MAX)
		return false;
	return !last || (p->from >= last->to &&
			 p->start >= last->start + ends_of(x, last)[last->to - last->from - 1]);
}

static int unpack_piece(const char **at, size_t *len, struct recipe_xorb *ret)
{
	struct recipe_piece p = { .first = (uint32_t)(ret->ends.len / sizeof(uint32_t)) };
	uint32_t last = 0;

	if (*len < PIECE)
		return ERR_CORRUPT;
	p.from = u32_at(*at);
	p.to = u32_at(*at + 4);
	p.start = u32_at(*at + 8);
	p.off = u64_at(*at + 12);
	*at += PIECE;
	*len -= PIECE;
	if (!fits(ret, &p) || *len / 4 < p.to - p.from)
		return ERR_CORRUPT;
	for (uint32_t i = p.from; i < p.to; i++, *at += 4, *len -= 4) {
		uint32_t end = u32_at(*at);

		if (end <= last || end - last > XORB_CHUNK_MAX)
			return ERR_CORRUPT;
		last = end;
		buf_add(&ret->ends, &end, sizeof(end));
	}
	return ret->ends.failed ? -ENOMEM : buf_add(&ret->pieces, &p, sizeof(p));
}

int recipe_xorb_unpack(const void *data, size_t len, struct recipe_xorb *ret)
{
	const char *at = data;
	int r = 0;

	while (r == 0 && len)
		r = unpack_piece(&at, &len, ret);
	return r;
}

/* ---- chunks ---- */

uint64_t recipe_chunk_byte(const struct recipe_chunk *c)
{
	return c->start + (uint64_t)c->chunk * RECIPE_HEADER;
}

static void chunk_of(const struct recipe_xorb *x, const struct recipe_piece *p, uint32_t i,
		     struct recipe_chunk *ret)
{
	const uint32_t *ends = ends_of(x, p);
	uint32_t start = i ? ends[i - 1] : 0;

	*ret = (struct recipe_chunk){ p->from + i, p->start + start, ends[i] - start,
				      p->off + start };
}

/* How many pieces begin at that chunk or in front of it. */
static size_t pieces_to(const struct recipe_xorb *x, uint32_t chunk)
{
	size_t from = 0, to = piece_count(x);

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (piece_at(x, mid)->from <= chunk)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

bool recipe_chunk(const struct recipe_xorb *x, uint32_t chunk, struct recipe_chunk *ret)
{
	size_t n = pieces_to(x, chunk);
	const struct recipe_piece *p = n ? piece_at(x, n - 1) : NULL;

	if (!p || p->to <= chunk)
		return false;
	chunk_of(x, p, chunk - p->from, ret);
	return true;
}

static uint64_t begin_of(const struct recipe_piece *p)
{
	return p->start + (uint64_t)p->from * RECIPE_HEADER;
}

/* The last piece that begins at that byte or in front of it, or NULL. */
static const struct recipe_piece *piece_to(const struct recipe_xorb *x, uint64_t byte)
{
	size_t from = 0, to = piece_count(x);

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (begin_of(piece_at(x, mid)) <= byte)
			from = mid + 1;
		else
			to = mid;
	}
	return from ? piece_at(x, from - 1) : NULL;
}

bool recipe_chunk_at(const struct recipe_xorb *x, uint64_t byte, struct recipe_chunk *ret)
{
	const struct recipe_piece *p = piece_to(x, byte);
	const uint32_t *ends = p ? ends_of(x, p) : NULL;
	uint32_t from = 0, to = p ? p->to - p->from : 0;

	if (!p)
		return false;
	byte -= begin_of(p);
	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (ends[mid] + (uint64_t)(mid + 1) * RECIPE_HEADER <= byte)
			from = mid + 1;
		else
			to = mid;
	}
	if (from == p->to - p->from)
		return false;
	chunk_of(x, p, from, ret);
	return true;
}
