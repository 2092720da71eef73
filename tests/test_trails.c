/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/trails.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define BLOB UINT64_C(0x1234567890)
#define OF(index) ((struct segment){ BLOB, index })
#define GIVER UINT64_C(77)
#define NOW 1000000

static int setup(void **state)
{
	struct trails *t = malloc(sizeof(*t));

	if (!t)
		return -1;
	trails_init(t);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	trails_fini(*state);
	free(*state);
	return 0;
}

static struct trail find(struct trails *t, uint32_t segment, int64_t now_ms)
{
	struct trail ret;

	trails_find(t, OF(segment), now_ms, &ret);
	return ret;
}

static void who_gave_a_segment_is_remembered(void **state)
{
	struct trail trail;

	trails_note(*state, OF(3), GIVER, NOW);
	assert_true(trails_find(*state, OF(3), NOW + TRAILS_MS - 1, &trail));
	assert_int_equal(trail.giver, GIVER);
	/* The twins: another segment, another blob, another time. */
	assert_false(trails_find(*state, OF(4), NOW, &trail));
	assert_false(trails_find(*state, ((struct segment){ BLOB + 1, 3 }), NOW, &trail));
	assert_false(trails_find(*state, OF(3), NOW + TRAILS_MS, &trail));
	assert_int_equal(trail.giver, 0);
}

static void asking_again_forgets_no_giver_and_keeps_it_for_longer(void **state)
{
	trails_note(*state, OF(3), GIVER, NOW);
	trails_note(*state, OF(3), 0, NOW + TRAILS_MS / 2);
	assert_int_equal(find(*state, 3, NOW + TRAILS_MS).giver, GIVER);
	trails_note(*state, OF(3), GIVER + 1, NOW + TRAILS_MS);
	assert_int_equal(find(*state, 3, NOW + TRAILS_MS).giver, GIVER + 1);
}

static void what_has_the_same_slot_takes_it(void **state)
{
	trails_note(*state, OF(3), GIVER, NOW);
	trails_note(*state, OF(3 + TRAILS_MAX), GIVER + 1, NOW);
	assert_int_equal(find(*state, 3, NOW).giver, 0);
	assert_int_equal(find(*state, 3 + TRAILS_MAX, NOW).giver, GIVER + 1);
}

static void only_what_is_asked_for_has_a_number(void **state)
{
	trails_number(*state, OF(3), 5, NOW);
	assert_int_equal(find(*state, 3, NOW).number, 0);
	trails_note(*state, OF(3), 0, NOW);
	trails_number(*state, OF(3), 5, NOW);
	assert_int_equal(find(*state, 3, NOW).number, 5);
}

static void no_number_is_so_high_that_the_next_one_is_low(void **state)
{
	trails_note(*state, OF(3), 0, NOW);
	trails_number(*state, OF(3), UINT32_MAX, NOW);
	assert_true(find(*state, 3, NOW).number + 1 > find(*state, 3, NOW).number);
	assert_int_equal(find(*state, 3, NOW).number, TRAILS_NUMBER_MAX);
	/* The twin. */
	trails_number(*state, OF(3), TRAILS_NUMBER_MAX - 1, NOW);
	assert_int_equal(find(*state, 3, NOW).number, TRAILS_NUMBER_MAX - 1);
}

static void that_upstream_fails_is_believed_for_a_moment(void **state)
{
	struct trail trail;

	trails_note(*state, OF(3), 0, NOW);
	trail = find(*state, 3, NOW);
	assert_false(trail_has_failed(&trail, NOW));
	trails_failed(*state, OF(3), NOW);
	trail = find(*state, 3, NOW);
	assert_true(trail_has_failed(&trail, NOW + TRAILS_FAILED_MS - 1));
	assert_false(trail_has_failed(&trail, NOW + TRAILS_FAILED_MS));
}

static void the_same_bytes_in_vain_again_are_sought_further(void **state)
{
	trails_note(*state, OF(3), 0, NOW);
	for (int i = 0; i < 5; i++)
		assert_int_equal(trails_seek(*state, OF(3), 100, NOW + i), i);
	/* After a while from the beginning. */
	assert_int_equal(trails_seek(*state, OF(3), 100, NOW + 5 + TRAILS_VAIN_MS), 0);
}

static void other_bytes_of_a_segment_nobody_had_are_not_sought_at_once(void **state)
{
	trails_note(*state, OF(3), 0, NOW);
	assert_int_equal(trails_seek(*state, OF(3), 100, NOW), 0);
	assert_int_equal(trails_seek(*state, OF(3), 200, NOW), -1);
	assert_int_equal(trails_seek(*state, OF(3), 300, NOW + TRAILS_VAIN_MS), 0);
}

static void who_gave_what_was_wrong_is_forgotten_and_nothing_else(void **state)
{
	trails_note(*state, OF(3), 7, NOW);
	trails_number(*state, OF(3), 5, NOW);
	trails_failed(*state, OF(3), NOW);
	trails_forget(*state, OF(3).blob + 1);
	assert_int_equal(find(*state, 3, NOW).giver, 7);
	trails_forget(*state, OF(3).blob);
	assert_int_equal(find(*state, 3, NOW).giver, 0);
	assert_int_equal(find(*state, 3, NOW).number, 5);
	assert_int_equal(find(*state, 3, NOW).failed_ms, NOW);
	assert_true(trails_find(*state, OF(3), NOW, &(struct trail){ 0 }));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_gave_a_segment_is_remembered),
		TEST(asking_again_forgets_no_giver_and_keeps_it_for_longer),
		TEST(what_has_the_same_slot_takes_it),
		TEST(only_what_is_asked_for_has_a_number),
		TEST(no_number_is_so_high_that_the_next_one_is_low),
		TEST(that_upstream_fails_is_believed_for_a_moment),
		TEST(the_same_bytes_in_vain_again_are_sought_further),
		TEST(other_bytes_of_a_segment_nobody_had_are_not_sought_at_once),
		TEST(who_gave_what_was_wrong_is_forgotten_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
