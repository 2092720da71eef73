/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void bytes_are_counted_in_whole_blocks(void **state)
{
	(void)state;
	assert_int_equal(usage_blocks(0), 0);
	assert_int_equal(usage_blocks(1), 4096);
	assert_int_equal(usage_blocks(4096), 4096);
	assert_int_equal(usage_blocks(4097), 8192);
}

static void it_follows_what_comes_and_goes(void **state)
{
	struct usage u = { 0 };

	(void)state;
	usage_add(&u, 10);
	usage_add(&u, 5);
	usage_sub(&u, 3);
	assert_int_equal(usage_bytes(&u), 12);
}

static void it_never_falls_below_zero(void **state)
{
	struct usage u = { 0 };

	(void)state;
	usage_add(&u, 10);
	usage_sub(&u, 11);
	assert_int_equal(usage_bytes(&u), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_counted_in_whole_blocks),
		cmocka_unit_test(it_follows_what_comes_and_goes),
		cmocka_unit_test(it_never_falls_below_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
