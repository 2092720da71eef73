/* SPDX-License-Identifier: Apache-2.0 */
/* DB_XORBS: the hash, 32 bytes; the chunks and pieces as below. DB_XORB_OWNERS: hash and uid.
 * DB_XORB_BLOBS: etag and hash, so that who takes a blob away finds the rows that name it. */
#include "admin/registry/xorb_rows.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/registry.h"
#include "daemon/base/err.h"
#include "daemon/xet/xorb.h"

#define GENERATION "xet" /* in DB_META */
#define GENERATION_MAX 99999999
#define PIECES_MAX 1024 /* what has more is in enough places */
#define SHA256 32
#define PIECE (4 + 4 + 8 + SHA256) /* bytes, packed */
#define CHUNK (4 + XET_HASH)

/* ---- the chunks ---- */

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

int xorb_map_unpack(const void *data, size_t len, struct xorb_map *ret, size_t *ret_len)
{
	const uint8_t *at = data;
	uint32_t count = len >= 4 ? read_u32(at) : UINT32_MAX;
	int r = 0;

	if (count > XORB_CHUNKS_MAX || len < 4 + (size_t)count * CHUNK)
		return ERR_CORRUPT;
	at += 4;
	for (uint32_t i = 0; r == 0 && i < count; i++, at += CHUNK) {
		uint32_t bytes = read_u32(at);

		r = !bytes || bytes > XORB_CHUNK_MAX ? ERR_CORRUPT
						     : xorb_map_add(ret, at + 4, bytes);
	}
	*ret_len = 4 + (size_t)count * CHUNK;
	return r;
}

static const struct xorb_piece *piece_at(const struct buf *pieces, size_t i)
{
	return (const struct xorb_piece *)(const void *)pieces->data + i;
}

static size_t piece_count(const struct buf *pieces)
{
	return pieces->len / sizeof(struct xorb_piece);
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

static int unpack_pieces(const uint8_t *at, size_t len, struct xorb_map *ret)
{
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

/* ---- rows ---- */

static struct db_key key_of(const uint8_t *xorb)
{
	return (struct db_key){ xorb, XET_HASH };
}

int xorb_rows_get(struct db_txn *t, const uint8_t xorb[static XET_HASH], struct xorb_map *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	size_t len = 0;
	int r = db_get(t, DB_XORBS, key_of(xorb), &row);

	if (r == 0)
		r = xorb_map_unpack(row.data, row.len, ret, &len);
	return r < 0 ? r : unpack_pieces((const uint8_t *)row.data + len, row.len - len, ret);
}

static bool has_piece(const struct buf *pieces, const struct xorb_piece *p)
{
	for (size_t i = 0; i < piece_count(pieces); i++) {
		const struct xorb_piece *q = piece_at(pieces, i);

		if (q->from <= p->from && q->to >= p->to && !strcmp(q->etag, p->etag))
			return true;
	}
	return false;
}

static int add_pieces(struct buf *to, const struct buf *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < piece_count(from); i++)
		if (piece_count(to) < PIECES_MAX && !has_piece(to, piece_at(from, i)))
			r = buf_add(to, piece_at(from, i), sizeof(struct xorb_piece));
	return r;
}

static const struct xorb_piece *piece_of(const struct buf *pieces, uint32_t chunk)
{
	for (size_t i = 0; i < piece_count(pieces); i++)
		if (piece_at(pieces, i)->from <= chunk && piece_at(pieces, i)->to > chunk)
			return piece_at(pieces, i);
	return NULL;
}

/* True if each of so many chunks lies in one of them. */
static bool is_whole(const struct buf *pieces, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!piece_of(pieces, i))
			return false;
	return true;
}

/* Another chunk of the same hash that has a place, which is as good: clients that bring equal files
 * at once put their chunks into a xorb twice, and name one of both. */
static int add_twin(const struct xorb_map *m, uint32_t chunk, struct buf *pieces)
{
	struct xorb_piece twin = { .from = chunk, .to = chunk + 1 };
	const struct xorb_piece *p = NULL;
	uint32_t count = xorb_map_count(m), i = 0;

	for (; !p && i < count; i++)
		if (i != chunk &&
		    !memcmp(xorb_map_hashes(m, i), xorb_map_hashes(m, chunk), XET_HASH))
			p = piece_of(pieces, i);
	if (!p || piece_count(pieces) >= PIECES_MAX)
		return 0;
	twin.off = p->off + xorb_map_start(m, i - 1) - xorb_map_start(m, p->from);
	memcpy(twin.etag, p->etag, sizeof(twin.etag));
	return buf_add(pieces, &twin, sizeof(twin));
}

static int add_twins(const struct xorb_map *m, struct buf *pieces)
{
	uint32_t count = xorb_map_count(m);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < count; i++)
		if (!piece_of(pieces, i))
			r = add_twin(m, i, pieces);
	return r;
}

static int put_row(struct db_txn *t, const uint8_t *xorb, const struct xorb_map *m,
		   const struct buf *pieces)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = xorb_map_pack(m, &row);

	for (size_t i = 0; r == 0 && i < piece_count(pieces); i++)
		r = pack_piece(piece_at(pieces, i), &row);
	return r < 0 ? r : db_put(t, DB_XORBS, key_of(xorb), row.data, row.len);
}

/* A text, and the hash before or behind it. */
static struct db_key pair_key(struct buf *room, const void *first, size_t first_len,
			      const void *second, size_t second_len)
{
	buf_clear(room);
	buf_add(room, first, first_len);
	buf_add(room, second, second_len);
	return (struct db_key){ room->data, room->len };
}

