/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/fanout.h"

#include <errno.h>
#include <stdbool.h>

#include "daemon/base/grow.h"
#include "daemon/base/lock.h"
#include "daemon/base/lru.h"
#include "daemon/base/map.h"

#define NOBODY UINT32_MAX
#define OWNER 0       /* its number: it comes before all guests */
#define STRIKES_MAX 2 /* so many guests in vain, and no more are sent to a node */

/* A copy that somebody can give. */
struct ticket {
	uint32_t giver, next;
	int64_t due_ms; /* the copy it was for last is thought to be over then */
};

struct queue {
	uint32_t first, last;
};

/* Tickets of those in one zone: never used; of those who had better give one copy only; for copies
 * that are over. */
struct quarter {
	uint64_t zone;
	struct queue fresh, spare, used;
};

struct guest {
	uint64_t node, zone;
	uint32_t ticket;  /* by which it gets the segment, or NOBODY */
	uint32_t striker; /* who struck it first: his word counts once */
	unsigned strikes;
};

/* All who asked for one segment, in the order in which they came; number 0 is the owner. */
struct gathering {
	struct lru_link link;
	struct gathering_key {
		uint64_t blob, segment;
	} key;
	int64_t used_ms;
	struct map by_node; /* numbers */
	struct guest *guests;
	size_t count, cap;
	struct ticket *tickets;
	size_t ticket_count, ticket_cap;
	struct quarter *quarters;
	size_t quarter_count, quarter_cap;
};

struct fanout {
	struct lock lock;
	/* Guarded by lock. */
	struct map by_key;
	struct lru by_use;
	size_t guests; /* of all gatherings */
};

/* ---- gatherings ---- */

int fanout_new(struct fanout **ret)
{
	struct fanout *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	lock_init(&c->lock, LOCK_FANOUT);
	*ret = c;
	return 0;
}

/* NULL: there is none. */
static struct gathering *oldest(const struct fanout *c)
{
	return lru_item(c->by_use.oldest, struct gathering, link);
}

static void disperse(struct fanout *c, struct gathering *g)
{
	lru_remove(&c->by_use, &g->link);
	map_del(&c->by_key, &g->key, sizeof(g->key));
	c->guests -= g->count;
	map_fini(&g->by_node);
	free(g->guests);
	free(g->tickets);
	free(g->quarters);
	free(g);
}

void fanout_free(struct fanout *c)
{
	if (!c)
		return;
	while (c->by_use.oldest)
		disperse(c, oldest(c));
	map_fini(&c->by_key);
	lock_fini(&c->lock);
	free(c);
}

static bool is_over(const struct fanout *c, int64_t now_ms)
{
	return c->by_use.oldest &&
	       (c->by_key.count >= FANOUT_SEGMENTS_MAX || c->guests >= FANOUT_GUESTS_MAX ||
		now_ms - oldest(c)->used_ms > FANOUT_IDLE_MS);
}

/* ---- tickets ---- */

static void put_last(struct gathering *g, struct queue *q, uint32_t ticket)
{
	g->tickets[ticket].next = NOBODY;
	*(q->first == NOBODY ? &q->first : &g->tickets[q->last].next) = ticket;
	q->last = ticket;
}

static void take_out(struct gathering *g, struct queue *q, uint32_t before, uint32_t ticket)
{
	uint32_t next = g->tickets[ticket].next;

	*(before == NOBODY ? &q->first : &g->tickets[before].next) = next;
	if (q->last == ticket)
		q->last = before;
}

/* NULL: no memory. */
static struct quarter *quarter_of(struct gathering *g, uint64_t zone)
{
	const struct queue none = { NOBODY, NOBODY };

	for (size_t i = 0; i < g->quarter_count; i++)
		if (g->quarters[i].zone == zone)
			return &g->quarters[i];
	if (grow_list(g->quarters, g->quarter_count, g->quarter_cap) < 0)
		return NULL;
	g->quarters[g->quarter_count] = (struct quarter){ zone, none, none, none };
	return &g->quarters[g->quarter_count++];
}

