/* SPDX-License-Identifier: Apache-2.0 */
/* DB_RECIPES, all that begins with an etag: the etag alone: hash and size; etag 't' offset
 * (big-endian): terms, the first of them at that byte; etag 'x' xorb: its pieces.
 * DB_RECIPE_NAMES: hash: etag. */
#include "admin/registry/recipes.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/xorb_rows.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/xet/xorb.h"

#define TERM (XET_HASH + 3 * 4) /* bytes of one, packed */
#define PAGE_TERMS 1024         /* of a row */
#define ROWS_MAX (64 << 20)     /* bytes of all: of a file of a TiB, about */
#define BATCH_BYTES (4 << 20)   /* rows of one transaction, about */
#define KEY_MAX (DIGEST_HEX_MAX + 1 + XET_HASH)

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

/* ---- what is remembered ---- */

/* A term of a file that is being remembered. */
struct place {
	const struct xet_term *term;
	uint64_t off;
};

/* In front of the rows of a file. */
struct head {
	char etag[DIGEST_HEX_MAX + 1];
	uint8_t hash[XET_HASH];
	uint64_t size;
	size_t len; /* of its rows: for each u32 bytes of its key and of its value, key, value */
};

/* A file whose rows are made. */
struct noting {
	struct recipe_notes *notes;
	const char *etag;
	const struct xet_term *terms;
	uint32_t count;
	struct place *places; /* by xorb and first chunk; owned */
	struct buf rows;
};

static int add_row(struct noting *k, struct db_key key, const struct buf *value)
{
	buf_add_u32(&k->rows, (uint32_t)key.len);
	buf_add_u32(&k->rows, (uint32_t)value->len);
	buf_add(&k->rows, key.data, key.len);
	buf_add(&k->rows, value->data, value->len);
	if (value->failed || k->rows.failed)
		return -ENOMEM;
	return k->rows.len > ROWS_MAX ? -EFBIG : 0;
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
		r = recipe_xorb_add(x, m, from, t->to,
				    p[i].off + xorb_map_start(m, from) -
					    xorb_map_start(m, t->from));
		covered = t->to;
	}
	return r;
}

static int get_map(struct db_txn *t, void *arg)
{
	struct recipe_notes *n = arg;

	xorb_map_fini(&n->map);
	n->map = (struct xorb_map){ .ends = { 0 } };
	return xorb_rows_get(t, n->xorb, &n->map);
}

/* Small files that come together are mostly of one. */
static int find_map(struct recipe_notes *n, const uint8_t *xorb)
{
	int r;

	if (xorb_map_count(&n->map) && !memcmp(n->xorb, xorb, XET_HASH))
		return 0;
	memcpy(n->xorb, xorb, XET_HASH);
	r = db_read(n->db, get_map, n);
	if (r < 0)
		xorb_map_fini(&n->map);
	if (r < 0)
		n->map = (struct xorb_map){ .ends = { 0 } };
	return r;
}

static int add_xorb(struct noting *k, const struct place *p, size_t count)
{
	CLEANUP(recipe_xorb_fini) struct recipe_xorb x = { .pieces = { 0 } };
	CLEANUP(buf_free) struct buf value = { 0 };
	struct key room;
	int r = find_map(k->notes, p->term->xorb);

	if (r == 0)
		r = add_pieces(&x, &k->notes->map, p, count);
	if (r == 0)
		r = recipe_xorb_pack(&x, &value);
	return r < 0 ? r : add_row(k, key_of(&room, k->etag, 'x', p->term->xorb, XET_HASH), &value);
}

static int compare_places(const void *a, const void *b)
{
	const struct place *p = a, *q = b;
	int d = memcmp(p->term->xorb, q->term->xorb, XET_HASH);

	return d ? d : (p->term->from > q->term->from) - (p->term->from < q->term->from);
}

static int add_xorbs(struct noting *k)
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

static int add_pages(struct noting *k)
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

