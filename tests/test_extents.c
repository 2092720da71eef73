/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/extents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void an_offset_is_found_in_its_extent_and_nowhere_else(UNUSED void **state)
{
	struct extents e = { 0 };

	assert_int_equal(extents_add(&e, 200, 300), 0);
	assert_int_equal(extents_add(&e, 100, 200), 0);
	assert_int_equal(extents_add(&e, 400, 500), 0);
	assert_int_equal(extents_add(&e, 350, 350), 0); /* empty */
	assert_true(extents_finish(&e, 500));
	assert_int_equal(e.count, 3);
	assert_null(extents_find(&e, 99));
	assert_int_equal(extents_find(&e, 100)->end, 200);
	assert_int_equal(extents_find(&e, 200)->start, 200);
	assert_null(extents_find(&e, 300));
	assert_int_equal(extents_find(&e, 499)->start, 400);
	assert_null(extents_find(&e, 500));
	extents_fini(&e);
}

static void many_extents_fit(UNUSED void **state)
{
	struct extents e = { 0 };

	for (uint64_t i = 1000; i-- > 0;)
		assert_int_equal(extents_add(&e, i * 10, i * 10 + 10), 0);
	assert_true(extents_finish(&e, 10000));
	assert_int_equal(extents_find(&e, 5555)->start, 5550);
	extents_fini(&e);
}

static void a_table_that_overlaps_or_leaves_the_file_is_refused(UNUSED void **state)
{
	struct extents e = { 0 };

	assert_int_equal(extents_add(&e, 0, 101), 0);
	assert_int_equal(extents_add(&e, 100, 200), 0);
	assert_false(extents_finish(&e, 200));
	extents_fini(&e);
	assert_int_equal(extents_add(&e, 0, 100), 0);
	assert_false(extents_finish(&e, 99));
	extents_fini(&e);
}

static void an_empty_table_finds_nothing(UNUSED void **state)
{
	struct extents e = { 0 };

	assert_true(extents_finish(&e, 0));
	assert_null(extents_find(&e, 0));
	extents_fini(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_offset_is_found_in_its_extent_and_nowhere_else),
		cmocka_unit_test(many_extents_fit),
		cmocka_unit_test(a_table_that_overlaps_or_leaves_the_file_is_refused),
		cmocka_unit_test(an_empty_table_finds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
