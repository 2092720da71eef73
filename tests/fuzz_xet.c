/* SPDX-License-Identifier: Apache-2.0 */
/* Input: what a client of a Xet store sends, taken as a xorb, at once and in pieces, and as a
 * shard; and as what a staged xorb says of its chunks, or a row of where they lie. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "admin/registry/xorb_map.h"
#include "daemon/base/err.h"
#include "daemon/xet/xet_shard.h"
#include "daemon/xet/xorb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int take(void *arg, const uint8_t hash[static XET_HASH], const void *data, size_t len)
{
	uint8_t right[XET_HASH];

	assert(len && len <= XORB_CHUNK_MAX);
	xet_hash_chunk(data, len, right);
	assert(!memcmp(hash, right, XET_HASH));
	++*(unsigned *)arg;
	return 0;
}

/* What it comes to in pieces of that length, and its name. */
static int read_in(const uint8_t *data, size_t len, size_t step, uint8_t *name)
{
	struct xorb_reader *x = NULL;
	unsigned count = 0;
	int r = xorb_reader_new(take, &count, &x);

	if (r < 0)
		return r;
	for (size_t at = 0; r == 0 && at < len; at += step)
		r = xorb_reader_add(x, data + at, len - at < step ? len - at : step);
	if (r == 0)
		r = xorb_reader_end(x, name);
	assert(r == 0 || r == -ENOMEM || (r == -EBADMSG && *xorb_reader_why(x)));
	assert(count <= XORB_CHUNKS_MAX && (r < 0 || count));
	xorb_reader_free(x);
	return r;
}

static void check_xorb(const uint8_t *data, size_t len)
{
	uint8_t name[XET_HASH], other[XET_HASH];
	size_t step = len ? 1 + data[len / 2] % 50 : 1;
	int r = read_in(data, len, len + 1, name);

	assert(read_in(data, len, step, other) == r);
	assert(r < 0 || !memcmp(name, other, XET_HASH));
}

static void check_shard(const uint8_t *data, size_t len)
{
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	int r = xet_shard_add(&s, data, len);

	if (r == 0)
		r = xet_shard_end(&s);
	assert(r == 0 || r == -ENOMEM || (r == -EBADMSG && s.why));
	for (size_t i = 0; r == 0 && i < xet_shard_count(&s); i++) {
		const struct xet_file *f = xet_shard_file(&s, i);

		assert((size_t)f->first + f->count <= s.terms.len / sizeof(struct xet_term));
		for (uint32_t t = 0; t < f->count; t++)
			assert(xet_shard_terms(&s, f)[t].from < xet_shard_terms(&s, f)[t].to);
	}
}

/* Fewer pieces have the same chunks. */
static void check_pieces(struct xorb_map *m, const uint8_t *data, size_t len)
{
	uint32_t before[XORB_CHUNKS_MAX], after[XORB_CHUNKS_MAX], count = xorb_map_count(m);

	if (xorb_pieces_unpack(data, len, m) != 0 || xorb_pieces_add_twins(m, &m->pieces) != 0)
		return;
	xorb_pieces_cover(&m->pieces, count, before);
	xorb_pieces_reduce(&m->pieces, count, 2);
	xorb_pieces_cover(&m->pieces, count, after);
	for (uint32_t i = 0; i < count; i++) {
		const struct xorb_piece *p =
			after[i] == XORB_NO_PIECE ? NULL : xorb_pieces_at(&m->pieces, after[i]);

		assert((before[i] == XORB_NO_PIECE) == !p);
		assert(!p || (p->from <= i && p->to > i));
	}
}

static void check_map(const uint8_t *data, size_t len)
{
	CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
	CLEANUP(buf_free) struct buf again = { 0 };
	size_t used = 0;

	if (xorb_map_unpack(data, len, &m, &used) != 0)
		return;
	assert(used <= len && xorb_map_pack(&m, &again) == 0);
	assert(again.len == used && !memcmp(again.data, data, used));
	check_pieces(&m, data + used, len - used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_xorb(data, len);
	check_shard(data, len);
	check_map(data, len);
	return 0;
}
