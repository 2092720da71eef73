/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded schedules of faults over 20 nodes in virtual time.
 *     test_swarm                 200 schedules
 *     SWARM_SCHEDULES=10000      so many (make torture)
 *     SWARM_SEED=N               only this one, with what came of it */
#include "tests/swarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/base/num.h"
#include "daemon/base/own.h"

#define NODES 20
#define SEGMENTS 4
#define CHUNKS (SEGMENTS * SWARM_CHUNKS)
#define RATE 125000000
#define FAULTS_MAX 12
#define FRESH_MAX 4
#define HALF_MS 1900 /* half of a model is there then that upstream gives in three seconds */
#define WHEN_MS 4000 /* faults happen within so long */
#define GIVE_UP_MS 20000
#define LIMIT_MS (900 * 1000) /* longer than a ban */
#define FAILED_MS (300 * 1000)
#define PAST (UINT64_C(512) << 20) /* bytes that came before: of them a fiftieth may come twice */
#define RACES 5

static struct swarm_conf usual(uint64_t seed)
{
	return (struct swarm_conf){
		.seed = seed,
		.nodes = NODES,
		.segments = SEGMENTS,
		.up_rate = RATE,
		.down_rate = RATE,
		.upstream_rate = 2 * RATE,
		.latency_us = 200,
		.upstream_us = 20000,
		.spread_ms = 1000,
		.window = 4,
		.give_up_ms = GIVE_UP_MS,
		.limit_ms = LIMIT_MS,
		.faults = true,
	};
}

/* ---- schedules ---- */

struct dice {
	uint64_t state;
};

/* xorshift64* (Vigna, 2016). */
static uint32_t roll(struct dice *d, uint32_t below)
{
	d->state ^= d->state >> 12;
	d->state ^= d->state << 25;
	d->state ^= d->state >> 27;
	return (uint32_t)((d->state * UINT64_C(0x2545f4914f6cdd1d) >> 33) % below);
}

/* What a schedule may cost. */
struct schedule {
	unsigned faults, deaths, cuts, liars, forgets, joins, full;
	unsigned parts;     /* that the cluster may be in */
	unsigned fresh;     /* nodes that nobody knew before they came */
	bool upstream_ends; /* it goes down and stays so */
	bool upstream_lost; /* or was out of reach of somebody for a time */
};

static uint32_t somebody(struct dice *d)
{
	return roll(d, NODES);
}

static void some_death(struct swarm *s, struct dice *d, struct schedule *c, int64_t at)
{
	uint32_t who = somebody(d);

	swarm_fault(s, at, roll(d, 2) ? SWARM_KILL : SWARM_LEAVE, who, 0);
	c->deaths++;
	if (roll(d, 2))
		return;
	if (roll(d, 2)) {
		swarm_fault(s, at + 500, SWARM_FORGETS, who, 0);
		c->forgets++;
	}
	swarm_fault(s, at + 1000 + roll(d, 5000), SWARM_JOIN, who, 0);
	c->joins++;
}

static void some_cut(struct swarm *s, struct dice *d, struct schedule *c, int64_t at)
{
	uint32_t who = somebody(d);

	switch (roll(d, 3)) {
	case 0:
		swarm_fault(s, at, SWARM_PART, roll(d, 1U << NODES), 0);
		c->parts *= 2;
		break;
	case 1:
		for (unsigned i = 0; i < 5; i++)
			swarm_fault(s, at, SWARM_CUT, who, somebody(d));
		break;
	default:
		swarm_fault(s, at, SWARM_CUT, roll(d, 2) ? SWARM_UPSTREAM : who,
			    roll(d, 2) ? SWARM_UPSTREAM : somebody(d));
		c->upstream_lost = true;
	}
	swarm_fault(s, at + 500 + roll(d, 20000), SWARM_HEAL, 0, 0);
	c->cuts++;
}

static void some_liar(struct swarm *s, struct dice *d, struct schedule *c, int64_t at)
{
	static const enum swarm_fault lies[] = { SWARM_FLIPS, SWARM_ZEROS, SWARM_CLAIMS,
						 SWARM_BOASTS, SWARM_DRIPS };

	swarm_fault(s, at, lies[roll(d, 5)], somebody(d), 0);
	c->liars++;
}

