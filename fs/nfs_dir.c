/* SPDX-License-Identifier: Apache-2.0 */
/* READDIR and READDIRPLUS. Nothing is open between two of them, so a cookie must find its place in a
 * listing that is made anew. A commit's directory never changes: there a cookie is a number in
 * order. Elsewhere names come and go: there it is a number of the name itself, and entries are
 * listed in the order of these, so that whoever goes on behind one sees each name once that was
 * there all the time, whatever came and went. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/digest.h"
#include "fs/listing.h"
#include "fs/nfs_attr.h"
#include "fs/nfs_procs.h"

#define DOTS 2 /* "." has the cookie 1, ".." 2; all others have larger ones */
#define REPLY_MAX (1 << 20)
#define ENTRY_BYTES 24 /* of READDIR, without the name */

/* An entry, and the cookie from which one goes on behind it. */
struct item {
	uint64_t cookie;
	uint32_t index; /* in the listing */
};

struct page {
	struct nfs_call *call;
	const struct place *dir;
	struct listing *listing;
	struct item *items; /* of those behind the cookie, in order */
	uint32_t count;
	uint64_t cookie;
	bool plus;
	size_t names_max, bytes_max; /* of entries without their attributes; of the whole result */
	size_t names;                /* bytes so far */
	size_t begin;                /* of the result, in the answer */
	bool full;
};

static int by_cookie(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* Never one that a client might take for negative, nor one of the first. */
static uint64_t cookie_of(const char *name)
{
	uint64_t v = xxh3_of(name, strlen(name)) >> 1;

	return v <= DOTS ? DOTS + 1 : v;
}

static int fill_hashed(struct page *pg)
{
	uint32_t all = listing_count(pg->listing);
	uint32_t n = 0;

	for (uint32_t i = 0; i < all; i++) {
		const char *name;
		struct place p;
		int r = listing_get(pg->listing, i, &name, &p);

		if (r < 0)
			return r;
		place_fini(&p);
		pg->items[n] = (struct item){ cookie_of(name), i };
		n += pg->items[n].cookie > pg->cookie;
	}
	pg->count = n;
	qsort(pg->items, n, sizeof(*pg->items), by_cookie);
	return 0;
}

static void fill_counted(struct page *pg)
{
	uint64_t first = pg->cookie > DOTS ? pg->cookie - DOTS : 0;

	for (uint64_t i = first; i < listing_count(pg->listing); i++)
		pg->items[pg->count++] = (struct item){ DOTS + 1 + i, (uint32_t)i };
}

static int fill(struct page *pg)
{
	pg->items = calloc(listing_count(pg->listing) + 1, sizeof(*pg->items));
	if (!pg->items)
		return -ENOMEM;
	if (!listing_is_final(pg->dir))
		return fill_hashed(pg);
	fill_counted(pg);
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

	if (!p || lists_only_names(pg->dir)) {
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

/* One entry if it fits; p may be NULL, for the dots. */
static int put(struct page *pg, const char *name, const struct place *p, uint64_t cookie)
{
	struct buf *out = &pg->call->reply.head;
	size_t before = out->len, names = strlen(name) + ENTRY_BYTES;
	int r = 0;

	xdr_put_u32(out, true);
	xdr_put_u64(out, place_number(p ? p : pg->dir));
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

static int put_item(struct page *pg, const struct item *item)
{
	const char *name;
	struct place p;
	int r = listing_get(pg->listing, item->index, &name, &p);

	if (r < 0)
		return r;
	r = put(pg, name, &p, item->cookie);
	place_fini(&p);
	return r;
}

static int put_all(struct page *pg)
{
	int r = 0;

	if (pg->cookie < 1)
		r = put(pg, ".", NULL, 1);
	if (r == 0 && !pg->full && pg->cookie < DOTS)
		r = put(pg, "..", NULL, DOTS);
	for (uint32_t i = 0; r == 0 && !pg->full && i < pg->count; i++)
		r = put_item(pg, &pg->items[i]);
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
		r = -EOVERFLOW;
	xdr_put_u32(out, false);
	xdr_put_u32(out, !pg->full);
	return r;
}

static int open_listing(struct page *pg)
{
	struct nfs_call *c = pg->call;
	struct permit_who who = nfs_who(c);
	int r = permit_access(&who, pg->dir, R_OK);

	if (r < 0)
		return r;
	if (c->ended < 0)
		return listing_open_ended(c->world->view, pg->dir, c->ended, &pg->listing);
	return listing_open(c->world->view, pg->dir, &c->waiter, &pg->listing);
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
	return pg->cookie && memcmp(ours, theirs, NFS_VERIFIER) != 0 ? -EBADE : 0;
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
	free(pg.items);
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
