/* SPDX-License-Identifier: Apache-2.0 */
#include <err.h>
#include <stdlib.h>

#include "daemon/base/grow.h"
#include "daemon/base/num.h"
#include "daemon/peer/decide.h"
#include "tests/swarm_priv.h"

#define HANGS_MS 3000 /* as in asking.h */

/* ---- what happens when ---- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void swarm_event(struct swarm *s, int64_t at_us, enum event_kind kind, uint32_t a, uint64_t number,
		 void *what)
{
	struct event e = { at_us, s->order++, kind, a, number, what };
	size_t i;

	if (grow_list(s->events, s->event_count, s->event_cap) < 0)
		errx(1, "no memory");
	for (i = s->event_count++; i && before(&e, &s->events[(i - 1) / 2]); i = (i - 1) / 2)
		s->events[i] = s->events[(i - 1) / 2];
	s->events[i] = e;
}

static struct event take_event(struct swarm *s)
{
	struct event first = s->events[0], last = s->events[--s->event_count];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < s->event_count) {
		if (child + 1 < s->event_count && before(&s->events[child + 1], &s->events[child]))
			child++;
		if (!before(&s->events[child], &last))
			break;
		s->events[i] = s->events[child];
		i = child;
	}
	s->events[i] = last;
	return first;
}

/* ---- links: chunks of all answers take turns ---- */

static struct link *link_of(struct swarm *s, uint32_t giver)
{
	return giver == s->conf.nodes ? &s->upstream : &s->nodes[giver].up;
}

static int64_t time_of_chunk(uint64_t rate)
{
	return (int64_t)(SWARM_CHUNK * 1000000 / rate);
}

static int64_t latency(const struct swarm *s, uint32_t giver)
{
	return giver == s->conf.nodes ? s->conf.upstream_us : s->conf.latency_us;
}

static void free_query(struct swarm *s, struct query *q)
{
	*q = (struct query){ .next_free = s->free_queries };
	s->free_queries = q;
}

static struct query *take_from_link(struct link *l)
{
	struct query *q = l->first;

	l->first = q->next_on_link;
	if (!l->first)
		l->last = NULL;
	q->on_link = false;
	return q;
}

static void put_on_link(struct link *l, struct query *q)
{
	q->next_on_link = NULL;
	q->on_link = true;
	*(l->last ? &l->last->next_on_link : &l->first) = q;
	l->last = q;
}

static void send_next(struct swarm *s, uint32_t giver)
{
	struct link *l = link_of(s, giver);

	while (!l->sending && l->first) {
		struct query *q = take_from_link(l);

		if (q->over) {
			free_query(s, q);
		} else if (!q->broken) {
			q->on_link = true;
			l->sending = q;
			swarm_event(s, s->now_us + time_of_chunk(l->rate), EV_SENT, giver, 0, NULL);
		}
	}
}

/* The downlink takes it when it has taken all before it, while it comes. */
static void carry(struct swarm *s, struct query *q, uint32_t chunk)
{
	struct node *n = &s->nodes[q->asker];
	int64_t at = s->now_us + latency(s, q->giver);

	q->in_air++;
	n->down_free_us = max_i64(at, n->down_free_us + time_of_chunk(s->conf.down_rate));
	swarm_event(s, n->down_free_us, EV_CHUNK, chunk, q->number, q);
}

static void count_sent(struct swarm *s, const struct query *q)
{
	if (q->giver == s->conf.nodes) {
		s->result.upstream++;
		s->nodes[q->asker].upstream++;
	} else {
		s->result.sent++;
		s->nodes[q->giver].sent++;
	}
}

static void on_sent(struct swarm *s, uint32_t giver)
{
	struct link *l = link_of(s, giver);
	struct query *q = l->sending;
	uint32_t chunk = q->next++;

	l->sending = NULL;
	q->on_link = false;
	count_sent(s, q);
	if (q->over || q->broken || !swarm_reaches(s, q->giver, q->asker))
		s->result.dropped++;
	else
		carry(s, q, chunk);
	if (q->over)
		free_query(s, q);
	else if (!q->broken && q->next < q->stop)
		put_on_link(l, q);
	send_next(s, giver);
}