static void some_outage(struct swarm *s, struct dice *d, struct schedule *c, int64_t at)
{
	swarm_fault(s, at, SWARM_UP_DOWN, 0, 0);
	c->upstream_lost = true;
	if (roll(d, 3))
		swarm_fault(s, at + 100 + roll(d, 3000), SWARM_UP_DOWN, 1, 0);
	else
		c->upstream_ends = true;
}

/* Of the nodes, the last so many come while the others load. */
static uint32_t fresh_of(uint64_t seed)
{
	return (uint32_t)(seed % (FRESH_MAX + 1));
}

static struct swarm *new_life(uint64_t seed)
{
	struct swarm_conf conf = usual(seed);

	conf.late = fresh_of(seed);
	conf.races = seed % 2 ? RACES : 0;
	conf.past = PAST;
	return swarm_new(&conf);
}

static struct schedule make_schedule(struct swarm *s, uint64_t seed)
{
	struct dice d = { seed * 2654435761 + 1 };
	struct schedule c = { .faults = 1 + roll(&d, FAULTS_MAX), .parts = 1 };

	for (unsigned i = 0; i < 8; i++)
		roll(&d, 2);
	for (unsigned i = 0; i < c.faults; i++) {
		int64_t at = roll(&d, WHEN_MS);
		uint32_t kind = roll(&d, 100);

		if (kind < 35)
			some_death(s, &d, &c, at);
		else if (kind < 60)
			some_cut(s, &d, &c, at);
		else if (kind < 85)
			some_liar(s, &d, &c, at);
		else if (kind < 95)
			swarm_fault(s, at, SWARM_FULL, somebody(&d), 0), c.full++;
		else
			some_outage(s, &d, &c, at);
	}
	for (; c.fresh < fresh_of(seed); c.fresh++)
		swarm_fault(s, roll(&d, WHEN_MS), SWARM_JOIN, NODES - 1 - c.fresh, 0);
	return c;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void tell(uint64_t seed, const struct schedule *c, const struct swarm_result *r)
{
	printf("seed %llu: %u faults: %u deaths %u joins %u forgets %u cuts %u liars %u full %u "
	       "fresh%s%s\n",
	       (unsigned long long)seed, c->faults, c->deaths, c->joins, c->forgets, c->cuts,
	       c->liars, c->full, c->fresh, c->upstream_lost ? ", upstream lost" : "",
	       c->upstream_ends ? " for good" : "");
	printf("  ended %u failed %u unfinished %u; upstream %llu of %u, used %llu dropped %llu "
	       "wrong %llu again %llu left %llu raced %llu won %llu twice %.4f bans %llu rings %llu, last %.0f ms\n",
	       r->ended, r->failed, r->unfinished, (unsigned long long)r->upstream, r->chunks,
	       (unsigned long long)r->used, (unsigned long long)r->dropped,
	       (unsigned long long)r->wrong, (unsigned long long)r->again,
	       (unsigned long long)r->left, (unsigned long long)r->raced,
	       (unsigned long long)r->won, r->twice_most, (unsigned long long)r->bans,
	       (unsigned long long)r->rings, r->last_ms);
}

/* What is wrong with what came of a schedule; NULL: nothing. */
static const char *judge(const struct schedule *c, const struct swarm_result *r)
{
	uint64_t faults = c->deaths + c->joins + 2 * c->liars + c->full + c->fresh;
	uint64_t alone = max_u64(min_u64(c->parts, NODES), 1 + c->cuts);

	if (r->unfinished)
		return "a reader never ended";
	if (r->failed && !c->upstream_lost)
		return "a reader failed though there was a source";
	if (r->again)
		return "a chunk was fetched twice by one node";
	if (r->twice_most > 0.02)
		return "too much came twice";
	if (r->failed_ms > FAILED_MS)
		return "a reader learned too late that there is no source";
	/* A part of the cluster that sees no other brings all, one that is gone, came or lies what
	 * it owned; where upstream fails now and then, some ask it for themselves. */
	if (r->upstream > CHUNKS * (alone + c->upstream_lost) + faults * CHUNKS / 4)
		return "upstream gave more than the faults explain";
	return NULL;
}

static const char *live(uint64_t seed, bool loud)
{
	struct swarm *s = new_life(seed);
	struct schedule c = make_schedule(s, seed);
	struct swarm_result r = swarm_run(s);
	const char *wrong = judge(&c, &r);

	if (loud || wrong || getenv("SWARM_TELL"))
		tell(seed, &c, &r);
	swarm_free(s);
	return wrong;
}

static void torture(UNUSED void **state)
{
	uint64_t only = number_of("SWARM_SEED", 0), count = number_of("SWARM_SCHEDULES", 200);
	uint64_t first = only ? only : 1, bad = 0;

	for (uint64_t seed = first; seed < first + (only ? 1 : count); seed++) {
		const char *wrong = live(seed, only);

		if (wrong)
			printf("  SWARM_SEED=%llu: %s\n", (unsigned long long)seed, wrong), bad++;
	}
	assert_int_equal(bad, 0);
}

/* ---- stories, each with a bound of its own ---- */

static struct swarm_result story(struct swarm *s)
{
	struct swarm_result r = swarm_run(s);

