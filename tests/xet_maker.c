/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/xet_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <lz4frame.h>
#include <string.h>

#define CHUNK_MAX (128 * 1024)

void made_xorb_free(struct made_xorb *x)
{
	buf_free(&x->bytes);
	buf_free(&x->raw);
	buf_free(&x->hashes);
}

static void add_header(struct buf *b, size_t packed, enum xet_packing packing, size_t raw)
{
	const uint8_t header[8] = {
		0,
		(uint8_t)packed,
		(uint8_t)(packed >> 8),
		(uint8_t)(packed >> 16),
		(uint8_t)packing,
		(uint8_t)raw,
		(uint8_t)(raw >> 8),
		(uint8_t)(raw >> 16),
	};

	buf_add(b, header, sizeof(header));
}

static void group(const uint8_t *from, size_t len, uint8_t *to)
{
	for (size_t lane = 0; lane < 4; lane++)
		for (size_t at = lane; at < len; at += 4)
			*to++ = from[at];
}

void made_xorb_add(struct made_xorb *x, const void *data, size_t len, enum xet_packing packing)
{
	static uint8_t grouped[CHUNK_MAX], packed[2 * CHUNK_MAX];
	const void *from = data;
	uint8_t hash[XET_HASH];
	size_t n = len;

	if (packing == XET_GROUPED) {
		group(data, len, grouped);
		from = grouped;
	}
	if (packing != XET_PLAIN) {
		n = LZ4F_compressFrame(packed, sizeof(packed), from, len, NULL);
		assert_false(LZ4F_isError(n));
		from = packed;
	}
	add_header(&x->bytes, n, packing, len);
	buf_add(&x->bytes, from, n);
	buf_add(&x->raw, data, len);
	xet_hash_chunk(data, len, hash);
	buf_add(&x->hashes, hash, XET_HASH);
	xet_tree_add(&x->tree, hash, len);
	x->ends[x->count++] = (uint32_t)x->raw.len;
}

void made_xorb_bomb(struct made_xorb *x, size_t says, size_t has)
{
	const LZ4F_preferences_t large = { .frameInfo.blockSizeID = LZ4F_max4MB };
	size_t room = LZ4F_compressFrameBound(has, &large), n;
	void *zeros = calloc(1, has), *packed = malloc(room);

	assert_true(zeros && packed);
	n = LZ4F_compressFrame(packed, room, zeros, has, &large);
	assert_false(LZ4F_isError(n));
	add_header(&x->bytes, n, XET_LZ4, says);
	buf_add(&x->bytes, packed, n);
	free(zeros);
	free(packed);
}

void made_xorb_fill(struct made_xorb *x, unsigned chunks, unsigned seed)
{
	uint8_t data[3000];

	for (unsigned i = 0; i < chunks; i++) {
		size_t len = 1000 + 7 * ((seed + i) % 250);

		for (size_t at = 0; at < len; at++)
			data[at] = (uint8_t)(seed + i + (at % 4 ? at / 16 : at));
		made_xorb_add(x, data, len, (enum xet_packing)(i % 3));
	}
}

void made_xorb_name(const struct made_xorb *x, uint8_t ret[static XET_HASH])
{
	struct xet_tree tree = x->tree;

	xet_tree_xorb(&tree, ret);
}

/* ---- shards ---- */

static void add_numbers(struct buf *b, uint32_t one, uint32_t two, uint32_t three, uint32_t four)
{
	buf_add_u32(b, one);
	buf_add_u32(b, two);
	buf_add_u32(b, three);
	buf_add_u32(b, four);
}

static void add_mark(struct buf *b)
{
	uint8_t mark[XET_HASH];

	memset(mark, 0xff, sizeof(mark));
	buf_add(b, mark, sizeof(mark));
	add_numbers(b, 0, 0, 0, 0);
}

void made_shard_head(struct buf *shard)
{
	static const char tag[] = "HFRepoMetaData\0UigEj{\x81W\x83\xa5\xbd\xd9\\\xcd\xd1J\xa9";

	_Static_assert(sizeof(tag) == XET_HASH + 1, "a tag has 32 bytes");
	buf_add(shard, tag, XET_HASH);
	add_numbers(shard, 2, 0, 0, 0);
}

void made_shard_file(struct buf *shard, const uint8_t hash[static XET_HASH], uint32_t terms,
		     const char *sha256)
{
	buf_add(shard, hash, XET_HASH);
	add_numbers(shard, UINT32_C(1) << 31 | (sha256 ? UINT32_C(1) << 30 : 0), terms, 0, 0);
}

void made_shard_term(struct buf *shard, const struct made_xorb *x, uint32_t from, uint32_t to)
{
	uint8_t name[XET_HASH];

	made_xorb_name(x, name);
	buf_add(shard, name, XET_HASH);
	add_numbers(shard, 0, x->ends[to - 1] - (from ? x->ends[from - 1] : 0), from, to);
}

void made_shard_range(struct buf *shard, const struct made_xorb *x, uint32_t from, uint32_t to)
{
	uint8_t hash[XET_HASH];

	xet_hash_range((const uint8_t *)x->hashes.data + (size_t)from * XET_HASH, to - from, hash);
	buf_add(shard, hash, XET_HASH);
	add_numbers(shard, 0, 0, 0, 0);
}

void made_shard_sha256(struct buf *shard, const char *sha256)
{
	uint8_t bytes[XET_HASH];

	assert_int_equal(xet_hash_parse(sha256, bytes), 0);
	buf_add(shard, bytes, XET_HASH);
	add_numbers(shard, 0, 0, 0, 0);
}

void made_shard_end(struct buf *shard, const struct made_xorb *x)
{
	uint8_t name[XET_HASH];

	add_mark(shard);
	made_xorb_name(x, name);
	buf_add(shard, name, XET_HASH);
	add_numbers(shard, 0, x->count, (uint32_t)x->raw.len, (uint32_t)x->bytes.len);
	for (unsigned i = 0; i < x->count; i++) {
		buf_add(shard, x->hashes.data + (size_t)i * XET_HASH, XET_HASH);
		add_numbers(shard, i ? x->ends[i - 1] : 0, x->ends[i] - (i ? x->ends[i - 1] : 0), 0,
			    0);
	}
	add_mark(shard);
}
