/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet_plan.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/err.h"

void xet_plan_fini(struct xet_plan *p)
{
	buf_free(&p->terms);
	buf_free(&p->ranges);
}

/* Only those chunks of a term that have bytes of [from, to). */
static int cut(const struct recipe_xorb *x, uint64_t from, uint64_t to, struct recipe_term *t)
{
	struct recipe_term all = *t;
	uint64_t off = all.off;
	struct recipe_chunk c;

	t->bytes = 0;
	for (uint32_t i = all.from; i < all.to; i++, off += c.bytes) {
		if (!recipe_chunk(x, i, &c))
			return ERR_CORRUPT;
		if (off + c.bytes <= from || off >= to)
			continue;
		if (!t->bytes) {
			t->from = i;
			t->off = off;
		}
		t->to = i + 1;
		t->bytes += c.bytes;
	}
	return off == all.off + all.bytes && t->bytes ? 0 : ERR_CORRUPT;
}

static int add_term(struct xet_plan *p, const struct recipe_term *term, uint64_t from, uint64_t to,
		    xet_plan_fn get, void *arg)
{
	CLEANUP(recipe_xorb_fini) struct recipe_xorb x = { .pieces = { 0 } };
	struct recipe_term t = *term;
	struct xet_range range = { .from = t.from };
	bool whole = t.off >= from && t.off + t.bytes <= to;
	int r = whole ? 0 : get(arg, t.xorb, &x);

	if (r == 0 && !whole)
		r = cut(&x, from, to, &t);
	if (r < 0)
		return r;
	if (!p->terms.len)
		p->skip = from - t.off;
	memcpy(range.xorb, t.xorb, XET_HASH);
	range.from = t.from;
	range.to = t.to;
	r = buf_add(&p->terms, &t, sizeof(t));
	return r < 0 ? r : buf_add(&p->ranges, &range, sizeof(range));
}

static int compare_ranges(const void *a, const void *b)
{
	const struct xet_range *p = a, *q = b;
	int d = memcmp(p->xorb, q->xorb, XET_HASH);

	return d ? d : (p->from > q->from) - (p->from < q->from);
}

/* What overlaps or touches becomes one. */
static void join_ranges(struct buf *ranges)
{
	struct xet_range *all = (void *)ranges->data;
	size_t count = ranges->len / sizeof(*all), kept = 0;

	if (count)
		qsort(all, count, sizeof(*all), compare_ranges);
	for (size_t i = 0; i < count; i++) {
		struct xet_range *last = kept ? &all[kept - 1] : NULL;

		if (!last || memcmp(last->xorb, all[i].xorb, XET_HASH) != 0 ||
		    all[i].from > last->to)
			all[kept++] = all[i];
		else if (all[i].to > last->to)
			last->to = all[i].to;
	}
	ranges->len = kept * sizeof(*all);
}

/* Where the ranges of one xorb are in it; how many these are, or negative. */
static int place_ranges(struct xet_range *all, size_t left, xet_plan_fn get, void *arg)
{
	CLEANUP(recipe_xorb_fini) struct recipe_xorb x = { .pieces = { 0 } };
	struct recipe_chunk first, last;
	int r = get(arg, all->xorb, &x), n = 0;

	for (; r == 0 && (size_t)n < left; n++) {
		struct xet_range *range = &all[n];

		if (memcmp(range->xorb, all->xorb, XET_HASH) != 0)
			break;
		if (!recipe_chunk(&x, range->from, &first) ||
		    !recipe_chunk(&x, range->to - 1, &last))
			return ERR_CORRUPT;
		range->first = recipe_chunk_byte(&first);
		range->last = recipe_chunk_byte(&last) + RECIPE_HEADER + last.bytes - 1;
	}
	return r < 0 ? r : n;
}

int xet_plan_make(const struct buf *terms, uint64_t from, uint64_t to, xet_plan_fn get, void *arg,
		  struct xet_plan *ret)
{
	const struct recipe_term *all = (const void *)terms->data;
	size_t count = terms->len / sizeof(*all), left;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_term(ret, &all[i], from, to, get, arg);
	if (r < 0)
		return r;
	join_ranges(&ret->ranges);
	left = ret->ranges.len / sizeof(struct xet_range);
	for (struct xet_range *at = (void *)ret->ranges.data; left; at += r, left -= (size_t)r) {
		r = place_ranges(at, left, get, arg);
		if (r < 0)
			return r;
	}
	return 0;
}