/* Its rows, behind those of the others. */
static int make_rows(struct noting *k, struct head *h)
{
	struct buf *files = &k->notes->files;
	size_t was = files->len;
	int r;

	k->places = calloc(k->count, sizeof(*k->places));
	if (!k->places)
		return -ENOMEM;
	for (uint32_t i = 0; i < k->count; i++) {
		k->places[i] = (struct place){ &k->terms[i], h->size };
		h->size += k->terms[i].bytes;
	}
	r = add_xorbs(k);
	if (r == 0)
		r = add_pages(k);
	h->len = k->rows.len;
	if (r == 0)
		r = buf_add(files, h, sizeof(*h));
	if (r == 0)
		r = buf_add(files, k->rows.data, k->rows.len);
	if (r < 0)
		files->len = was;
	return r;
}

void recipe_notes_fini(struct recipe_notes *n)
{
	buf_free(&n->files);
	xorb_map_fini(&n->map);
}

int recipes_note(struct recipe_notes *n, const char *etag, const uint8_t hash[static XET_HASH],
		 const struct xet_term *terms, uint32_t count)
{
	struct noting k = { .notes = n, .etag = etag, .terms = terms, .count = count };
	struct head h = { .size = 0 };
	int r;

	if (!count || strlen(etag) > DIGEST_HEX_MAX)
		return 0;
	memcpy(h.etag, etag, strlen(etag) + 1);
	memcpy(h.hash, hash, XET_HASH);
	r = n->files.len > BATCH_BYTES ? recipes_keep(n) : 0;
	if (r == 0)
		r = make_rows(&k, &h);
	free(k.places);
	buf_free(&k.rows);
	return r;
}

static int put_rows(struct db_txn *t, const char *rows, size_t len)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < len;) {
		const char *row = rows + at;
		uint32_t key = u32_at(row), value = u32_at(row + 4);

		r = db_put(t, DB_RECIPES, (struct db_key){ row + 8, key }, row + 8 + key, value);
		at += 8 + (size_t)key + value;
	}
	return r;
}

/* The first who brought it counts: others may have cut it into other chunks. */
static int put_file(struct db_txn *t, const struct head *h, const char *rows)
{
	uint64_t size = htole64(h->size);
	uint8_t head[XET_HASH + sizeof(size)];
	struct recipe found;
	int r = recipes_get(t, h->etag, &found);

	if (r != -ENOENT && r != ERR_CORRUPT)
		return r;
	memcpy(head, h->hash, XET_HASH);
	memcpy(head + XET_HASH, &size, sizeof(size));
	r = put_rows(t, rows, h->len);
	if (r == 0)
		r = db_put(t, DB_RECIPES, db_text(h->etag), head, sizeof(head));
	return r < 0 ? r
		     : db_put(t, DB_RECIPE_NAMES, (struct db_key){ h->hash, XET_HASH }, h->etag,
			      strlen(h->etag));
}

static int put_files(struct db_txn *t, void *arg)
{
	const struct buf *files = arg;
	struct head h;
	int r = 0;

	for (size_t at = 0; r == 0 && at < files->len; at += sizeof(h) + h.len) {
		memcpy(&h, files->data + at, sizeof(h));
		r = put_file(t, &h, files->data + at + sizeof(h));
	}
	return r;
}

int recipes_keep(struct recipe_notes *n)
{
	int r = n->files.len ? db_write(n->db, put_files, &n->files) : 0;

	buf_clear(&n->files);
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
	ret->size = u64_at(head.data + XET_HASH);
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
		struct recipe_term term = { .from = u32_at(val + XET_HASH),
					    .to = u32_at(val + XET_HASH + 4),
					    .bytes = u32_at(val + XET_HASH + 8),
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

int recipes_xorb(struct db_txn *t, const char *etag, const uint8_t xorb[static XET_HASH],
		 struct recipe_xorb *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct key room;
	int r = db_get(t, DB_RECIPES, key_of(&room, etag, 'x', xorb, XET_HASH), &row);

	return r < 0 ? r : recipe_xorb_unpack(row.data, row.len, ret);
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
		uint32_t len = u32_at(keys.data + at);

		r = db_del(t, DB_RECIPES, (struct db_key){ keys.data + at + 4, len });
		at += 4 + len;
	}
	return r;
}
