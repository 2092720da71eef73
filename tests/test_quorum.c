/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/quorum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/cache/blob_lists.h"

static const uint8_t none[CHUNK_LIST_DIGEST], right[CHUNK_LIST_DIGEST] = { 1 },
					      wrong[CHUNK_LIST_DIGEST] = { 2 },
					      noise[CHUNK_LIST_DIGEST] = { 3 };

static enum quorum weighed(const uint8_t *here, const uint8_t *vouched, const uint8_t *first,
			   const uint8_t *told, bool is_own)
{
	return quorum(&(struct quorum_sayings){ here, vouched, first, told, false, is_own });
}

static void one_alone_is_not_believed(UNUSED void **state)
{
	assert_int_equal(weighed(wrong, none, NULL, right, false), QUORUM_OPEN);
	assert_int_equal(weighed(NULL, none, NULL, right, false), QUORUM_OPEN);
	assert_int_equal(weighed(wrong, wrong, NULL, right, false), QUORUM_OPEN);
}

static void what_two_say_is_believed(UNUSED void **state)
{
	assert_int_equal(weighed(right, none, NULL, right, false), QUORUM_RIGHT);
	assert_int_equal(weighed(wrong, right, NULL, right, false), QUORUM_RIGHT);
	assert_int_equal(weighed(wrong, none, right, right, false), QUORUM_RIGHT);
	assert_int_equal(weighed(right, none, noise, right, false), QUORUM_RIGHT);
}

static void where_all_differ_nobody_is_accused_and_another_is_heard(UNUSED void **state)
{
	assert_int_equal(weighed(wrong, none, right, noise, false), QUORUM_OPEN);
	assert_int_equal(weighed(NULL, none, right, noise, false), QUORUM_OPEN);
}

static enum quorum weighed_of_giver(const uint8_t *vouched, const uint8_t *first,
				    const uint8_t *told)
{
	return quorum(&(struct quorum_sayings){ wrong, vouched, first, told, true, false });
}

static void who_gave_a_chunk_cannot_make_it_right(UNUSED void **state)
{
	assert_int_equal(weighed_of_giver(none, NULL, wrong), QUORUM_OPEN);
	assert_int_equal(weighed_of_giver(wrong, NULL, wrong), QUORUM_OPEN);
	assert_int_equal(weighed_of_giver(none, right, wrong), QUORUM_OPEN);
	assert_int_equal(weighed_of_giver(none, right, noise), QUORUM_OPEN);
	assert_int_equal(weighed_of_giver(none, right, right), QUORUM_RIGHT);
}

static void only_what_this_node_had_itself_convicts(UNUSED void **state)
{
	assert_int_equal(weighed(wrong, none, noise, right, true), QUORUM_FIRST_LIED);
	assert_int_equal(weighed(wrong, none, right, right, true), QUORUM_RIGHT);
	assert_int_equal(weighed(wrong, none, NULL, right, true), QUORUM_RIGHT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_alone_is_not_believed),
		cmocka_unit_test(what_two_say_is_believed),
		cmocka_unit_test(where_all_differ_nobody_is_accused_and_another_is_heard),
		cmocka_unit_test(who_gave_a_chunk_cannot_make_it_right),
		cmocka_unit_test(only_what_this_node_had_itself_convicts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