/* ---- one who is asked ---- */

static void unpark(struct swarm *s, struct query *q)
{
	if (!q->parked)
		return;
	q->parked = false;
	if (q->next_parked)
		q->next_parked->previous_parked = q->previous_parked;
	*(q->previous_parked ? &q->previous_parked->next_parked : &s->nodes[q->giver].parked) =
		q->next_parked;
	q->next_parked = q->previous_parked = NULL;
}

static struct run *run_of(const struct node *n, uint32_t chunk)
{
	for (struct run *r = n->runs; r; r = r->next)
		if (swarm_next_chunk(r) <= chunk && chunk < r->end)
			return r;
	return NULL;
}

/* Follows whom the giver waits for: is it who asks? */
static bool is_ring(const struct swarm *s, const struct query *q)
{
	uint32_t at = q->giver;

	for (uint32_t i = 0; i <= s->conf.nodes; i++) {
		const struct run *r = run_of(&s->nodes[at], q->from);

		if (!r || !r->query || !r->query->parked)
			return false;
		at = r->query->giver;
		if (at == q->asker)
			return true;
	}
	return false;
}

static void park(struct swarm *s, struct query *q)
{
	struct node *n = &s->nodes[q->giver];

	if (q->parked)
		return;
	q->parked = true;
	q->next_parked = n->parked;
	if (n->parked)
		n->parked->previous_parked = q;
	n->parked = q;
	swarm_event(s, s->now_us + q->wait_ms * 1000, EV_WAITED, 0, q->number, q);
}

bool swarm_has_begun(const struct swarm *s, const struct query *q)
{
	return q->in_air || s->nodes[q->giver].up.sending == q;
}

bool swarm_is_flowing(const struct swarm *s, const struct query *q)
{
	return (q->on_link || q->in_air) && !q->broken && swarm_reaches(s, q->giver, q->asker);
}

static bool is_failing(const struct swarm *s, const struct run *r)
{
	const struct query *q = r->query;
	int64_t last_ms = max_i64(r->brought_ms, r->node->given_ms);

	if (r->tries)
		return true;
	return q && q->giver == s->conf.nodes && !swarm_is_flowing(s, q) &&
	       swarm_ms(s) - max_i64(last_ms, q->asked_ms) > HANGS_MS;
}

bool swarm_is_failing(const struct swarm *s, const struct node *n, uint32_t chunk)
{
	const struct run *of_it = run_of(n, chunk);

	if (of_it)
		return is_failing(s, of_it);
	for (const struct run *r = n->runs; r; r = r->next)
		if (is_failing(s, r))
			return true;
	return false;
}

/* When bytes last came to a run: now, if they are under way to it. */
static int64_t moved_ms(const struct swarm *s, const struct run *r)
{
	return r->query && swarm_is_flowing(s, r->query) ? swarm_ms(s) : r->brought_ms;
}

/* What fetch_moved_ms tells. */
static int64_t run_moved_ms(const struct swarm *s, const struct node *n, uint32_t chunk)
{
	const struct run *of_it = run_of(n, chunk);
	int64_t last = 0;

	if (of_it)
		return moved_ms(s, of_it);
	for (const struct run *r = n->runs; r; r = r->next)
		last = max_i64(last, moved_ms(s, r));
	return last;
}

static int64_t quiet_ms(struct swarm *s, struct node *n, const struct query *q)
{
	if (n->lie == SWARM_BOASTS)
		return 0;
	if (n->lie == SWARM_CLAIMS)
		return -1;
	return decide_quiet_ms(&n->notes, swarm_segment(s, q->from), run_moved_ms(s, n, q->from),
			       swarm_ms(s));
}

static void say(struct swarm *s, struct query *q, enum route_answer answer)
{
	unpark(s, q);
	q->answer = answer;
	if (answer == ROUTE_COMING)
		q->quiet_ms = quiet_ms(s, &s->nodes[q->giver], q);
	if (swarm_reaches(s, q->giver, q->asker))
		swarm_event(s, s->now_us + latency(s, q->giver), EV_ANSWER, 0, q->number, q);
}

