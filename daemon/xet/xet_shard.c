/* SPDX-License-Identifier: Apache-2.0 */
/* A shard is a row of records of 48 bytes: its head; for each file one that names it, its terms, as
 * many hashes of their ranges, and its SHA-256; a mark; for each xorb one that names it and its
 * chunks; a mark. What may follow is for whoever searches shards. */
#include "daemon/xet/xet_shard.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/num.h"
#include "daemon/xet/xorb.h"

#define WITH_RANGES (UINT32_C(1) << 31)
#define WITH_SHA256 (UINT32_C(1) << 30)

/* "HFRepoMetaData", a NUL, and random bytes. */
const uint8_t xet_shard_tag[XET_HASH] = {
	'H',  'F',  'R',  'e',  'p',  'o',  'M',  'e',  't',  'a',  'D',
	'a',  't',  'a',  0,    0x55, 0x69, 0x67, 0x45, 0x6a, 0x7b, 0x81,
	0x57, 0x83, 0xa5, 0xbd, 0xd9, 0x5c, 0xcd, 0xd1, 0x4a, 0xa9,
};

void xet_shard_fini(struct xet_shard *s)
{
	buf_free(&s->files);
	buf_free(&s->terms);
}

size_t xet_shard_count(const struct xet_shard *s)
{
	return s->files.len / sizeof(struct xet_file);
}

static struct xet_file *file_at(const struct xet_shard *s, size_t i)
{
	return (struct xet_file *)(void *)s->files.data + i;
}

static struct xet_term *term_at(const struct xet_shard *s, size_t i)
{
	return (struct xet_term *)(void *)s->terms.data + i;
}

const struct xet_file *xet_shard_file(const struct xet_shard *s, size_t i)
{
	return file_at(s, i);
}

const struct xet_term *xet_shard_terms(const struct xet_shard *s, const struct xet_file *f)
{
	return f->count ? term_at(s, f->first) : NULL;
}

uint64_t xet_shard_size(const struct xet_shard *s, const struct xet_file *f)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < f->count; i++)
		bytes += term_at(s, f->first + i)->bytes;
	return bytes;
}

size_t xet_shard_term_count(const struct xet_shard *s)
{
	return s->terms.len / sizeof(struct xet_term);
}

const struct xet_term *xet_shard_term(const struct xet_shard *s, size_t i)
{
	return term_at(s, i);
}

static int bad(struct xet_shard *s, const char *why)
{
	s->why = why;
	return -EBADMSG;
}

/* ---- records ---- */

static uint32_t number_at(const struct xet_shard *s, size_t at)
{
	uint32_t n;

	memcpy(&n, s->in + at, sizeof(n));
	return le32toh(n);
}

static bool is_mark(const struct xet_shard *s)
{
	for (unsigned i = 0; i < XET_HASH; i++)
		if (s->in[i] != 0xff)
			return false;
	return true;
}

static int read_head(struct xet_shard *s)
{
	if (memcmp(s->in, xet_shard_tag, sizeof(xet_shard_tag)) != 0 ||
	    number_at(s, 32) != XET_SHARD_VERSION)
		return bad(s, "it is no shard of version 2");
	s->part = XET_SHARD_FILE;
	return 0;
}

static struct xet_file *last_file(const struct xet_shard *s)
{
	return file_at(s, xet_shard_count(s) - 1);
}

/* Behind the terms of a file and their ranges. */
static void end_terms(struct xet_shard *s)
{
	s->part = s->has_sha256 ? XET_SHARD_SHA256 : XET_SHARD_FILE;
}

static int read_file(struct xet_shard *s)
{
	struct xet_file f = { .first = (uint32_t)xet_shard_term_count(s),
			      .count = number_at(s, 36) };
	uint32_t flags = number_at(s, 32);

	if (is_mark(s)) {
		s->part = XET_SHARD_XORB;
		return 0;
	}
	if (xet_shard_count(s) == XET_SHARD_FILES_MAX)
		return bad(s, "there are too many files");
	if (f.count > XET_SHARD_TERMS_MAX - f.first)
		return bad(s, "the files have too many terms");
	if (!(flags & WITH_RANGES))
		return bad(s, "a file has no hashes of its ranges");
	memcpy(f.hash, s->in, XET_HASH);
	s->has_sha256 = flags & WITH_SHA256;
	s->left = f.count;
	s->part = XET_SHARD_TERM;
	if (!f.count)
		end_terms(s);
	return buf_add(&s->files, &f, sizeof(f));
}

static int read_term(struct xet_shard *s)
{
	struct xet_term t = {
		.bytes = number_at(s, 36),
		.from = number_at(s, 40),
		.to = number_at(s, 44),
	};

	if (t.from >= t.to || t.to > XORB_CHUNKS_MAX)
		return bad(s, "a term has no chunks, or more than a xorb has");
	memcpy(t.xorb, s->in, XET_HASH);
	if (--s->left == 0) {
		s->part = XET_SHARD_RANGE;
		s->left = last_file(s)->count;
	}
	return buf_add(&s->terms, &t, sizeof(t));
}

static int read_range(struct xet_shard *s)
{
	memcpy(term_at(s, xet_shard_term_count(s) - s->left)->range, s->in, XET_HASH);
	if (--s->left == 0)
		end_terms(s);
	return 0;
}

/* It is written as the other hashes are. */
static int read_sha256(struct xet_shard *s)
{
	xet_hash_print(s->in, last_file(s)->sha256);
	s->part = XET_SHARD_FILE;
	return 0;
}

static int read_xorb(struct xet_shard *s)
{
	s->left = number_at(s, 36);
	if (is_mark(s))
		s->part = XET_SHARD_REST;
	else if (s->left > XORB_CHUNKS_MAX)
		return bad(s, "a xorb has too many chunks");
	else if (s->left)
		s->part = XET_SHARD_CHUNK;
	return 0;
}

static int read_chunk(struct xet_shard *s)
{
	if (--s->left == 0)
		s->part = XET_SHARD_XORB;
	return 0;
}

static int read_record(struct xet_shard *s)
{
	static int (*const readers[])(struct xet_shard * s) = {
		read_head, read_file, read_term, read_range, read_sha256, read_xorb, read_chunk,
	};

	return readers[s->part](s);
}

/* ---- as it comes ---- */

int xet_shard_add(struct xet_shard *s, const void *data, size_t len)
{
	const uint8_t *from = data;
	int r = 0;

	s->bytes += len;
	if (s->bytes > XET_SHARD_BYTES_MAX)
		return bad(s, "it is too large");
	while (r == 0 && len && s->part != XET_SHARD_REST) {
		size_t n = (size_t)min_u64(len, sizeof(s->in) - s->have);

		memcpy(s->in + s->have, from, n);
		s->have += n;
		from += n;
		len -= n;
		if (s->have < sizeof(s->in))
			break;
		s->have = 0;
		r = read_record(s);
	}
	return r;
}

int xet_shard_end(struct xet_shard *s)
{
	return s->part == XET_SHARD_REST ? 0 : bad(s, "it ends too early");
}
