/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define NODES 40
#define BLOB 7
#define SEGMENTS 500
#define NOW 100000
#define GUEST 99

/* One node that is asked. */
struct house {
	struct members *members;
	struct places places;
	struct trails trails;
	struct decide_here here;
};

static struct house *new_house(void)
{
	static struct house h;
	struct member_spec self = { "n00.example:9980", "", 1 }, list[NODES];

	for (unsigned i = 0; i < NODES; i++) {
		list[i] = self;
		snprintf(list[i].address, sizeof(list[i].address), "n%02u.example:9980", i);
	}
	assert_int_equal(members_new(&self, &h.members), 0);
	assert_int_equal(members_set(h.members, list, NODES), 0);
	places_init(&h.places);
	trails_init(&h.trails);
	h.here = (struct decide_here){ members_now(h.members), &h.places, &h.trails };
	return &h;
}

static void end(struct house *h)
{
	membership_unref(h->here.members);
	members_free(h->members);
	places_fini(&h->places);
	trails_fini(&h->trails);
}

/* A segment that is this node's to arrange, or is not. */
static struct decide_ask ask_of(const struct house *h, bool own)
{
	struct decide_ask ask = { .blob = BLOB, .size = SEGMENTS * SEGMENT_BYTES };

	while (decide_arranges(&h->here, BLOB, ask.size, ask.segment) != own)
		ask.segment++;
	ask.guest = GUEST;
	ask.bring = true;
	return ask;
}

static enum decision decide(const struct house *h, const struct decide_ask *ask)
{
	return decide_bytes(&h->here, ask, NOW);
}

/* ---- who is asked ---- */

static void what_is_there_is_given(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, false);

	ask.present = true;
	assert_int_equal(decide(h, &ask), DECIDE_GIVE);
	ask.bring = false;
	ask.late = true;
	assert_int_equal(decide(h, &ask), DECIDE_GIVE);
	end(h);
}

static void what_is_not_is_brought_by_its_owner(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);

	assert_int_equal(decide(h, &ask), DECIDE_WAIT);
	ask.late = true;
	assert_int_equal(decide(h, &ask), DECIDE_COMING);
	ask.bring = false;
	assert_int_equal(decide(h, &ask), DECIDE_NOT_HERE);
	ask = ask_of(h, false);
	assert_int_equal(decide(h, &ask), DECIDE_NOT_HERE);
	end(h);
}

static void what_is_wanted_here_is_shared(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, false);

	trails_note(&h->trails, BLOB, ask.segment, 0, NOW);
	assert_int_equal(decide(h, &ask), DECIDE_WAIT);
	trails_note(&h->trails, BLOB, ask.segment, GUEST, NOW);
	assert_int_equal(decide(h, &ask), DECIDE_NOT_HERE);
	end(h);
}

static void only_one_of_a_higher_number_may_wait(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);

	trails_note(&h->trails, BLOB, ask.segment, 0, NOW);
	trails_number(&h->trails, BLOB, ask.segment, 5, NOW);
	for (uint32_t number = 1; number < 10; number++) {
		ask.number = number;
		ask.late = number % 2;
		assert_int_equal(decide(h, &ask), number <= 5 ? DECIDE_NOT_HERE
						  : ask.late  ? DECIDE_COMING
							      : DECIDE_WAIT);
		ask.present = true;
		assert_int_equal(decide(h, &ask), DECIDE_GIVE);
		ask.present = false;
	}
	ask.number = 0;
	ask.late = false;
	assert_int_equal(decide(h, &ask), DECIDE_WAIT);
	end(h);
}

static void that_upstream_fails_is_said_for_a_moment(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);

	trails_note(&h->trails, BLOB, ask.segment, 0, NOW);
	trails_failed(&h->trails, BLOB, ask.segment, NOW);
	assert_int_equal(decide_bytes(&h->here, &ask, NOW + TRAILS_FAILED_MS - 1), DECIDE_FAILED);
	assert_int_equal(decide_bytes(&h->here, &ask, NOW + TRAILS_FAILED_MS), DECIDE_WAIT);
	ask.present = true;
	assert_int_equal(decide(h, &ask), DECIDE_GIVE);
	end(h);
}