static void give(struct swarm *s, struct query *q, uint32_t count)
{
	unpark(s, q);
	q->next = q->from;
	q->stop = q->from + count;
	if (swarm_reaches(s, q->giver, q->asker)) {
		q->heard_ms = swarm_ms(s) + latency(s, q->giver) / 1000;
		q->first_ms = q->heard_ms - q->asked_ms;
	}
	put_on_link(link_of(s, q->giver), q);
	send_next(s, q->giver);
}

static uint32_t present(const struct node *n, const struct query *q)
{
	uint32_t at = q->from;

	if (n->lie == SWARM_ZEROS)
		return q->end - q->from;
	while (at < q->end && (n->chunks[at] & CHUNK_KEPT))
		at++;
	return at - q->from;
}

static struct decide_here here_of(struct node *n, const struct membership *members)
{
	return (struct decide_here){ members, n->way.placement, &n->notes, n->fanout };
}

static struct decide_ask question_of(const struct swarm *s, const struct query *q)
{
	const struct node *asker = &s->nodes[q->asker];

	return (struct decide_ask){
		.segment = swarm_segment(s, q->from),
		.size = s->chunks * SWARM_CHUNK,
		.guest = asker->key,
		.zone = asker->zone,
		.failed = q->failed,
		.failed_count = q->failed_count,
		.number = q->number_of_asker,
		.bring = q->bring,
	};
}

static enum decision decide(struct swarm *s, struct node *n, struct query *q, uint32_t count)
{
	const struct membership *members = swarm_members(n);
	const struct decide_here here = here_of(n, members);
	const struct decide_ask ask = question_of(s, q);
	const struct decide_held held = {
		.present = count,
		.failing = q->late && swarm_is_failing(s, n, q->from),
		.full = n->full,
	};
	enum decision d = decide_bytes(&here, &ask, &held, q->late, swarm_ms(s), &q->told);

	swarm_members_done(n, members);
	return d;
}

static void look(struct swarm *s, struct node *n, struct query *q)
{
	uint32_t count = present(n, q);

	switch (decide(s, n, q, count)) {
	case DECIDE_GIVE:
		give(s, q, count);
		break;
	case DECIDE_COMING:
		s->result.rings += is_ring(s, q);
		say(s, q, ROUTE_COMING);
		break;
	case DECIDE_FAILED:
		say(s, q, ROUTE_FAILED);
		break;
	case DECIDE_NOT_HERE:
	case DECIDE_FULL:
		say(s, q, ROUTE_NOT_HERE);
		break;
	case DECIDE_WAIT:
		swarm_want(s, n, q->from, q->end);
		park(s, q);
		break;
	}
}

static bool send_elsewhere(struct swarm *s, struct node *n, struct query *q)
{
	const struct membership *members = swarm_members(n);
	const struct decide_here here = here_of(n, members);
	const struct decide_ask ask = question_of(s, q);
	uint32_t at[FANOUT_NAMES_MAX];

	q->other_count = decide_others(&here, &ask, swarm_ms(s), at, &q->told);
	for (unsigned i = 0; i < q->other_count; i++)
		q->others[i] = members->nodes[at[i]].key;
	swarm_members_done(n, members);
	if (q->other_count)
		say(s, q, ROUTE_ELSEWHERE);
	return q->other_count;
}

static bool is_claimer(const struct node *n)
{
	return n->lie == SWARM_CLAIMS || n->lie == SWARM_BOASTS;
}

static void on_asked(struct swarm *s, struct query *q)
{
	struct node *n;

	if (q->giver == s->conf.nodes) {
		q->hangs = s->upstream_down && s->how == SWARM_HANGS;
		if (s->upstream_down && !q->hangs)
			say(s, q, ROUTE_FAILED);
		else if (!q->hangs)
			give(s, q, q->end - q->from);
		return;
	}
	n = &s->nodes[q->giver];
	n->heard++;
	if (!n->alive)
		say(s, q, ROUTE_SILENT);
	else if (is_claimer(n))
		park(s, q);
	else if (n->lie == SWARM_DENIES)
		say(s, q, ROUTE_FAILED);
	else if (n->lie == SWARM_DRIPS)
		q->dripping = true;
	else if (!send_elsewhere(s, n, q))
		look(s, n, q);
}

