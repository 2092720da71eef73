/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/grow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/own.h"

static void a_list_has_room_for_one_more_and_keeps_what_it_holds(void **state UNUSED)
{
	CLEANUP(freep) uint64_t *list = NULL;
	size_t count = 0, cap = 0, grown = 0;

	for (uint64_t i = 0; i < 1000; i++) {
		size_t before = cap;

		assert_int_equal(grow_list(list, count, cap), 0);
		assert_true(count < cap);
		list[count++] = i;
		grown += cap != before;
	}
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(list[i], i);
	assert_int_equal(cap, 1024);
	assert_int_equal(grown, 7); /* 16, 32, ... */
}

static void where_there_is_room_nothing_changes(void **state UNUSED)
{
	uint64_t two[2] = { 1, 2 }, *list = two;
	size_t cap = 2;

	assert_int_equal(grow_list(list, 1, cap), 0);
	assert_ptr_equal(list, two);
	assert_int_equal(cap, 2);
}

#if !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__) /* they end who asks for too much */
static void without_memory_a_list_stays_as_it_is(void **state UNUSED)
{
	volatile size_t most = SIZE_MAX / 4; /* compilers must not see that it is too many */
	uint64_t *list = NULL;
	size_t cap = most;

	assert_int_equal(grow_list(list, most, cap), -ENOMEM);
	assert_null(list);
	assert_int_equal(cap, SIZE_MAX / 4);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_has_room_for_one_more_and_keeps_what_it_holds),
		cmocka_unit_test(where_there_is_room_nothing_changes),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(without_memory_a_list_stays_as_it_is),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