static unsigned arranged_by(struct house *h, uint32_t segment)
{
	struct membership ms = *h->here.members;
	struct decide_here here = { &ms, &h->places, &h->trails };
	unsigned count = 0;

	for (ms.self = 0; ms.self < ms.count; ms.self++)
		count += decide_arranges(&here, BLOB, SEGMENTS * SEGMENT_BYTES, segment);
	return count;
}

static void those_near_a_segment_arrange_who_gives_it(UNUSED void **state)
{
	struct house *h = new_house();

	for (uint32_t segment = 0; segment < 50; segment++)
		assert_in_range(arranged_by(h, segment), 16, 16 + PLACEMENT_OWNERS);
	end(h);
}

/* ---- who asks ---- */

static void hope_is_believed_for_long_and_longer_where_all_is_slow(UNUSED void **state)
{
	struct decide_way w = { .give_up_ms = 60000, .quiet_ms = -1, .waited_ms = 5000 };

	assert_false(decide_is_late(&w));
	w.waited_ms++;
	assert_true(decide_is_late(&w));
	w.usual_ms = 10000;
	assert_false(decide_is_late(&w));
	w.waited_ms = 40001;
	assert_true(decide_is_late(&w));
	w.usual_ms = 100000;
	assert_false(decide_is_late(&w));
	w.waited_ms = 60001;
	assert_true(decide_is_late(&w));
}

static void who_gets_on_is_waited_for_longer(UNUSED void **state)
{
	struct decide_way w = { .give_up_ms = 20000, .waited_ms = 5001, .quiet_ms = 5001 };

	assert_true(decide_is_late(&w));
	w.quiet_ms = 5000;
	assert_false(decide_is_late(&w));
	w.waited_ms = 60000;
	assert_false(decide_is_late(&w));
	w.waited_ms = 60001; /* it may lie */
	assert_true(decide_is_late(&w));
}

static void news_of_bytes_may_be_older_the_deeper_the_tree_is(UNUSED void **state)
{
	struct decide_way w = { .give_up_ms = 60000, .waited_ms = 30000 };
	const struct {
		uint32_t number;
		int64_t oldest_ms;
	} of[] = { { 0, 5000 }, { 1, 9000 }, { 2, 13000 }, { 100, 33000 }, { UINT32_MAX, 60000 } };

	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++) {
		w.number = of[i].number;
		w.quiet_ms = of[i].oldest_ms;
		assert_false(decide_is_late(&w));
		w.quiet_ms++;
		assert_true(decide_is_late(&w));
	}
}

static void a_reader_has_time_for_another_unless_all_are_as_slow(UNUSED void **state)
{
	struct decide_way w = { .give_up_ms = 20000, .waited_ms = 20000, .demand = true };

	assert_false(decide_is_late(&w));
	w.waited_ms++;
	assert_true(decide_is_late(&w));
	w.usual_ms = 6000;
	assert_false(decide_is_late(&w));
	w.usual_ms = 60000;
	w.waited_ms = 60001;
	assert_true(decide_is_late(&w));
}

static void what_is_usual_begins_with_the_first_and_follows(UNUSED void **state)
{
	assert_int_equal(decide_usual_ms(0, 800), 800);
	assert_int_equal(decide_usual_ms(800, 1600), 900);
	assert_int_equal(decide_usual_ms(800, 0), 700);
}

static void those_in_a_ring_tell_each_other_nothing_new(UNUSED void **state)
{
	struct trail one = { .moved_ms = NOW }, two = { 0 };

	assert_int_equal(decide_quiet_ms(&two, 0, NOW), -1);
	assert_int_equal(decide_quiet_ms(&two, NOW - 30, NOW), 30);
	assert_int_equal(decide_quiet_ms(&one, NOW - 30, NOW), 0);
	assert_int_equal(decide_quiet_ms(&one, NOW + 5, NOW), 0);
	for (int64_t now = NOW + 500; now < NOW + 10000; now += 500) {
		two.moved_ms = now - decide_quiet_ms(&one, 0, now);
		one.moved_ms = now - decide_quiet_ms(&two, 0, now);
		assert_int_equal(decide_quiet_ms(&one, 0, now), now - NOW);
	}
}

