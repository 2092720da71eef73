/* SPDX-License-Identifier: Apache-2.0 */
/* Clients ask for the first chunk of a file, and for one in a thousand behind it. Who may read a
 * file that has it is told of the chunks there are from that one on, so that a client which brought
 * none of them need not bring what is here. To all others there is nothing, whatever there is. */
#include "admin/hub/xet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/capability.h"
#include "admin/hub/writing.h"
#include "admin/hub/xet_priv.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/xet/xet_hint.h"
#include "daemon/xet/xorb.h"

_Static_assert(CAPABILITY_KEY == XET_HASH, "a key is random bytes");

/* Xorbs that have the chunk: those that are listed, that are looked at, and that are however long
 * it takes. The rest would make the answer so late that it tells that there are such. */
#define LISTED_MAX 512
#define LOOKED_AT_MAX 64
#define LOOKED_AT_MIN 4
#define LOOK_MS 4
#define TOLD_MAX 32 /* xorbs of an answer, ... */
#define CHUNKS_MAX 65536
#define AHEAD_BYTES (UINT64_C(2) << 30) /* ... from so much of a file */
#define UNTIL_S 900                     /* clients keep it so long */
#define NOTHING_MS 10                   /* that nothing is here is said at multiples of it */

struct search {
	struct ask *ask;
	uint8_t chunk[XET_HASH];
	struct registry_repo repo;
	char user[ACCOUNT_NAME_MAX + 1];
	struct buf xorbs;  /* hashes of those to look at, XET_HASH bytes each, ... */
	struct buf others; /* ... and of those after them */
	size_t listed;
	struct db_txn *txn;
	struct xet_hint hint;
	unsigned told;
	uint32_t chunks;
	/* The first of them, and where the chunk lies in a file for who asks. */
	uint8_t home[XET_HASH];
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t off;
};

static void search_fini(struct search *s)
{
	buf_free(&s->xorbs);
	buf_free(&s->others);
	xet_hint_fini(&s->hint);
}

/* ---- one xorb ---- */

static int get(const struct search *s, const uint8_t *xorb, struct xorb_map *ret)
{
	const struct xorb_owner owner = { s->repo.uid, s->user };

	return xet_find_xorb(s->ask, &owner, xorb, ret);
}

/* All of its chunks up to the last that is for who asks have a number; a name and a length have
 * theirs alone. */
static int tell(struct search *s, const uint8_t *xorb, struct xorb_map *m)
{
	uint32_t of[XORB_CHUNKS_MAX], count = xorb_map_count(m);
	int r;

	xorb_pieces_cover(&m->pieces, count, of);
	while (count && of[count - 1] == XORB_NO_PIECE)
		count--;
	r = xet_hint_xorb(&s->hint, xorb, count);
	for (uint32_t c = 0; r == 0 && c < count; c++)
		r = xet_hint_chunk(&s->hint, of[c] != XORB_NO_PIECE ? xorb_map_hashes(m, c) : NULL,
				   xorb_map_start(m, c + 1) - xorb_map_start(m, c));
	s->told++;
	s->chunks += count;
	return r;
}

/* ---- the one with the chunk ---- */

static size_t count_of(const struct buf *xorbs)
{
	return xorbs->len / XET_HASH;
}

static int is_owner(void *arg UNUSED, const char *uid UNUSED)
{
	return 1;
}

/* One that nobody brought is forgotten, or damaged. */
static int add_xorb(void *arg, const uint8_t xorb[static XET_HASH])
{
	struct search *s = arg;
	int own = xorb_rows_is_for(s->txn, xorb, s->repo.uid), r = own;

	if (own == 0)
		r = xorb_rows_owners(s->txn, xorb, is_owner, NULL);
	if (r == 1 && count_of(own ? &s->xorbs : &s->others) < LOOKED_AT_MAX)
		r = buf_add(own ? &s->xorbs : &s->others, xorb, XET_HASH);
	return r < 0 ? r : ++s->listed == LISTED_MAX;
}

/* First those of the repository that the token is for: nobody else can put any in front of them. */
static int list_having(struct db_txn *t, void *arg)
{
	struct search *s = arg;
	int r;

	buf_clear(&s->xorbs);
	buf_clear(&s->others);
	s->listed = 0;
	s->txn = t;
	r = xorb_rows_having(t, s->chunk, add_xorb, s);
	return r < 0 ? r : buf_add(&s->xorbs, s->others.data, s->others.len);
}

/* Where a file of theirs has it; false: none has. */
static bool find_place(struct search *s, struct xorb_map *m)
{
	uint32_t of[XORB_CHUNKS_MAX], count = xorb_map_count(m), c = 0;
	const struct xorb_piece *p;

	xorb_pieces_cover(&m->pieces, count, of);
	while (c < count &&
	       (of[c] == XORB_NO_PIECE || memcmp(xorb_map_hashes(m, c), s->chunk, XET_HASH) != 0))
		c++;
	if (c == count)
		return false;
	p = xorb_pieces_at(&m->pieces, of[c]);
	memcpy(s->etag, p->etag, sizeof(s->etag));
	s->off = p->off + xorb_map_start(m, c) - xorb_map_start(m, p->from);
	return true;
}