static int add_ticket(struct gathering *g, struct queue *q, uint32_t giver)
{
	if (grow_list(g->tickets, g->ticket_count, g->ticket_cap) < 0)
		return -ENOMEM;
	g->tickets[g->ticket_count] = (struct ticket){ .giver = giver };
	put_last(g, q, (uint32_t)g->ticket_count++);
	return 0;
}

/* Every node gives two copies of every other segment, and one of those between: whoever comes first
 * to all segments gives little more than it gets, and no tree is deep. The owner gives as many as
 * it may. */
static bool gives_two(const struct gathering *g, uint32_t number)
{
	return number == OWNER || (g->guests[number].node + g->key.blob + g->key.segment) % 2;
}

static int add_tickets(struct gathering *g, uint32_t number)
{
	struct quarter *q = quarter_of(g, g->guests[number].zone);
	int r = q ? 0 : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < FANOUT_WIDTH; i++)
		r = add_ticket(g, i && !gives_two(g, number) ? &q->spare : &q->fresh, number);
	return r;
}

/* ---- guests ---- */

/* Its number, the next one; NOBODY: no memory. */
static uint32_t add_guest(struct fanout *c, struct gathering *g, uint64_t node, uint64_t zone)
{
	uint32_t number = (uint32_t)g->count;

	if (grow_list(g->guests, g->count, g->cap) < 0 ||
	    map_put_u64(&g->by_node, node, (void *)(uintptr_t)(number + 1)) < 0)
		return NOBODY;
	g->guests[g->count++] = (struct guest){ .node = node, .zone = zone, .ticket = NOBODY };
	c->guests++;
	return number;
}

/* NULL: no memory. */
static struct gathering *new_gathering(struct fanout *c, const struct gathering_key *key,
				       uint64_t home)
{
	struct gathering *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->key = *key;
	if (map_put(&c->by_key, &g->key, sizeof(g->key), g) < 0) {
		free(g);
		return NULL;
	}
	lru_add(&c->by_use, &g->link);
	/* The number of a node that none has. */
	if (add_guest(c, g, 0, home) == NOBODY || add_tickets(g, OWNER) < 0) {
		disperse(c, g);
		return NULL;
	}
	return g;
}

/* NULL: no memory. */
static struct gathering *gather(struct fanout *c, const struct gathering_key *key, uint64_t home,
				int64_t now_ms)
{
	struct gathering *g;

	while (is_over(c, now_ms))
		disperse(c, oldest(c));
	g = map_find(&c->by_key, key, sizeof(*key));
	if (!g)
		g = new_gathering(c, key, home);
	if (!g)
		return NULL;
	lru_use(&c->by_use, &g->link);
	g->used_ms = now_ms;
	return g;
}

/* ---- who gives to whom ---- */

static bool has_failed(const struct fanout_guest *guest, uint64_t node)
{
	for (unsigned i = 0; i < guest->failed_count; i++)
		if (guest->failed[i] == node)
			return true;
	return false;
}

static bool is_bad(const struct gathering *g, const struct fanout_guest *guest, uint32_t number)
{
	return number != OWNER && (g->guests[number].strikes >= STRIKES_MAX ||
				   has_failed(guest, g->guests[number].node));
}

/* The first ticket of somebody good before guest number `end`; NOBODY. */
static uint32_t take_first(struct gathering *g, struct queue *q, const struct fanout_guest *guest,
			   uint32_t end, int64_t now_ms)
{
	uint32_t before = NOBODY;

	for (uint32_t i = q->first; i != NOBODY && g->tickets[i].due_ms <= now_ms;
	     before = i, i = g->tickets[i].next) {
		uint32_t giver = g->tickets[i].giver;

		if (giver >= end || is_bad(g, guest, giver))
			continue;
		take_out(g, q, before, i);
		return i;
	}
	return NOBODY;
}

static uint32_t take_of(struct gathering *g, struct quarter *q, const struct fanout_guest *guest,
			uint32_t end, int64_t now_ms)
{
	uint32_t ticket = take_first(g, &q->fresh, guest, end, now_ms);

	if (ticket == NOBODY)
		ticket = take_first(g, &q->spare, guest, end, now_ms);
	if (ticket == NOBODY)
		ticket = take_first(g, &q->used, guest, end, now_ms);
	if (ticket != NOBODY) {
		g->tickets[ticket].due_ms = now_ms + FANOUT_COPY_MS;
		put_last(g, &q->used, ticket);
	}
	return ticket;
}

