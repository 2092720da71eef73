/* SPDX-License-Identifier: Apache-2.0 */
/* DB_XORBS: the hash, 32 bytes; the chunks and pieces (xorb_map.h). DB_XORB_OWNERS: hash and uid;
 * who brought it for that one, each with a NUL behind. DB_XORB_BLOBS: etag and hash, so that who
 * takes a blob away finds the rows that name it. DB_XORB_CHUNKS: a chunk and the hash, of the first
 * chunk of a file and of those of which clients ask. In DB_META, of each user who is to forget:
 * "xet-" and the name in small letters. */
#include "admin/registry/xorb_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/holdings.h"
#include "admin/registry/registry.h"
#include "daemon/base/err.h"

#define GENERATION "xet-"
#define GENERATION_MAX 99999999
#define PIECES_MAX 1024 /* beside those without which chunks had no place */
#define USERS_MAX 1024  /* bytes of those that brought one for a repository */

static struct db_key key_of(const uint8_t *xorb)
{
	return (struct db_key){ xorb, XET_HASH };
}

int xorb_rows_get(struct db_txn *t, const uint8_t xorb[static XET_HASH], struct xorb_map *ret)
{
	CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
	CLEANUP(buf_free) struct buf row = { 0 };
	size_t len = 0;
	int r = db_get(t, DB_XORBS, key_of(xorb), &row);

	if (r == 0)
		r = xorb_map_unpack(row.data, row.len, &m, &len);
	if (r == 0)
		r = xorb_pieces_unpack(row.data + len, row.len - len, &m);
	if (r < 0)
		return r;
	*ret = m;
	m = (struct xorb_map){ 0 };
	return 0;
}

/* ---- what comes ---- */

static int put_row(struct db_txn *t, const uint8_t *xorb, const struct xorb_map *m,
		   const struct buf *pieces)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = xorb_map_pack(m, &row);

	if (r == 0)
		r = xorb_pieces_pack(pieces, &row);
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
	const char *last = "";
	int r = 0;

	for (size_t i = 0; r == 0 && i < xorb_pieces_count(pieces); i++) {
		const char *etag = xorb_pieces_at(pieces, i)->etag;

		if (strcmp(etag, last) != 0)
			r = db_put(t, DB_XORB_BLOBS,
				   pair_key(&room, etag, strlen(etag), xorb, XET_HASH), "1", 1);
		last = etag;
	}
	return r;
}

/* Which chunks clients ask for: those in pieces that any may ask for, and the first of files. */
static void find_asked(const struct xorb_map *m, struct buf *pieces, uint32_t count,
		       bool ret[static XORB_CHUNKS_MAX])
{
	uint32_t of[XORB_CHUNKS_MAX];

	xorb_pieces_cover(pieces, count, of);
	for (uint32_t c = 0; c < count; c++)
		ret[c] = of[c] != XORB_NO_PIECE && xet_hash_is_asked(xorb_map_hashes(m, c));
	for (size_t i = 0; i < xorb_pieces_count(pieces); i++)
		if (!xorb_pieces_at(pieces, i)->off)
			ret[xorb_pieces_at(pieces, i)->from] = true;
}

static int put_chunk(struct db_txn *t, const uint8_t *xorb, const uint8_t *hash)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	return db_put(t, DB_XORB_CHUNKS, pair_key(&room, hash, XET_HASH, xorb, XET_HASH), "1", 1);
}

static int drop_chunk(struct db_txn *t, const uint8_t *xorb, const uint8_t *hash)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	return db_del(t, DB_XORB_CHUNKS, pair_key(&room, hash, XET_HASH, xorb, XET_HASH));
}

/* Its pieces change, of which some are new: who asks for a chunk finds it as long as it is there.
 * Two chunks may have one hash, and then one row. */
