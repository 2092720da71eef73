/* SPDX-License-Identifier: Apache-2.0 */
/* READDIR and READDIRPLUS. Nothing is open between two of them. A commit's directory is looked at
 * where it lies; of any other a listing is made when it is begun, and kept for a while for who goes
 * on: else a directory of many names would cost their square. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/num.h"
#include "fs/listing.h"
#include "fs/nfs_attr.h"
#include "fs/nfs_cookie.h"
#include "fs/nfs_kept.h"
#include "fs/nfs_procs.h"

#define REPLY_MAX (1 << 20)
#define ENTRY_BYTES 24 /* of READDIR, without the name */

#define KEPT_ENTRY_BYTES 256 /* of a listing, about */

/* A directory as it was once, with its entries as they are told. */
struct listed {
	struct nfs_kept_item kept;
	struct listing *listing;
	struct nfs_cookies cookies; /* of all; of a commit's those behind the page's cookie */
};

struct page {
	struct nfs_call *call;
	const struct place *dir;
	struct listed *listed;
	uint64_t cookie;
	bool plus;
	bool closed;                 /* its entries may be listed, and not looked up */
	size_t names_max, bytes_max; /* of entries without their attributes; of the whole result */
	size_t names;                /* bytes so far */
	size_t begin;                /* of the result, in the answer */
	bool full;
};

/* ---- what is listed ---- */

/* As which the client sees the tree: what is listed for one is not another's. */
static const struct view *view_of(const struct page *pg)
{
	return &pg->call->client->view;
}

static void listed_free(struct nfs_kept_item *i)
{
	struct listed *l = container_of(i, struct listed, kept);

	nfs_cookies_fini(&l->cookies);
	listing_close(l->listing);
	free(l);
}

static int sort(struct listed *l, const struct nfs_cookie_key *key)
{
	uint32_t all = listing_count(l->listing);

	for (uint32_t i = 0; i < all; i++) {
		const char *name;
		struct place p;
		int r = listing_get(l->listing, i, &name, &p);

		if (r < 0)
			return r;
		place_fini(&p);
		r = nfs_cookies_add_name(&l->cookies, key, name, i);
		if (r < 0)
			return r;
	}
	nfs_cookies_sort(&l->cookies);
	return 0;
}

static int fill(struct page *pg)
{
	struct listed *l = pg->listed;
	uint32_t all = listing_count(l->listing);
	int r = nfs_cookies_init(&l->cookies, all);

	if (r < 0)
		return r;
	l->kept.bytes = sizeof(*l) + all * (size_t)KEPT_ENTRY_BYTES;
	if (!place_is_final(pg->dir))
		return sort(l, &pg->call->world->cookies);
	nfs_cookies_add_rest(&l->cookies, all, pg->cookie);
	return 0;
}

static int open_listing(struct page *pg)
{
	struct nfs_call *c = pg->call;
	struct listing **ret = &pg->listed->listing;

	if (c->ended < 0)
		return listing_open_ended(view_of(pg), pg->dir, c->ended, ret);
	return listing_open(view_of(pg), pg->dir, &c->waiter, ret);
}

/* When it has parked the call is not ours to look at any more. */
static int list_anew(struct page *pg)
{
	struct listed *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	nfs_kept_init(&l->kept);
	l->kept.free = listed_free;
	l->kept.fh = pg->call->fh;
	l->kept.whose = pg->call->client->number;
	l->kept.begun_us = clock_us();
	pg->listed = l;
	r = open_listing(pg);
	if (r == 0)
		r = fill(pg);
	if (r == 0)
		return 0;
	pg->listed = NULL;
	nfs_kept_unref(&l->kept);
	return r;
}

/* Who begins sees what is there now; who goes on, what was there when somebody began. */
static int list(struct page *pg)
{
	struct nfs_kept_item *i = NULL;

	if (pg->cookie && !place_is_final(pg->dir))
		i = nfs_kept_find(pg->call->world->kept, &pg->call->fh, pg->call->client->number);
	if (!i)
		return list_anew(pg);
	pg->listed = container_of(i, struct listed, kept);
	return 0;
}

/* The rest will be asked for, or nothing is left to ask for. */
static void keep(struct page *pg)
{
	if (place_is_final(pg->dir))
		return;
	if (pg->full)
		nfs_kept_put(pg->call->world->kept, &pg->listed->kept);
	else if (!pg->cookie)
		nfs_kept_drop(pg->call->world->kept, &pg->call->fh, pg->call->client->number);
}

/* ---- entries ---- */

static int put_plus(struct page *pg, const struct place *p)
{
	struct buf *out = &pg->call->reply.head;
	struct nfs_fh fh;
	int r;

	if (!p || pg->closed || place_lists_names(pg->dir)) {
		xdr_put_u32(out, false);
		xdr_put_u32(out, false);
		return 0;
	}
	r = nfs_objects_handle(pg->call->world->objects, p, &fh);
	if (r < 0)
		return r;
	nfs_attr_put_after(pg->call->world->view, p, out);
	xdr_put_u32(out, true);
	xdr_put_opaque(out, fh.bytes, fh.len);
	return 0;
}

