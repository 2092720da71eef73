/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NODES 30
#define NOW 100000
#define BLOB 7

/* This node and others, and one segment of which it is not an owner. */
struct town {
	struct members *members;
	const struct membership *ms;
	struct route_target target;
	struct route route;
};

static struct member_spec spec(unsigned i)
{
	struct member_spec s = { .weight = 1 };

	snprintf(s.address, sizeof(s.address), "n%02u.example:9980", i);
	return s;
}

/* A segment that this node owns, or has nothing to do with (if there are so many nodes). */
static void find_place(struct town *t, bool own)
{
	struct placement *p;

	assert_int_equal(placement_new(t->ms->nodes, t->ms->count, BLOB, 1000, &p), 0);
	for (uint32_t segment = 0;; segment++) {
		unsigned at = 0;

		t->target = (struct route_target){ .segment = { BLOB, segment } };
		t->target.owner_count = placement_owners(p, segment, t->target.owners);
		while (at < t->target.owner_count && t->target.owners[at] != t->ms->self)
			at++;
		if (own ? at == 0 : at == t->target.owner_count || (at && at + 1 == t->ms->count))
			break;
	}
	placement_free(p);
}

static struct town new_town(unsigned count, bool own)
{
	struct town t;
	struct member_spec self = spec(0), list[NODES];

	for (unsigned i = 0; i < count; i++)
		list[i] = spec(i);
	assert_int_equal(members_new(&self, &t.members), 0);
	assert_int_equal(members_set(t.members, list, count), 0);
	t.ms = members_now(t.members);
	find_place(&t, own);
	route_init(&t.route, t.ms, &t.target, ROUTE_NOBODY);
	return t;
}

static void end(struct town *t)
{
	membership_unref(t->ms);
	members_free(t->members);
}

static struct route_step next(struct town *t)
{
	return route_next(&t->route, NOW);
}

static void expect_asked(struct town *t, uint32_t member)
{
	struct route_step step = next(t);

	assert_int_equal(step.kind, ROUTE_ASK);
	assert_int_equal(step.member, member);
}

static void hear(struct town *t, enum route_answer answer)
{
	route_heard(&t->route, answer, NULL, 0);
}

/* Some who are neither this node nor an owner. */
static uint32_t other(const struct town *t, unsigned number)
{
	for (uint32_t i = 0;; i++) {
		bool taken = i == t->ms->self;

		for (unsigned k = 0; k < t->target.owner_count; k++)
			taken = taken || t->target.owners[k] == i;
		if (!taken && number-- == 0)
			return i;
	}
}

/* ---- owners ---- */

static void the_owner_is_asked_first_and_goes_on_giving(UNUSED void **state)
{
	struct town t = new_town(NODES, false);

	for (unsigned i = 0; i < 100; i++) {
		expect_asked(&t, t.target.owners[0]);
		assert_false(route_was_named(&t.route));
		hear(&t, i % 3 ? ROUTE_GAVE : ROUTE_COMING);
	}
	end(&t);
}

static void the_owner_itself_asks_the_source(UNUSED void **state)
{
	struct town t = new_town(NODES, true);

	assert_int_equal(next(&t).kind, ROUTE_SOURCE);
	end(&t);
}

static void one_alone_asks_the_source(UNUSED void **state)
{
	struct town t = new_town(1, true);

	assert_int_equal(next(&t).kind, ROUTE_SOURCE);
	end(&t);
}

static void followers_are_asked_when_the_owner_is_silent(UNUSED void **state)
{
	static const enum route_answer bad[] = { ROUTE_SILENT, ROUTE_NOT_HERE, ROUTE_FAILED,
						 ROUTE_LIED,   ROUTE_SLOW,     ROUTE_SCANT,
						 ROUTE_CROWDED };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct town t = new_town(NODES, false);

		expect_asked(&t, t.target.owners[0]);
		hear(&t, bad[i]);
		expect_asked(&t, t.target.owners[1]);
		end(&t);
	}
}