static int change_chunks(struct db_txn *t, const uint8_t *xorb, const struct xorb_map *m,
			 struct buf *before, struct buf *after, struct buf *fresh)
{
	bool was[XORB_CHUNKS_MAX], is[XORB_CHUNKS_MAX], is_new[XORB_CHUNKS_MAX], gone = false;
	uint32_t count = xorb_map_count(m);
	int r = 0;

	find_asked(m, before, count, was);
	find_asked(m, after, count, is);
	find_asked(m, fresh, count, is_new);
	for (uint32_t c = 0; r == 0 && c < count; c++) {
		if (!was[c] || is[c])
			continue;
		r = drop_chunk(t, xorb, xorb_map_hashes(m, c));
		gone = true;
	}
	for (uint32_t c = 0; r == 0 && c < count; c++)
		if (is[c] && (gone || is_new[c]))
			r = put_chunk(t, xorb, xorb_map_hashes(m, c));
	return r;
}

static bool has_user(const struct buf *users, const char *user)
{
	for (size_t at = 0; at < users->len; at += strlen(users->data + at) + 1)
		if (!strcmp(users->data + at, user))
			return true;
	return false;
}

/* Who finds no room any more is told when they name it in vain. */
static int put_owner(struct db_txn *t, const uint8_t *xorb, const char *uid, const char *user)
{
	CLEANUP(buf_free) struct buf room = { 0 }, users = { 0 };
	struct db_key key = pair_key(&room, xorb, XET_HASH, uid, strlen(uid));
	int r = db_get(t, DB_XORB_OWNERS, key, &users);

	if (r < 0 && r != -ENOENT)
		return r;
	if (users.len && (has_user(&users, user) || users.len > USERS_MAX))
		return 0;
	r = buf_add(&users, user, strlen(user) + 1);
	return r < 0 ? r : db_put(t, DB_XORB_OWNERS, key, users.data, users.len);
}

/* Pieces of blobs that somebody has stay longest: without the others those are covered already. */
static int prefer_held(struct db_txn *t, struct buf *pieces, uint32_t count)
{
	CLEANUP(buf_free) struct buf held = { 0 };
	uint32_t of[XORB_CHUNKS_MAX];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < xorb_pieces_count(pieces); i++) {
		const struct xorb_piece *p = xorb_pieces_at(pieces, i);

		r = holdings_any(t, p->etag);
		if (r == 1)
			r = buf_add(&held, p, sizeof(*p));
	}
	if (r < 0)
		return r;
	xorb_pieces_cover(&held, count, of);
	for (size_t i = 0; r >= 0 && i < xorb_pieces_count(pieces); i++) {
		const struct xorb_piece *p = xorb_pieces_at(pieces, i);
		uint32_t c = p->from;

		while (c < p->to && of[c] != XORB_NO_PIECE)
			c++;
		if (c < p->to)
			r = buf_add(&held, p, sizeof(*p));
	}
	if (r < 0)
		return r;
	buf_free(pieces);
	*pieces = held;
	held = (struct buf){ 0 };
	return 0;
}

static int get_pieces(struct db_txn *t, const uint8_t *xorb, struct buf *ret)
{
	CLEANUP(xorb_map_fini) struct xorb_map old = { 0 };
	int r = xorb_rows_get(t, xorb, &old);

	if (r == 0 && old.pieces.len)
		r = buf_add(ret, old.pieces.data, old.pieces.len);
	return r == -ENOENT || r == ERR_CORRUPT ? 0 : r;
}

/* The new ones and those that are known, as few as are to be kept. */
static int join_pieces(struct db_txn *t, const struct buf *pieces, const struct buf *known,
		       uint32_t count, struct buf *ret)
{
	int r = 0;

	buf_clear(ret);
	buf_add(ret, pieces->data, pieces->len);
	buf_add(ret, known->data, known->len);
	if (ret->failed)
		return ret->failed;
	xorb_pieces_reduce(ret, count, SIZE_MAX);
	if (xorb_pieces_count(ret) > PIECES_MAX)
		r = prefer_held(t, ret, count);
	if (r == 0)
		xorb_pieces_reduce(ret, count, PIECES_MAX);
	return r;
}

