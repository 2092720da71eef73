/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/crowd.h"

#include <errno.h>
#include <stdbool.h>

#include "daemon/base/grow.h"
#include "daemon/base/map.h"

#define OWNER UINT32_MAX /* in the place of a guest's number */
#define NOBODY (UINT32_MAX - 1)
#define STRIKES_MAX 2 /* so many guests in vain, and no more are sent to a node */

struct place {
	uint64_t node, zone;
	uint32_t giver; /* number of the guest that gives it the segment, or OWNER */
	uint16_t copies, strikes;
};

/* All who asked for one segment, in the order in which they came. */
struct gathering {
	struct gathering *newer, *older;
	struct gathering_key {
		uint64_t blob, segment;
	} key;
	int64_t used_ms;
	unsigned own_copies; /* that the owner gives itself */
	struct place *places;
	size_t count, cap;
};

struct crowd {
	struct map by_key;
	struct gathering *newest, *oldest;
};

/* ---- gatherings ---- */

int crowd_new(struct crowd **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void unlink_gathering(struct crowd *c, struct gathering *g)
{
	*(g->newer ? &g->newer->older : &c->newest) = g->older;
	*(g->older ? &g->older->newer : &c->oldest) = g->newer;
}

static void link_newest(struct crowd *c, struct gathering *g)
{
	g->newer = NULL;
	g->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = g;
	c->newest = g;
}

static void disperse(struct crowd *c, struct gathering *g)
{
	unlink_gathering(c, g);
	map_del(&c->by_key, &g->key, sizeof(g->key));
	free(g->places);
	free(g);
}

void crowd_free(struct crowd *c)
{
	if (!c)
		return;
	while (c->oldest)
		disperse(c, c->oldest);
	map_fini(&c->by_key);
	free(c);
}

static bool is_over(const struct crowd *c, int64_t now_ms)
{
	return c->oldest && (c->by_key.count > CROWD_SEGMENTS_MAX ||
			     now_ms - c->oldest->used_ms > CROWD_IDLE_MS);
}

static struct gathering *find(const struct crowd *c, uint64_t blob, uint32_t segment)
{
	struct gathering_key key = { blob, segment };

	return map_find(&c->by_key, &key, sizeof(key));
}

/* NULL: no memory. */
static struct gathering *gather(struct crowd *c, uint64_t blob, uint32_t segment, int64_t now_ms)
{
	struct gathering *g;

	while (is_over(c, now_ms))
		disperse(c, c->oldest);
	g = find(c, blob, segment);
	if (g) {
		unlink_gathering(c, g);
	} else {
		g = calloc(1, sizeof(*g));
		if (!g)
			return NULL;
		g->key = (struct gathering_key){ blob, segment };
		if (map_put(&c->by_key, &g->key, sizeof(g->key), g) < 0) {
			free(g);
			return NULL;
		}
	}
	link_newest(c, g);
	g->used_ms = now_ms;
	return g;
}

/* ---- who gives to whom ---- */

static uint32_t number_of(const struct gathering *g, uint64_t node)
{
	for (uint32_t i = 0; i < g->count; i++)
		if (g->places[i].node == node)
			return i;
	return NOBODY;
}

static bool has_failed(const struct crowd_guest *guest, uint64_t node)
{
	for (unsigned i = 0; i < guest->failed_count; i++)
		if (guest->failed[i] == node)
			return true;
	return false;
}

/* The first before guest number `end` that may give one more copy, of all or of those nearby;
 * OWNER comes before all. */
static uint32_t first_free(const struct gathering *g, const struct crowd_guest *guest, uint32_t end,
			   uint64_t home, bool near)
{
	if (g->own_copies < CROWD_FANOUT && (!near || home == guest->zone))
		return OWNER;
	for (uint32_t i = 0; i < end; i++) {
		const struct place *p = &g->places[i];

		if (p->copies < CROWD_FANOUT && p->strikes < STRIKES_MAX &&
		    (!near || p->zone == guest->zone) && !has_failed(guest, p->node))
			return i;
	}
	return NOBODY;
}

/* A giver for guest number `end`. When nobody is left that has not failed, the owner itself. */
static uint32_t find_giver(const struct gathering *g, const struct crowd_guest *guest, uint32_t end,
			   uint64_t home)
{
	uint32_t giver = first_free(g, guest, end, home, true);

	if (giver == NOBODY)
		giver = first_free(g, guest, end, home, false);
	return giver == NOBODY ? OWNER : giver;
}

static void count_copy(struct gathering *g, uint32_t giver, int by)
{
	if (giver == OWNER)
		g->own_copies += (unsigned)by;
	else
		g->places[giver].copies += (uint16_t)by;
}

/* The guest's own number: as before, or the next one. NOBODY: no memory. */
static uint32_t seat(struct gathering *g, const struct crowd_guest *guest, uint64_t home)
{
	uint32_t i = number_of(g, guest->node);

	if (i != NOBODY)
		return i;
	if (grow_list(g->places, g->count, g->cap) < 0)
		return NOBODY;
	i = (uint32_t)g->count;
	g->places[i] = (struct place){ .node = guest->node, .zone = guest->zone };
	g->places[i].giver = find_giver(g, guest, i, home);
	count_copy(g, g->places[i].giver, 1);
	g->count++;
	return i;
}

/* It was sent to a giver in vain: it gets another. */
static void change_giver(struct gathering *g, const struct crowd_guest *guest, uint32_t i,
			 uint64_t home)
{
	struct place *p = &g->places[i];

	count_copy(g, p->giver, -1);
	g->places[p->giver].strikes++;
	p->giver = find_giver(g, guest, i, home);
	count_copy(g, p->giver, 1);
}

static unsigned name_others(const struct gathering *g, const struct crowd_guest *guest, uint32_t i,
			    uint64_t ret[static CROWD_NAMES_MAX])
{
	uint32_t giver = g->places[i].giver;
	unsigned count = 0;

	ret[count++] = g->places[giver].node;
	/* To fall back on: those who came just before it, who are asked by nobody else for that. */
	for (uint32_t k = i; k-- > 0 && count < CROWD_NAMES_MAX;)
		if (k != giver && g->places[k].strikes < STRIKES_MAX &&
		    !has_failed(guest, g->places[k].node))
			ret[count++] = g->places[k].node;
	return count;
}

unsigned crowd_ask(struct crowd *c, uint64_t blob, uint32_t segment, uint64_t home,
		   const struct crowd_guest *guest, int64_t now_ms,
		   uint64_t ret[static CROWD_NAMES_MAX])
{
	struct gathering *g = gather(c, blob, segment, now_ms);
	uint32_t i = g ? seat(g, guest, home) : NOBODY;
	uint32_t giver;

	if (i == NOBODY)
		return 0;
	giver = g->places[i].giver;
	if (giver != OWNER && has_failed(guest, g->places[giver].node))
		change_giver(g, guest, i, home);
	return g->places[i].giver == OWNER ? 0 : name_others(g, guest, i, ret);
}

unsigned crowd_members(const struct crowd *c, uint64_t blob, uint32_t segment, int64_t now_ms,
		       uint64_t ret[static CROWD_NAMES_MAX])
{
	const struct gathering *g = find(c, blob, segment);
	unsigned count = 0;

	if (!g || now_ms - g->used_ms > CROWD_IDLE_MS)
		return 0;
	for (size_t k = g->count; k-- > 0 && count < CROWD_NAMES_MAX;)
		if (g->places[k].strikes < STRIKES_MAX)
			ret[count++] = g->places[k].node;
	return count;
}
