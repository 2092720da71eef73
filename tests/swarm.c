/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/swarm.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/num.h"
#include "daemon/base/grow.h"
#include "tests/swarm_priv.h"

#define BEGIN_US INT64_C(1000000000)
#define LIST_MS 5000 /* until each node has read a new list */

/* ---- small things ---- */

/* SplitMix64 (Steele, Lea and Flood, 2014). */
uint64_t swarm_random(struct swarm *s, uint64_t below)
{
	uint64_t v = s->random += UINT64_C(0x9e3779b97f4a7c15);

	v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
	return below ? (v ^ v >> 31) % below : 0;
}

int64_t swarm_ms(const struct swarm *s)
{
	return s->now_us / 1000;
}

struct segment swarm_segment(const struct swarm *s, uint32_t chunk)
{
	return (struct segment){ s->blob, chunk / SWARM_CHUNKS };
}

struct node *swarm_find(const struct swarm *s, uint64_t key)
{
	return map_find_u64(&s->by_key, key);
}

static void *zeros(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		err(1, "calloc");
	return p;
}

void *swarm_alloc(struct swarm *s, size_t size)
{
	if (grow_list(s->owned, s->owned_count, s->owned_cap) < 0)
		err(1, "realloc");
	return s->owned[s->owned_count++] = zeros(1, size);
}

static void must(int r)
{
	if (r < 0)
		errx(1, "no memory");
}

/* ---- members ---- */

static struct member_spec spec_of(const struct swarm *s, uint32_t i)
{
	struct member_spec spec = { .weight = 1 };

	snprintf(spec.address, sizeof(spec.address), "n%05u.example:9980", i);
	if (s->conf.zones)
		snprintf(spec.zone, sizeof(spec.zone), "z%u", i % s->conf.zones);
	return spec;
}

static struct member_spec *list_now(const struct swarm *s, size_t *ret_count)
{
	struct member_spec *list = zeros(s->conf.nodes, sizeof(*list));

	*ret_count = 0;
	for (uint32_t i = 0; i < s->conf.nodes; i++)
		if (s->nodes[i].listed)
			list[(*ret_count)++] = spec_of(s, i);
	return list;
}

void swarm_read_list(struct swarm *s, struct node *n)
{
	struct member_spec *list;
	size_t count;

	if (!n->table)
		return;
	list = list_now(s, &count);
	must(members_set(n->table, list, count));
	free(list);
}

const struct membership *swarm_members(struct node *n)
{
	return n->table ? members_now(n->table) : &n->shared;
}

void swarm_members_done(struct node *n, const struct membership *m)
{
	if (m != &n->shared)
		membership_unref(m);
}

/* One list for all: nobody in it is the one who keeps it. Addresses are in order, so that a node's
 * index is its number. */
static void share_members(struct swarm *s)
{
	struct member_spec self = { .address = "watcher.example:1", .weight = 1 }, *list;
	uint32_t kept = 0;
	size_t count;

	must(members_new(&self, &s->table));
	list = list_now(s, &count);
	must(members_set(s->table, list, count));
	free(list);
	s->all = members_now(s->table);
	s->nodes_of_all = zeros(s->all->count, sizeof(*s->nodes_of_all));
	s->members_of_all = zeros(s->all->count, sizeof(struct member *));
	for (uint32_t i = 0; i < s->all->count; i++) {
		if (i == s->all->self)
			continue;
		s->nodes_of_all[kept] = s->all->nodes[i];
		s->members_of_all[kept++] = s->all->members[i];
	}
	placement_cache_init(&s->placement);
	for (uint32_t i = 0; i < kept; i++)
		s->nodes[i].shared = (struct membership){
			s->all->version, kept, i, s->nodes_of_all, s->members_of_all,
		};
}

/* ---- one node's life ---- */

static void be_born(struct swarm *s, struct node *n)
{
	struct member_spec self = spec_of(s, n->id);

	segment_notes_init(&n->notes);
	must(fanout_new(&n->fanout));
	n->way = (struct trip_node){ .notes = &n->notes,
				     .give_up_ms = s->conf.give_up_ms,
				     .races_max = &s->conf.races };
	metrics_add(&n->way.in, s->conf.past);
	if (!s->conf.faults) {
		n->way.placement = &s->placement;
		return;
	}
	n->way.placement = zeros(1, sizeof(*n->way.placement));
	placement_cache_init(n->way.placement);
	must(members_new(&self, &n->table));
	swarm_read_list(s, n);
}