static void a_reader_asks_another_early_as_long_as_it_costs_little(UNUSED void **state)
{
	struct decide_way w = { .give_up_ms = 60000, .waited_ms = 1001, .left = 100, .in = 5001 };

	assert_false(decide_is_late(&w));
	w.demand = true;
	assert_true(decide_is_late(&w));
	w.twice = 1;
	assert_false(decide_is_late(&w));
	w.twice = 0;
	w.usual_ms = 300;
	assert_false(decide_is_late(&w));
}

static void when_nobody_gives_for_long_the_source_is_left(UNUSED void **state)
{
	assert_false(decide_is_dry(80000, 20000));
	assert_true(decide_is_dry(80001, 20000));
}

/* Of a chunk of a million bytes so much came in so long. */
static bool is_trickle(int64_t took_ms, uint64_t came)
{
	const struct decide_way w = { .waited_ms = took_ms, .give_up_ms = 100000 };

	return decide_is_trickle(&w, 1000, came, 1000000);
}

static void a_trickle_is_told_by_its_rate(UNUSED void **state)
{
	assert_false(is_trickle(2000, 0));
	assert_true(is_trickle(2001, 0));
	assert_true(is_trickle(4000, 4 * 16384 - 4));
	assert_false(is_trickle(4000, 4 * 16384));
}

static void who_would_need_too_long_for_a_chunk_is_left(UNUSED void **state)
{
	struct decide_way w = { .waited_ms = 3000, .give_up_ms = 30000 };

	assert_true(decide_is_trickle(&w, 1000, 3 * 20000, 1000000));
	assert_false(decide_is_trickle(&w, 1000, 3 * 40000, 1000000));
	w.give_up_ms = 60000;
	assert_false(decide_is_trickle(&w, 1000, 3 * 20000, 1000000));
}

static void a_reader_waits_for_no_slow_chunk_that_another_may_give(UNUSED void **state)
{
	struct decide_way w = { .give_up_ms = 60000, .waited_ms = 1001, .left = 100, .in = 5001 };

	assert_false(decide_is_trickle(&w, 1000, 900000, 1000000));
	w.demand = true;
	assert_true(decide_is_trickle(&w, 1000, 900000, 1000000));
	w.usual_ms = 300;
	assert_false(decide_is_trickle(&w, 1000, 900000, 1000000));
	w.usual_ms = 0;
	w.in = 5000;
	assert_false(decide_is_trickle(&w, 1000, 900000, 1000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_there_is_given),
		cmocka_unit_test(what_is_not_is_brought_by_its_owner),
		cmocka_unit_test(what_is_wanted_here_is_shared),
		cmocka_unit_test(only_one_of_a_higher_number_may_wait),
		cmocka_unit_test(that_upstream_fails_is_said_for_a_moment),
		cmocka_unit_test(those_near_a_segment_arrange_who_gives_it),
		cmocka_unit_test(hope_is_believed_for_long_and_longer_where_all_is_slow),
		cmocka_unit_test(who_gets_on_is_waited_for_longer),
		cmocka_unit_test(news_of_bytes_may_be_older_the_deeper_the_tree_is),
		cmocka_unit_test(a_reader_has_time_for_another_unless_all_are_as_slow),
		cmocka_unit_test(what_is_usual_begins_with_the_first_and_follows),
		cmocka_unit_test(those_in_a_ring_tell_each_other_nothing_new),
		cmocka_unit_test(a_reader_asks_another_early_as_long_as_it_costs_little),
		cmocka_unit_test(when_nobody_gives_for_long_the_source_is_left),
		cmocka_unit_test(a_trickle_is_told_by_its_rate),
		cmocka_unit_test(who_would_need_too_long_for_a_chunk_is_left),
		cmocka_unit_test(a_reader_waits_for_no_slow_chunk_that_another_may_give),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
