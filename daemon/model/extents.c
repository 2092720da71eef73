/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/extents.h"

#include <stdlib.h>

#include "daemon/base/grow.h"

int extents_add(struct extents *e, uint64_t start, uint64_t end)
{
	int r;

	if (start >= end)
		return 0;
	r = grow_list(e->at, e->count, e->cap);
	if (r == 0)
		e->at[e->count++] = (struct extent){ start, end };
	return r;
}

static int by_start(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

bool extents_finish(struct extents *e, uint64_t size)
{
	if (e->count)
		qsort(e->at, e->count, sizeof(*e->at), by_start);
	for (size_t i = 0; i < e->count; i++)
		if (e->at[i].end > (i + 1 < e->count ? e->at[i + 1].start : size))
			return false;
	return true;
}

static int holds(const void *key, const void *item)
{
	uint64_t off = *(const uint64_t *)key;
	const struct extent *e = item;

	return off < e->start ? -1 : off >= e->end;
}

const struct extent *extents_find(const struct extents *e, uint64_t off)
{
	return e->count ? bsearch(&off, e->at, e->count, sizeof(*e->at), holds) : NULL;
}

void extents_fini(struct extents *e)
{
	free(e->at);
	*e = (struct extents){ 0 };
}
