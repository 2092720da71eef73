/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/guesses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#define HOME "192.0.2.1"
#define RIGHT 7777

static int setup(void **state)
{
	struct guesses *g;

	assert_int_equal(guesses_new(&g), 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	guesses_free(*state);
	return 0;
}

/* Tries tokens from `first` on, all wrong, until one is not looked at; how many were. */
static int guess(struct guesses *g, const char *address, uint64_t first, int64_t now_ms)
{
	int count = 0;

	while (guesses_may_try(g, address, first + count, now_ms) && count < 1000) {
		guesses_note(g, address, first + count, false, now_ms);
		count++;
	}
	return count;
}

static void who_guesses_is_stopped_and_then_slowed(void **state)
{
	assert_int_equal(guess(*state, HOME, 1, 1000), GUESSES_FREE);
	assert_int_equal(guess(*state, HOME, 1001, 1000 + GUESSES_MS), 1);
	assert_int_equal(guess(*state, HOME, 2001, 1000 + 11 * GUESSES_MS), 10);
	assert_int_equal(guess(*state, HOME, 3001, 1000 + 1000 * GUESSES_MS), GUESSES_FREE);
}

static void a_right_guess_is_not_looked_at_either(void **state)
{
	guess(*state, HOME, 1, 1000);
	assert_false(guesses_may_try(*state, HOME, RIGHT, 1000));
}

static void what_was_right_from_there_goes_on(void **state)
{
	assert_true(guesses_may_try(*state, HOME, RIGHT, 1000));
	guesses_note(*state, HOME, RIGHT, true, 1000);
	guess(*state, HOME, 1, 1000);
	assert_true(guesses_may_try(*state, HOME, RIGHT, 1000));
	assert_false(guesses_may_try(*state, HOME, RIGHT + 1, 1000));
}

static void one_wrong_token_over_and_over_is_no_guess(void **state)
{
	for (int i = 0; i < 10 * GUESSES_FREE; i++) {
		assert_true(guesses_may_try(*state, HOME, 5, 1000));
		guesses_note(*state, HOME, 5, false, 1000);
	}
	assert_true(guesses_may_try(*state, HOME, RIGHT, 1000));
	assert_int_equal(guess(*state, HOME, 1001, 1000), GUESSES_FREE - 1);
}

static void right_tokens_cost_nothing(void **state)
{
	for (uint64_t i = 0; i < 10 * GUESSES_FREE; i++) {
		assert_true(guesses_may_try(*state, HOME, i, 1000));
		guesses_note(*state, HOME, i, true, 1000);
	}
	assert_int_equal(guess(*state, HOME, 10000, 1000), GUESSES_FREE);
}

static void others_are_not_slowed(void **state)
{
	guess(*state, HOME, 1, 1000);
	assert_true(guesses_may_try(*state, "192.0.2.2", RIGHT, 1000));
	assert_true(guesses_may_try(*state, "2001:db8::1", RIGHT, 1000));
	assert_true(guesses_may_try(*state, "", RIGHT, 1000));
}

static void a_network_of_ipv6_is_one_address(void **state)
{
	guess(*state, "2001:db8:0:1::1", 1, 1000);
	assert_false(guesses_may_try(*state, "2001:db8:0:1:ffff::2", RIGHT, 1000));
	assert_true(guesses_may_try(*state, "2001:db8:0:2::1", RIGHT, 1000));
}

/* A million addresses take no more room than the first; whoever is heard of stays. */
static void crowds_do_not_make_it_forget_who_goes_on(void **state)
{
	char address[32];

	guess(*state, HOME, 1, 1000);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(address, sizeof(address), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		guesses_note(*state, address, 1, false, 1000);
		if (i % 10 == 0)
			guesses_note(*state, HOME, i, false, 1000);
	}
	assert_false(guesses_may_try(*state, HOME, RIGHT, 1000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_guesses_is_stopped_and_then_slowed),
		TEST(a_right_guess_is_not_looked_at_either),
		TEST(what_was_right_from_there_goes_on),
		TEST(one_wrong_token_over_and_over_is_no_guess),
		TEST(right_tokens_cost_nothing),
		TEST(others_are_not_slowed),
		TEST(a_network_of_ipv6_is_one_address),
		TEST(crowds_do_not_make_it_forget_who_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
