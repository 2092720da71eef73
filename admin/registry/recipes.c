/* SPDX-License-Identifier: Apache-2.0 */
/* DB_RECIPES, all that begins with an etag: the etag alone: hash and size; etag 't' offset
 * (big-endian): terms, the first of them at that byte; etag 'x' xorb: its pieces.
 * DB_RECIPE_NAMES: hash: etag. */
#include "admin/registry/recipes.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/xet/xorb.h"

#define TERM (XET_HASH + 3 * 4) /* bytes of one, packed */
#define PAGE_TERMS 1024         /* of a row */
#define PIECE (3 * 4 + 8)       /* in front of its ends */
#define ROWS_MAX (64 << 20)     /* bytes of all: of a file of a TiB, about */
#define KEY_MAX (DIGEST_HEX_MAX + 1 + XET_HASH)

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

/* ---- keys ---- */

struct key {
	uint8_t data[KEY_MAX];
	size_t len;
};

static struct db_key key_of(struct key *room, const char *etag, char kind, const void *tail,
			    size_t len)
{
	room->len = strlen(etag);
	memcpy(room->data, etag, room->len);
	if (kind)
		room->data[room->len++] = (uint8_t)kind;
	if (len)
		memcpy(room->data + room->len, tail, len);
	room->len += len;
	return (struct db_key){ room->data, room->len };
}

static struct db_key page_key(struct key *room, const char *etag, uint64_t off)
{
	uint64_t big = htobe64(off);

	return key_of(room, etag, 't', &big, sizeof(big));
}

static uint32_t read_u32(const void *at)
{
	uint32_t n;

	memcpy(&n, at, sizeof(n));
	return le32toh(n);
}

static uint64_t read_u64(const void *at)
{
	uint64_t n;

	memcpy(&n, at, sizeof(n));
	return le64toh(n);
}

/* ---- what is remembered ---- */

/* A term of a file that is being remembered. */
struct place {
	const struct xet_term *term;
	uint64_t off;
};

/* All rows are made first, and written in one transaction. */
struct keeping {
	struct db *db;
	const char *etag;
	const uint8_t *hash;
	uint64_t size;
	const struct xet_term *terms;
	uint32_t count;
	struct place *places; /* by xorb and first chunk; owned */
	struct buf rows;      /* for each u32 bytes of its key and of its value, key, value */
};

static int add_row(struct keeping *k, struct db_key key, const struct buf *value)
{
	buf_add_u32(&k->rows, (uint32_t)key.len);
	buf_add_u32(&k->rows, (uint32_t)value->len);
	buf_add(&k->rows, key.data, key.len);
	buf_add(&k->rows, value->data, value->len);
	if (value->failed || k->rows.failed)
		return -ENOMEM;
	return k->rows.len > ROWS_MAX ? -EFBIG : 0;
}

static int put_rows(struct db_txn *t, const struct keeping *k)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < k->rows.len;) {
		const char *row = k->rows.data + at;
		uint32_t key = read_u32(row), value = read_u32(row + 4);

		r = db_put(t, DB_RECIPES, (struct db_key){ row + 8, key }, row + 8 + key, value);
		at += 8 + (size_t)key + value;
	}
	return r;
}

static int add_piece(struct recipe_xorb *x, const struct xorb_map *m, uint32_t from, uint32_t to,
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

/* Each chunk once: the places are in the order of their first chunks. */
static int add_pieces(struct recipe_xorb *x, const struct xorb_map *m, const struct place *p,
		      size_t count)
{
	uint32_t covered = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct xet_term *t = p[i].term;
		uint32_t from = t->from > covered ? t->from : covered;

		if (t->to > xorb_map_count(m))
			return ERR_CORRUPT;
		if (from >= t->to)
			continue;
		r = add_piece(x, m, from, t->to,
			      p[i].off + xorb_map_start(m, from) - xorb_map_start(m, t->from));
		covered = t->to;
	}
	return r;
}

static int pack_xorb(const struct recipe_xorb *x, struct buf *ret)
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

struct lookup {
	const uint8_t *xorb;
	struct xorb_map map;
};

static int get_map(struct db_txn *t, void *arg)
{
	struct lookup *l = arg;

	xorb_map_fini(&l->map);
	return xorb_rows_get(t, l->xorb, &l->map);
}

static int add_xorb(struct keeping *k, const struct place *p, size_t count)
{
	CLEANUP(recipe_xorb_fini) struct recipe_xorb x = { .pieces = { 0 } };
	CLEANUP(buf_free) struct buf value = { 0 };
	struct lookup l = { .xorb = p->term->xorb };
	struct key room;
	int r = db_read(k->db, get_map, &l);

	if (r == 0)
		r = add_pieces(&x, &l.map, p, count);
	xorb_map_fini(&l.map);
	if (r == 0)
		r = pack_xorb(&x, &value);
	if (r == 0)
		r = add_row(k, key_of(&room, k->etag, 'x', p->term->xorb, XET_HASH), &value);
	return r;
}