	swarm_free(s);
	assert_int_equal(r.unfinished, 0);
	assert_int_equal(r.again, 0);
	return r;
}

static struct swarm *new_story(uint64_t seed)
{
	struct swarm_conf conf = usual(seed);

	return swarm_new(&conf);
}

static void without_faults_all_comes_from_upstream_once(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct swarm_result r = story(new_story(seed));

		assert_int_equal(r.ended, NODES);
		assert_int_equal(r.upstream, CHUNKS);
		assert_int_equal(r.sent, (NODES - 1) * CHUNKS);
		assert_int_equal(r.dropped + r.wrong + r.left + r.bans + r.rings, 0);
		assert_true(r.sent_most <= 3 * CHUNKS);
	}
}

static void a_thousand_take_from_upstream_what_one_would(UNUSED void **state)
{
	struct swarm_conf conf = usual(1000);
	struct swarm_result r;

	conf.nodes = 1000;
	conf.faults = false;
	r = story(swarm_new(&conf));
	assert_int_equal(r.ended, conf.nodes);
	assert_in_range(r.upstream * 100, CHUNKS * 100, CHUNKS * 102);
	assert_true(r.sent_most <= 3 * CHUNKS);
}

/* Some give so slowly that a reader would rather ask others; they fetch as fast as any. */
static struct swarm_result with_slow(uint64_t seed, unsigned races)
{
	struct swarm_conf conf = usual(seed);
	struct swarm_result r;
	struct swarm *s;

	conf.races = races;
	conf.past = PAST;
	s = swarm_new(&conf);
	for (uint32_t i = 0; i < 4; i++)
		swarm_fault(s, 10, SWARM_SLOW, 3 * i, RATE / 60);
	r = story(s);
	assert_int_equal(r.ended, NODES);
	return r;
}

/* Races are won, and upstream is asked for nothing a second time. The twin has none. */
static void who_is_outrun_costs_upstream_nothing_and_little_twice(UNUSED void **state)
{
	double with_ms = 0, without_ms = 0;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct swarm_result r = with_slow(seed, RACES), twin = with_slow(seed, 0);

		assert_true(r.won > 0);
		assert_int_equal(r.upstream, CHUNKS);
		assert_true(r.twice_most <= 0.02);
		assert_int_equal(twin.raced + twin.twice, 0);
		assert_int_equal(twin.upstream, CHUNKS);
		with_ms += r.mean_ms;
		without_ms += twin.mean_ms;
	}
	assert_true(with_ms < without_ms * 2 / 3);
}

/* Chunks from upstream for a model of four times as many segments when so many nodes come late, the
 * first at that time. */
static uint64_t with_fresh(uint64_t seed, uint32_t fresh, int64_t at_ms)
{
	struct swarm_conf conf = usual(seed);
	struct swarm_result r;
	struct swarm *s;

	conf.segments *= 4;
	conf.late = fresh;
	s = swarm_new(&conf);
	for (uint32_t i = 0; i < fresh; i++)
		swarm_fault(s, at_ms + 100 * i, SWARM_JOIN, NODES - 1 - i, 0);
	r = story(s);
	assert_int_equal(r.ended, NODES);
	assert_int_equal(r.failed + r.bans, 0);
	return r.upstream;
}

/* What they come to own some others have; of what nobody has yet two bring some. */
static void who_comes_while_all_load_takes_little_from_upstream(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++)
		assert_in_range(with_fresh(seed, 5, 700), 4 * CHUNKS, 5 * CHUNKS);
}