static void who_is_known_to_be_silent_is_not_asked(UNUSED void **state)
{
	struct town t = new_town(NODES, false);
	struct member *owner = t.ms->members[t.target.owners[0]];

	member_note(owner, MEMBER_SILENT, 0, -1, NOW);
	assert_int_not_equal(next(&t).member, t.target.owners[0]);
	route_init(&t.route, t.ms, &t.target, ROUTE_NOBODY);
	member_note(owner, MEMBER_GAVE, 0, -1, NOW);
	expect_asked(&t, t.target.owners[0]);
	end(&t);
}

/* All nodes that find no owner ask the same one, which asks the source. */
static void without_owners_all_meet_at_one(UNUSED void **state)
{
	uint64_t met = 0;
	unsigned sources = 0;
	struct town t = new_town(NODES, false);

	for (unsigned self = 0; self < NODES; self++) {
		struct membership ms = *t.ms;
		struct route_step step;
		bool owns = false;

		ms.self = self;
		for (unsigned i = 0; i < t.target.owner_count; i++)
			owns = owns || t.target.owners[i] == self;
		if (owns || self == t.ms->self)
			continue; /* it may not be asked by itself: it is another's member */
		route_init(&t.route, &ms, &t.target, ROUTE_NOBODY);
		for (unsigned i = 0; i < t.target.owner_count; i++) {
			expect_asked(&t, t.target.owners[i]);
			hear(&t, ROUTE_SILENT);
		}
		step = next(&t);
		if (step.kind == ROUTE_SOURCE) {
			sources++;
			continue;
		}
		assert_true(met == 0 || met == ms.nodes[step.member].key);
		met = ms.nodes[step.member].key;
	}
	assert_int_not_equal(met, 0);
	assert_in_range(sources, 0, 1);
	end(&t);
}

static void in_the_end_the_source_is_asked(UNUSED void **state)
{
	struct town t = new_town(NODES, false);
	unsigned asked = 0;

	while (next(&t).kind == ROUTE_ASK) {
		hear(&t, ROUTE_SILENT);
		asked++;
	}
	assert_in_range(asked, 3, ROUTE_REACH);
	assert_int_equal(next(&t).kind, ROUTE_SOURCE);
	end(&t);
}

/* ---- names ---- */

static void those_who_are_named_are_asked_in_turn_then_the_owner_again(UNUSED void **state)
{
	struct town t = new_town(NODES, false);
	uint32_t names[] = { other(&t, 0), other(&t, 1) };

	expect_asked(&t, t.target.owners[0]);
	route_heard(&t.route, ROUTE_ELSEWHERE, names, 2);
	for (unsigned i = 0; i < 2; i++) {
		expect_asked(&t, names[i]);
		assert_true(route_was_named(&t.route));
		hear(&t, ROUTE_SILENT);
	}
	expect_asked(&t, t.target.owners[0]);
	assert_false(route_was_named(&t.route));
	assert_int_equal(t.route.failed_count, 2);
	assert_int_equal(t.route.failed[0], names[0]);
	assert_int_equal(t.route.failed[1], names[1]);
	end(&t);
}

static void an_owner_that_names_only_those_who_fail_is_left(UNUSED void **state)
{
	struct town t = new_town(NODES, false);
	unsigned asked = 0;

	for (unsigned i = 0; next(&t).member == t.target.owners[0]; i += 2) {
		uint32_t names[] = { other(&t, i), other(&t, i + 1) };

		route_heard(&t.route, ROUTE_ELSEWHERE, names, 2);
		asked++;
		for (unsigned k = 0; k < 2; k++) {
			expect_asked(&t, names[k]);
			hear(&t, ROUTE_NOT_HERE);
		}
	}
	assert_in_range(asked, 2, 4);
	end(&t);
}

