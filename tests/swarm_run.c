/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "daemon/base/num.h"
#include "daemon/peer/decide.h"
#include "daemon/peer/seek.h"
#include "tests/swarm_priv.h"

#define CHUNK (UINT64_C(1) << 20)
#define UPSTREAM_PATIENCE_MS 60000 /* it is of chunks here, not of bytes */
#define RETRY_MS 100               /* the first time; then twice as long */

static struct query *new_query(struct swarm *s, struct run *r, uint32_t giver)
{
	struct query *q = s->free_queries;

	if (q)
		s->free_queries = q->next_free;
	else
		q = swarm_alloc(s, sizeof(*q));
	*q = (struct query){ .number = ++s->numbers, .run = r };
	q->asker = r->node->id;
	q->giver = giver;
	q->from = r->pos;
	q->end = r->end;
	q->asked_ms = q->heard_ms = swarm_ms(s);
	q->first_ms = q->quiet_ms = -1;
	r->query = q;
	return q;
}

/* ---- runs ---- */

static uint32_t index_of(const struct membership *m, uint64_t key)
{
	int at = placement_find(m->nodes, m->count, key);

	return at >= 0 ? (uint32_t)at : ROUTE_NOBODY;
}

/* As members_now gives it, or as all have it. */
static uint32_t member_of(const struct node *n, const struct membership *m, const struct node *of)
{
	return n->table ? index_of(m, of->key) : of->id;
}

static void begin_trip(struct swarm *s, struct run *r)
{
	struct node *n = r->node;
	uint32_t before = ROUTE_NOBODY, segment = r->pos / SWARM_CHUNKS;
	struct route_place place = { .blob = s->blob, .segment = segment };
	struct trail trail;

	r->since_ms = swarm_ms(s);
	free(r->sought);
	r->sought = NULL;
	place.owner_count = places_owners(n->places, r->members, s->blob, s->chunks * CHUNK,
					  segment, place.owners);
	trails_find(&n->trails, s->blob, segment, swarm_ms(s), &trail);
	if (trail.giver)
		before = member_of(n, r->members, swarm_find(s, trail.giver));
	route_init(&r->route, r->members, &place, before);
	if (trail_has_failed(&trail, swarm_ms(s)))
		route_to_source(&r->route);
	trails_note(&n->trails, s->blob, segment, 0, swarm_ms(s));
}

static void start_run(struct swarm *s, struct node *n, uint32_t from, uint32_t end)
{
	struct run *r = s->free_runs;

	if (r)
		s->free_runs = r->next;
	else
		r = swarm_alloc(s, sizeof(*r));
	*r = (struct run){ .number = ++s->numbers, .next = n->runs, .node = n };
	r->from = r->pos = from;
	r->brought_ms = r->dry_ms = swarm_ms(s);
	r->end = end;
	n->runs = r;
	n->run_count++;
	for (uint32_t i = from; i < end; i++)
		n->chunks[i] |= CHUNK_ON_ITS_WAY;
	r->members = swarm_members(n);
	begin_trip(s, r);
	swarm_step(s, r);
}

static void free_run(struct swarm *s, struct run *r)
{
	struct node *n = r->node;
	struct run **at = &n->runs;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	n->run_count--;
	for (uint32_t i = r->from; i < r->end; i++)
		n->chunks[i] &= (uint8_t)~CHUNK_ON_ITS_WAY;
	swarm_members_done(n, r->members);
	free(r->sought);
	*r = (struct run){ .next = s->free_runs };
	s->free_runs = r;
}

void swarm_drop_runs(struct swarm *s, struct node *n)
{
	while (n->runs) {
		if (n->runs->query)
			swarm_end_query(s, n->runs->query);
		free_run(s, n->runs);
	}
}

/* Those who wait here may have been refused a run before. */
static void end_run(struct swarm *s, struct run *r)
{
	struct node *n = r->node;

	free_run(s, r);
	swarm_plan(s, n);
	swarm_wake(s, n, UINT32_MAX);
}

static void end_reader(struct swarm *s, struct node *n, bool failed)
{
	n->ended = !failed;
	n->failed = failed;
	n->took_ms = swarm_ms(s) - n->begun_ms;
	s->reading--;
}

