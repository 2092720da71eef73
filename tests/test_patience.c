/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW_MS 1000000
#define AGES_MS (100 * PATIENCE_REFUSED_MS)

/* So many ends of a kind that are all followed by a new start. */
static void again(struct patience *p, enum patience_end end, unsigned times)
{
	int64_t wait_ms;

	for (unsigned i = 0; i < times; i++)
		assert_int_equal(patience_after(p, end, NOW_MS, &wait_ms), PATIENCE_AGAIN);
}

static enum patience_next next(struct patience *p, enum patience_end end, int64_t now_ms)
{
	int64_t wait_ms;

	return patience_after(p, end, now_ms, &wait_ms);
}

static void so_many_that_never_served_and_one_anew(void **state)
{
	struct patience p = { 0 };

	(void)state;
	again(&p, PATIENCE_VAIN, PATIENCE_TRIES - 1);
	assert_int_equal(next(&p, PATIENCE_VAIN, NOW_MS), PATIENCE_ANEW);
	assert_int_equal(next(&p, PATIENCE_VAIN, NOW_MS), PATIENCE_OVER);
}

static void one_that_serves_in_between_is_the_twin(void **state)
{
	struct patience p = { 0 };

	(void)state;
	again(&p, PATIENCE_VAIN, PATIENCE_TRIES - 1);
	again(&p, PATIENCE_SHORT, 1);
	again(&p, PATIENCE_VAIN, PATIENCE_TRIES - 1);
	assert_int_equal(next(&p, PATIENCE_VAIN, NOW_MS), PATIENCE_ANEW);
	again(&p, PATIENCE_SHORT, 1);
	again(&p, PATIENCE_VAIN, PATIENCE_TRIES - 1);
	assert_int_equal(next(&p, PATIENCE_VAIN, NOW_MS), PATIENCE_ANEW);
}

static void sixty_short_lives_and_one_anew(void **state)
{
	struct patience p = { 0 };

	(void)state;
	again(&p, PATIENCE_SHORT, PATIENCE_SHORT_LIVES - 1);
	assert_int_equal(next(&p, PATIENCE_SHORT, NOW_MS), PATIENCE_ANEW);
	assert_int_equal(next(&p, PATIENCE_SHORT, NOW_MS), PATIENCE_OVER);
}

static void who_served_well_has_not_failed(void **state)
{
	struct patience p = { 0 };

	(void)state;
	again(&p, PATIENCE_WELL, 3 * PATIENCE_SHORT_LIVES);
	again(&p, PATIENCE_SHORT, PATIENCE_SHORT_LIVES - 2);
	again(&p, PATIENCE_WELL, 1);
	again(&p, PATIENCE_SHORT, PATIENCE_SHORT_LIVES - 2);
}

static void the_wait_grows_with_failures_in_a_row(void **state)
{
	static const int64_t waits_ms[] = { 0, 100, 200, 400, 800, 1600 };
	struct patience p = { 0 };
	int64_t wait_ms;

	(void)state;
	for (unsigned i = 0; i < sizeof(waits_ms) / sizeof(*waits_ms); i++) {
		patience_after(&p, PATIENCE_VAIN, NOW_MS, &wait_ms);
		assert_int_equal(wait_ms, waits_ms[i]);
	}
	p = (struct patience){ .failures = 30 };
	patience_after(&p, PATIENCE_SHORT, NOW_MS, &wait_ms);
	assert_int_equal(wait_ms, 5000);
	patience_after(&p, PATIENCE_WELL, NOW_MS, &wait_ms);
	assert_int_equal(wait_ms, 0);
}

/* A system without room is not the daemon's fault: nearly five minutes of it are borne. */
static void where_there_is_no_process_to_be_had(void **state)
{
	struct patience p = { 0 };

	(void)state;
	again(&p, PATIENCE_NOT_STARTED, PATIENCE_SHORT_LIVES - 1);
	assert_int_equal(p.vain, 0);
	assert_int_equal(next(&p, PATIENCE_NOT_STARTED, NOW_MS), PATIENCE_ANEW);
	assert_int_equal(next(&p, PATIENCE_NOT_STARTED, NOW_MS), PATIENCE_OVER);
}

static void who_mends_a_configuration_has_ten_minutes(void **state)
{
	struct patience p = { 0 };

	(void)state;
	again(&p, PATIENCE_REFUSED, 500);
	assert_int_equal(next(&p, PATIENCE_REFUSED, NOW_MS + PATIENCE_REFUSED_MS - 1),
			 PATIENCE_AGAIN);
	again(&p, PATIENCE_VAIN, 1); /* it was mended when it had ended */
	again(&p, PATIENCE_SHORT, 1);
	assert_int_equal(next(&p, PATIENCE_REFUSED, AGES_MS), PATIENCE_AGAIN);
	assert_int_equal(next(&p, PATIENCE_REFUSED, AGES_MS + PATIENCE_REFUSED_MS), PATIENCE_ANEW);
	assert_int_equal(next(&p, PATIENCE_REFUSED, AGES_MS + PATIENCE_REFUSED_MS), PATIENCE_OVER);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_that_never_served_and_one_anew),
		cmocka_unit_test(one_that_serves_in_between_is_the_twin),
		cmocka_unit_test(sixty_short_lives_and_one_anew),
		cmocka_unit_test(who_served_well_has_not_failed),
		cmocka_unit_test(the_wait_grows_with_failures_in_a_row),
		cmocka_unit_test(where_there_is_no_process_to_be_had),
		cmocka_unit_test(who_mends_a_configuration_has_ten_minutes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