/* One entry if it fits; p is NULL for the dots. */
static int put(struct page *pg, const char *name, uint64_t number, const struct place *p,
	       uint64_t cookie)
{
	struct buf *out = &pg->call->reply.head;
	size_t before = out->len, names = strlen(name) + ENTRY_BYTES;
	int r = 0;

	xdr_put_u32(out, true);
	xdr_put_u64(out, number);
	xdr_put_text(out, name);
	xdr_put_u64(out, cookie);
	if (pg->plus)
		r = put_plus(pg, p);
	/* Behind it stand the end of the list, and whether that is the directory's. */
	pg->full = out->len + 2 * XDR_UNIT - pg->begin > pg->bytes_max ||
		   (pg->names && pg->names + names > pg->names_max);
	if (r < 0 || pg->full)
		out->len = before;
	else
		pg->names += names;
	return r;
}

/* What was removed since it was listed is left out; and what the client may not see, whoever it was
 * listed for. */
static int put_entry(struct page *pg, const struct nfs_cookie *item)
{
	const struct view *v = view_of(pg);
	const char *name;
	struct place p;
	int r = listing_get(pg->listed->listing, item->index, &name, &p);

	if (r < 0)
		return r;
	if (!nfs_is_removed(v, &p) && view_is_shown(v, &p))
		r = put(pg, name, place_number(&p), &p, item->value);
	place_fini(&p);
	return r;
}

static int put_dots(struct page *pg)
{
	struct place above;
	uint64_t number = place_number(pg->dir);
	int r = 0;

	if (pg->cookie < NFS_COOKIE_DOT)
		r = put(pg, ".", number, NULL, NFS_COOKIE_DOT);
	if (r < 0 || pg->full || pg->cookie >= NFS_COOKIE_DOTS)
		return r;
	if (view_parent(view_of(pg), pg->dir, &above) == 0) {
		number = place_number(&above);
		place_fini(&above);
	}
	return put(pg, "..", number, NULL, NFS_COOKIE_DOTS);
}

static int put_all(struct page *pg)
{
	const struct nfs_cookies *all = &pg->listed->cookies;
	uint32_t first = nfs_cookies_after(all, pg->cookie);
	int r = put_dots(pg);

	for (uint32_t i = first; r == 0 && !pg->full && i < all->count; i++)
		r = put_entry(pg, &all->items[i]);
	return r;
}

/* ---- the result ---- */

/* Cookies of a commit's directory are good as long as it is that directory; those of others are
 * always, in the order they are in here. */
static void verifier(const struct page *pg, uint8_t ret[static NFS_VERIFIER])
{
	uint64_t v = place_is_final(pg->dir) ? place_number(pg->dir)
					     : pg->call->world->cookies.verifier;

	static_assert(sizeof(v) == NFS_VERIFIER, "a verifier is a number");
	memcpy(ret, &v, sizeof(v));
}

static int put_result(struct page *pg)
{
	struct buf *out = &pg->call->reply.head;
	uint8_t verf[NFS_VERIFIER];
	int r;

	verifier(pg, verf);
	xdr_put_u32(out, NFS3_OK);
	pg->begin = out->len;
	nfs_attr_put_after(pg->call->world->view, pg->dir, out);
	xdr_put_fixed(out, verf, sizeof(verf));
	r = put_all(pg);
	if (r == 0 && pg->full && pg->names == 0)
		r = NFS_TOOSMALL;
	xdr_put_u32(out, false);
	xdr_put_u32(out, !pg->full);
	return r;
}

static int permit(struct page *pg)
{
	struct permit_who who = nfs_reader();

	pg->closed = permit_access(&who, pg->dir, X_OK) < 0;
	return permit_access(&who, pg->dir, R_OK);
}

static int take_args(struct page *pg)
{
	struct xdr_in *in = &pg->call->in;
	uint8_t ours[NFS_VERIFIER];
	const uint8_t *theirs;
	size_t count;

	pg->cookie = xdr_u64(in);
	theirs = xdr_fixed(in, NFS_VERIFIER);
	count = xdr_u32(in);
	pg->bytes_max = pg->plus ? xdr_u32(in) : count;
	pg->names_max = pg->plus ? count : SIZE_MAX;
	if (in->bad)
		return -EBADMSG;
	if (place_format(pg->dir) != S_IFDIR)
		return -ENOTDIR;
	pg->bytes_max = min_u64(min_u64(pg->bytes_max, REPLY_MAX), rpcd_room(pg->call->conn));
	verifier(pg, ours);
	return pg->cookie && memcmp(ours, theirs, NFS_VERIFIER) != 0 ? NFS_BAD_COOKIE : 0;
}

static int read_page(struct nfs_call *c, bool plus)
{
	CLEANUP(place_fini) struct place dir = { 0 };
	struct page pg = { .call = c, .dir = &dir, .plus = plus };
	int r = nfs_take_place(c, &dir);

	if (r == 0)
		r = take_args(&pg);
	if (r == 0)
		r = permit(&pg);
	if (r == 0)
		r = list(&pg);
	if (r != 0)
		return r;
	r = put_result(&pg);
	if (r == 0)
		keep(&pg);
	nfs_kept_unref(&pg.listed->kept);
	return r;
}

int nfs_readdir(struct nfs_call *c)
{
	return read_page(c, false);
}

int nfs_readdirplus(struct nfs_call *c)
{
	return read_page(c, true);
}