static void fail_run(struct swarm *s, struct run *r)
{
	struct node *n = r->node;
	uint32_t pos = r->pos, end = r->end;

	if (!n->ended && !n->failed && n->begun_ms && pos <= n->at && n->at < end)
		end_reader(s, n, true);
	free_run(s, r);
	swarm_fail_parked(s, n, pos, end);
	swarm_plan(s, n);
}

/* ---- one step ---- */

static void ask_upstream(struct swarm *s, struct run *r)
{
	struct query *q = new_query(s, r, s->conf.nodes);

	q->patience_ms = UPSTREAM_PATIENCE_MS;
	trails_number(&r->node->trails, s->blob, r->from / SWARM_CHUNKS, 0, swarm_ms(s));
	s->result.passed++;
	swarm_ask(s, q);
}

static bool is_demand(const struct run *r)
{
	return r->node->parked || (r->from <= r->node->at && r->node->at < r->end);
}

static void ask_member(struct swarm *s, struct run *r, uint32_t member, bool bring)
{
	struct query *q = new_query(s, r, swarm_find(s, r->members->nodes[member].key)->id);
	struct trail trail;
	int64_t connect_ms;

	q->member = member;
	if (member != r->last)
		r->since_ms = swarm_ms(s);
	r->last = member;
	q->bring = bring;
	q->sent = !bring || route_was_named(&r->route);
	trails_find(&r->node->trails, s->blob, r->from / SWARM_CHUNKS, swarm_ms(s), &trail);
	if (q->sent)
		q->number_of_asker = trail.number ? trail.number : 1;
	for (unsigned i = 0; i < r->route.failed_count; i++)
		q->failed[q->failed_count++] = r->members->nodes[r->route.failed[i]].key;
	q->wait_ms = decide_wait_ms(swarm_ms(s) - r->since_ms, is_demand(r));
	q->patience_ms = q->wait_ms + DECIDE_ANSWER_MS +
			 member_patience_ms(r->members->members[member], &connect_ms);
	if (connect_ms && !swarm_connects(s, q->asker, q->giver))
		q->patience_ms = min_i64(q->patience_ms, connect_ms);
	r->node->asked++;
	swarm_ask(s, q);
}

/* Nobody is to bring it but this node: whoever has it all the same gives it, else upstream. */
static void seek(struct swarm *s, struct run *r)
{
	struct node *n = r->node;
	uint32_t segment = r->pos / SWARM_CHUNKS;

	if (!r->sought) {
		int vain = trails_seek(&n->trails, s->blob, segment, r->pos * CHUNK, swarm_ms(s));
		int count = vain < 0 ? 0
				     : seek_list(r->members, s->blob, segment,
						 seek_width((unsigned)vain), &r->sought);

		if (vain >= SEEK_FAILED)
			trails_failed(&n->trails, s->blob, segment, swarm_ms(s));
		r->sought_count = count > 0 ? (unsigned)count : 0;
		r->sought_at = 0;
	}
	for (; r->sought_at < r->sought_count; r->sought_at++) {
		uint32_t member = r->sought[r->sought_at];

		if (!member_may_ask(r->members->members[member], swarm_ms(s)))
			continue;
		ask_member(s, r, member, false);
		return;
	}
	ask_upstream(s, r);
}

void swarm_step(struct swarm *s, struct run *r)
{
	struct route_step step;

	if (r->pos == r->end) {
		end_run(s, r);
		return;
	}
	if (decide_is_dry(swarm_ms(s) - r->dry_ms, SWARM_GIVE_UP_MS))
		route_to_source(&r->route);
	step = route_next(&r->route, swarm_ms(s));
	if (step.kind == ROUTE_REST)
		swarm_event(s, s->now_us + step.rest_ms * 1000, EV_STEP, 0, r->number, r);
	else if (step.kind == ROUTE_ASK)
		ask_member(s, r, step.member, true);
	else
		seek(s, r);
}

/* ---- what comes of a question ---- */

