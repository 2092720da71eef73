/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk: version (a byte, 0), packed bytes (three, little-endian), scheme (a byte), bytes
 * (three), then the packed bytes. Behind the last one may stand "XETBLOB" and what describes them
 * all once more, which nobody has to believe. */
#include "daemon/xet/xorb.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/lz4.h"
#include "daemon/base/num.h"

#define HEADER 8
#define PACKED_MAX (2 * XORB_CHUNK_MAX)
#define FOOTER 'X' /* no version of a chunk */

enum scheme { PLAIN = 0, LZ4 = 1, GROUPED_LZ4 = 2 };

struct xorb_reader {
	xorb_fn fn;
	void *arg;
	struct lz4 *lz4;
	const char *why;
	struct xet_tree tree;
	unsigned count;
	uint64_t bytes;  /* that came */
	bool described;  /* only what describes the chunks is left */
	uint32_t packed; /* bytes of the chunk, once its header is there */
	uint32_t raw;
	enum scheme scheme;
	size_t have; /* of what is wanted next, in `in` */
	uint8_t in[HEADER + PACKED_MAX], out[XORB_CHUNK_MAX], grouped[XORB_CHUNK_MAX];
};

int xorb_reader_new(xorb_fn fn, void *arg, struct xorb_reader **ret)
{
	struct xorb_reader *x = calloc(1, sizeof(*x));
	int r = x ? lz4_new(&x->lz4) : -ENOMEM;

	if (r < 0) {
		free(x);
		return r;
	}
	x->fn = fn;
	x->arg = arg;
	xorb_reader_begin(x);
	*ret = x;
	return 0;
}

void xorb_reader_begin(struct xorb_reader *x)
{
	x->why = "";
	x->tree = (struct xet_tree){ 0 };
	x->count = x->packed = 0;
	x->have = 0;
	x->bytes = 0;
	x->described = false;
}

void xorb_reader_free(struct xorb_reader *x)
{
	if (!x)
		return;
	lz4_free(x->lz4);
	free(x);
}

const char *xorb_reader_why(const struct xorb_reader *x)
{
	return x->why;
}

static int bad(struct xorb_reader *x, const char *why)
{
	x->why = why;
	return -EBADMSG;
}

/* ---- a chunk ---- */

static uint32_t three_bytes(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
}

static int read_header(struct xorb_reader *x)
{
	x->packed = three_bytes(x->in + 1);
	x->scheme = x->in[4];
	x->raw = three_bytes(x->in + 5);
	if (x->in[0] != 0)
		return bad(x, "a chunk is of an unknown version");
	if (x->scheme > GROUPED_LZ4)
		return bad(x, "a chunk is packed in an unknown way");
	if (!x->raw || x->raw > XORB_CHUNK_MAX)
		return bad(x, "a chunk is empty, or larger than 128 KiB");
	if (!x->packed || x->packed > PACKED_MAX)
		return bad(x, "a chunk is packed to nothing, or to more than it can be");
	if (x->scheme == PLAIN && x->packed != x->raw)
		return bad(x, "a chunk that is not packed has two sizes");
	if (x->count == XORB_CHUNKS_MAX)
		return bad(x, "there are too many chunks");
	return 0;
}

/* Numbers of four bytes lie there byte by byte: all first ones, all second ones, ... */
static void ungroup(const uint8_t *from, uint32_t len, uint8_t *to)
{
	for (uint32_t lane = 0; lane < 4; lane++)
		for (uint32_t at = lane; at < len; at += 4)
			to[at] = *from++;
}

/* *ret is the chunk as it was, borrowed. */
static int unpack(struct xorb_reader *x, const uint8_t *packed, const uint8_t **ret)
{
	uint8_t *to = x->scheme == GROUPED_LZ4 ? x->grouped : x->out;
	int r = 0;

	*ret = x->scheme == PLAIN ? packed : x->out;
	if (x->scheme != PLAIN)
		r = lz4_unpack(x->lz4, packed, x->packed, to, x->raw);
	if (r == 0 && x->scheme == GROUPED_LZ4)
		ungroup(x->grouped, x->raw, x->out);
	return r == -EBADMSG
		       ? bad(x, "a chunk cannot be unpacked, or has another size than it says")
		       : r;
}

static int give_chunk(struct xorb_reader *x, const uint8_t *packed)
{
	uint8_t hash[XET_HASH];
	const uint8_t *data;
	int r = unpack(x, packed, &data);

	if (r < 0)
		return r;
	xet_hash_chunk(data, x->raw, hash);
	xet_tree_add(&x->tree, hash, x->raw);
	x->count++;
	r = x->fn(x->arg, hash, data, x->raw);
	x->have = x->packed = 0;
	return r;
}

/* ---- as it comes ---- */

/* What is wanted next is there as a whole. */
static int go_on(struct xorb_reader *x)
{
	return x->packed ? give_chunk(x, x->in + HEADER) : read_header(x);
}

/* A chunk whose header was read lies there as a whole: it need not be brought together. */
static bool is_whole(const struct xorb_reader *x, size_t len)
{
	return x->packed && x->have == HEADER && len >= x->packed;
}

static size_t wanted(const struct xorb_reader *x)
{
	return HEADER + x->packed;
}

int xorb_reader_add(struct xorb_reader *x, const void *data, size_t len)
{
	const uint8_t *from = data;
	int r = 0;

	x->bytes += len;
	if (x->bytes > XORB_BYTES_MAX)
		return bad(x, "it has more bytes than a xorb can");
	while (r == 0 && len && !x->described) {
		size_t n = (size_t)min_u64(len, wanted(x) - x->have);

		if (!x->have && *from == FOOTER) {
			x->described = true;
			break;
		}
		if (is_whole(x, len)) {
			r = give_chunk(x, from);
		} else {
			memcpy(x->in + x->have, from, n);
			x->have += n;
			r = x->have == wanted(x) ? go_on(x) : 0;
		}
		from += n;
		len -= n;
	}
	return r;
}

int xorb_reader_end(struct xorb_reader *x, uint8_t ret[static XET_HASH])
{
	if (x->have)
		return bad(x, "it ends within a chunk");
	if (!x->count)
		return bad(x, "there are no chunks");
	xet_tree_xorb(&x->tree, ret);
	return 0;
}