/* The twin. */
static void who_comes_when_all_have_it_takes_nothing_from_upstream(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++)
		assert_int_equal(with_fresh(seed, 5, 30000), 4 * CHUNKS);
}

static void a_seed_is_a_life(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct swarm *one = new_life(seed), *two = new_life(seed);
		struct swarm_result a, b;

		make_schedule(one, seed);
		make_schedule(two, seed);
		a = story(one);
		b = story(two);
		assert_int_equal(a.events, b.events);
		assert_int_equal(a.upstream, b.upstream);
	}
}

static void a_third_dies_in_a_row_while_loading(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct swarm_conf conf = usual(seed);
		struct swarm_result r;
		struct swarm *s;

		conf.nodes = 60;
		s = swarm_new(&conf);
		for (uint32_t i = 0; i < 20; i++)
			swarm_fault(s, 100 + i * 50, SWARM_KILL, i * 3, 0);
		r = story(s);
		assert_int_equal(r.failed, 0);
		assert_in_range(r.ended, 40, 60);
		assert_in_range(r.upstream, CHUNKS, 2 * CHUNKS);
	}
}

static void two_halves_bring_it_twice_at_most(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct swarm *s = new_story(seed);
		struct swarm_result r;

		swarm_fault(s, 50, SWARM_PART, 0x55555, 0);
		swarm_fault(s, 20000, SWARM_HEAL, 0, 0);
		r = story(s);
		assert_int_equal(r.ended, NODES);
		assert_in_range(r.upstream, CHUNKS, 2 * CHUNKS + CHUNKS / 4);
		assert_true(r.last_ms < 15000);
	}
}

/* What upstream gives for a model of four times as many segments to halves that are one again at
 * that time; and how long the last reader took. */
static uint64_t with_halves(uint64_t seed, int64_t heal_ms, double *ret_last_ms)
{
	struct swarm_conf conf = usual(seed);
	struct swarm_result r;
	struct swarm *s;

	conf.segments *= 4;
	s = swarm_new(&conf);
	swarm_fault(s, 50, SWARM_PART, 0x55555, 0);
	swarm_fault(s, heal_ms, SWARM_HEAL, 0, 0);
	r = story(s);
	assert_int_equal(r.ended, NODES);
	*ret_last_ms = r.last_ms;
	return r.upstream;
}

/* In the middle: of what they lack then each has the other's. The twin: when all have ended. */
static void two_halves_that_are_one_again_while_they_load_share_the_rest(UNUSED void **state)
{
	double last_ms;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		assert_in_range(with_halves(seed, 2000, &last_ms), 4 * CHUNKS, 6 * CHUNKS);
		assert_true(last_ms > 2000);
		assert_in_range(with_halves(seed, 20000, &last_ms), 7 * CHUNKS, 8 * CHUNKS);
		assert_true(last_ms < 20000);
	}
}

static void upstream_goes_down_and_what_is_there_is_shared(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct swarm *s = new_story(seed);
		struct swarm_result r;

		swarm_fault(s, 250, SWARM_UP_DOWN, 0, 0);
		r = story(s);
		assert_int_equal(r.ended + r.failed, NODES);
		if (r.upstream == CHUNKS)
			assert_int_equal(r.failed, 0);
		else
			assert_int_equal(r.ended, 0);
		assert_in_range(r.upstream, 1, CHUNKS);
		assert_true(r.used <= r.upstream * NODES);
		assert_true(r.error_ms <= 2 * GIVE_UP_MS);
	}
}

#define OUTAGE_GIVE_UP_MS 15000 /* half of what a reader has by default */

/* Upstream goes when half is there, for so long. */
static struct swarm_result outage(uint64_t seed, enum swarm_down how, int64_t lasts_ms)
{
	struct swarm_conf conf = usual(seed);
	struct swarm_result r;
	struct swarm *s;

	conf.upstream_rate = RATE / 5;
	conf.give_up_ms = OUTAGE_GIVE_UP_MS;
	s = swarm_new(&conf);
	if (lasts_ms) {
		swarm_fault(s, HALF_MS, SWARM_UP_DOWN, 0, how);
		swarm_fault(s, HALF_MS + lasts_ms, SWARM_UP_DOWN, 1, how);
	}
	r = story(s);
	if (getenv("SWARM_TELL"))
		printf("outage %u of %lld ms: upstream %.3f, last %.0f ms, waited %lld\n", how,
		       (long long)lasts_ms, (double)r.upstream / r.chunks, r.last_ms,
		       (long long)r.waited_ms);
	return r;
}

