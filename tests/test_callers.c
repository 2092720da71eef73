/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told to have the name of another node. */
#include "daemon/peer/callers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define MEMBER 7
#define ONE "192.0.2.1"
#define TWO "192.0.2.2"

static int set_up(void **state)
{
	static struct callers c;

	callers_init(&c);
	*state = &c;
	return 0;
}

static int tear_down(void **state)
{
	callers_fini(*state);
	return 0;
}

/* How often it is told that the member asks from these in turns, so much time between. */
static unsigned told(struct callers *c, uint64_t member, const char *const *from, int64_t step_ms)
{
	char other[HTTPD_ADDRESS_MAX];
	unsigned count = 0;

	for (int i = 0; i < 40; i++)
		count += callers_note(c, member, from[i % 2], 1000 + i * step_ms, other);
	return count;
}

static void who_asks_from_two_places_in_turns_is_told_of_once(void **state)
{
	static const char *const both[] = { ONE, TWO }, *const one[] = { ONE, ONE };

	assert_int_equal(told(*state, MEMBER, both, 1000), 1);
	assert_int_equal(told(*state, MEMBER + 1, one, 1000), 0);
}

static void not_who_does_so_seldom(void **state)
{
	static const char *const both[] = { ONE, TWO };

	assert_int_equal(told(*state, MEMBER, both, CALLERS_MS), 0);
}

static void who_moves_on_is_no_other(void **state)
{
	char other[HTTPD_ADDRESS_MAX], from[HTTPD_ADDRESS_MAX];

	for (int i = 0; i < 20; i++) {
		snprintf(from, sizeof(from), "192.0.2.%d", i);
		assert_false(callers_note(*state, MEMBER, from, 1000, other));
	}
}

static void both_places_are_told(void **state)
{
	char other[HTTPD_ADDRESS_MAX];
	bool tell = false;

	for (int i = 0; !tell; i++)
		tell = callers_note(*state, MEMBER, i % 2 ? ONE : TWO, 1000, other);
	assert_true(strcmp(other, ONE) == 0 || strcmp(other, TWO) == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_asks_from_two_places_in_turns_is_told_of_once),
		TEST(not_who_does_so_seldom),
		TEST(who_moves_on_is_no_other),
		TEST(both_places_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
