/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/blame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

static const char bytes[] = "wrong bytes", witness[] = "false witness";

static void chunks_of_one_are_counted_and_the_first_are_told(UNUSED void **state)
{
	struct blame all = { 0 };

	for (uint32_t i = 0; i < BLAME_CHUNKS_TOLD_MAX + 3; i++)
		blame_add(&all, "a:1", bytes, false, 10 + i);
	assert_int_equal(all.count, 1);
	assert_string_equal(all.of[0].address, "a:1");
	assert_int_equal(all.of[0].count, BLAME_CHUNKS_TOLD_MAX + 3);
	assert_int_equal(all.of[0].chunks[0], 10);
	assert_int_equal(all.of[0].chunks[BLAME_CHUNKS_TOLD_MAX - 1],
			 10 + BLAME_CHUNKS_TOLD_MAX - 1);
}

static void who_was_sure_once_is(UNUSED void **state)
{
	struct blame all = { 0 };

	blame_add(&all, "a:1", bytes, false, 1);
	assert_false(all.of[0].sure);
	blame_add(&all, "a:1", bytes, true, 2);
	blame_add(&all, "a:1", bytes, false, 3);
	assert_true(all.of[0].sure);
}

static void two_members_and_two_kinds_of_lies_are_told_apart(UNUSED void **state)
{
	struct blame all = { 0 };

	blame_add(&all, "a:1", bytes, true, 1);
	blame_add(&all, "b:1", bytes, true, 2);
	blame_add(&all, "a:1", witness, true, 3);
	assert_int_equal(all.count, 3);
	assert_string_equal(all.of[1].address, "b:1");
	assert_ptr_equal(all.of[2].what, witness);
	assert_int_equal(all.of[2].chunks[0], 3);
}

static void of_a_crowd_those_that_came_first_are_remembered(UNUSED void **state)
{
	struct blame all = { 0 };
	char address[16];

	for (unsigned i = 0; i < BLAME_MAX + 5; i++) {
		snprintf(address, sizeof(address), "n%u:1", i);
		blame_add(&all, address, bytes, true, i);
	}
	assert_int_equal(all.count, BLAME_MAX);
	assert_string_equal(all.of[0].address, "n0:1");
	blame_add(&all, "n1:1", bytes, true, 99);
	assert_int_equal(all.of[1].count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_of_one_are_counted_and_the_first_are_told),
		cmocka_unit_test(who_was_sure_once_is),
		cmocka_unit_test(two_members_and_two_kinds_of_lies_are_told_apart),
		cmocka_unit_test(of_a_crowd_those_that_came_first_are_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
