/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time. */
#include "daemon/base/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/own.h"

#define NOW INT64_C(50000000)
#define RATE 1000 /* a byte is a ms */
#define SAVED 100000

static void what_goes_through_is_owed_and_time_pays_for_it(UNUSED void **state)
{
	struct bucket b = { 0 };

	bucket_book(&b, 500, RATE, 0, NOW);
	assert_int_equal(bucket_owed_us(&b, NOW), 500000);
	assert_int_equal(bucket_owed_us(&b, NOW + 200000), 300000);
	bucket_book(&b, 100, RATE, 0, NOW + 200000);
	assert_int_equal(bucket_owed_us(&b, NOW + 200000), 400000);
}

/* However long it was. */
static void of_idle_time_so_much_counts_as_may_be_saved(UNUSED void **state)
{
	struct bucket b = { 0 };

	bucket_book(&b, 500, RATE, SAVED, NOW);
	assert_int_equal(bucket_owed_us(&b, NOW), 500000 - SAVED);
	bucket_book(&b, 500, RATE, SAVED, 100 * NOW);
	assert_int_equal(bucket_owed_us(&b, 100 * NOW), 500000 - SAVED);
}

/* The twin. */
static void of_less_all_of_it_does(UNUSED void **state)
{
	struct bucket b = { 0 };

	bucket_book(&b, 500, RATE, SAVED, NOW);
	bucket_book(&b, 500, RATE, SAVED, NOW + 450000); /* 50 ms after it was paid for */
	assert_int_equal(bucket_owed_us(&b, NOW + 450000), 450000);
}

static void nothing_costs_nothing_and_another_rate_counts_for_what_comes(UNUSED void **state)
{
	struct bucket b = { 0 };

	bucket_book(&b, 0, RATE, 0, NOW);
	assert_int_equal(bucket_owed_us(&b, NOW), 0);
	bucket_book(&b, 500, RATE, 0, NOW);
	bucket_book(&b, 500, 10 * RATE, 0, NOW);
	assert_int_equal(bucket_owed_us(&b, NOW), 550000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_through_is_owed_and_time_pays_for_it),
		cmocka_unit_test(of_idle_time_so_much_counts_as_may_be_saved),
		cmocka_unit_test(of_less_all_of_it_does),
		cmocka_unit_test(nothing_costs_nothing_and_another_rate_counts_for_what_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