/* A giver for guest number `end`, in its own zone if there is one. NOBODY: all who have not failed
 * it give as much as they may. */
static uint32_t take_ticket(struct gathering *g, const struct fanout_guest *guest, uint32_t end,
			    int64_t now_ms)
{
	struct quarter *near = quarter_of(g, guest->zone);
	uint32_t ticket = near ? take_of(g, near, guest, end, now_ms) : NOBODY;

	for (size_t i = 0; ticket == NOBODY && i < g->quarter_count; i++)
		ticket = take_of(g, &g->quarters[i], guest, end, now_ms);
	return ticket;
}

static uint32_t giver_of(const struct gathering *g, uint32_t number)
{
	uint32_t ticket = g->guests[number].ticket;

	return ticket == NOBODY ? OWNER : g->tickets[ticket].giver;
}

/* The guest's own number: as before, or the next one. NOBODY: no memory. */
static uint32_t number_of(struct fanout *c, struct gathering *g, const struct fanout_guest *guest,
			  int64_t now_ms)
{
	uint32_t number = (uint32_t)(uintptr_t)map_find_u64(&g->by_node, guest->node);

	if (number)
		return number - 1;
	number = add_guest(c, g, guest->node, guest->zone);
	if (number == NOBODY)
		return NOBODY;
	g->guests[number].ticket = take_ticket(g, guest, number, now_ms);
	/* Without memory it gives nothing. */
	return add_tickets(g, number) < 0 ? NOBODY : number;
}

/* One guest alone strikes nobody out. */
static void strike(struct guest *giver, uint32_t by)
{
	if (giver->strikes >= STRIKES_MAX || (giver->strikes && giver->striker == by))
		return;
	giver->striker = by;
	giver->strikes++;
}

/* It was sent to a giver in vain: it gets another. */
static void change_giver(struct gathering *g, const struct fanout_guest *guest, uint32_t number,
			 int64_t now_ms)
{
	strike(&g->guests[giver_of(g, number)], number);
	g->guests[number].ticket = take_ticket(g, guest, number, now_ms);
}

static unsigned name_others(const struct gathering *g, const struct fanout_guest *guest,
			    uint32_t number, uint64_t ret[static FANOUT_NAMES_MAX])
{
	uint32_t giver = giver_of(g, number);
	unsigned count = 0;

	if (!has_failed(guest, g->guests[giver].node))
		ret[count++] = g->guests[giver].node;
	/* To fall back on: those who came just before it, who are asked by nobody else for that. */
	for (uint32_t k = number; k-- > OWNER + 1 && count < FANOUT_NAMES_MAX;)
		if (k != giver && !is_bad(g, guest, k))
			ret[count++] = g->guests[k].node;
	return count;
}

/* 0: the owner gives it. */
static unsigned ask_locked(struct fanout *c, const struct gathering_key *key, uint64_t home,
			   const struct fanout_guest *guest, int64_t now_ms,
			   uint64_t ret[static FANOUT_NAMES_MAX], uint32_t *ret_number)
{
	struct gathering *g = gather(c, key, home, now_ms);
	uint32_t number = g ? number_of(c, g, guest, now_ms) : NOBODY;
	uint32_t giver;

	*ret_number = 1;
	if (number == NOBODY)
		return 0;
	*ret_number = number;
	giver = giver_of(g, number);
	if (giver != OWNER && !guest->looks && has_failed(guest, g->guests[giver].node))
		change_giver(g, guest, number, now_ms);
	return giver_of(g, number) == OWNER ? 0 : name_others(g, guest, number, ret);
}

unsigned fanout_ask(struct fanout *c, struct segment segment, uint64_t home,
		    const struct fanout_guest *guest, int64_t now_ms,
		    uint64_t ret[static FANOUT_NAMES_MAX], uint32_t *ret_number)
{
	const struct gathering_key key = { segment.blob, segment.index };
	unsigned count;

	lock_take(&c->lock);
	count = ask_locked(c, &key, home, guest, now_ms, ret, ret_number);
	lock_drop(&c->lock);
	return count;
}