static int put_places(struct db_txn *t, const uint8_t *xorb, const struct buf *pieces)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < piece_count(pieces); i++) {
		const char *etag = piece_at(pieces, i)->etag;

		r = db_put(t, DB_XORB_BLOBS, pair_key(&room, etag, strlen(etag), xorb, XET_HASH),
			   "1", 1);
	}
	return r;
}

static int put_owner(struct db_txn *t, const uint8_t *xorb, const char *uid)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	return db_put(t, DB_XORB_OWNERS, pair_key(&room, xorb, XET_HASH, uid, strlen(uid)), "1", 1);
}

int xorb_rows_put(struct db_txn *t, const uint8_t xorb[static XET_HASH], const struct xorb_map *m,
		  const struct buf *pieces, const char *uid, bool *ret_whole)
{
	CLEANUP(xorb_map_fini) struct xorb_map old = { 0 };
	CLEANUP(buf_free) struct buf all = { 0 };
	int r = xorb_rows_get(t, xorb, &old);

	if (r < 0 && r != -ENOENT && r != ERR_CORRUPT)
		return r;
	r = r == 0 ? add_pieces(&all, &old.pieces) : 0;
	if (r == 0)
		r = add_pieces(&all, pieces);
	if (r == 0)
		r = add_twins(m, &all);
	if (r == 0)
		r = put_row(t, xorb, m, &all);
	if (r == 0)
		r = put_places(t, xorb, &all);
	*ret_whole = is_whole(&all, xorb_map_count(m));
	return r < 0 ? r : put_owner(t, xorb, uid);
}

struct owners {
	xorb_rows_fn fn;
	void *arg;
};

static int give_owner(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	const struct owners *o = arg;
	char uid[REGISTRY_UID + 1];

	if (key.len != XET_HASH + REGISTRY_UID)
		return 0;
	snprintf(uid, sizeof(uid), "%.*s", REGISTRY_UID, (const char *)key.data + XET_HASH);
	return o->fn(o->arg, uid);
}

int xorb_rows_owners(struct db_txn *t, const uint8_t xorb[static XET_HASH], xorb_rows_fn fn,
		     void *arg)
{
	struct owners o = { fn, arg };

	return db_each(t, DB_XORB_OWNERS, key_of(xorb), (struct db_key){ 0 }, give_owner, &o);
}

/* ---- what goes ---- */

static int list_key(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	return buf_add(arg, key.data, key.len);
}

/* All rows of one whose key begins with it. */
static int drop_owners(struct db_txn *t, const uint8_t *xorb)
{
	CLEANUP(buf_free) struct buf keys = { 0 };
	const size_t size = XET_HASH + REGISTRY_UID;
	int r = db_each(t, DB_XORB_OWNERS, key_of(xorb), (struct db_key){ 0 }, list_key, &keys);

	for (size_t at = 0; r == 0 && at + size <= keys.len; at += size)
		r = db_del(t, DB_XORB_OWNERS, (struct db_key){ keys.data + at, size });
	return r;
}

static int forget_xorb(struct db_txn *t, const uint8_t *xorb)
{
	int r = db_del(t, DB_XORBS, key_of(xorb));

	return r < 0 ? r : drop_owners(t, xorb);
}

/* What has no piece left is not known any more. */
static int forget_pieces(struct db_txn *t, const uint8_t *xorb, const char *etag)
{
	CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
	int r = xorb_rows_get(t, xorb, &m);
	size_t kept = 0, count = piece_count(&m.pieces);
	struct xorb_piece *all = (void *)m.pieces.data;

	if (r == -ENOENT || r == ERR_CORRUPT)
		return forget_xorb(t, xorb);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (strcmp(all[i].etag, etag) != 0)
			all[kept++] = all[i];
	m.pieces.len = kept * sizeof(*all);
	if (r < 0)
		return r;
	return kept ? put_row(t, xorb, &m, &m.pieces) : forget_xorb(t, xorb);
}

int xorb_rows_generation(struct db_txn *t, uint32_t *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = db_get(t, DB_META, db_text(GENERATION), &text);

	*ret = r == 0 ? (uint32_t)strtoul(buf_str(&text), NULL, 10) : 1;
	return r == -ENOENT ? 0 : r;
}

int xorb_rows_renew(struct db_txn *t)
{
	char text[12];
	uint32_t now;
	int len, r = xorb_rows_generation(t, &now);

	len = snprintf(text, sizeof(text), "%" PRIu32, now % GENERATION_MAX + 1);
	return r < 0 ? r : db_put(t, DB_META, db_text(GENERATION), text, (size_t)len);
}

int xorb_rows_forget(struct db_txn *t, const char *etag)
{
	CLEANUP(buf_free) struct buf keys = { 0 };
	const size_t size = strlen(etag) + XET_HASH;
	int r = db_each(t, DB_XORB_BLOBS, db_text(etag), (struct db_key){ 0 }, list_key, &keys);

	for (size_t at = 0; r == 0 && at + size <= keys.len; at += size) {
		const char *key = keys.data + at;

		r = forget_pieces(t, (const uint8_t *)key + strlen(etag), etag);
		if (r == 0)
			r = db_del(t, DB_XORB_BLOBS, (struct db_key){ key, size });
	}
	return r == 0 && keys.len ? xorb_rows_renew(t) : r;
}