static int compare_places(const void *a, const void *b)
{
	const struct place *p = a, *q = b;
	int d = memcmp(p->term->xorb, q->term->xorb, XET_HASH);

	return d ? d : (p->term->from > q->term->from) - (p->term->from < q->term->from);
}

static int add_xorbs(struct keeping *k)
{
	size_t n;
	int r = 0;

	qsort(k->places, k->count, sizeof(*k->places), compare_places);
	for (size_t i = 0; r == 0 && i < k->count; i += n) {
		const struct place *p = &k->places[i];

		for (n = 1; i + n < k->count; n++)
			if (memcmp(p[n].term->xorb, p->term->xorb, XET_HASH) != 0)
				break;
		r = add_xorb(k, p, n);
	}
	return r;
}

static int add_pages(struct keeping *k)
{
	CLEANUP(buf_free) struct buf page = { 0 };
	uint64_t off = 0, page_off = 0;
	struct key room;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < k->count; i++) {
		const struct xet_term *t = &k->terms[i];

		buf_add(&page, t->xorb, XET_HASH);
		buf_add_u32(&page, t->from);
		buf_add_u32(&page, t->to);
		buf_add_u32(&page, t->bytes);
		off += t->bytes;
		if ((i + 1) % PAGE_TERMS && i + 1 < k->count)
			continue;
		r = add_row(k, page_key(&room, k->etag, page_off), &page);
		buf_clear(&page);
		page_off = off;
	}
	return r;
}

/* The first who brought it counts: others may have cut it into other chunks. */
static int put_all(struct db_txn *t, void *arg)
{
	const struct keeping *k = arg;
	uint64_t size = htole64(k->size);
	uint8_t head[XET_HASH + sizeof(size)];
	struct recipe found;
	int r = recipes_get(t, k->etag, &found);

	if (r != -ENOENT && r != ERR_CORRUPT)
		return r;
	memcpy(head, k->hash, XET_HASH);
	memcpy(head + XET_HASH, &size, sizeof(size));
	r = put_rows(t, k);
	if (r == 0)
		r = db_put(t, DB_RECIPES, db_text(k->etag), head, sizeof(head));
	return r < 0 ? r
		     : db_put(t, DB_RECIPE_NAMES, (struct db_key){ k->hash, XET_HASH }, k->etag,
			      strlen(k->etag));
}

static int is_kept(struct db_txn *t, void *arg)
{
	const struct keeping *k = arg;
	struct recipe found;

	return recipes_get(t, k->etag, &found);
}

static int keep(struct keeping *k)
{
	int r;

	k->places = calloc(k->count, sizeof(*k->places));
	if (!k->places)
		return -ENOMEM;
	for (uint32_t i = 0; i < k->count; i++) {
		k->places[i] = (struct place){ &k->terms[i], k->size };
		k->size += k->terms[i].bytes;
	}
	r = add_xorbs(k);
	if (r == 0)
		r = add_pages(k);
	return r == 0 ? db_write(k->db, put_all, k) : r;
}

int recipes_keep(struct db *db, const char *etag, const uint8_t hash[static XET_HASH],
		 const struct xet_term *terms, uint32_t count)
{
	struct keeping k = { .db = db, .etag = etag, .hash = hash, .terms = terms, .count = count };
	int r = count ? db_read(db, is_kept, &k) : 0;

	if (r == -ENOENT || r == ERR_CORRUPT)
		r = keep(&k);
	free(k.places);
	buf_free(&k.rows);
	return r;
}

/* ---- what is told ---- */

int recipes_get(struct db_txn *t, const char *etag, struct recipe *ret)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	int r = db_get(t, DB_RECIPES, db_text(etag), &head);

	if (r < 0)
		return r;
	if (head.len != XET_HASH + sizeof(ret->size) || strlen(etag) > DIGEST_HEX_MAX)
		return ERR_CORRUPT;
	memcpy(ret->hash, head.data, XET_HASH);
	ret->size = read_u64(head.data + XET_HASH);
	memcpy(ret->etag, etag, strlen(etag) + 1);
	return 0;
}

int recipes_find(struct db_txn *t, const uint8_t hash[static XET_HASH], struct recipe *ret)
{
	CLEANUP(buf_free) struct buf etag = { 0 };
	int r = db_get(t, DB_RECIPE_NAMES, (struct db_key){ hash, XET_HASH }, &etag);

	return r < 0 ? r : recipes_get(t, buf_str(&etag), ret);
}

/* Terms of the bytes [from, to). */
struct reading {
	uint64_t from, to, off; /* where the next term begins */
	struct buf *ret;
};

