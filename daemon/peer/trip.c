/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/trip.h"

#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/likely_holders.h"
#include "daemon/peer/outcome.h"
#include "daemon/peer/waiting.h"

#define SPREAD 2 /* in an outage readers go upstream by themselves within half as long again */

/* ---- where it goes ---- */

/* Who gave bytes of the segment last, if he is a member still. */
static uint32_t giver_of(const struct membership *members, const struct segment_note *note)
{
	int at = note->giver ? placement_find(members->nodes, members->count, note->giver) : -1;

	return at >= 0 ? (uint32_t)at : ROUTE_NOBODY;
}

void trip_begin(struct trip *t, struct trip_node *node, const struct membership *members,
		const struct trip_range *range, int64_t now_ms)
{
	struct route_target target = { .segment = range->segment };
	struct segment_note note;

	*t = (struct trip){ .node = node, .members = members, .range = *range };
	t->member = t->next = t->racer = ROUTE_NOBODY;
	t->since_ms = t->dry_ms = now_ms;
	t->until_ms = INT64_MAX;
	target.owner_count = placement_cache_owners(node->placement, members, range->segment,
						    range->size, target.owners);
	segment_notes_find(node->notes, range->segment, now_ms, &note);
	route_init(&t->route, members, &target, giver_of(members, &note));
	segment_notes_put(node->notes, range->segment, 0, now_ms);
}

void trip_demand(struct trip *t, bool demand, int64_t now_ms)
{
	if (demand && !t->demand)
		t->demand_ms = now_ms;
	t->demand = t->route.demand = demand;
}

void trip_outlook(struct trip *t, bool failing, int64_t until_ms)
{
	t->failing = failing;
	t->until_ms = until_ms;
}

void trip_end(struct trip *t)
{
	free(steal(t->sought));
}

/* Lists those who may have it: each time in vain, more. */
static void begin_to_seek(struct trip *t, int64_t now_ms)
{
	int vain = segment_notes_seek(t->node->notes, t->range.segment, t->range.pos,
				      t->range.origin, now_ms),
	    count = 0;

	t->seeks = true;
	if (vain >= 0)
		count = likely_holders_list(t->members, t->range.segment,
					    likely_holders_width((unsigned)vain), &t->sought);
	t->sought_count = count > 0 ? (uint32_t)count : 0;
}

static bool was_wrong(const struct trip *t, uint32_t member)
{
	bool so = false;

	for (unsigned i = 0; !so && i < TRIP_WRONG_MAX; i++)
		so = i < t->wrong_count && t->wrong[i] == member;
	return so;
}

/* Nobody is to bring it but this node: whoever has it all the same gives it. What is left then is
 * to be had from upstream, and those who ask here wait for that. */
static struct trip_step seek(struct trip *t, int64_t now_ms)
{
	if (!t->seeks)
		begin_to_seek(t, now_ms);
	for (; t->sought_at < t->sought_count; t->sought_at++) {
		uint32_t member = t->sought[t->sought_at];

		if (!was_wrong(t, member) && member_may_ask(t->members->members[member], now_ms))
			return (struct trip_step){ .kind = TRIP_ASK, .member = member };
	}
	segment_notes_number(t->node->notes, t->range.segment, 0, now_ms);
	return (struct trip_step){ .kind = TRIP_SOURCE };
}

static struct waiting way_of(const struct trip *t, int64_t waited_ms, int64_t quiet_ms)
{
	const struct trip_node *n = t->node;

	return (struct waiting){
		.waited_ms = waited_ms,
		.quiet_ms = quiet_ms,
		.number = t->number,
		.usual_ms = atomic_load(&n->usual_ms),
		.give_up_ms = n->give_up_ms,
		.demand = t->demand,
		.in = metrics_get(&n->in),
	};
}

/* Not all who wait are to go upstream by themselves in the same moment: after an outage that would
 * be just when the owner does. */
static int64_t spread_ms(const struct trip *t)
{
	uint64_t key = t->members->nodes[t->members->self].key;

	return (int64_t)(key % (uint64_t)(t->node->give_up_ms / SPREAD + 1));
}

/* Since when all are waited for: not while upstream failed, if that is over. */
static int64_t dry_since(const struct trip *t)
{
	return t->fails ? t->dry_ms + spread_ms(t) : max_i64(t->dry_ms, t->fails_ms);
}

/* A reader's time begins when he comes, not with what was brought ahead of him. Who knows that
 * upstream fails leaves it to the owner to try, as long as there is time. */
static bool is_dry(const struct trip *t, int64_t now_ms)
{
	int64_t dry_ms = dry_since(t);
	int64_t since_ms = t->demand ? max_i64(dry_ms, t->demand_ms) : dry_ms;
	const struct waiting way = way_of(t, now_ms - since_ms, -1);

	if (t->fails && now_ms >= t->until_ms)
		return true;
	return !(t->fails && t->failing) && waiting_is_dry(&way);
}

