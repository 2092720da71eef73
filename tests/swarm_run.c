/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "daemon/base/num.h"
#include "daemon/peer/peer_request.h"
#include "daemon/peer/waiting.h"
#include "tests/swarm_priv.h"

#define UPSTREAM_PATIENCE_MS 60000 /* it is of chunks here, not of bytes */
#define RETRY_MS 100               /* the first time; then twice as long, */
#define RETRY_DOUBLED 2            /* so often, give or take a half */
#define REFUSED_MS 250             /* who cannot be reached is left alone for so long */
#define LONG_MS 3000               /* a request takes, if all is well */
#define RESTED_MS 100              /* as source_peer.c: while only a race is left */
#define OUTAGE_MS 5000             /* what a node knows of upstream itself counts for so long */

/* Of the run, or besides another one of it. */
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
	q->from = q->next = swarm_next_chunk(r);
	q->end = r->end;
	q->asked_ms = q->heard_ms = swarm_ms(s);
	q->first_ms = q->quiet_ms = -1;
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

static void begin_trip(struct swarm *s, struct run *r, uint32_t from)
{
	const struct trip_range range = {
		.segment = swarm_segment(s, from),
		.size = s->chunks * SWARM_CHUNK,
		.pos = from * SWARM_CHUNK,
		.end = r->end * SWARM_CHUNK,
	};

	trip_begin(&r->trip, &r->node->way, r->members, &range, swarm_ms(s));
}

uint32_t swarm_next_chunk(const struct run *r)
{
	return (uint32_t)(r->trip.range.pos / SWARM_CHUNK);
}

static void start_run(struct swarm *s, struct node *n, uint32_t from, uint32_t end)
{
	struct run *r = s->free_runs;

	if (r)
		s->free_runs = r->next;
	else
		r = swarm_alloc(s, sizeof(*r));
	*r = (struct run){ .number = ++s->numbers, .next = n->runs, .node = n };
	r->from = from;
	r->end = end;
	r->brought_ms = swarm_ms(s);
	n->runs = r;
	n->run_count++;
	for (uint32_t i = from; i < end; i++)
		n->chunks[i] |= CHUNK_ON_ITS_WAY;
	r->members = swarm_members(n);
	begin_trip(s, r, from);
	if (s->conf.races)
		swarm_event(s, s->now_us + PEER_REQUEST_TICK_MS * 1000, EV_TICK, 0, r->number, r);
	swarm_step(s, r);
}

/* A chunk of that answer is for nothing, as another brings it. */
static void count_twice(struct swarm *s, struct run *r, const struct query *q)
{
	if (!swarm_has_begun(s, q))
		return;
	s->result.twice++;
	metrics_add(&r->node->way.twice, SWARM_CHUNK);
}

static void lose_race(struct swarm *s, struct run *r)
{
	const struct trip_heard nothing = { .answer = ROUTE_LEFT, .first_ms = -1, .quiet_ms = -1 };

	if (!r->race)
		return;
	count_twice(s, r, r->race);
	trip_race_heard(&r->trip, &nothing, swarm_ms(s));
	swarm_end_query(s, r->race);
	r->race = NULL;
}

static void free_run(struct swarm *s, struct run *r)
{
	struct node *n = r->node;
	struct run **at = &n->runs;

	lose_race(s, r);
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	n->run_count--;
	for (uint32_t i = r->from; i < r->end; i++)
		n->chunks[i] &= (uint8_t)~CHUNK_ON_ITS_WAY;
	swarm_members_done(n, r->members);
	trip_end(&r->trip);
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
	uint32_t pos = swarm_next_chunk(r), end = r->end;

	if (!n->ended && !n->failed && n->begun_ms && pos <= n->at && n->at < end) {
		s->result.error_ms = max_i64(s->result.error_ms, swarm_ms(s) - n->read_ms);
		end_reader(s, n, true);
	}
	free_run(s, r);
	swarm_fail_parked(s, n, pos, end);
	swarm_plan(s, n);
}

