/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/throttle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define MB 1000000

static int setup(void **state)
{
	struct throttle *t = calloc(1, sizeof(*t));

	if (!t)
		return -1;
	throttle_init(t);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	throttle_fini(*state);
	free(*state);
	return 0;
}

static void without_limits_nobody_pauses(void **state)
{
	for (int i = 0; i < 100; i++)
		assert_int_equal(throttle_pause_ms(*state, URGENCY_BACKGROUND, 1000 * MB), 0);
}

static void a_class_pays_for_its_bytes_and_others_do_not(void **state)
{
	struct throttle_limits limits = { .of = { [URGENCY_PREFETCH] = MB } };

	throttle_set(*state, &limits);
	assert_in_range(throttle_pause_ms(*state, URGENCY_PREFETCH, MB / 2), 350, 400);
	assert_int_equal(throttle_pause_ms(*state, URGENCY_DEMAND, MB), 0);
}

static void the_limit_of_all_counts_for_each(void **state)
{
	struct throttle_limits limits = { .total = MB };

	throttle_set(*state, &limits);
	throttle_pause_ms(*state, URGENCY_DEMAND, MB / 4);
	assert_in_range(throttle_pause_ms(*state, URGENCY_AHEAD, MB / 4), 350, 400);
	assert_int_equal(throttle_get(*state).total, MB);
}

static void a_long_debt_is_asked_for_again(void **state)
{
	struct throttle_limits limits = { .total = MB };

	throttle_set(*state, &limits);
	assert_int_equal(throttle_pause_ms(*state, URGENCY_DEMAND, 5 * MB), 1000);
	assert_int_equal(throttle_pause_ms(*state, URGENCY_DEMAND, 0), 1000);
}

static void a_lifted_limit_lets_go_at_once(void **state)
{
	struct throttle_limits limits = { .total = 1 };

	throttle_set(*state, &limits);
	throttle_pause_ms(*state, URGENCY_DEMAND, 5 * MB);
	limits.total = 0;
	throttle_set(*state, &limits);
	assert_int_equal(throttle_pause_ms(*state, URGENCY_DEMAND, 0), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_limits_nobody_pauses),
		TEST(a_class_pays_for_its_bytes_and_others_do_not),
		TEST(the_limit_of_all_counts_for_each),
		TEST(a_long_debt_is_asked_for_again),
		TEST(a_lifted_limit_lets_go_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
