/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/answered.h"
#include "daemon/peer/source_peer_priv.h"
#include "daemon/peer/trip_race.h"

struct wire_ask bring_ask_for(const struct bringing *b, const struct trip_ask *a, uint64_t end)
{
	const struct source_blob *blob = b->ask->blob;
	struct member *const *members = b->trip.members->members;
	uint64_t from = chunk_floor(b->trip.range.pos);
	uint64_t to = chunk_ceil(end, blob->file.size);
	struct wire_ask ask = wire_ask_of(blob, from, to - from);

	ask.bring = a->bring;
	ask.number = a->number;
	ask.wait_ms = (uint32_t)a->wait_ms;
	for (unsigned i = 0; i < a->failed_count && i < WIRE_OTHERS_MAX; i++)
		snprintf(ask.failed[ask.failed_count++], sizeof(ask.failed[0]), "%s",
			 member_address(members[a->failed[i]]));
	return ask;
}

/* Bytes came of a chunk that did not become whole here. */
void bring_count_twice(const struct bringing *b, uint64_t bytes)
{
	metrics_add(&b->all->node.twice, bytes);
	metrics_add(&b->all->conf.counts->bytes_twice, bytes);
}

static const struct trip_heard nothing = { .answer = ROUTE_LEFT, .first_ms = -1, .quiet_ms = -1 };

/* Who was asked first has brought it, or all is over. */
void bring_lose_race(struct bringing *b)
{
	if (b->race.state == RACE_NONE)
		return;
	if (b->race.state == RACE_RUNS)
		(void)race_end(&b->race);
	bring_count_twice(b, b->race.have);
	trip_race_heard(&b->trip, &nothing, clock_ms());
	race_fini(&b->race);
}

void bring_look_who_waits(struct bringing *b)
{
	if (b->ask->look)
		b->ask->look(b->ask->arg);
	trip_demand(&b->trip, b->ask->demand, clock_ms());
	trip_outlook(&b->trip, b->ask->failing, b->ask->until_ms);
}

/* If a reader waits for the chunk for long, another member is asked for it besides. */
static void begin_race(struct bringing *b)
{
	const struct source_peer_conf *conf = &b->all->conf;
	uint64_t size = b->ask->blob->file.size, pos = b->trip.range.pos;
	uint32_t racer;
	struct member *member;
	struct trip_ask a;
	struct wire_ask ask;

	bring_look_who_waits(b);
	racer = trip_race(&b->trip, clock_ms());
	if (racer == ROUTE_NOBODY)
		return;
	member = b->trip.members->members[racer];
	if (probes_take(conf->probes, member)) {
		trip_race_skip(&b->trip);
		return;
	}
	a = trip_race_ask(&b->trip, clock_ms());
	ask = bring_ask_for(b, &a, chunk_end(chunk_of(pos), size));
	log_debug("peer=%s is asked besides peer=%s etag=%s pos=%llu", member_address(member),
		  member_address(b->trip.members->members[b->trip.member]), b->ask->blob->etag,
		  (unsigned long long)pos);
	if (race_begin(&b->race, member, &ask, a.patience_ms, a.connect_ms, conf->asker) < 0) {
		trip_race_heard(&b->trip, &nothing, clock_ms());
		return;
	}
	metrics_add(&conf->counts->asked, 1);
	metrics_add(&conf->counts->raced, 1);
}

/* It has ended, or is to, as `slow` as it is: who was asked besides has brought all of the chunk,
 * or nothing of use. */
static void hear_race(struct bringing *b, bool slow)
{
	struct race *race = &b->race;
	uint32_t others[WIRE_OTHERS_MAX];
	int r = race_end(race);
	struct trip_heard heard = {
		.answer = answered_as(&race->question, r),
		.others = others,
		.other_count = answered_others(b->trip.members, &race->question, others),
		.number = race->question.number,
		.first_ms = race->question.first_ms,
		.quiet_ms = race->question.quiet_ms,
	};

	if (race->state == RACE_WON)
		return;
	if (slow || heard.answer == ROUTE_GAVE)
		heard.answer = slow ? ROUTE_SLOW : ROUTE_SCANT;
	bring_count_twice(b, race->have);
	trip_race_heard(&b->trip, &heard, clock_ms());
	race_fini(race);
}

void bring_look_at_race(struct bringing *b)
{
	struct race *race = &b->race;
	bool slow = race->have &&
		    trip_is_trickle(&b->trip, race->began_ms, race->have, race->size, clock_ms());

	if (race_has_ended(race) || slow)
		hear_race(b, slow && !race_has_ended(race));
}

int bring_tick(void *arg)
{
	struct bringing *b = arg;

	if (b->race.state == RACE_RUNS)
		bring_look_at_race(b);
	else
		begin_race(b);
	return b->race.state == RACE_WON ? ERR_TIMEOUT : 0;
}

/* Of a question that was ended since another one has brought the chunk. */
void bring_hear_outrun(struct bringing *b)
{
	const struct peer_get *q = &b->question;
	const struct trip_heard heard = {
		.answer = q->status ? ROUTE_LEFT : ROUTE_SILENT,
		.number = q->number,
		.quiet_ms = q->quiet_ms,
		.first_ms = q->first_ms,
		.bytes = b->came,
	};

	bring_count_twice(b, b->in.have);
	trip_outrun(&b->trip, &heard, clock_ms());
}