/* Chunks that upstream gives in the mean; all readers end, soon after it is back. */
static uint64_t outages(enum swarm_down how, int64_t lasts_ms)
{
	uint64_t sum = 0, lives = 10;

	for (uint64_t seed = 1; seed <= lives; seed++) {
		struct swarm_result r = outage(seed, how, lasts_ms);

		assert_int_equal(r.ended, NODES);
		assert_true(r.last_ms < (double)lasts_ms + 9000);
		sum += r.upstream;
	}
	return sum / lives;
}

/* Owners alone try it, and go on at once; some others do when half of their time is over. What was
 * on its way when it went comes again. */
static void an_outage_costs_little_that_comes_twice(UNUSED void **state)
{
	static const int64_t lasts_ms[] = { 0, 300, 1000, 3000, 5000, 9000, 15000, 20000 };

	for (size_t i = 0; i < ARRAY_LEN(lasts_ms); i++) {
		uint64_t most = lasts_ms[i] ? CHUNKS + CHUNKS / 6 : CHUNKS;

		assert_in_range(outages(SWARM_ERRORS, lasts_ms[i]), CHUNKS, most);
		assert_in_range(outages(SWARM_REFUSES, lasts_ms[i]), CHUNKS, most);
		if (lasts_ms[i] <= OUTAGE_GIVE_UP_MS)
			assert_in_range(outages(SWARM_HANGS, lasts_ms[i]), CHUNKS,
					2 * most - CHUNKS);
	}
}

/* All are asking it when it is back. */
static void who_hangs_for_longer_is_asked_by_all(UNUSED void **state)
{
	assert_in_range(outages(SWARM_HANGS, 20000), CHUNKS, 3 * CHUNKS);
}

/* A reader hears of it in his time. */
static void an_outage_for_good_ends_with_errors(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct swarm_result r = outage(seed, (enum swarm_down)(seed % 2), LIMIT_MS / 2);

		assert_int_equal(r.failed, NODES);
		assert_in_range(r.upstream, CHUNKS / 4, CHUNKS);
		assert_true(r.error_ms <= 2 * OUTAGE_GIVE_UP_MS);
	}
}

static void full_disks_cost_no_more_than_their_own_reading(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct swarm *s = new_story(seed);
		struct swarm_result r;

		for (uint32_t i = 0; i < 10; i++)
			swarm_fault(s, 0, SWARM_FULL, 2 * i, 0);
		r = story(s);
		assert_int_equal(r.ended, NODES);
		assert_in_range(r.upstream, CHUNKS, 2 * CHUNKS);
	}
}

/* One that is slow is not one that fails: nobody goes there for himself. */
static void a_slow_upstream_gives_it_once(UNUSED void **state)
{
	static const uint64_t rates[] = { 20000000, 5000000, 2000000, 1000000 };

	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct swarm_conf conf = usual(seed);
		struct swarm_result r;

		conf.upstream_rate = rates[seed % 4];
		r = story(swarm_new(&conf));
		assert_int_equal(r.ended, NODES);
		assert_int_equal(r.upstream, CHUNKS);
		assert_int_equal(r.dropped, 0);
	}
}

/* Its runs get a chunk every 16 or 32 seconds: guests know that they get on. */
static void a_very_slow_upstream_gives_it_once(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct swarm_conf conf = usual(seed);
		struct swarm_result r;

		conf.upstream_rate = seed % 2 ? 500000 : 250000;
		conf.window = 16;
		r = story(swarm_new(&conf));
		assert_int_equal(r.ended, NODES);
		assert_int_equal(r.upstream, CHUNKS);
		assert_int_equal(r.left, 0);
	}
}

/* Upstream and time of a swarm with one liar, from the start. */
static struct swarm_result with_liar(uint64_t seed, enum swarm_fault lie)
{
	struct swarm *s = new_story(seed);

	swarm_fault(s, 0, lie, (uint32_t)(seed % NODES), 0);
	return story(s);
}

