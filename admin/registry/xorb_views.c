/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/xorb_views.h"

#include <errno.h>
#include <string.h>

#include "admin/registry/intake.h"

struct one {
	uint8_t xorb[XET_HASH];
	struct xorb_view view;
	uint64_t used; /* when, by the count below; 0: there is none */
};

struct xorb_views {
	struct xorb_views_conf conf;
	uint64_t used;
	struct one all[XORB_VIEWS_MAX];
};

int xorb_views_new(const struct xorb_views_conf *conf, struct xorb_views **ret)
{
	struct xorb_views *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->conf = *conf;
	*ret = v;
	return 0;
}

static void forget(struct one *o)
{
	if (o->used)
		xorb_view_fini(&o->view);
	o->used = 0;
}

void xorb_views_free(struct xorb_views *v)
{
	if (!v)
		return;
	for (unsigned i = 0; i < XORB_VIEWS_MAX; i++)
		forget(&v->all[i]);
	free(v);
}

/* Pieces of blobs that are there stay: nobody takes those away for some time. False if others were
 * among them. */
static bool keep_those_there(struct intake *in, struct buf *pieces)
{
	size_t count = xorb_pieces_count(pieces), kept = 0;
	char last[DIGEST_HEX_MAX + 1] = "";
	bool there = false;

	for (size_t i = 0; i < count; i++) {
		const struct xorb_piece *p = xorb_pieces_at(pieces, i);

		if (strcmp(p->etag, last) != 0)
			there = intake_has(in, p->etag, INTAKE_ANY_SIZE);
		memcpy(last, p->etag, sizeof(last));
		if (there)
			*xorb_pieces_at(pieces, kept++) = *p;
	}
	pieces->len = kept * sizeof(struct xorb_piece);
	return kept == count;
}

static int nothing(struct db_txn *t UNUSED, void *arg UNUSED)
{
	return 0;
}

/* A collector may have set a blob aside, and put it back when its transaction does not stand: when
 * that is over one looks again. */
static int open_placed(struct xorb_views *v, const uint8_t *xorb, struct xorb_view *ret)
{
	const struct xorb_views_conf *c = &v->conf;
	int r = c->find(c->arg, xorb, ret);

	if (r < 0 || keep_those_there(c->intake, &ret->map.pieces))
		return r;
	xorb_view_fini(ret);
	r = db_write(c->db, nothing, NULL);
	if (r == 0)
		r = c->find(c->arg, xorb, ret);
	if (r == 0)
		keep_those_there(c->intake, &ret->map.pieces);
	return r;
}

static int open_one(struct xorb_views *v, const uint8_t *xorb, struct xorb_view *ret)
{
	int r = xorbs_open(v->conf.xorbs, &v->conf.owner, xorb, ret);

	return r == -ENOENT ? open_placed(v, xorb, ret) : r;
}

int xorb_views_find(struct xorb_views *v, const uint8_t xorb[static XET_HASH],
		    struct xorb_view **ret)
{
	struct one *oldest = v->all;
	int r;

	for (struct one *o = v->all; o < v->all + XORB_VIEWS_MAX; o++) {
		if (o->used && !memcmp(o->xorb, xorb, XET_HASH)) {
			o->used = ++v->used;
			*ret = &o->view;
			return 0;
		}
		if (o->used < oldest->used)
			oldest = o;
	}
	forget(oldest);
	oldest->view = (struct xorb_view){ .fd = -1 };
	r = open_one(v, xorb, &oldest->view);
	if (r < 0)
		return r;
	oldest->used = ++v->used;
	memcpy(oldest->xorb, xorb, XET_HASH);
	*ret = &oldest->view;
	return 0;
}