static void names_of_itself_and_of_who_failed_are_worth_nothing(UNUSED void **state)
{
	struct town t = new_town(NODES, false);
	uint32_t names[] = { other(&t, 0), t.ms->self };

	expect_asked(&t, t.target.owners[0]);
	route_heard(&t.route, ROUTE_ELSEWHERE, names, 2);
	expect_asked(&t, names[0]);
	hear(&t, ROUTE_SILENT);
	expect_asked(&t, t.target.owners[0]);
	route_heard(&t.route, ROUTE_ELSEWHERE, names, 2);
	assert_int_not_equal(next(&t).member, t.target.owners[0]);
	end(&t);
}

static void who_gave_before_is_asked_first(UNUSED void **state)
{
	struct town t = new_town(NODES, false);
	uint32_t before = other(&t, 3);

	route_init(&t.route, t.ms, &t.target, before);
	expect_asked(&t, before);
	assert_true(route_was_named(&t.route));
	hear(&t, ROUTE_NOT_HERE);
	expect_asked(&t, t.target.owners[0]);
	end(&t);
}

/* ---- busy ones ---- */

static void a_busy_owner_is_waited_for_longer_each_time(UNUSED void **state)
{
	struct town t = new_town(NODES, false);
	int64_t rest = 0;
	unsigned rests = 0;

	while (next(&t).member == t.target.owners[0]) {
		struct route_step step;

		hear(&t, ROUTE_BUSY);
		step = next(&t);
		if (step.kind != ROUTE_REST) {
			assert_int_not_equal(step.member, t.target.owners[0]);
			break;
		}
		assert_true(step.rest_ms >= rest && step.rest_ms <= 800);
		rest = step.rest_ms;
		rests++;
	}
	assert_int_equal(rests, 8);
	end(&t);
}

/* All together: who waits for one has waited for the others. */
static void a_reader_waits_little_for_all_that_are_busy(UNUSED void **state)
{
	struct town t = new_town(NODES, false);
	struct route_step step;
	int64_t rested = 0;
	unsigned asked = 0;

	t.route.demand = true;
	while ((step = next(&t)).kind != ROUTE_SOURCE) {
		rested += step.rest_ms;
		if (step.kind != ROUTE_ASK)
			continue;
		hear(&t, ROUTE_BUSY);
		assert_in_range(++asked, 1, 2 * ROUTE_REACH);
	}
	assert_in_range(rested, 1000, 2000);
	end(&t);
}

/* Whoever is to be asked instead is named by who says so: elsewhere. */
static void who_is_busy_names_nobody(UNUSED void **state)
{
	struct town t = new_town(NODES, false);
	uint32_t name = other(&t, 0);

	expect_asked(&t, t.target.owners[0]);
	route_heard(&t.route, ROUTE_BUSY, &name, 1);
	assert_int_equal(next(&t).kind, ROUTE_REST);
	expect_asked(&t, t.target.owners[0]);
	route_heard(&t.route, ROUTE_ELSEWHERE, &name, 1); /* the twin */
	expect_asked(&t, name);
	end(&t);
}

static void bytes_make_all_rests_forgotten(UNUSED void **state)
{
	struct town t = new_town(NODES, false);
	int64_t first;

	expect_asked(&t, t.target.owners[0]);
	hear(&t, ROUTE_BUSY);
	first = next(&t).rest_ms;
	for (unsigned i = 0; i < 20; i++) {
		expect_asked(&t, t.target.owners[0]);
		hear(&t, ROUTE_GAVE);
		expect_asked(&t, t.target.owners[0]);
		hear(&t, ROUTE_BUSY);
		assert_int_equal(next(&t).rest_ms, first);
	}
	end(&t);
}

/* ---- upstream fails ---- */