/* ---- one step ---- */

static bool is_read(const struct run *r)
{
	const struct node *n = r->node;

	return n->begun_ms && !n->ended && !n->failed && r->from <= n->at && n->at < r->end;
}

/* When it gives up: as a reader who came to it does, a fifth of his time before that is over. */
static int64_t until_ms(const struct swarm *s, const struct run *r)
{
	int64_t since_ms = is_read(r) ? max_i64(r->brought_ms, r->node->read_ms) : r->brought_ms;

	return since_ms + 2 * s->conf.give_up_ms * 4 / 5;
}

/* Whether a reader, here or elsewhere, waits for it changes all the time. */
static struct trip *trip_of(const struct swarm *s, struct run *r)
{
	const struct node *n = r->node;
	bool failing = n->failed_ms && swarm_ms(s) - n->failed_ms < OUTAGE_MS;

	trip_demand(&r->trip, n->parked || (r->from <= n->at && n->at < r->end), swarm_ms(s));
	trip_outlook(&r->trip, failing, until_ms(s, r));
	return &r->trip;
}

static void try_again(struct swarm *s, struct run *r);

/* Who hangs is left after a third of a reader's time. */
static void ask_upstream(struct swarm *s, struct run *r)
{
	bool hangs = s->upstream_down && s->how == SWARM_HANGS;
	struct query *q;

	if (swarm_ms(s) < r->node->left_alone_ms) {
		try_again(s, r);
		return;
	}
	q = r->query = new_query(s, r, s->conf.nodes);
	q->end = (uint32_t)min_u64(q->end, q->from + SWARM_SOON_CHUNKS);
	q->patience_ms = hangs ? 2 * s->conf.give_up_ms / 3 : UPSTREAM_PATIENCE_MS;
	s->result.passed++;
	swarm_ask(s, q);
}

static struct query *put_question(struct swarm *s, struct run *r, uint32_t member,
				  const struct trip_ask *ask)
{
	struct query *q = new_query(s, r, swarm_find(s, r->members->nodes[member].key)->id);

	q->member = member;
	q->bring = ask->bring;
	q->number_of_asker = ask->number;
	for (unsigned i = 0; i < ask->failed_count; i++)
		q->failed[q->failed_count++] = r->members->nodes[ask->failed[i]].key;
	q->wait_ms = ask->wait_ms;
	q->patience_ms = ask->patience_ms;
	if (ask->connect_ms && !swarm_connects(s, q->asker, q->giver))
		q->patience_ms = min_i64(q->patience_ms, ask->connect_ms);
	r->node->asked++;
	swarm_ask(s, q);
	return q;
}

static void ask_member(struct swarm *s, struct run *r, uint32_t member)
{
	const struct trip_ask ask = trip_ask(trip_of(s, r), swarm_ms(s));

	r->query = put_question(s, r, member, &ask);
}

static void rest(struct swarm *s, struct run *r, int64_t ms)
{
	swarm_event(s, s->now_us + ms * 1000, EV_STEP, ++r->rests, r->number, r);
}

/* As await_race of source_peer: false if it is no use. */
static bool awaits_race(struct swarm *s, struct run *r, const struct trip_step *step)
{
	bool is_left = step->kind == TRIP_SOURCE ||
		       (step->kind == TRIP_ASK && step->member == r->trip.racer);
	bool last = r->trip.seeks && r->race && !swarm_has_begun(s, r->race);

	if (!r->race || !is_left)
		return false;
	if (!last || swarm_ms(s) <= r->raced_ms + WAITING_DEMAND_MS) {
		rest(s, r, RESTED_MS);
		return true;
	}
	lose_race(s, r);
	if (step->kind == TRIP_ASK)
		trip_skip(&r->trip);
	rest(s, r, 0);
	return true;
}