/* 1 behind the last. */
static int take_page(void *arg, struct db_key key, const char *val, size_t len)
{
	struct reading *g = arg;
	uint64_t off;
	int r = 0;

	memcpy(&off, (const char *)key.data + key.len - sizeof(off), sizeof(off));
	g->off = be64toh(off);
	if (len % TERM)
		return ERR_CORRUPT;
	for (; r == 0 && len; val += TERM, len -= TERM) {
		struct recipe_term term = { .from = read_u32(val + XET_HASH),
					    .to = read_u32(val + XET_HASH + 4),
					    .bytes = read_u32(val + XET_HASH + 8),
					    .off = g->off };

		if (g->off >= g->to)
			return 1;
		if (g->ret->len / sizeof(term) >= RECIPE_TERMS_MAX)
			return -E2BIG;
		memcpy(term.xorb, val, XET_HASH);
		g->off += term.bytes;
		if (g->off > g->from)
			r = buf_add(g->ret, &term, sizeof(term));
	}
	return r;
}

struct first {
	struct reading *reading;
	struct key key; /* of the page that has the first byte */
};

static int take_first(void *arg, struct db_key key, const char *val, size_t len)
{
	struct first *f = arg;
	int r = key.len > KEY_MAX ? ERR_CORRUPT : take_page(f->reading, key, val, len);

	if (r < 0)
		return r;
	memcpy(f->key.data, key.data, key.len);
	f->key.len = key.len;
	return 1;
}

int recipes_terms(struct db_txn *t, const char *etag, uint64_t from, uint64_t to, struct buf *ret)
{
	struct reading g = { .from = from, .to = to, .ret = ret };
	struct first first = { .reading = &g };
	struct key pages, behind;
	struct db_key prefix = key_of(&pages, etag, 't', NULL, 0);
	int r = db_each_back(t, DB_RECIPES, prefix, page_key(&behind, etag, from + 1), take_first,
			     &first);

	if (r == 1)
		r = db_each(t, DB_RECIPES, prefix, (struct db_key){ first.key.data, first.key.len },
			    take_page, &g);
	if (r < 0)
		return r;
	return g.off < to ? ERR_CORRUPT : 0;
}

static int unpack_piece(const char **at, size_t *len, struct recipe_xorb *ret)
{
	struct recipe_piece p = { .first = (uint32_t)(ret->ends.len / sizeof(uint32_t)) };
	size_t before = piece_count(ret);
	uint32_t last = 0;

	if (*len < PIECE)
		return ERR_CORRUPT;
	p.from = read_u32(*at);
	p.to = read_u32(*at + 4);
	p.start = read_u32(*at + 8);
	p.off = read_u64(*at + 12);
	*at += PIECE;
	*len -= PIECE;
	if (p.from >= p.to || p.to > XORB_CHUNKS_MAX || *len / 4 < p.to - p.from ||
	    (before && p.from < piece_at(ret, before - 1)->to))
		return ERR_CORRUPT;
	for (uint32_t i = p.from; i < p.to; i++, *at += 4, *len -= 4) {
		uint32_t end = read_u32(*at);

		if (end <= last || end - last > XORB_CHUNK_MAX)
			return ERR_CORRUPT;
		last = end;
		buf_add(&ret->ends, &end, sizeof(end));
	}
	return ret->ends.failed ? ret->ends.failed : buf_add(&ret->pieces, &p, sizeof(p));
}

int recipes_xorb(struct db_txn *t, const char *etag, const uint8_t xorb[static XET_HASH],
		 struct recipe_xorb *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct key room;
	int r = db_get(t, DB_RECIPES, key_of(&room, etag, 'x', xorb, XET_HASH), &row);
	const char *at = row.data;
	size_t len = row.len;

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

/* ---- what goes ---- */

static int list_key(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	struct buf *keys = arg;

	buf_add_u32(keys, (uint32_t)key.len);
	return buf_add(keys, key.data, key.len);
}

int recipes_forget(struct db_txn *t, const char *etag)
{
	CLEANUP(buf_free) struct buf keys = { 0 };
	struct recipe found;
	int r = recipes_get(t, etag, &found);

	if (r == 0)
		r = db_del(t, DB_RECIPE_NAMES, (struct db_key){ found.hash, XET_HASH });
	if (r < 0 && r != -ENOENT && r != ERR_CORRUPT)
		return r;
	r = db_each(t, DB_RECIPES, db_text(etag), (struct db_key){ 0 }, list_key, &keys);
	for (size_t at = 0; r == 0 && at < keys.len;) {
		uint32_t len = read_u32(keys.data + at);

		r = db_del(t, DB_RECIPES, (struct db_key){ keys.data + at + 4, len });
		at += 4 + len;
	}
	return r;
}
