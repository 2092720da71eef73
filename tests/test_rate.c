/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/own.h"

#define BEGIN 1000123

static void a_steady_flow_has_its_rate(UNUSED void **state)
{
	struct rate r = { 0 };

	for (int64_t ms = 0; ms <= 20000; ms += 10) {
		rate_add(&r, BEGIN + ms, 1000);
		if (ms >= 1000)
			assert_in_range(rate_get(&r, BEGIN + ms), 95000, 105000);
	}
}

static void a_young_flow_counts_from_its_beginning(UNUSED void **state)
{
	struct rate r = { 0 };

	rate_add(&r, BEGIN, 50000);
	assert_int_equal(rate_get(&r, BEGIN + 500), 100000);
}

static void silence_lets_it_fall_to_nothing(UNUSED void **state)
{
	struct rate r = { 0 };

	rate_add(&r, BEGIN, 5000000);
	assert_true(rate_get(&r, BEGIN + 3000) > rate_get(&r, BEGIN + 4500));
	assert_int_equal(rate_get(&r, BEGIN + 7000), 0);
	assert_int_equal(rate_get(&r, BEGIN + 1000000), 0);
	/* What comes after a silence begins anew. */
	rate_add(&r, BEGIN + 1000000, 50000);
	assert_int_equal(rate_get(&r, BEGIN + 1000500), 100000);
}

static void nothing_has_no_rate(UNUSED void **state)
{
	struct rate r = { 0 };

	assert_int_equal(rate_get(&r, 0), 0);
	assert_int_equal(rate_get(&r, BEGIN), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_steady_flow_has_its_rate),
		cmocka_unit_test(a_young_flow_counts_from_its_beginning),
		cmocka_unit_test(silence_lets_it_fall_to_nothing),
		cmocka_unit_test(nothing_has_no_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