static bool is_over(const struct trip *t, int64_t now_ms)
{
	return t->fails && t->failing && now_ms >= t->until_ms;
}

static struct trip_step follow_route(struct trip *t, int64_t now_ms)
{
	struct route_step step;

	if (is_dry(t, now_ms))
		route_to_source(&t->route);
	else if (now_ms < t->again_ms)
		return (struct trip_step){ .kind = TRIP_REST, .rest_ms = t->again_ms - now_ms };
	step = route_next(&t->route, now_ms);
	switch (step.kind) {
	case ROUTE_ASK:
		return (struct trip_step){ .kind = TRIP_ASK, .member = step.member };
	case ROUTE_REST:
		return (struct trip_step){ .kind = TRIP_REST, .rest_ms = step.rest_ms };
	default:
		return seek(t, now_ms);
	}
}

struct trip_step trip_next(struct trip *t, int64_t now_ms)
{
	struct trip_step step;

	if (t->range.pos == t->range.end)
		return (struct trip_step){ .kind = TRIP_THERE };
	if (is_over(t, now_ms))
		return (struct trip_step){ .kind = TRIP_OVER };
	step = t->seeks ? seek(t, now_ms) : follow_route(t, now_ms);
	if (step.kind != TRIP_ASK)
		return step;
	t->next = step.member;
	step.goes_on = step.member == t->member && t->came;
	return step;
}

void trip_skip(struct trip *t)
{
	if (t->seeks)
		t->sought_at++;
	else
		route_heard(&t->route, ROUTE_SILENT, NULL, 0);
}

/* ---- what is asked ---- */

/* Among those who want the segment; 1 if nobody has said so yet. */
static uint32_t own_number(const struct trip *t, int64_t now_ms)
{
	struct segment_note note;

	segment_notes_find(t->node->notes, t->range.segment, now_ms, &note);
	return note.number ? note.number : 1;
}

struct trip_ask trip_ask(struct trip *t, int64_t now_ms)
{
	struct trip_ask ask = {
		.bring = !t->seeks,
		.failed = t->route.failed,
		.failed_count = t->route.failed_count,
	};

	if (t->next != t->member) {
		t->since_ms = now_ms;
		t->hopes = t->besides_begun = false;
	}
	t->member = t->next;
	if (t->seeks || route_was_named(&t->route))
		ask.number = own_number(t, now_ms);
	t->number = ask.number;
	t->asked_pos = t->range.pos;
	t->came = 0;
	ask.wait_ms = waiting_poll_ms(now_ms - t->since_ms, t->demand);
	ask.patience_ms = ask.wait_ms + WAITING_ANSWER_MS +
			  member_patience_ms(t->members->members[t->member], &ask.connect_ms);
	t->asked_ms = now_ms;
	t->patience_ms = ask.patience_ms;
	t->again_ms = now_ms + ask.wait_ms;
	return ask;
}

/* ---- what comes of it ---- */

/* How long the answer took, as far as that was not waiting for bytes. */
static int64_t own_ms(int64_t first_ms)
{
	return first_ms > WAITING_POLL_MS ? -1 : first_ms;
}

/* Who says that upstream fails tries it again, and is waited for. Another is to try it after a
 * while, but for a node that knows by itself that it is true; if that one says so, too, it is. */
static enum route_answer judge_hope(const struct trip *t, const struct trip_heard *h,
				    int64_t now_ms)
{
	bool fails = h->answer == ROUTE_FAILED;
	int64_t since_ms = fails ? t->denied_ms : max_i64(t->since_ms, t->fails_ms);
	const struct waiting way = way_of(t, now_ms - since_ms, h->quiet_ms);

	if (fails && (t->failing || t->doubted || !waiting_is_over(&way)))
		return ROUTE_COMING;
	return h->answer == ROUTE_COMING && waiting_is_late(&way) ? ROUTE_SLOW : h->answer;
}

/* What the member says of hope counts for so long; it may have turned out to be this node, which is
 * not to wait for itself. */
static enum route_answer judge(const struct trip *t, const struct trip_heard *h, int64_t now_ms)
{
	struct member *member = t->members->members[t->member];
	enum route_answer a = judge_hope(t, h, now_ms);
	bool busy = a == ROUTE_BUSY && !t->seeks && route_is_tired(&t->route);

	if (a == ROUTE_GAVE && t->range.pos == t->asked_pos)
		a = ROUTE_SCANT;
	if ((a == ROUTE_LIED || a == ROUTE_MISLED) && t->range.pos != t->asked_pos)
		member_note(member, MEMBER_GAVE, t->range.pos - t->asked_pos, -1, now_ms);
	member_note(member, busy ? MEMBER_BUSY : outcome_of(a), h->bytes, own_ms(h->first_ms),
		    now_ms);
	return a == ROUTE_COMING && !member_may_ask(member, now_ms) ? ROUTE_NOT_HERE : a;
}