int xorb_rows_put(struct db_txn *t, const uint8_t xorb[static XET_HASH], const struct xorb_map *m,
		  struct buf *pieces, const struct xorb_owner *owner, struct buf *ret_all)
{
	CLEANUP(buf_free) struct buf known = { 0 };
	int r = put_places(t, xorb, pieces);

	if (r == 0)
		r = get_pieces(t, xorb, &known);
	if (r == 0)
		r = join_pieces(t, pieces, &known, xorb_map_count(m), ret_all);
	if (r == 0)
		r = change_chunks(t, xorb, m, &known, ret_all, pieces);
	if (r == 0)
		r = put_row(t, xorb, m, ret_all);
	return r < 0 ? r : put_owner(t, xorb, owner->uid, owner->user);
}

/* Those who brought it for that one: 1, or 0 if nobody did. */
static int get_users(struct db_txn *t, const uint8_t *xorb, const char *uid, struct buf *ret)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	int r = db_get(t, DB_XORB_OWNERS, pair_key(&room, xorb, XET_HASH, uid, strlen(uid)), ret);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int xorb_rows_is_for(struct db_txn *t, const uint8_t xorb[static XET_HASH], const char *uid)
{
	CLEANUP(buf_free) struct buf users = { 0 };

	return get_users(t, xorb, uid, &users);
}

int xorb_rows_brought(struct db_txn *t, const uint8_t xorb[static XET_HASH], const char *uid,
		      const char *user)
{
	CLEANUP(buf_free) struct buf users = { 0 };
	int r = get_users(t, xorb, uid, &users);

	return r == 1 ? has_user(&users, user) : r;
}

struct having {
	xorb_chunk_fn fn;
	void *arg;
};

static int give_xorb(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	const struct having *h = arg;
	const uint8_t *pair = key.data;

	return key.len == (size_t)2 * XET_HASH ? h->fn(h->arg, pair + XET_HASH) : 0;
}

int xorb_rows_having(struct db_txn *t, const uint8_t chunk[static XET_HASH], xorb_chunk_fn fn,
		     void *arg)
{
	struct having h = { fn, arg };

	return db_each(t, DB_XORB_CHUNKS, key_of(chunk), (struct db_key){ 0 }, give_xorb, &h);
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

static int list_users(void *arg, struct db_key key UNUSED, const char *val, size_t len)
{
	return buf_add(arg, val, len);
}

/* Who brought it, for whichever repository, is to forget it. */
static int renew_owners(struct db_txn *t, const uint8_t *xorb)
{
	CLEANUP(buf_free) struct buf users = { 0 };
	int r = db_each(t, DB_XORB_OWNERS, key_of(xorb), (struct db_key){ 0 }, list_users, &users);

	if (r == 0)
		r = buf_add(&users, "", 1);
	for (size_t at = 0; r == 0 && at < users.len; at += strlen(users.data + at) + 1)
		if (users.data[at])
			r = xorb_rows_renew(t, users.data + at);
	return r;
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

/* Which chunks clients asked for a row that is damaged does not say: they lead nowhere then. */
static int forget_xorb(struct db_txn *t, const uint8_t *xorb, struct xorb_map *m)
{
	struct buf none = { 0 };
	int r = db_del(t, DB_XORBS, key_of(xorb));

	if (r == 0)
		r = change_chunks(t, xorb, m, &m->pieces, &none, &none);
	if (r == 0)
		r = renew_owners(t, xorb);
	return r < 0 ? r : drop_owners(t, xorb);
}

/* True if all chunks that had a place have one still. */
static bool still_cover(struct buf *before, struct buf *after, uint32_t count)
{
	uint32_t was[XORB_CHUNKS_MAX], is[XORB_CHUNKS_MAX];

	xorb_pieces_cover(before, count, was);
	xorb_pieces_cover(after, count, is);
	for (uint32_t i = 0; i < count; i++)
		if (was[i] != XORB_NO_PIECE && is[i] == XORB_NO_PIECE)
			return false;
	return true;
}

static int keep_others(struct db_txn *t, const uint8_t *xorb, struct xorb_map *m, const char *etag)
{
	CLEANUP(buf_free) struct buf kept = { 0 };
	struct buf none = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < xorb_pieces_count(&m->pieces); i++) {
		const struct xorb_piece *p = xorb_pieces_at(&m->pieces, i);

		if (strcmp(p->etag, etag) != 0)
			r = buf_add(&kept, p, sizeof(*p));
	}
	if (r < 0)
		return r;
	if (!kept.len)
		return forget_xorb(t, xorb, m);
	r = still_cover(&m->pieces, &kept, xorb_map_count(m)) ? 0 : renew_owners(t, xorb);
	if (r == 0)
		r = change_chunks(t, xorb, m, &m->pieces, &kept, &none);
	return r < 0 ? r : put_row(t, xorb, m, &kept);
}

/* What has no piece left is not known any more. */
static int forget_pieces(struct db_txn *t, const uint8_t *xorb, const char *etag)
{
	CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
	int r = xorb_rows_get(t, xorb, &m);

	if (r == -ENOENT || r == ERR_CORRUPT)
		return forget_xorb(t, xorb, &m);
	return r < 0 ? r : keep_others(t, xorb, &m, etag);
}

int xorb_rows_drop(struct db_txn *t, const uint8_t xorb[static XET_HASH], const char *etag)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	int r = forget_pieces(t, xorb, etag);

	return r < 0 ? r
		     : db_del(t, DB_XORB_BLOBS,
			      pair_key(&room, etag, strlen(etag), xorb, XET_HASH));
}

