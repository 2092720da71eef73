/* SPDX-License-Identifier: Apache-2.0 */
/* {"offset_into_first_range",
 *  "terms": [{"hash", "unpacked_length", "range": {"start", "end"}}], and
 *  "fetch_info": {HASH: [{"range", "url", "url_range"}]}, or
 *  "xorbs": {HASH: [{"url", "ranges": [{"chunks", "bytes"}]}]}}.
 * The ends of ranges of chunks are behind their last one, those of bytes are the last one. */
#include "daemon/xet/rebuild.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/xet/xorb.h"

void rebuild_fini(struct rebuild *b)
{
	buf_free(&b->terms);
	buf_free(&b->parts);
	jdoc_free(b->doc);
	*b = (struct rebuild){ 0 };
}

size_t rebuild_term_count(const struct rebuild *b)
{
	return b->terms.len / sizeof(struct rebuild_term);
}

size_t rebuild_part_count(const struct rebuild *b)
{
	return b->parts.len / sizeof(struct rebuild_part);
}

const struct rebuild_term *rebuild_term(const struct rebuild *b, size_t i)
{
	return (const struct rebuild_term *)(const void *)b->terms.data + i;
}

const struct rebuild_part *rebuild_part(const struct rebuild *b, size_t i)
{
	return (const struct rebuild_part *)(const void *)b->parts.data + i;
}

/* ---- parts ---- */

/* False unless there are both, none below zero. */
static bool get_range(const struct jval *v, int64_t *ret_start, int64_t *ret_end)
{
	*ret_start = jval_get_size(v, "start");
	*ret_end = jval_get_size(v, "end");
	return *ret_start >= 0 && *ret_end >= *ret_start;
}

static bool get_chunks(const struct jval *v, uint32_t *ret_from, uint32_t *ret_to)
{
	int64_t start, end;

	if (!get_range(v, &start, &end) || start == end || end > XORB_CHUNKS_MAX)
		return false;
	*ret_from = (uint32_t)start;
	*ret_to = (uint32_t)end;
	return true;
}

static int add_part(struct rebuild *b, const uint8_t *xorb, const char *url,
		    const struct jval *chunks, const struct jval *bytes)
{
	struct rebuild_part p = { .url = url };
	int64_t first, last;

	if (!url || !get_chunks(chunks, &p.from, &p.to) || !get_range(bytes, &first, &last) ||
	    last >= XORB_BYTES_MAX || rebuild_part_count(b) == REBUILD_MAX)
		return ERR_PROTO;
	memcpy(p.xorb, xorb, XET_HASH);
	p.first = (uint64_t)first;
	p.last = (uint64_t)last;
	return buf_add(&b->parts, &p, sizeof(p));
}

static int add_v1(struct rebuild *b, const uint8_t *xorb, const struct jval *one)
{
	return add_part(b, xorb, jval_get_str(one, "url"), jval_get(one, "range"),
			jval_get(one, "url_range"));
}

static int add_v2(struct rebuild *b, const uint8_t *xorb, const struct jval *one)
{
	const struct jval *ranges = jval_get(one, "ranges");
	int r = 0;

	for (size_t i = 0; r == 0 && i < jval_count(ranges); i++) {
		const struct jval *range = jval_at(ranges, i);

		r = add_part(b, xorb, jval_get_str(one, "url"), jval_get(range, "chunks"),
			     jval_get(range, "bytes"));
	}
	return r;
}

static int add_parts(struct rebuild *b, const struct jval *xorbs,
		     int (*add)(struct rebuild *, const uint8_t *, const struct jval *))
{
	const struct jval *list;
	const char *name = NULL;
	uint8_t xorb[XET_HASH];
	int r = 0;

	while (r == 0 && (list = jval_next(xorbs, &name))) {
		if (xet_hash_parse(name, xorb) < 0)
			return ERR_PROTO;
		for (size_t i = 0; r == 0 && i < jval_count(list); i++)
			r = add(b, xorb, jval_at(list, i));
	}
	return r;
}

/* ---- terms ---- */

/* The part that has all chunks of a term. */
static bool find_part(const struct rebuild *b, const uint8_t *xorb, struct rebuild_term *t)
{
	for (uint32_t i = 0; i < rebuild_part_count(b); i++) {
		const struct rebuild_part *p = rebuild_part(b, i);

		if (p->from > t->from || p->to < t->to || memcmp(p->xorb, xorb, XET_HASH) != 0)
			continue;
		t->part = i;
		return true;
	}
	return false;
}

static int add_term(struct rebuild *b, const struct jval *v)
{
	const char *hash = jval_get_str(v, "hash");
	int64_t bytes = jval_get_size(v, "unpacked_length");
	struct rebuild_term t = { 0 };
	uint8_t xorb[XET_HASH];

	if (!hash || xet_hash_parse(hash, xorb) < 0 ||
	    !get_chunks(jval_get(v, "range"), &t.from, &t.to))
		return ERR_PROTO;
	if (bytes < t.to - t.from || bytes > (int64_t)(t.to - t.from) * XORB_CHUNK_MAX)
		return ERR_PROTO;
	t.bytes = (uint64_t)bytes;
	if (!find_part(b, xorb, &t) || rebuild_term_count(b) == REBUILD_MAX)
		return ERR_PROTO;
	return buf_add(&b->terms, &t, sizeof(t));
}

/* Those behind the range are left out. */
static int add_terms(struct rebuild *b, const struct jval *root, uint64_t len)
{
	const struct jval *terms = jval_get(root, "terms");
	int64_t skip = jval_get_size(root, "offset_into_first_range");
	uint64_t have = 0;
	int r = 0;

	if (skip < 0 || skip >= XORB_BYTES_MAX)
		return ERR_PROTO;
	b->skip = (uint64_t)skip;
	for (size_t i = 0; r == 0 && have < b->skip + len && i < jval_count(terms); i++) {
		r = add_term(b, jval_at(terms, i));
		if (r == 0)
			have += rebuild_term(b, i)->bytes;
		if (r == 0 && have <= b->skip)
			r = ERR_PROTO; /* nothing of it is in the range */
	}
	return r == 0 && have < b->skip + len ? ERR_PROTO : r;
}

int rebuild_parse(const char *text, size_t text_len, uint64_t len, struct rebuild *ret)
{
	struct rebuild b = { 0 };
	int r = jdoc_parse(text, text_len, &b.doc);
	const struct jval *root = r == 0 ? jdoc_root(b.doc) : NULL;

	if (r == 0)
		r = add_parts(&b, jval_get(root, "fetch_info"), add_v1);
	if (r == 0)
		r = add_parts(&b, jval_get(root, "xorbs"), add_v2);
	if (r == 0)
		r = add_terms(&b, root, len);
	if (r < 0)
		rebuild_fini(&b);
	else
		*ret = b;
	return r;
}