/* Other ranges of the segment begin with whoever gives this one, or is to. */
static void note_giver(const struct trip *t, uint32_t member, int64_t now_ms)
{
	segment_notes_put(t->node->notes, t->range.segment, t->members->nodes[member].key, now_ms);
}

/* Who was sent there keeps the number he was sent with. */
static bool gets_number(const struct trip *t, enum route_answer a)
{
	return a == ROUTE_ELSEWHERE || (!t->number && (a == ROUTE_GAVE || a == ROUTE_COMING));
}

static void remember(const struct trip *t, enum route_answer a, const struct trip_heard *h,
		     int64_t now_ms)
{
	struct segment_notes *notes = t->node->notes;

	if (h->number && gets_number(t, a))
		segment_notes_number(notes, t->range.segment, h->number, now_ms);
	if (a == ROUTE_GAVE)
		note_giver(t, t->member, now_ms);
	if (a == ROUTE_COMING && h->quiet_ms >= 0)
		segment_notes_moved(notes, t->range.segment, now_ms - h->quiet_ms, now_ms);
	if (a == ROUTE_MISLED)
		segment_notes_forget(notes, t->range.segment.blob);
}

static void hear_on_way(struct trip *t, enum route_answer a, const struct trip_heard *h,
			int64_t now_ms)
{
	if (a == ROUTE_ELSEWHERE && h->other_count && h->others[0] != t->members->self)
		note_giver(t, h->others[0], now_ms);
	route_heard(&t->route, a, h->others, h->other_count);
}

/* Those who wait here hear of it, too, and that it is over. */
static void note_outage(struct trip *t, enum route_answer said, int64_t now_ms)
{
	bool fails = said == ROUTE_FAILED;

	if (!fails && (said != ROUTE_COMING || !t->fails))
		return;
	t->fails = fails;
	if (!fails) {
		segment_notes_well(t->node->notes, t->range.segment, now_ms);
		return;
	}
	if (t->denied_ms <= t->since_ms)
		t->denied_ms = now_ms;
	t->fails_ms = now_ms;
	segment_notes_failed(t->node->notes, t->range.segment, t->range.origin, now_ms);
}

enum route_answer trip_heard(struct trip *t, const struct trip_heard *h, int64_t now_ms)
{
	enum route_answer a;

	note_outage(t, h->answer, now_ms);
	a = judge(t, h, now_ms);
	t->doubted |= a == ROUTE_FAILED && !route_was_named(&t->route);
	t->came = h->bytes;
	t->hopes = a == ROUTE_COMING;
	t->again_ms = t->hopes ? t->again_ms : 0;
	remember(t, a, h, now_ms);
	if (a == ROUTE_MISLED)
		t->wrong[t->wrong_count++ % TRIP_WRONG_MAX] = t->member;
	if (t->seeks)
		t->sought_at += a != ROUTE_GAVE;
	else
		hear_on_way(t, a, h, now_ms);
	return a;
}

void trip_gave(struct trip *t, uint64_t len, int64_t now_ms)
{
	struct trip_node *n = t->node;
	int64_t usual_ms = atomic_load(&n->usual_ms);

	atomic_store(&n->usual_ms, waiting_usual_ms(usual_ms, now_ms - t->since_ms));
	metrics_add(&n->in, len);
	t->range.pos += len;
	t->since_ms = t->dry_ms = now_ms;
	t->fails = t->doubted = t->hopes = t->besides_begun = false;
}

void trip_was_busy(struct trip *t, int64_t ms)
{
	t->since_ms += ms;
}

bool trip_is_trickle(const struct trip *t, int64_t since_ms, uint64_t came, uint64_t chunk,
		     int64_t now_ms)
{
	const struct waiting way = way_of(t, now_ms - since_ms, -1);

	return waiting_is_trickle(&way, t->patience_ms, came, chunk);
}

/* ---- a race ---- */

/* The way without who is asked now. */
static void begin_besides(struct trip *t)
{
	t->besides = t->route;
	route_heard(&t->besides, ROUTE_LEFT, NULL, 0);
	t->besides_begun = true;
	t->besides_ms = 0;
}

/* Each race may cost a chunk: of all that are on none is to bring what came twice above its share,
 * nor take memory that is another's. */