static void a_liar_costs_a_retry(UNUSED void **state)
{
	static const enum swarm_fault lies[] = { SWARM_FLIPS, SWARM_ZEROS, SWARM_CLAIMS,
						 SWARM_DRIPS, SWARM_HONEST };

	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct swarm_result r = with_liar(seed, lies[seed % 5]);

		assert_int_equal(r.ended, NODES);
		assert_in_range(r.upstream, CHUNKS, CHUNKS + CHUNKS / 2);
		assert_true(lies[seed % 5] != SWARM_ZEROS || r.wrong <= 2 * NODES);
		assert_true(lies[seed % 5] != SWARM_HONEST || r.wrong + r.bans == 0);
		assert_true(r.last_ms < 30000);
		assert_true(lies[seed % 5] != SWARM_ZEROS || r.last_ms < 3000);
		assert_true(lies[seed % 5] != SWARM_CLAIMS || r.last_ms < 15000);
	}
}

/* It is believed for longer than one that only claims, and no longer. */
static void who_boasts_costs_a_promise_or_two(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct swarm_result r = with_liar(seed, SWARM_BOASTS);

		assert_int_equal(r.ended, NODES);
		assert_in_range(r.upstream, CHUNKS, CHUNKS + CHUNKS / 2);
		assert_true(r.last_ms < 50000);
	}
}

/* Another tries it after a while, and gives the rest; what it owns it has once more for itself. */
static void who_says_falsely_that_upstream_fails_costs_seconds_and_what_he_owns(UNUSED void **state)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct swarm_result r = with_liar(seed, SWARM_DENIES);

		assert_int_equal(r.ended, NODES);
		assert_in_range(r.upstream, CHUNKS, CHUNKS + CHUNKS / 2);
		assert_true(r.last_ms < 15000);
	}
}

/* Chunks that node 0 gave after all others had seen it lie, and read again at a time. */
static uint64_t trusted_at(int64_t at_ms)
{
	uint64_t lied;
	struct swarm *s = new_story(4);
	struct swarm_result r;

	swarm_fault(s, 0, SWARM_ZEROS, 0, 0);
	swarm_fault(s, 50000, SWARM_HONEST, 0, 0);
	r = swarm_run(s);
	lied = swarm_node(s, 0).sent;
	assert_int_not_equal(r.bans, 0);
	for (uint32_t i = 1; i < NODES; i++)
		swarm_fault(s, at_ms, SWARM_AGAIN, i, 0);
	r = swarm_run(s);
	lied = swarm_node(s, 0).sent - lied;
	assert_int_equal(r.ended, NODES);
	swarm_free(s);
	return lied;
}

static void a_ban_lasts_and_heals(UNUSED void **state)
{
	uint64_t soon = trusted_at(60000), later = trusted_at(700000);

	assert_true(soon < later / 2);
	assert_in_range(later, CHUNKS / NODES, 3 * CHUNKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_faults_all_comes_from_upstream_once),
		cmocka_unit_test(a_thousand_take_from_upstream_what_one_would),
		cmocka_unit_test(who_comes_while_all_load_takes_little_from_upstream),
		cmocka_unit_test(who_comes_when_all_have_it_takes_nothing_from_upstream),
		cmocka_unit_test(a_seed_is_a_life),
		cmocka_unit_test(a_third_dies_in_a_row_while_loading),
		cmocka_unit_test(two_halves_bring_it_twice_at_most),
		cmocka_unit_test(two_halves_that_are_one_again_while_they_load_share_the_rest),
		cmocka_unit_test(upstream_goes_down_and_what_is_there_is_shared),
		cmocka_unit_test(an_outage_costs_little_that_comes_twice),
		cmocka_unit_test(who_hangs_for_longer_is_asked_by_all),
		cmocka_unit_test(an_outage_for_good_ends_with_errors),
		cmocka_unit_test(full_disks_cost_no_more_than_their_own_reading),
		cmocka_unit_test(a_slow_upstream_gives_it_once),
		cmocka_unit_test(a_very_slow_upstream_gives_it_once),
		cmocka_unit_test(a_liar_costs_a_retry),
		cmocka_unit_test(who_boasts_costs_a_promise_or_two),
		cmocka_unit_test(
			who_says_falsely_that_upstream_fails_costs_seconds_and_what_he_owns),
		cmocka_unit_test(a_ban_lasts_and_heals),
		cmocka_unit_test(who_is_outrun_costs_upstream_nothing_and_little_twice),
		cmocka_unit_test(torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
