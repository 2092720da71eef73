/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/own.h"

#define MIB (UINT64_C(1) << 20)

/* A link: so many bytes a ms for each request, so many for all. */
struct link {
	struct pace pace;
	uint64_t each, all;
	int64_t now_ms;
};

static void run_for(struct link *l, int64_t ms, bool busy)
{
	for (int64_t end = l->now_ms + ms; l->now_ms < end; l->now_ms += 10) {
		uint64_t rate = l->pace.limit * l->each;

		if (busy)
			pace_wanted(&l->pace);
		pace_bytes(&l->pace, 10 * (rate < l->all ? rate : l->all), l->now_ms);
	}
}

static struct link new_link(uint64_t each, uint64_t all)
{
	struct link l = { .each = each, .all = all, .now_ms = 1000 };

	pace_init(&l.pace);
	return l;
}

static void it_grows_while_more_requests_bring_more(UNUSED void **state)
{
	struct link l = new_link(10000, 1000000);

	assert_int_equal(l.pace.limit, PACE_START);
	run_for(&l, 5000, true);
	assert_int_equal(l.pace.limit, PACE_MAX);
}

static void it_goes_back_when_more_brings_no_more(UNUSED void **state)
{
	struct link l = new_link(10000, 30000); /* three fill the link */

	run_for(&l, PACE_HOLD_MS - 500, true);
	assert_int_equal(l.pace.limit, PACE_START);
}

static void it_stops_where_the_link_is_full(UNUSED void **state)
{
	struct link l = new_link(10000, 90000);

	run_for(&l, 4000, true);
	assert_in_range(l.pace.limit, 9, 13);
}

/* A link that is full, whose bytes come by whole chunks: the highest that the limit ever is when
 * they come so far apart in turns. */
static unsigned most_of(const int64_t *gaps_ms, size_t count, uint64_t piece)
{
	struct link l = new_link(0, 0);
	unsigned most = 0;

	for (size_t i = 0; i < 400; i++) {
		l.now_ms += gaps_ms[i % count];
		pace_wanted(&l.pace);
		pace_bytes(&l.pace, piece, l.now_ms);
		most = l.pace.limit > most ? l.pace.limit : most;
	}
	return most;
}

static void chunks_that_come_now_and_then_are_no_throughput(UNUSED void **state)
{
	const int64_t uneven[] = { 1900, 2600, 300, 400, 1700, 300, 900, 2900, 310, 1200 };

	assert_in_range(most_of(uneven, sizeof(uneven) / sizeof(*uneven), MIB), 1, PACE_START + 2);
}

static void it_does_not_grow_without_need(UNUSED void **state)
{
	struct link l = new_link(10000, 1000000);

	run_for(&l, 5000, false);
	assert_int_equal(l.pace.limit, PACE_START);
}

static void a_refusal_halves_it_once_and_holds_it_down(UNUSED void **state)
{
	struct link l = new_link(10000, 1000000);

	run_for(&l, 5000, true);
	pace_refused(&l.pace, 20, -1, l.now_ms);
	pace_refused(&l.pace, 20, -1, l.now_ms + 5); /* of the same volley */
	assert_int_equal(l.pace.limit, 10);
	run_for(&l, PACE_REFUSED_MS - 100, true);
	assert_int_equal(l.pace.limit, 10);
	run_for(&l, 5000, true);
	assert_true(l.pace.limit > 10);
}

static void a_failure_halves_it_but_makes_nobody_careful(UNUSED void **state)
{
	struct link l = new_link(10000, 1000000);

	run_for(&l, 5000, true);
	pace_failed(&l.pace, l.now_ms);
	pace_failed(&l.pace, l.now_ms + 1);
	assert_int_equal(l.pace.limit, PACE_MAX / 2);
	assert_false(pace_is_careful(&l.pace, l.now_ms));
	for (int i = 0; i < 10; i++, l.now_ms += PACE_REFUSED_MS)
		pace_failed(&l.pace, l.now_ms);
	assert_int_equal(l.pace.limit, PACE_START / 2);
}

static void a_volley_goes_on_until_few_enough_run(UNUSED void **state)
{
	struct link l = new_link(10000, 1000000);

	run_for(&l, 5000, true);
	for (unsigned running = 20; running > 3; running--) /* the server takes three */
		pace_refused(&l.pace, running, -1, l.now_ms);
	assert_int_equal(l.pace.limit, 3);
}

static void it_never_falls_below_one(UNUSED void **state)
{
	struct link l = new_link(1, 1);

	for (int i = 0; i < 10; i++, l.now_ms += PACE_REFUSED_MS + 1)
		pace_refused(&l.pace, 1, -1, l.now_ms);
	assert_int_equal(l.pace.limit, 1);
}

static void a_server_says_how_long_but_not_for_ever(UNUSED void **state)
{
	struct link l = new_link(10000, 1000000);

	run_for(&l, 300, true);
	pace_refused(&l.pace, 4, 10000, l.now_ms);
	run_for(&l, 9900, true);
	assert_int_equal(l.pace.limit, 2);
	run_for(&l, 2000, true);
	assert_true(l.pace.limit > 2);
	pace_refused(&l.pace, 4, INT64_MAX / 2, l.now_ms);
	assert_false(pace_is_careful(&l.pace, l.now_ms + PACE_REFUSED_MAX));
}

static void after_a_refusal_it_grows_one_by_one(UNUSED void **state)
{
	struct link l = new_link(10000, 1000000);

	run_for(&l, 5000, true);
	pace_refused(&l.pace, PACE_MAX, -1, l.now_ms);
	assert_true(pace_is_careful(&l.pace, l.now_ms));
	run_for(&l, PACE_REFUSED_MS + 3 * PACE_WINDOW_MS, true);
	assert_in_range(l.pace.limit, PACE_MAX / 2 + 1, PACE_MAX / 2 + 3);
	assert_false(pace_is_careful(&l.pace, l.now_ms + PACE_CAREFUL_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_grows_while_more_requests_bring_more),
		cmocka_unit_test(it_goes_back_when_more_brings_no_more),
		cmocka_unit_test(it_stops_where_the_link_is_full),
		cmocka_unit_test(chunks_that_come_now_and_then_are_no_throughput),
		cmocka_unit_test(it_does_not_grow_without_need),
		cmocka_unit_test(a_refusal_halves_it_once_and_holds_it_down),
		cmocka_unit_test(after_a_refusal_it_grows_one_by_one),
		cmocka_unit_test(a_failure_halves_it_but_makes_nobody_careful),
		cmocka_unit_test(a_volley_goes_on_until_few_enough_run),
		cmocka_unit_test(it_never_falls_below_one),
		cmocka_unit_test(a_server_says_how_long_but_not_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