static void pass_away(struct swarm *s, struct node *n)
{
	fanout_free(n->fanout);
	n->fanout = NULL;
	segment_notes_fini(&n->notes);
	if (!s->conf.faults)
		return;
	placement_cache_fini(n->way.placement);
	free(n->way.placement);
	members_free(n->table);
	n->table = NULL;
}

static void start(struct swarm *s, struct node *n)
{
	if (n->alive)
		return;
	n->alive = n->listed = true;
	be_born(s, n);
	n->begun_ms = 0;
	swarm_event(s, s->now_us + (int64_t)swarm_random(s, (uint64_t)s->conf.spread_ms * 1000),
		    EV_START, n->id, 0, NULL);
}

static void stop(struct swarm *s, struct node *n)
{
	if (!n->alive)
		return;
	n->alive = false;
	swarm_break(s, n);
	swarm_drop_runs(s, n);
	pass_away(s, n);
	s->reading -= n->begun_ms && !n->ended && !n->failed;
	n->begun_ms = 0;
}

/* ---- faults ---- */

void swarm_fault(struct swarm *s, int64_t at_ms, enum swarm_fault fault, uint32_t a, uint32_t b)
{
	if (grow_list(s->faults, s->fault_count, s->fault_cap) < 0)
		err(1, "realloc");
	s->faults[s->fault_count] = (struct fault){ fault, a, b };
	s->faults_left++;
	swarm_event(s, BEGIN_US + at_ms * 1000, EV_FAULT, (uint32_t)s->fault_count++, 0, NULL);
}

bool swarm_reaches(const struct swarm *s, uint32_t from, uint32_t to)
{
	if (!s->conf.faults)
		return true;
	from = from == s->conf.nodes ? SWARM_FAULTS_NODES : from;
	to = to == s->conf.nodes ? SWARM_FAULTS_NODES : to;
	return !(s->cut[from] >> to & 1);
}

bool swarm_connects(const struct swarm *s, uint32_t a, uint32_t b)
{
	return swarm_reaches(s, a, b) && swarm_reaches(s, b, a);
}

static void part(struct swarm *s, uint32_t some)
{
	for (uint32_t i = 0; i < s->conf.nodes; i++)
		for (uint32_t k = 0; k < s->conf.nodes; k++)
			if ((some >> i & 1) != (some >> k & 1))
				s->cut[i] |= UINT64_C(1) << k;
}

static void tell_lists(struct swarm *s)
{
	for (uint32_t i = 0; i < s->conf.nodes; i++)
		if (s->nodes[i].alive)
			swarm_event(s, s->now_us + (int64_t)swarm_random(s, LIST_MS * 1000),
				    EV_LIST, i, 0, NULL);
}

static void lose(struct swarm *s, struct node *n)
{
	memset(n->chunks, 0, s->chunks);
	n->at = 0;
	n->ended = n->failed = n->full = false;
}

static void read_again(struct swarm *s, struct node *n)
{
	if (!n->alive || !(n->ended || n->failed))
		return;
	swarm_drop_runs(s, n);
	lose(s, n);
	n->begun_ms = 0;
	swarm_event(s, s->now_us, EV_START, n->id, 0, NULL);
}

void swarm_fault_now(struct swarm *s, const struct fault *f)
{
	struct node *n = f->a < s->conf.nodes ? &s->nodes[f->a] : NULL;

	switch (f->what) {
	case SWARM_JOIN:
		start(s, n);
		tell_lists(s);
		break;
	case SWARM_KILL:
		stop(s, n);
		break;
	case SWARM_LEAVE:
		stop(s, n);
		n->listed = false;
		tell_lists(s);
		break;
	case SWARM_CUT:
		s->cut[f->a == SWARM_UPSTREAM ? SWARM_FAULTS_NODES : f->a] |=
			UINT64_C(1) << (f->b == SWARM_UPSTREAM ? SWARM_FAULTS_NODES : f->b);
		break;
	case SWARM_HEAL:
		memset(s->cut, 0, sizeof(s->cut));
		break;
	case SWARM_PART:
		part(s, f->a);
		break;
	case SWARM_UP_DOWN:
		s->upstream_down = !f->a;
		s->how = f->b;
		if (s->upstream_down)
			swarm_break(s, NULL);
		else
			swarm_let_go(s);
		break;
	case SWARM_FULL:
		n->full = true;
		break;
	case SWARM_FORGETS:
		if (!n->alive)
			lose(s, n);
		break;
	case SWARM_AGAIN:
		read_again(s, n);
		break;
	case SWARM_SLOW:
		n->up.rate = f->b;
		break;
	default:
		n->lie = f->what;
	}
}

