/* SPDX-License-Identifier: Apache-2.0 */
/* READDIR and READDIRPLUS. Nothing is open between two of them: each makes its listing anew. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/listing.h"
#include "fs/nfs_attr.h"
#include "fs/nfs_cookie.h"
#include "fs/nfs_forms.h"
#include "fs/nfs_procs.h"

#define REPLY_MAX (1 << 20)
#define ENTRY_BYTES 24 /* of READDIR, without the name */

struct page {
	struct nfs_call *call;
	const struct place *dir;
	struct listing *listing;
	struct nfs_cookies cookies; /* of the entries that are wanted */
	uint64_t cookie;
	bool plus;
	bool closed;                 /* its entries may be listed, and not looked up */
	size_t names_max, bytes_max; /* of entries without their attributes; of the whole result */
	size_t names;                /* bytes so far */
	size_t begin;                /* of the result, in the answer */
	bool full;
};

static int fill_hashed(struct page *pg)
{
	uint32_t all = listing_count(pg->listing);

	for (uint32_t i = 0; i < all; i++) {
		const char *name;
		struct place p;
		int r = listing_get(pg->listing, i, &name, &p);

		if (r < 0)
			return r;
		place_fini(&p);
		nfs_cookies_add_name(&pg->cookies, name, i);
	}
	nfs_cookies_sort(&pg->cookies);
	return 0;
}

static int fill(struct page *pg)
{
	uint32_t all = listing_count(pg->listing);
	int r = nfs_cookies_init(&pg->cookies, all, pg->cookie);

	if (r < 0)
		return r;
	if (!listing_is_final(pg->dir))
		return fill_hashed(pg);
	nfs_cookies_add_all(&pg->cookies, all);
	return 0;
}

/* ---- entries ---- */

/* In /files/ORG a name becomes a commit only when it is looked up. */
static bool lists_only_names(const struct place *dir)
{
	return dir->kind == PLACE_ORG;
}

static int put_plus(struct page *pg, const struct place *p)
{
	struct buf *out = &pg->call->reply.head;
	struct nfs_fh fh;
	int r;

	if (!p || pg->closed || lists_only_names(pg->dir)) {
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

static int put_entry(struct page *pg, const struct nfs_cookie *item)
{
	const char *name;
	struct place p;
	int r = listing_get(pg->listing, item->index, &name, &p);

	if (r < 0)
		return r;
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
	if (view_parent(pg->dir, &above) == 0) {
		number = place_number(&above);
		place_fini(&above);
	}
	return put(pg, "..", number, NULL, NFS_COOKIE_DOTS);
}

static int put_all(struct page *pg)
{
	int r = put_dots(pg);

	for (uint32_t i = 0; r == 0 && !pg->full && i < pg->cookies.count; i++)
		r = put_entry(pg, &pg->cookies.items[i]);
	return r;
}

/* ---- the result ---- */

/* Cookies of a commit's directory are good as long as it is that directory; those of others are
 * always, in the order they are in here. */
static void verifier(const struct place *dir, uint8_t ret[static NFS_VERIFIER])
{
	uint64_t v = listing_is_final(dir) ? place_number(dir) : 1;

	static_assert(sizeof(v) == NFS_VERIFIER, "a verifier is a number");
	memcpy(ret, &v, sizeof(v));
}

static int put_result(struct page *pg)
{
	struct buf *out = &pg->call->reply.head;
	uint8_t verf[NFS_VERIFIER];
	int r;

	verifier(pg->dir, verf);
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

static int open_listing(struct page *pg)
{
	struct nfs_call *c = pg->call;
	struct permit_who who = nfs_reader();
	int r = permit_access(&who, pg->dir, R_OK);

	if (r < 0)
		return r;
	pg->closed = permit_access(&who, pg->dir, X_OK) < 0;
	if (c->ended < 0)
		return nfs_stale(
			listing_open_ended(&c->client->view, pg->dir, c->ended, &pg->listing));
	return listing_open(&c->client->view, pg->dir, &c->waiter, &pg->listing);
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
	if (pg->bytes_max > REPLY_MAX)
		pg->bytes_max = REPLY_MAX;
	verifier(pg->dir, ours);
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
		r = open_listing(&pg);
	if (r != 0)
		return r;
	r = fill(&pg);
	if (r == 0)
		r = put_result(&pg);
	nfs_cookies_fini(&pg.cookies);
	listing_close(pg.listing);
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