static bool is_late(const struct swarm *s, const struct run *r, const struct query *q)
{
	const struct node *n = r->node;
	const struct decide_way way = {
		.waited_ms = swarm_ms(s) - r->since_ms,
		.quiet_ms = q->quiet_ms,
		.number = q->number_of_asker,
		.usual_ms = n->usual_ms,
		.give_up_ms = SWARM_GIVE_UP_MS,
		.demand = is_demand(r),
		.left = (r->end - r->pos) * CHUNK,
		.in = n->in * CHUNK,
		.twice = n->twice * CHUNK,
	};

	return decide_is_late(&way);
}

static enum member_outcome outcome(enum route_answer answer)
{
	switch (answer) {
	case ROUTE_GAVE:
		return MEMBER_GAVE;
	case ROUTE_WRONG:
		return MEMBER_LIED;
	case ROUTE_SILENT:
		return MEMBER_SILENT;
	case ROUTE_SLOW:
		return MEMBER_VAIN;
	default:
		return MEMBER_ANSWERED;
	}
}

static void note_giver(struct swarm *s, struct run *r, uint32_t member)
{
	trails_note(&r->node->trails, s->blob, r->from / SWARM_CHUNKS,
		    r->members->nodes[member].key, swarm_ms(s));
}

static void note_answer(struct swarm *s, struct run *r, const struct query *q,
			enum route_answer answer)
{
	struct node *n = r->node;

	if (q->told && (answer == ROUTE_ELSEWHERE ||
			(!q->sent && (answer == ROUTE_GAVE || answer == ROUTE_COMING))))
		trails_number(&n->trails, s->blob, r->from / SWARM_CHUNKS, q->told, swarm_ms(s));
	if (answer == ROUTE_GAVE)
		note_giver(s, r, q->member);
	if (answer == ROUTE_COMING && q->quiet_ms >= 0)
		trails_moved(&n->trails, s->blob, r->from / SWARM_CHUNKS, swarm_ms(s) - q->quiet_ms,
			     swarm_ms(s));
	if (answer == ROUTE_SLOW) {
		n->twice += r->end - r->pos; /* raced, in source_peer.c */
		s->result.races++;
	}
	s->result.bans += answer == ROUTE_WRONG;
}

static void hear_member(struct swarm *s, struct run *r, const struct query *q,
			enum route_answer answer)
{
	uint32_t others[CROWD_NAMES_MAX];
	unsigned count = 0;

	if (answer == ROUTE_COMING && is_late(s, r, q))
		answer = ROUTE_SLOW;
	member_note(r->members->members[q->member], outcome(answer), (q->next - q->from) * CHUNK,
		    q->first_ms > DECIDE_WAIT_MS ? -1 : q->first_ms, swarm_ms(s));
	note_answer(s, r, q, answer);
	for (unsigned i = 0; i < q->other_count; i++) {
		others[count] = member_of(r->node, r->members, swarm_find(s, q->others[i]));
		count += others[count] != ROUTE_NOBODY;
	}
	if (!q->bring) {
		r->sought_at += answer != ROUTE_GAVE;
		return;
	}
	if (answer == ROUTE_ELSEWHERE && count && others[0] != r->members->self)
		note_giver(s, r, others[0]);
	route_heard(&r->route, answer, others, count);
	if (route_has_failed(&r->route))
		trails_failed(&r->node->trails, s->blob, r->from / SWARM_CHUNKS, swarm_ms(s));
}

/* Upstream did not give: all is tried again from the start, a few times. */
static void try_again(struct swarm *s, struct run *r)
{
	int64_t pause = RETRY_MS << r->tries;

	if (++r->tries >= SWARM_TRIES_MAX) {
		fail_run(s, r);
		return;
	}
	begin_trip(s, r);
	pause += (int64_t)swarm_random(s, (uint64_t)pause);
	swarm_event(s, s->now_us + pause * 1000, EV_STEP, 0, r->number, r);
}

void swarm_done(struct swarm *s, struct query *q, enum route_answer answer)
{
	struct run *r = q->run;
	bool upstream = q->giver == s->conf.nodes;

	r->query = NULL;
	if (!upstream)
		hear_member(s, r, q, answer);
	swarm_end_query(s, q);
	if (upstream && answer != ROUTE_GAVE)
		try_again(s, r);
	else
		swarm_step(s, r);
}

