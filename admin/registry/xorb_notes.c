/* SPDX-License-Identifier: Apache-2.0 */
/* What can be thought of before is not thought of inside the transaction: others wait for that. */
#include "admin/registry/xorb_notes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/intake.h"

#define BATCH 16 /* xorbs of a transaction; all are open */

_Static_assert(BATCH < XORB_VIEWS_MAX, "those of a batch stay open");

struct row {
	const uint8_t *xorb;
	struct xorb_view *view;
	struct buf pieces, all; /* that are new, and all that are known */
};

struct batch {
	const struct xorb_notes *notes;
	struct row rows[BATCH];
	unsigned count;
};

static int put_rows(struct db_txn *t, void *arg)
{
	struct batch *b = arg;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < b->count; i++) {
		struct row *row = &b->rows[i];

		r = xorb_rows_put(t, row->xorb, &row->view->map, &row->pieces,
				  &b->notes->conf->owner, &row->all);
	}
	return r;
}

/* What others have of it, and who brought it may not, is nothing. */
static bool is_whole(const struct xorb_views_conf *c, struct row *row)
{
	CLEANUP(xorb_view_fini) struct xorb_view known = { .fd = -1 };
	uint32_t count = xorb_map_count(&row->view->map);

	if (xorb_pieces_are_whole(&row->pieces, count))
		return true;
	if (c->find(c->arg, row->xorb, &known) < 0 ||
	    buf_add(&row->pieces, known.map.pieces.data, known.map.pieces.len) < 0)
		return false;
	return xorb_pieces_are_whole(&row->pieces, count);
}

/* One whose chunks are all in blobs that stay for some time, and are for who brought it. */
static bool is_kept(const struct xorb_views_conf *c, struct row *row)
{
	const char *last = "";

	if (!is_whole(c, row))
		return false;
	for (size_t i = 0; i < xorb_pieces_count(&row->pieces); i++) {
		const char *etag = xorb_pieces_at(&row->pieces, i)->etag;

		if (strcmp(etag, last) != 0 && !intake_has(c->intake, etag, INTAKE_ANY_SIZE))
			return false;
		last = etag;
	}
	return true;
}

static void batch_clear(struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		buf_free(&b->rows[i].pieces);
		buf_free(&b->rows[i].all);
	}
	b->count = 0;
}

static int batch_put(struct batch *b)
{
	const struct xorb_views_conf *c = b->notes->conf;
	int r = b->count ? db_write(c->db, put_rows, b) : 0;

	for (unsigned i = 0; r == 0 && i < b->count; i++) {
		struct row *row = &b->rows[i];

		if (row->view->fd >= 0 && is_kept(c, row))
			xorbs_remove(c->xorbs, &c->owner, row->xorb);
	}
	batch_clear(b);
	return r;
}

static int gather(const struct xorb_notes *n, const struct xorb_place *p, size_t count,
		  struct row *row)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct xorb_piece piece = { p[i].from, p[i].to, p[i].off, "" };

		snprintf(piece.etag, sizeof(piece.etag), "%s", n->etag(n->arg, p[i].file));
		r = buf_add(&row->pieces, &piece, sizeof(piece));
	}
	xorb_pieces_reduce(&row->pieces, xorb_map_count(&row->view->map), SIZE_MAX);
	return r < 0 ? r : xorb_pieces_add_twins(&row->view->map, &row->pieces);
}

/* All places of one xorb. */
static int add_row(struct batch *b, const struct xorb_place *p, size_t count)
{
	struct row *row = &b->rows[b->count];
	int r;

	*row = (struct row){ .xorb = p->xorb };
	r = xorb_views_find(b->notes->views, p->xorb, &row->view);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	b->count++;
	r = gather(b->notes, p, count, row);
	return r == 0 && b->count == BATCH ? batch_put(b) : r;
}

static int compare(const void *a, const void *b)
{
	const struct xorb_place *p = a, *q = b;

	return memcmp(p->xorb, q->xorb, XET_HASH);
}

int xorb_notes_put(const struct xorb_notes *n)
{
	struct batch b = { .notes = n };
	size_t of_one;
	int r = 0;

	if (n->count)
		qsort(n->places, n->count, sizeof(*n->places), compare);
	for (size_t i = 0; r == 0 && i < n->count; i += of_one) {
		for (of_one = 1; i + of_one < n->count; of_one++)
			if (compare(&n->places[i], &n->places[i + of_one]) != 0)
				break;
		r = add_row(&b, &n->places[i], of_one);
	}
	if (r == 0)
		r = batch_put(&b);
	batch_clear(&b);
	return r;
}