static bool take_place(const struct trip *t, int64_t now_ms)
{
	struct trip_node *n = t->node;
	struct waiting way = way_of(t, now_ms - max_i64(t->since_ms, t->demand_ms), -1);
	unsigned races = atomic_load(&n->races);

	do {
		way.twice = metrics_get(&n->twice) + races * CHUNK_BYTES;
		if (!n->races_max || races >= *n->races_max || !waiting_may_race(&way, CHUNK_BYTES))
			return false;
	} while (!atomic_compare_exchange_weak(&n->races, &races, races + 1));
	return true;
}

static uint32_t find_racer(struct trip *t, int64_t now_ms)
{
	struct route_step step;

	if (!t->besides_begun)
		begin_besides(t);
	if (now_ms < t->besides_ms)
		return ROUTE_NOBODY;
	step = route_next(&t->besides, now_ms);
	t->besides_ms = step.kind == ROUTE_REST ? now_ms + step.rest_ms : t->besides_ms;
	return step.kind == ROUTE_ASK ? step.member : ROUTE_NOBODY;
}

static void end_race(struct trip *t)
{
	atomic_fetch_sub(&t->node->races, 1);
	t->racer = ROUTE_NOBODY;
}

/* What upstream has not is not the member's to be faster with. */
uint32_t trip_race(struct trip *t, int64_t now_ms)
{
	if (t->seeks || t->fails || t->member == ROUTE_NOBODY || !take_place(t, now_ms))
		return ROUTE_NOBODY;
	t->racer = find_racer(t, now_ms);
	if (t->racer == ROUTE_NOBODY)
		end_race(t);
	return t->racer;
}

struct trip_ask trip_race_ask(struct trip *t, int64_t now_ms)
{
	struct trip_ask ask = {
		.bring = false, /* or upstream would be asked twice */
		.number = route_was_named(&t->besides) ? own_number(t, now_ms) : 0,
		.wait_ms = waiting_poll_ms(0, t->demand),
		.failed = t->besides.failed,
		.failed_count = t->besides.failed_count,
	};

	ask.patience_ms = ask.wait_ms + WAITING_ANSWER_MS +
			  member_patience_ms(t->members->members[t->racer], &ask.connect_ms);
	t->besides_ms = now_ms + ask.wait_ms;
	return ask;
}

void trip_race_heard(struct trip *t, const struct trip_heard *h, int64_t now_ms)
{
	member_note(t->members->members[t->racer], outcome_of(h->answer), h->bytes,
		    own_ms(h->first_ms), now_ms);
	if (h->answer != ROUTE_COMING) /* who says that upstream fails is the last one */
		t->besides_ms = h->answer == ROUTE_FAILED ? INT64_MAX : 0;
	if (h->answer == ROUTE_ELSEWHERE && h->number)
		segment_notes_number(t->node->notes, t->range.segment, h->number, now_ms);
	route_heard(&t->besides, h->answer, h->others, h->other_count);
	end_race(t);
}

void trip_race_skip(struct trip *t)
{
	route_heard(&t->besides, ROUTE_SILENT, NULL, 0);
	end_race(t);
}

/* The way goes on with who won: from where he was asked, if that has led nowhere since but to the
 * source, else from where it is now. */
static void follow_racer(struct trip *t)
{
	if (t->besides_begun || t->seeks) {
		t->route = t->besides;
	} else {
		if (t->route.asked != ROUTE_NOBODY && t->route.asked != t->racer)
			route_heard(&t->route, ROUTE_LEFT, NULL, 0);
		route_goes_on(&t->route, t->racer, route_was_named(&t->besides));
	}
	trip_end(t);
	t->seeks = false;
	t->sought_count = t->sought_at = 0;
}

/* It should have said by now at least that it has nothing yet. */
static bool is_mute(const struct trip *t, int64_t now_ms)
{
	return now_ms - t->asked_ms > t->patience_ms - WAITING_ANSWER_MS;
}

/* Who gave chunks, or waits itself, is not the slow one. */
static enum member_outcome outrun_as(const struct trip *t, const struct trip_heard *h,
				     int64_t now_ms)
{
	if (t->range.pos != t->asked_pos)
		return MEMBER_GAVE;
	if (t->hopes)
		return MEMBER_LEFT;
	return h->answer == ROUTE_SILENT && is_mute(t, now_ms) ? MEMBER_MUTE : MEMBER_OUTRUN;
}

void trip_outrun(struct trip *t, const struct trip_heard *h, int64_t now_ms)
{
	enum member_outcome outcome = outrun_as(t, h, now_ms);

	member_note(t->members->members[t->member], outcome, h->bytes, own_ms(h->first_ms), now_ms);
	if (outcome == MEMBER_GAVE)
		remember(t, ROUTE_GAVE, h, now_ms);
}

void trip_race_won(struct trip *t)
{
	follow_racer(t);
	t->member = t->next = t->racer;
	end_race(t);
	t->number = 0;
	t->asked_pos = t->range.pos;
}