static bool is_wrong(struct swarm *s, uint32_t giver)
{
	if (giver == s->conf.nodes)
		return false;
	return s->nodes[giver].lie == SWARM_ZEROS ||
	       (s->nodes[giver].lie == SWARM_FLIPS && swarm_random(s, 100) == 0);
}

static void keep(struct swarm *s, struct node *n, uint32_t chunk)
{
	s->result.used++;
	s->result.again += (n->chunks[chunk] & (CHUNK_KEPT | CHUNK_READ)) != 0;
	n->chunks[chunk] |= n->full ? CHUNK_READ : CHUNK_KEPT;
}

static void advance(struct swarm *s, struct node *n)
{
	while (n->at < s->chunks && (n->chunks[n->at] & (CHUNK_KEPT | CHUNK_READ)))
		n->at++;
	if (n->at == s->chunks && n->begun_ms && !n->ended && !n->failed)
		end_reader(s, n, false);
}

void swarm_chunk_came(struct swarm *s, struct query *q, uint32_t chunk)
{
	struct run *r = q->run;
	struct node *n = r->node;
	bool last = chunk + 1 == q->stop;

	q->heard_ms = swarm_ms(s);
	if (is_wrong(s, q->giver)) {
		s->result.wrong++;
		swarm_done(s, q, ROUTE_WRONG);
		return;
	}
	r->pos = chunk + 1;
	n->usual_ms = decide_usual_ms(n->usual_ms, swarm_ms(s) - r->since_ms);
	r->since_ms = swarm_ms(s);
	r->tries = 0;
	r->brought_ms = r->dry_ms = swarm_ms(s);
	n->in += q->giver != s->conf.nodes;
	keep(s, n, chunk);
	advance(s, n);
	swarm_wake(s, n, chunk);
	if (last)
		swarm_done(s, q, ROUTE_GAVE);
	else
		swarm_plan(s, n);
}

void swarm_look_patient(struct swarm *s, struct query *q)
{
	int64_t now = swarm_ms(s);
	const struct decide_way way = {
		.waited_ms = now - q->asked_ms,
		.give_up_ms = SWARM_GIVE_UP_MS,
	};

	if (swarm_is_flowing(s, q))
		q->heard_ms = now;
	if (q->dripping && decide_is_trickle(&way, q->patience_ms, 1, CHUNK)) {
		swarm_done(s, q, ROUTE_SLOW);
		return;
	}
	if (!q->dripping && now - q->heard_ms >= q->patience_ms) {
		swarm_done(s, q, q->giver == s->conf.nodes ? ROUTE_FAILED : ROUTE_SILENT);
		return;
	}
	now = q->dripping ? now + 100 : q->heard_ms + q->patience_ms + 1;
	swarm_event(s, s->now_us + (now - swarm_ms(s)) * 1000, EV_PATIENCE, 0, q->number, q);
}

/* ---- what is wanted ---- */

static bool is_absent(const struct node *n, uint32_t chunk)
{
	return n->chunks[chunk] == 0;
}

void swarm_want(struct swarm *s, struct node *n, uint32_t from, uint32_t end)
{
	while (n->run_count < SWARM_RUNS_MAX) {
		uint32_t to;

		while (from < end && !is_absent(n, from))
			from++;
		if (from == end)
			return;
		for (to = from; to < end && is_absent(n, to) && to - from < SWARM_RUN_CHUNKS;)
			to++;
		start_run(s, n, from, to);
	}
}

void swarm_plan(struct swarm *s, struct node *n)
{
	uint32_t end, from = n->at;

	if (!n->alive || !n->begun_ms || n->ended || n->failed)
		return;
	while (n->run_count < s->conf.window) {
		while (from < s->chunks && !is_absent(n, from))
			from++;
		if (from == s->chunks)
			return;
		end = (uint32_t)min_u64(from - from % SWARM_CHUNKS + SWARM_CHUNKS,
					from + SWARM_RUN_CHUNKS);
		swarm_want(s, n, from, end);
		from = end;
	}
}

void swarm_start_reader(struct swarm *s, struct node *n)
{
	if (!n->alive || n->begun_ms)
		return;
	n->begun_ms = swarm_ms(s);
	s->reading++;
	advance(s, n);
	swarm_plan(s, n);
}
