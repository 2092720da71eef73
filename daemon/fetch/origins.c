/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/origins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/own.h"

static bool is_same(const struct source_blob *a, const struct source_blob *b)
{
	return a->repo.type == b->repo.type && strcmp(a->repo.name, b->repo.name) == 0 &&
	       strcmp(a->commit, b->commit) == 0 && strcmp(a->path, b->path) == 0;
}

static int origin_new(const struct source_blob *what, struct origin **ret)
{
	size_t size = strlen(what->path) + 1;
	struct origin *origin = calloc(1, sizeof(*origin) + size);

	if (!origin)
		return -ENOMEM;
	origin->what = *what;
	origin->what.path = memcpy(origin->path, what->path, size);
	*ret = origin;
	return 0;
}

static bool rests(const struct origin *origin, int64_t now_ms)
{
	return origin->rests_until_ms > now_ms;
}

static struct origin *find(const struct origins *o, const struct source_blob *what)
{
	struct origin *at = o->first;

	while (at && !is_same(&at->what, what))
		at = at->next;
	return at;
}

static unsigned count(const struct origins *o, bool guests)
{
	unsigned n = 0;

	for (const struct origin *at = o->first; at; at = at->next)
		n += at->guests == guests;
	return n;
}

/* Of guests, but the first; false if none rests. */
static bool drop_one(struct origins *o, int64_t now_ms)
{
	for (struct origin **at = &o->first->next, *gone; (gone = *at); at = &gone->next) {
		if (!gone->guests || !rests(gone, now_ms))
			continue;
		*at = gone->next;
		free(gone);
		return true;
	}
	return false;
}

_Static_assert(2 * ORIGINS_MAX <= 64, "each place has a bit of its own");

static unsigned free_number(const struct origins *o)
{
	uint64_t used = 0;
	unsigned n = 0;

	for (const struct origin *at = o->first; at; at = at->next)
		used |= UINT64_C(1) << at->number;
	while (used >> n & 1)
		n++;
	return n;
}

int origins_add(struct origins *o, const struct source_blob *what, bool guests, bool may_drop,
		int64_t now_ms)
{
	struct origin *there = find(o, what), **end = &o->first;
	unsigned number;
	int r;

	if (there) {
		if (!guests && count(o, false) < ORIGINS_MAX)
			there->guests = false;
		return 0;
	}
	if (count(o, guests) >= ORIGINS_MAX && !(guests && may_drop && drop_one(o, now_ms)))
		return 0;
	number = free_number(o);
	while (*end)
		end = &(*end)->next;
	r = origin_new(what, end);
	if (r < 0)
		return r;
	(*end)->number = number;
	(*end)->guests = guests;
	return 0;
}

/* The least comes first. */
static unsigned rank(const struct origin *origin, int64_t now_ms)
{
	return (rests(origin, now_ms) ? 2 : 0) + origin->guests;
}

struct origin *origins_next(const struct origins *o, uint64_t tried, int64_t now_ms)
{
	unsigned least = tried ? 3 : 4; /* of those that rest a guest's is the last resort */
	struct origin *best = NULL;

	for (struct origin *at = o->first; at; at = at->next) {
		if (tried >> at->number & 1 || rank(at, now_ms) >= least)
			continue;
		best = at;
		least = rank(at, now_ms);
	}
	return best;
}

void origin_rest(struct origin *origin, int64_t now_ms)
{
	origin->rests_until_ms = now_ms + ORIGINS_REST_MS;
}

bool origins_fresh(const struct origins *o, int64_t now_ms)
{
	for (const struct origin *at = o->first; at; at = at->next)
		if (!rests(at, now_ms))
			return true;
	return false;
}

void origins_free(struct origins *o)
{
	struct origin *origin;

	while ((origin = o->first)) {
		o->first = origin->next;
		free(origin);
	}
}
