/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/waiting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/own.h"

static void hope_is_believed_for_long_and_longer_where_all_is_slow(UNUSED void **state)
{
	struct waiting w = { .give_up_ms = 60000, .quiet_ms = -1, .waited_ms = 5000 };

	assert_false(waiting_is_late(&w));
	w.waited_ms++;
	assert_true(waiting_is_late(&w));
	w.usual_ms = 10000;
	assert_false(waiting_is_late(&w));
	w.waited_ms = 40001;
	assert_true(waiting_is_late(&w));
	w.usual_ms = 100000;
	assert_false(waiting_is_late(&w));
	w.waited_ms = 60001;
	assert_true(waiting_is_late(&w));
}

static void who_gets_on_is_waited_for_longer(UNUSED void **state)
{
	struct waiting w = { .give_up_ms = 20000, .waited_ms = 5001, .quiet_ms = 5001 };

	assert_true(waiting_is_late(&w));
	w.quiet_ms = 5000;
	assert_false(waiting_is_late(&w));
	w.waited_ms = 60000;
	assert_false(waiting_is_late(&w));
	w.waited_ms = 60001; /* it may lie */
	assert_true(waiting_is_late(&w));
}

static void news_of_bytes_may_be_older_the_deeper_the_tree_is(UNUSED void **state)
{
	struct waiting w = { .give_up_ms = 60000, .waited_ms = 30000 };
	const struct {
		uint32_t number;
		int64_t oldest_ms;
	} of[] = { { 0, 5000 }, { 1, 9000 }, { 2, 13000 }, { 100, 33000 }, { UINT32_MAX, 60000 } };

	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++) {
		w.number = of[i].number;
		w.quiet_ms = of[i].oldest_ms;
		assert_false(waiting_is_late(&w));
		w.quiet_ms++;
		assert_true(waiting_is_late(&w));
	}
}

static void a_reader_has_time_for_another_unless_all_are_as_slow(UNUSED void **state)
{
	struct waiting w = { .give_up_ms = 20000, .waited_ms = 10000, .demand = true };

	assert_false(waiting_is_late(&w));
	w.waited_ms++;
	assert_true(waiting_is_late(&w));
	w.usual_ms = 3000;
	assert_false(waiting_is_late(&w));
	w.usual_ms = 60000;
	w.waited_ms = 60001;
	assert_true(waiting_is_late(&w));
}

static void what_is_usual_begins_with_the_first_and_follows(UNUSED void **state)
{
	assert_int_equal(waiting_usual_ms(0, 800), 800);
	assert_int_equal(waiting_usual_ms(800, 1600), 900);
	assert_int_equal(waiting_usual_ms(800, 0), 700);
}

static void a_reader_asks_another_early_as_long_as_it_costs_little(UNUSED void **state)
{
	struct waiting w = { .give_up_ms = 60000, .waited_ms = 1001, .in = 5001 };

	assert_false(waiting_may_race(&w, 100));
	w.demand = true;
	assert_true(waiting_may_race(&w, 100));
	assert_false(waiting_is_late(&w)); /* nor is anybody left for that */
	assert_false(waiting_is_trickle(&w, 1000, 900000, 1000000));
	w.twice = 1;
	assert_false(waiting_may_race(&w, 100));
	w.twice = 0;
	w.usual_ms = 300;
	assert_false(waiting_may_race(&w, 100));
	w.usual_ms = 0;
	w.in = 5000;
	assert_false(waiting_may_race(&w, 100));
}

static void when_nobody_gives_for_long_the_source_is_left(UNUSED void **state)
{
	struct waiting w = { .give_up_ms = 20000, .waited_ms = 80000 };

	assert_false(waiting_is_dry(&w));
	w.waited_ms++;
	assert_true(waiting_is_dry(&w));
}

static void for_a_reader_it_is_left_in_half_of_his_time_unless_all_are_slow(UNUSED void **state)
{
	struct waiting w = { .give_up_ms = 20000, .waited_ms = 20000, .demand = true };

	assert_false(waiting_is_dry(&w));
	w.waited_ms++;
	assert_true(waiting_is_dry(&w));
	w.usual_ms = 10000;
	assert_false(waiting_is_dry(&w));
	w.usual_ms = 60000;
	w.waited_ms = 80001;
	assert_true(waiting_is_dry(&w));
}

/* Of a chunk of a million bytes so much came in so long. */
static bool is_trickle(int64_t took_ms, uint64_t came)
{
	const struct waiting w = { .waited_ms = took_ms, .give_up_ms = 100000 };

	return waiting_is_trickle(&w, 1000, came, 1000000);
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
	struct waiting w = { .waited_ms = 3000, .give_up_ms = 30000 };

	assert_true(waiting_is_trickle(&w, 1000, 3 * 20000, 1000000));
	assert_false(waiting_is_trickle(&w, 1000, 3 * 40000, 1000000));
	w.give_up_ms = 60000;
	assert_false(waiting_is_trickle(&w, 1000, 3 * 20000, 1000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hope_is_believed_for_long_and_longer_where_all_is_slow),
		cmocka_unit_test(who_gets_on_is_waited_for_longer),
		cmocka_unit_test(news_of_bytes_may_be_older_the_deeper_the_tree_is),
		cmocka_unit_test(a_reader_has_time_for_another_unless_all_are_as_slow),
		cmocka_unit_test(what_is_usual_begins_with_the_first_and_follows),
		cmocka_unit_test(a_reader_asks_another_early_as_long_as_it_costs_little),
		cmocka_unit_test(when_nobody_gives_for_long_the_source_is_left),
		cmocka_unit_test(for_a_reader_it_is_left_in_half_of_his_time_unless_all_are_slow),
		cmocka_unit_test(a_trickle_is_told_by_its_rate),
		cmocka_unit_test(who_would_need_too_long_for_a_chunk_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
