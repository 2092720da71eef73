/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/trip_race.h"

#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/outcome.h"
#include "daemon/peer/trip_priv.h"

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
	struct waiting way = trip_way_of(t, now_ms - max_i64(t->since_ms, t->demand_ms), -1);
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
		.number = route_was_named(&t->besides) ? trip_own_number(t, now_ms) : 0,
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
		    trip_own_ms(h->first_ms), now_ms);
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

	member_note(t->members->members[t->member], outcome, h->bytes, trip_own_ms(h->first_ms),
		    now_ms);
	if (outcome == MEMBER_GAVE)
		trip_remember(t, ROUTE_GAVE, h, now_ms);
}

void trip_race_won(struct trip *t)
{
	follow_racer(t);
	t->member = t->next = t->racer;
	end_race(t);
	t->number = 0;
	t->asked_pos = t->range.pos;
}
