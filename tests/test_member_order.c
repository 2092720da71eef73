/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/member_order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "daemon/peer/placement.h"

static void a_list_is_put_in_the_order_of_its_names(UNUSED void **state)
{
	const struct member_spec list[] = { { "c:1", "x", 3 },
					    { "a:1", "", 1 },
					    { "b:1", "y", 2 } };
	CLEANUP(freep) struct listed *sorted = NULL;
	size_t count = 3;

	assert_int_equal(member_order(list, &count, &sorted), 0);
	assert_int_equal(count, 3);
	assert_string_equal(sorted[0].spec.address, "a:1");
	assert_int_equal(sorted[0].place, 1);
	assert_string_equal(sorted[1].spec.zone, "y");
	assert_int_equal(sorted[1].place, 2);
	assert_int_equal(sorted[2].spec.weight, 3);
	assert_int_equal(sorted[2].place, 0);
	assert_string_equal(list[0].address, "c:1"); /* as it was */
}

/* However it is written. */
static void of_one_name_the_first_counts(UNUSED void **state)
{
	const struct member_spec list[] = { { "[2001:DB8::1]:2", "first", 1 },
					    { "B:1", "", 1 },
					    { "[2001:db8:0:0::1]:2", "second", 9 },
					    { "b:1", "", 5 } };
	CLEANUP(freep) struct listed *sorted = NULL;
	size_t count = 4;

	assert_int_equal(member_order(list, &count, &sorted), 0);
	assert_int_equal(count, 2);
	assert_string_equal(sorted[0].spec.address, "[2001:db8::1]:2");
	assert_string_equal(sorted[0].spec.zone, "first");
	assert_string_equal(sorted[1].spec.address, "b:1");
	assert_int_equal(sorted[1].place, 1);
}

static void a_weight_lies_within_its_limits(UNUSED void **state)
{
	const struct member_spec list[] = { { "a:1", "", 0 }, { "b:1", "", UINT32_MAX } };
	CLEANUP(freep) struct listed *sorted = NULL;
	size_t count = 2;

	assert_int_equal(member_order_weight(0), 1);
	assert_int_equal(member_order_weight(7), 7);
	assert_int_equal(member_order_weight(PLACEMENT_WEIGHT_MAX + 1), PLACEMENT_WEIGHT_MAX);
	assert_int_equal(member_order(list, &count, &sorted), 0);
	assert_int_equal(sorted[0].spec.weight, 1);
	assert_int_equal(sorted[1].spec.weight, PLACEMENT_WEIGHT_MAX);
}

static void an_empty_list_is_one(UNUSED void **state)
{
	CLEANUP(freep) struct listed *sorted = NULL;
	size_t count = 0;

	assert_int_equal(member_order(NULL, &count, &sorted), 0);
	assert_int_equal(count, 0);
	assert_non_null(sorted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_put_in_the_order_of_its_names),
		cmocka_unit_test(of_one_name_the_first_counts),
		cmocka_unit_test(a_weight_lies_within_its_limits),
		cmocka_unit_test(an_empty_list_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
