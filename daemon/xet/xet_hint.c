/* SPDX-License-Identifier: Apache-2.0 */
/* Records as in any shard (xet_shard.c), and behind them where the parts begin, the key, and tables
 * to search by, of which there are none: such a one is where the records end. */
#include "daemon/xet/xet_hint.h"

#include <endian.h>
#include <string.h>

#include "daemon/base/blake3.h"
#include "daemon/xet/xet_shard.h"

#define RECORD 48
#define END_VERSION 1
#define END_BYTES 200
#define TABLES 3

_Static_assert(XET_HASH == BLAKE3_BYTES, "keys are hashes");

void xet_hint_fini(struct xet_hint *h)
{
	buf_free(&h->bytes);
}

static int add_zeros(struct buf *b, size_t len)
{
	static const uint8_t zeros[RECORD];

	return buf_add(b, zeros, len);
}

static int add_mark(struct buf *b)
{
	uint8_t mark[XET_HASH];

	memset(mark, 0xff, sizeof(mark));
	buf_add(b, mark, sizeof(mark));
	return add_zeros(b, RECORD - sizeof(mark));
}

int xet_hint_begin(struct xet_hint *h, const uint8_t key[static XET_HASH])
{
	memcpy(h->key, key, XET_HASH);
	buf_add(&h->bytes, xet_shard_tag, XET_HASH);
	buf_add_u64(&h->bytes, XET_SHARD_VERSION);
	buf_add_u64(&h->bytes, END_BYTES);
	return add_mark(&h->bytes);
}

int xet_hint_xorb(struct xet_hint *h, const uint8_t xorb[static XET_HASH], uint32_t chunks)
{
	h->xorb_at = h->bytes.len;
	h->of_xorb = 0;
	buf_add(&h->bytes, xorb, XET_HASH);
	buf_add_u32(&h->bytes, 0);
	buf_add_u32(&h->bytes, chunks);
	return add_zeros(&h->bytes, 2 * sizeof(h->of_xorb));
}

/* As they are, and as they travel. */
static void put_xorb_bytes(struct xet_hint *h)
{
	uint32_t both[2] = { htole32(h->of_xorb), htole32(h->of_xorb) };

	memcpy(h->bytes.data + h->xorb_at + RECORD - sizeof(both), both, sizeof(both));
}

int xet_hint_chunk(struct xet_hint *h, const uint8_t *hash, uint32_t bytes)
{
	uint8_t hidden[XET_HASH] = { 0 };
	uint32_t start = h->of_xorb;
	int r;

	if (hash)
		blake3_keyed(h->key, hash, XET_HASH, hidden);
	else
		bytes = 0;
	h->of_chunks += bytes;
	h->of_xorb += bytes;
	buf_add(&h->bytes, hidden, XET_HASH);
	buf_add_u32(&h->bytes, start);
	buf_add_u32(&h->bytes, bytes);
	r = buf_add_u64(&h->bytes, 0);
	if (r == 0)
		put_xorb_bytes(h);
	return r;
}

int xet_hint_end(struct xet_hint *h, int64_t now_s, int64_t until_s)
{
	struct buf *b = &h->bytes;
	uint64_t end;

	add_mark(b);
	end = b->len;
	buf_add_u64(b, END_VERSION);
	buf_add_u64(b, RECORD);
	buf_add_u64(b, 2 * RECORD);
	for (unsigned i = 0; i < TABLES; i++) {
		buf_add_u64(b, end);
		buf_add_u64(b, 0);
	}
	buf_add(b, h->key, XET_HASH);
	buf_add_u64(b, (uint64_t)now_s);
	buf_add_u64(b, (uint64_t)until_s);
	add_zeros(b, RECORD);
	for (unsigned i = 0; i < 3; i++)
		buf_add_u64(b, i == 1 ? 0 : h->of_chunks); /* packed, of files, unpacked */
	return buf_add_u64(b, end);
}
