/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/own.h"

static void each_way_a_request_ends_has_a_name_of_its_own(UNUSED void **state)
{
	for (unsigned i = 0; i < METRICS_OUTCOMES; i++) {
		assert_non_null(metrics_outcome_name(i));
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(metrics_outcome_name(i), metrics_outcome_name(j));
	}
}

static void the_end_counts_before_the_status(UNUSED void **state)
{
	static const struct {
		int r, status, outcome;
	} table[] = {
		{ 206, 206, METRICS_OK },
		{ 1, 206, METRICS_OK }, /* a sink that had enough */
		{ 302, 302, METRICS_REDIRECT },
		{ 404, 404, METRICS_REFUSED },
		{ 401, 401, METRICS_REFUSED },
		{ 429, 429, METRICS_BUSY },
		{ 408, 408, METRICS_BUSY },
		{ 503, 503, METRICS_SERVER },
		{ ERR_UPSTREAM, 0, METRICS_UNREACHABLE },
		{ ERR_TLS, 0, METRICS_TLS },
		{ ERR_TIMEOUT, 0, METRICS_TIMEOUT },
		{ ERR_TIMEOUT, 206, METRICS_TIMEOUT },
		{ ERR_CUT, 206, METRICS_CUT },
		{ ERR_PROTO, 0, METRICS_PROTOCOL },
		{ ERR_CANCELED, 206, METRICS_CANCELED },
		{ ERR_CHANGED, 206, METRICS_OK }, /* an answer, though not of this file */
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if ((int)metrics_outcome(table[i].r, table[i].status) != table[i].outcome)
			fail_msg("row %zu", i);
}

static void a_duration_is_in_the_first_bucket_that_holds_it(UNUSED void **state)
{
	static struct metrics_histogram h;

	for (unsigned i = 0; i + 1 < METRICS_BUCKETS; i++)
		assert_true(metrics_bound_us(i) < metrics_bound_us(i + 1));
	metrics_time(&h, 0);
	metrics_time(&h, metrics_bound_us(0));
	metrics_time(&h, metrics_bound_us(0) + 1);
	metrics_time(&h, INT64_C(1) << 40);
	metrics_time(&h, -5); /* a clock that is not to be believed */
	assert_int_equal(metrics_get(&h.buckets[0]), 3);
	assert_int_equal(metrics_get(&h.buckets[1]), 1);
	assert_int_equal(metrics_get(&h.buckets[METRICS_BUCKETS]), 1);
	assert_int_equal(metrics_get(&h.sum_us), 2 * metrics_bound_us(0) + 1 + (INT64_C(1) << 40));
}

static void *count(void *arg)
{
	for (int i = 0; i < 100000; i++)
		metrics_add(arg, 1);
	return NULL;
}

static void no_count_is_lost_between_threads(UNUSED void **state)
{
	pthread_t threads[4];
	metric m = 0;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(thread_start(&threads[i], "count", count, &m), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metrics_get(&m), 400000);
}

static void there_is_room_for_every_kind_of_error(UNUSED void **state)
{
	assert_true(err_count() <= METRICS_ERRORS_MAX);
	assert_string_equal(err_word(err_index(ERR_TIMEOUT)), "TIMEOUT");
	assert_string_equal(err_word(err_index(-EIO)), "errno");
	assert_string_not_equal(err_word(err_count() - 1), "errno"); /* the last one */
	assert_string_equal(err_word(10000), "errno");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_way_a_request_ends_has_a_name_of_its_own),
		cmocka_unit_test(the_end_counts_before_the_status),
		cmocka_unit_test(a_duration_is_in_the_first_bucket_that_holds_it),
		cmocka_unit_test(no_count_is_lost_between_threads),
		cmocka_unit_test(there_is_room_for_every_kind_of_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