void swarm_step(struct swarm *s, struct run *r)
{
	const struct trip_step step = trip_next(trip_of(s, r), swarm_ms(s));

	if (awaits_race(s, r, &step))
		return;
	switch (step.kind) {
	case TRIP_ASK:
		ask_member(s, r, step.member);
		break;
	case TRIP_REST:
		rest(s, r, step.rest_ms);
		break;
	case TRIP_SOURCE:
		ask_upstream(s, r);
		break;
	case TRIP_OVER:
		fail_run(s, r);
		break;
	case TRIP_THERE:
		end_run(s, r);
		break;
	}
}

/* If a reader waits for long for who is asked, another is asked besides. */
void swarm_tick(struct swarm *s, struct run *r)
{
	bool upstream = r->query && r->query->giver == s->conf.nodes;
	uint32_t racer = ROUTE_NOBODY;
	struct trip_ask ask;

	swarm_event(s, s->now_us + PEER_REQUEST_TICK_MS * 1000, EV_TICK, 0, r->number, r);
	if (!r->race && !upstream && (r->query || r->trip.again_ms))
		racer = trip_race(trip_of(s, r), swarm_ms(s));
	if (racer == ROUTE_NOBODY)
		return;
	ask = trip_race_ask(&r->trip, swarm_ms(s));
	r->race = put_question(s, r, racer, &ask);
	r->race->races = true;
	r->race->end = r->race->from + 1;
	r->raced_ms = swarm_ms(s);
	s->result.raced++;
}

/* ---- what comes of a question ---- */

static struct trip_heard heard_of(struct swarm *s, const struct run *r, const struct query *q,
				  enum route_answer answer, uint32_t others[FANOUT_NAMES_MAX])
{
	struct trip_heard heard = {
		.answer = answer,
		.others = others,
		.number = q->told,
		.quiet_ms = q->quiet_ms,
		.first_ms = q->first_ms,
		.bytes = (q->next - q->from) * SWARM_CHUNK,
	};

	for (unsigned i = 0; i < q->other_count; i++) {
		uint32_t at = member_of(r->node, r->members, swarm_find(s, q->others[i]));

		if (at != ROUTE_NOBODY)
			others[heard.other_count++] = at;
	}
	return heard;
}

static void hear_member(struct swarm *s, struct run *r, const struct query *q,
			enum route_answer answer)
{
	uint32_t others[FANOUT_NAMES_MAX];
	const struct trip_heard heard = heard_of(s, r, q, answer, others);

	answer = trip_heard(trip_of(s, r), &heard, swarm_ms(s));
	s->result.left += answer == ROUTE_SLOW;
	s->result.bans += answer == ROUTE_LIED;
}

static void hear_race(struct swarm *s, struct query *q, enum route_answer answer)
{
	struct run *r = q->run;
	uint32_t others[FANOUT_NAMES_MAX];
	const struct trip_heard heard = heard_of(s, r, q, answer, others);

	count_twice(s, r, q);
	trip_race_heard(trip_of(s, r), &heard, swarm_ms(s));
	swarm_end_query(s, q);
	r->race = NULL;
}

/* What it brings is as if it alone had been asked. */
static void win_race(struct swarm *s, struct query *q)
{
	struct run *r = q->run;
	const struct query *first = r->query;
	const struct trip_heard heard = {
		.answer = first && first->first_ms >= 0 ? ROUTE_LEFT : ROUTE_SILENT,
		.number = first ? first->told : 0,
		.first_ms = first ? first->first_ms : -1,
		.quiet_ms = -1,
		.bytes = r->trip.range.pos - r->trip.asked_pos,
	};

	if (first) {
		count_twice(s, r, first);
		trip_outrun(trip_of(s, r), &heard, swarm_ms(s));
		swarm_end_query(s, r->query);
	}
	trip_race_won(&r->trip);
	s->result.won++;
	r->rests++;
	r->race = NULL;
	r->query = q;
	q->races = false;
}

