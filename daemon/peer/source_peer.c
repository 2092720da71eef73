/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/source_peer.h"

#include <errno.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/source_peer_priv.h"
#include "daemon/peer/trip_race.h"
#include "daemon/peer/waiting.h"

#define RESTED_MS 100 /* of a rest at a time, so that its end is noticed */

/* No reader waits to see whether a member that was silent is so still. Who has just given bytes to
 * this one is asked on. */
static bool is_tried_by_others(const struct bringing *b, const struct trip_step *step)
{
	return !step->goes_on &&
	       probes_take(b->all->conf.probes, b->trip.members->members[step->member]);
}

/* ---- the way ---- */

/* Leaves what is asked for from `from` on to the hubs. */
static int pass(const struct source_peer *s, const struct source_ask *ask, uint64_t from)
{
	metrics_add(&s->conf.counts->passed, 1);
	provenance_note(s->conf.provenance, ask->blob->etag, ask->blob->file.size, chunk_of(from),
			chunk_of(ask->off + ask->len - 1) + 1, NULL);
	return SOURCE_PASS;
}

/* The same of all of it: members may wait here for it, as with who asks upstream. */
static int pass_all(const struct source_peer *s, const struct source_ask *ask)
{
	struct segment segment = { placement_key(ask->blob->etag), segment_of(ask->off) };

	for (; segment.index <= segment_of(ask->off + ask->len - 1); segment.index++)
		segment_notes_put(s->conf.notes, segment, 0, clock_ms());
	return pass(s, ask, ask->off);
}

static int rest(struct bringing *b, int64_t ms)
{
	int64_t end = clock_ms() + ms;

	for (int64_t left = ms; left > 0 && b->race.state != RACE_WON; left = end - clock_ms()) {
		if (atomic_load(&b->ask->cancel->canceled))
			return ERR_CANCELED;
		clock_sleep_ms(min_i64(RESTED_MS, left));
		if (b->trip.again_ms) /* it is for who has bytes coming */
			(void)bring_tick(b);
	}
	return 0;
}

/* True if there is nobody left to be asked but who is asked besides. */
static bool is_left_to_race(const struct bringing *b, const struct trip_step *step)
{
	return b->race.state == RACE_RUNS &&
	       (step->kind == TRIP_SOURCE ||
		(step->kind == TRIP_ASK && step->member == b->trip.racer));
}

/* For a moment: what is to be done besides is asked anew then. When that is the last, a reader goes
 * on to the source unless it gets on. */
static int await_race(struct bringing *b, const struct trip_step *step)
{
	const struct race *race = &b->race;
	bool last = b->trip.seeks && race->have < race->size / 2;

	if (atomic_load(&b->ask->cancel->canceled))
		return ERR_CANCELED;
	clock_sleep_ms(RESTED_MS);
	bring_look_at_race(b);
	if (!last || race->state != RACE_RUNS || clock_ms() <= race->began_ms + WAITING_DEMAND_MS)
		return 0;
	bring_lose_race(b);
	if (step->kind == TRIP_ASK)
		trip_skip(&b->trip);
	return 0;
}

/* Non-zero: the run ends with it. */
static int take_step(struct bringing *b, const struct trip_step *step)
{
	if (is_left_to_race(b, step))
		return await_race(b, step);
	if (step->kind == TRIP_SOURCE || b->contested)
		return pass(b->all, b->ask, b->trip.range.pos);
	if (step->kind == TRIP_REST)
		return rest(b, step->rest_ms);
	if (!is_tried_by_others(b, step))
		return bring_ask_member(b, step->member);
	trip_skip(&b->trip);
	return 0;
}

static int go(struct bringing *b)
{
	struct trip_step step;
	int r = 0;

	while (r == 0) {
		if (b->race.state == RACE_WON && (r = bring_take_from_race(b)) != 0)
			return r;
		bring_look_who_waits(b);
		step = trip_next(&b->trip, clock_ms());
		if (step.kind == TRIP_THERE)
			return 0;
		if (step.kind == TRIP_OVER)
			return ERR_UPSTREAM;
		r = take_step(b, &step);
	}
	return r;
}

/* Brings the part of what is asked for that lies in the segment of the byte at pos. */
static int bring(struct bringing *b, const struct membership *members, uint64_t pos)
{
	const struct source_ask *ask = b->ask;
	const struct wire_ask words = wire_ask_of(ask->blob, pos, 1);
	struct trip_range range = {
		.segment = { placement_key(ask->blob->etag), segment_of(pos) },
		.origin = wire_origin(&words),
		.size = ask->blob->file.size,
		.pos = pos,
	};
	int r;

	range.end = min_u64(ask->off + ask->len, segment_end(range.segment.index, range.size));
	trip_begin(&b->trip, &b->all->node, members, &range, clock_ms());
	r = go(b);
	bring_lose_race(b);
	trip_end(&b->trip);
	return r;
}

/* If the list has this node under another name alone, nobody else asks that whether it still is. */
static void try_own_name(const struct source_peer *s, const struct membership *members)
{
	struct member *own = members->members[members->self];

	if (member_may_ask(own, clock_ms()) && !probes_take(s->conf.probes, own))
		log_debug("nobody tries peer=%s", member_address(own));
}

static int get(struct source *s, const struct source_ask *ask, int64_t *ret_wait_ms)
{
	struct source_peer *all = container_of(s, struct source_peer, source);
	struct bringing b = { .all = all, .ask = ask };
	const struct membership *members;
	uint64_t at = ask->off;
	int r = 0;

	*ret_wait_ms = -1;
	if (ask->blob->own)
		return SOURCE_PASS;
	if (all->conf.gives_only)
		return pass_all(all, ask);
	members = members_now(all->conf.members);
	try_own_name(all, members);
	for (; r == 0 && at < ask->off + ask->len; at = b.trip.range.end)
		r = bring(&b, members, at);
	membership_unref(members);
	return r;
}

int source_peer_new(const struct source_peer_conf *conf, struct source **ret)
{
	struct source_peer *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->source.name = SOURCE_PEER_NAME;
	s->source.get = get;
	s->source.hearsay = true;
	s->conf = *conf;
	s->node.placement = conf->placement;
	s->node.notes = conf->notes;
	s->node.give_up_ms = conf->give_up_ms;
	s->node.races_max = &s->source.besides_max;
	*ret = (struct source *)s; /* its first member, named so that gcc's analyzer sees no leak */
	return 0;
}

void source_peer_free(struct source *s)
{
	if (s)
		free(container_of(s, struct source_peer, source));
}