static int look_at(struct search *s, const uint8_t *xorb)
{
	CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
	int r = get(s, xorb, &m);

	if (r < 0)
		return r;
	memcpy(s->home, xorb, XET_HASH);
	return find_place(s, &m) ? tell(s, xorb, &m) : -ENOENT;
}

/* One of them is enough. */
static int find_home(struct search *s)
{
	int64_t until_ms = clock_ms() + LOOK_MS;
	int r = db_read(s->ask->server->rights.db, list_having, s), one = -ENOENT;

	for (size_t i = 0; r == 0 && one == -ENOENT && i < count_of(&s->xorbs); i++) {
		if (i >= LOOKED_AT_MAX || (i >= LOOKED_AT_MIN && clock_ms() >= until_ms))
			break;
		one = look_at(s, (const uint8_t *)s->xorbs.data + i * XET_HASH);
	}
	return r < 0 ? r : one;
}

/* ---- those behind it ---- */

static bool is_listed(const struct buf *xorbs, const uint8_t *xorb)
{
	for (size_t at = 0; at < xorbs->len; at += XET_HASH)
		if (!memcmp(xorbs->data + at, xorb, XET_HASH))
			return true;
	return false;
}

/* What of the file follows; nothing if nobody remembers what it is made of, or that is too much. */
static int list_next(struct db_txn *t, void *arg)
{
	struct search *s = arg;
	CLEANUP(buf_free) struct buf terms = { 0 };
	const struct recipe_term *all;
	struct recipe file;
	int r = recipes_get(t, s->etag, &file);

	buf_clear(&s->xorbs);
	if (r == 0)
		r = recipes_terms(t, s->etag, s->off, min_u64(file.size, s->off + AHEAD_BYTES),
				  &terms);
	all = (const void *)terms.data;
	for (size_t i = 0; r == 0 && i < terms.len / sizeof(*all); i++)
		if (s->xorbs.len < (size_t)TOLD_MAX * XET_HASH &&
		    !is_listed(&s->xorbs, all[i].xorb))
			r = buf_add(&s->xorbs, all[i].xorb, XET_HASH);
	return r == -ENOENT || r == -E2BIG || r == ERR_CORRUPT ? 0 : r;
}

static int tell_next(struct search *s)
{
	int r = db_read(s->ask->server->rights.db, list_next, s);

	for (size_t at = 0; r == 0 && at < s->xorbs.len; at += XET_HASH) {
		const uint8_t *xorb = (const uint8_t *)s->xorbs.data + at;
		CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };

		if (!memcmp(xorb, s->home, XET_HASH) || s->told == TOLD_MAX ||
		    s->chunks > CHUNKS_MAX)
			continue;
		r = get(s, xorb, &m);
		r = r == 0 ? tell(s, xorb, &m) : r == -ENOENT ? 0 : r;
	}
	return r;
}

/* ---- a request ---- */

static int find(struct search *s)
{
	uint8_t key[CAPABILITY_KEY];
	int64_t now_s = clock_wall_s();
	int r = capability_make_key(key);

	if (r == 0)
		r = xet_hint_begin(&s->hint, key);
	if (r == 0)
		r = find_home(s);
	if (r < 0)
		return r;
	r = tell_next(s);
	return r < 0 ? r : xet_hint_end(&s->hint, now_s, now_s + UNTIL_S);
}

static int answer_nothing(struct ask *a)
{
	answer_refuse(a, 404, "no such chunk is here, or none for who asks");
	return 0;
}

/* What is here for others takes longer to find than nothing: either is answered by a slow clock. */
static int answer_later(struct ask *a, int64_t began_ms)
{
	int64_t late_ms = (clock_ms() - began_ms) % NOTHING_MS;
	int r;

	a->kept = calloc(1, 1);
	a->free_kept = free;
	r = a->kept ? ask_later(a, a->server->workers, NOTHING_MS - late_ms) : -ENOMEM;
	if (r == PARKED)
		return r;
	clock_sleep_ms(NOTHING_MS - late_ms); /* too many wait there */
	return answer_nothing(a);
}

static int answer_found(struct ask *a, struct search *s)
{
	struct httpd_head h = answer_head(a, 200, "application/octet-stream");

	httpd_reply_head(a->http, &h, &s->hint.bytes);
	s->hint.bytes = (struct buf){ 0 };
	return 0;
}

static int answer(struct ask *a)
{
	CLEANUP(search_fini) struct search s = { .ask = a };
	int64_t began_ms = clock_ms();
	int r = xet_hash_parse(a->asked.target.path, s.chunk) < 0 ? -ENOENT : 0;

	account_key(a->who.user, s.user);
	if (r == 0)
		r = writing_repo(a, &s.repo);
	if (r == 0)
		r = find(&s);
	if (r == -ENOENT)
		return answer_later(a, began_ms);
	return r == 0 ? answer_found(a, &s) : r;
}

int xet_find_chunk(struct ask *a)
{
	int r = xet_enter(a);

	if (r == 0 && !ask_aside(a, 0, &r))
		return r;
	if (r == 0)
		r = a->kept ? answer_nothing(a) : answer(a);
	return r == ANSWERED ? 0 : r;
}