static void on_waited(struct swarm *s, struct query *q)
{
	struct node *n = &s->nodes[q->giver];

	if (!q->parked)
		return;
	q->late = true;
	if (is_claimer(n))
		say(s, q, ROUTE_COMING);
	else
		look(s, n, q);
}

void swarm_wake(struct swarm *s, struct node *n, uint32_t chunk)
{
	struct query *next;

	for (struct query *q = n->parked; q; q = next) {
		next = q->next_parked;
		if (!is_claimer(n) && (chunk == UINT32_MAX || chunk == q->from))
			look(s, n, q);
	}
}

void swarm_fail_parked(struct swarm *s, struct node *n, uint32_t from, uint32_t end)
{
	struct query *next;

	for (struct query *q = n->parked; q; q = next) {
		next = q->next_parked;
		if (from <= q->from && q->from < end)
			say(s, q, ROUTE_FAILED);
	}
}

static void break_off(struct swarm *s, struct query *q, uint32_t giver)
{
	if (!q || q->giver != giver || q->broken)
		return;
	q->broken = true;
	say(s, q, giver == s->conf.nodes ? ROUTE_FAILED : ROUTE_SILENT);
}

void swarm_break(struct swarm *s, struct node *n)
{
	uint32_t id = n ? n->id : s->conf.nodes;

	for (uint32_t i = 0; i < s->conf.nodes; i++)
		for (struct run *r = s->nodes[i].runs; r; r = r->next) {
			break_off(s, r->query, id);
			break_off(s, r->race, id);
		}
}

void swarm_let_go(struct swarm *s)
{
	for (uint32_t i = 0; i < s->conf.nodes; i++)
		for (struct run *r = s->nodes[i].runs; r; r = r->next)
			if (r->query && r->query->hangs) {
				r->query->hangs = false;
				give(s, r->query, r->query->end - r->query->from);
			}
}

/* ---- questions ---- */

void swarm_ask(struct swarm *s, struct query *q)
{
	int64_t way = latency(s, q->giver);

	if (swarm_reaches(s, q->asker, q->giver))
		swarm_event(s, s->now_us + way, EV_ASKED, 0, q->number, q);
	swarm_event(s, s->now_us + (q->patience_ms + 1) * 1000, EV_PATIENCE, 0, q->number, q);
}

void swarm_end_query(struct swarm *s, struct query *q)
{
	unpark(s, q);
	q->over = true;
	if (!q->on_link)
		free_query(s, q);
}

/* ---- events ---- */

static void happen_to_query(struct swarm *s, const struct event *e)
{
	struct query *q = e->what;

	if (q->number != e->number || q->over) {
		s->result.dropped += e->kind == EV_CHUNK;
		return;
	}
	switch (e->kind) {
	case EV_ASKED:
		on_asked(s, q);
		break;
	case EV_WAITED:
		on_waited(s, q);
		break;
	case EV_ANSWER:
		swarm_done(s, q, q->answer);
		break;
	case EV_CHUNK:
		q->in_air--;
		swarm_chunk_came(s, q, e->a);
		break;
	default:
		swarm_look_patient(s, q);
	}
}

static void happen(struct swarm *s, const struct event *e)
{
	struct run *r;

	switch (e->kind) {
	case EV_START:
		swarm_start_reader(s, &s->nodes[e->a]);
		break;
	case EV_SENT:
		on_sent(s, e->a);
		break;
	case EV_STEP:
		r = e->what;
		if (r->number == e->number && r->rests == e->a)
			swarm_step(s, r);
		break;
	case EV_TICK:
		r = e->what;
		if (r->number == e->number)
			swarm_tick(s, r);
		break;
	case EV_FAULT:
		s->faults_left--;
		swarm_fault_now(s, &s->faults[e->a]);
		break;
	case EV_LIST:
		swarm_read_list(s, &s->nodes[e->a]);
		break;
	default:
		happen_to_query(s, e);
	}
}

bool swarm_next(struct swarm *s)
{
	struct event e;

	if (!s->event_count)
		return false;
	e = take_event(s);
	s->now_us = e.at_us;
	s->result.events++;
	happen(s, &e);
	return true;
}