static void begin_anew(struct swarm *s, struct run *r)
{
	trip_end(&r->trip);
	begin_trip(s, r, swarm_next_chunk(r));
}

/* Upstream did not give: all is tried again from the start, until the run's time is over. */
static void try_again(struct swarm *s, struct run *r)
{
	int64_t pause = RETRY_MS << min_u64(r->tries, RETRY_DOUBLED);

	r->tries++;
	r->failed = true;
	r->node->failed_ms = swarm_ms(s);
	pause = pause / 2 + (int64_t)swarm_random(s, (uint64_t)pause);
	if (swarm_ms(s) + pause >= until_ms(s, r)) {
		fail_run(s, r);
		return;
	}
	begin_anew(s, r);
	rest(s, r, pause);
}

/* What is left of it may have come to another meanwhile, if that took long. */
static void hear_upstream(struct swarm *s, struct run *r, enum route_answer answer, bool was_long)
{
	if (answer == ROUTE_GAVE) {
		if (swarm_next_chunk(r) < r->end && (r->failed || was_long))
			begin_anew(s, r);
		swarm_step(s, r);
		return;
	}
	if (s->upstream_down && s->how == SWARM_REFUSES)
		r->node->left_alone_ms = swarm_ms(s) + REFUSED_MS;
	try_again(s, r);
}

void swarm_done(struct swarm *s, struct query *q, enum route_answer answer)
{
	struct run *r = q->run;
	bool upstream = q->giver == s->conf.nodes, was_long = swarm_ms(s) - q->asked_ms > LONG_MS;

	if (q->races) {
		hear_race(s, q, answer);
		return;
	}
	r->query = NULL;
	if (!upstream)
		hear_member(s, r, q, answer);
	swarm_end_query(s, q);
	if (upstream)
		hear_upstream(s, r, answer, was_long);
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
	while (n->at < s->chunks && (n->chunks[n->at] & (CHUNK_KEPT | CHUNK_READ))) {
		n->at++;
		if (n->begun_ms)
			n->waited_ms = max_i64(n->waited_ms, swarm_ms(s) - n->read_ms);
		n->read_ms = swarm_ms(s);
	}
	if (n->at == s->chunks && n->begun_ms && !n->ended && !n->failed)
		end_reader(s, n, false);
}

/* Here a node learns of upstream, too, what is usual from one chunk to the next; source_peer hears
 * only what members give. */
static void take_from_upstream(struct swarm *s, struct run *r)
{
	struct trip_node *way = &r->node->way;

	way->usual_ms = waiting_usual_ms(way->usual_ms, swarm_ms(s) - r->trip.since_ms);
	r->trip.since_ms = r->node->given_ms = swarm_ms(s);
	r->trip.range.pos += SWARM_CHUNK;
}

void swarm_chunk_came(struct swarm *s, struct query *q, uint32_t chunk)
{
	struct run *r = q->run;
	struct node *n = r->node;
	bool last = chunk + 1 == q->stop;

	if (q->races)
		win_race(s, q);
	q->heard_ms = swarm_ms(s);
	if (is_wrong(s, q->giver)) {
		s->result.wrong++;
		swarm_done(s, q, ROUTE_LIED);
		return;
	}
	r->trip.range.pos = chunk * SWARM_CHUNK; /* a line that was cut may have swallowed some */
	if (q->giver == s->conf.nodes)
		take_from_upstream(s, r);
	else
		trip_gave(&r->trip, SWARM_CHUNK, swarm_ms(s));
	lose_race(s, r);
	r->tries = 0;
	r->brought_ms = swarm_ms(s);
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

	if (swarm_is_flowing(s, q))
		q->heard_ms = now;
	if (q->dripping && trip_is_trickle(trip_of(s, q->run), q->asked_ms, 1, SWARM_CHUNK, now)) {
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
	n->begun_ms = n->read_ms = swarm_ms(s);
	s->reading++;
	advance(s, n);
	swarm_plan(s, n);
}