static void two_who_have_it_not_at_that_place_are_enough(UNUSED void **state)
{
	struct town t = new_town(NODES, false);

	expect_asked(&t, t.target.owners[0]);
	hear(&t, ROUTE_MISPLACED);
	expect_asked(&t, t.target.owners[1]);
	hear(&t, ROUTE_MISPLACED);
	assert_int_equal(next(&t).kind, ROUTE_SOURCE);
	/* Of those who are silent, or upstream fails, more: see in_the_end_the_source_is_asked. */
	end(&t);
}

static void a_way_to_the_source_asks_nobody_else(UNUSED void **state)
{
	struct town t = new_town(NODES, false);

	route_init(&t.route, t.ms, &t.target, other(&t, 0));
	route_to_source(&t.route);
	assert_int_equal(next(&t).kind, ROUTE_SOURCE);
	end(&t);
}

/* ---- whatever is answered ---- */

static void names_that_lead_to_names_lead_nowhere(UNUSED void **state)
{
	struct town t = new_town(NODES, false);
	unsigned hops = 0;

	while (next(&t).kind == ROUTE_ASK && hops < 1000) {
		uint32_t name = other(&t, hops++ % 20);

		route_heard(&t.route, ROUTE_ELSEWHERE, &name, 1);
	}
	assert_in_range(hops, 2, 200);
	end(&t);
}

static void every_way_ends(UNUSED void **state)
{
	unsigned most = 0;

	srand(1);
	for (unsigned life = 0; life < 3000; life++) {
		struct town t = new_town(2 + (unsigned)(rand() % (NODES - 2)), false);
		unsigned steps = 0;
		struct route_step step;
		int64_t now = NOW;

		if (life % 2)
			route_init(&t.route, t.ms, &t.target, (uint32_t)rand() % t.ms->count);
		while ((step = route_next(&t.route, now)).kind != ROUTE_SOURCE) {
			uint32_t names[ROUTE_OTHERS_MAX];
			unsigned count = (unsigned)rand() % (ROUTE_OTHERS_MAX + 1);

			for (unsigned i = 0; i < count; i++)
				names[i] = (uint32_t)rand() % t.ms->count;
			now += step.rest_ms;
			if (step.kind == ROUTE_ASK) {
				assert_int_not_equal(step.member, t.ms->self);
				/* All that bring nothing, and are no hope. */
				route_heard(&t.route,
					    (enum route_answer)(ROUTE_ELSEWHERE +
								rand() % (ROUTE_SLOW - 1)),
					    names, count);
			}
			assert_in_range(++steps, 1, 1000);
		}
		most = steps > most ? steps : most;
		end(&t);
	}
	assert_in_range(most, 10, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_owner_is_asked_first_and_goes_on_giving),
		cmocka_unit_test(the_owner_itself_asks_the_source),
		cmocka_unit_test(one_alone_asks_the_source),
		cmocka_unit_test(followers_are_asked_when_the_owner_is_silent),
		cmocka_unit_test(who_is_known_to_be_silent_is_not_asked),
		cmocka_unit_test(without_owners_all_meet_at_one),
		cmocka_unit_test(in_the_end_the_source_is_asked),
		cmocka_unit_test(those_who_are_named_are_asked_in_turn_then_the_owner_again),
		cmocka_unit_test(an_owner_that_names_only_those_who_fail_is_left),
		cmocka_unit_test(names_of_itself_and_of_who_failed_are_worth_nothing),
		cmocka_unit_test(who_gave_before_is_asked_first),
		cmocka_unit_test(a_busy_owner_is_waited_for_longer_each_time),
		cmocka_unit_test(a_reader_waits_little_for_all_that_are_busy),
		cmocka_unit_test(who_is_busy_names_nobody),
		cmocka_unit_test(bytes_make_all_rests_forgotten),
		cmocka_unit_test(two_who_have_it_not_at_that_place_are_enough),
		cmocka_unit_test(a_way_to_the_source_asks_nobody_else),
		cmocka_unit_test(names_that_lead_to_names_lead_nowhere),
		cmocka_unit_test(every_way_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