/* ---- all of it ---- */

static void make_node(struct swarm *s, uint32_t i)
{
	struct member_spec spec = spec_of(s, i);
	struct node *n = &s->nodes[i];

	n->id = i;
	n->key = placement_key(spec.address);
	n->zone = placement_key(spec.zone);
	n->lie = SWARM_HONEST;
	n->chunks = zeros(s->chunks, 1);
	n->up.rate = s->conf.up_rate;
	n->listed = i < s->conf.nodes - s->conf.late;
	must(map_put_u64(&s->by_key, n->key, n));
}

struct swarm *swarm_new(const struct swarm_conf *conf)
{
	struct swarm *s = zeros(1, sizeof(*s));

	if (conf->faults && conf->nodes > SWARM_FAULTS_NODES)
		errx(1, "a swarm with faults has %d nodes at most", SWARM_FAULTS_NODES);
	s->conf = *conf;
	s->random = conf->seed;
	s->blob = swarm_random(s, UINT64_MAX);
	s->chunks = conf->segments * SWARM_CHUNKS;
	s->now_us = BEGIN_US;
	s->upstream.rate = conf->upstream_rate;
	s->nodes = zeros(conf->nodes, sizeof(*s->nodes));
	for (uint32_t i = 0; i < conf->nodes; i++)
		make_node(s, i);
	if (!conf->faults)
		share_members(s);
	for (uint32_t i = 0; i < conf->nodes - conf->late; i++)
		start(s, &s->nodes[i]);
	return s;
}

void swarm_free(struct swarm *s)
{
	for (uint32_t i = 0; i < s->conf.nodes; i++) {
		struct node *n = &s->nodes[i];

		swarm_drop_runs(s, n);
		if (n->alive)
			pass_away(s, n);
		free(n->chunks);
	}
	if (s->table) {
		placement_cache_fini(&s->placement);
		membership_unref(s->all);
		members_free(s->table);
	}
	for (size_t i = 0; i < s->owned_count; i++)
		free(s->owned[i]);
	free(s->owned);
	free(s->nodes_of_all);
	free(s->members_of_all);
	free(s->events);
	free(s->faults);
	map_fini(&s->by_key);
	free(s->nodes);
	free(s);
}

static bool is_over(const struct swarm *s)
{
	if (s->reading || s->faults_left)
		return false;
	for (uint32_t i = 0; i < s->conf.nodes; i++)
		if (s->nodes[i].alive && !s->nodes[i].begun_ms)
			return false;
	return true;
}

static void count_node(const struct node *n, struct swarm_result *r)
{
	uint64_t in;
	double part;

	r->ended += n->ended;
	r->failed += n->failed;
	r->unfinished += n->alive && !n->ended && !n->failed;
	r->mean_ms += n->ended ? (double)n->took_ms : 0;
	r->last_ms = n->ended && (double)n->took_ms > r->last_ms ? (double)n->took_ms : r->last_ms;
	r->failed_ms = n->failed && (double)n->took_ms > r->failed_ms ? (double)n->took_ms
								      : r->failed_ms;
	in = metrics_get(&n->way.in);
	part = in ? (double)metrics_get(&n->way.twice) / (double)in : 0;
	r->twice_most = part > r->twice_most ? part : r->twice_most;
	r->waited_ms = max_i64(r->waited_ms, n->ended ? n->waited_ms : 0);
	r->asked += n->asked;
	r->sent_most = n->sent > r->sent_most ? n->sent : r->sent_most;
	r->asked_most = n->asked > r->asked_most ? n->asked : r->asked_most;
	r->heard_most = n->heard > r->heard_most ? n->heard : r->heard_most;
}

struct swarm_result swarm_run(struct swarm *s)
{
	int64_t end_us = BEGIN_US + s->conf.limit_ms * 1000;
	struct swarm_result r;

	while (s->now_us < end_us && !(s->reading == 0 && is_over(s)) && swarm_next(s))
		;
	r = s->result;
	r.chunks = s->chunks;
	for (uint32_t i = 0; i < s->conf.nodes; i++)
		count_node(&s->nodes[i], &r);
	r.mean_ms /= r.ended ? r.ended : 1;
	return r;
}

struct swarm_node_result swarm_node(const struct swarm *s, uint32_t i)
{
	const struct node *n = &s->nodes[i];

	return (struct swarm_node_result){
		n->alive, n->ended, n->failed, n->upstream, n->sent, n->asked,
	};
}