static struct db_key generation_key(struct buf *room, const char *user)
{
	return pair_key(room, GENERATION, strlen(GENERATION), user, strlen(user));
}

int xorb_rows_generation(struct db_txn *t, const char *user, uint32_t *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 }, room = { 0 };
	int r = db_get(t, DB_META, generation_key(&room, user), &text);

	*ret = r == 0 ? (uint32_t)strtoul(buf_str(&text), NULL, 10) : 1;
	return r == -ENOENT ? 0 : r;
}

int xorb_rows_renew(struct db_txn *t, const char *user)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	char text[12];
	uint32_t now;
	int len, r = xorb_rows_generation(t, user, &now);

	len = snprintf(text, sizeof(text), "%" PRIu32, now % GENERATION_MAX + 1);
	return r < 0 ? r : db_put(t, DB_META, generation_key(&room, user), text, (size_t)len);
}

struct keys {
	struct buf all; /* etag and hash, one behind the other */
	unsigned left;
};

static int list_some(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	struct keys *k = arg;

	return k->left-- == 0 ? 1 : buf_add(&k->all, key.data, key.len);
}

int xorb_rows_forget(struct db_txn *t, const char *etag, unsigned *left)
{
	struct keys k = { .left = *left };
	const size_t size = strlen(etag) + XET_HASH;
	int more = db_each(t, DB_XORB_BLOBS, db_text(etag), (struct db_key){ 0 }, list_some, &k);
	int r = more < 0 ? more : 0;

	for (size_t at = 0; r == 0 && at + size <= k.all.len; at += size) {
		const char *key = k.all.data + at;

		r = forget_pieces(t, (const uint8_t *)key + strlen(etag), etag);
		if (r == 0)
			r = db_del(t, DB_XORB_BLOBS, (struct db_key){ key, size });
	}
	*left -= (unsigned)(k.all.len / size);
	buf_free(&k.all);
	return r < 0 ? r : more;
}

static int is_one(void *arg UNUSED, struct db_key key UNUSED, const char *val UNUSED,
		  size_t len UNUSED)
{
	return 1;
}

int xorb_rows_any(struct db_txn *t, const char *etag)
{
	return db_each(t, DB_XORB_BLOBS, db_text(etag), (struct db_key){ 0 }, is_one, NULL);
}
