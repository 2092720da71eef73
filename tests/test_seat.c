/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time. */
#include "daemon/seat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/err.h"

#define NOW 1000

static struct job_progress running(uint64_t id, uint64_t bytes)
{
	return (struct job_progress){ .id = id, .bytes_done = bytes, .bytes_total = 1 << 20 };
}

static void hear(struct seat *s, uint64_t id, uint64_t bytes, int64_t now_ms)
{
	struct job_progress p = running(id, bytes);

	seat_heard(s, &p, now_ms);
}

static void who_forgets_again_and_again_has_failed(void **state UNUSED)
{
	struct seat s = { 0 };

	for (unsigned i = 1; i <= SEAT_LOSSES; i++) {
		assert_int_equal(s.at.state, JOB_RUNNING);
		hear(&s, i, 10, NOW);
		assert_int_equal(s.job, i);
		seat_lost(&s);
		assert_int_equal(s.job, 0);
	}
	assert_int_equal(s.at.state, JOB_FAILED);
	assert_int_equal(s.at.error, ERR_CUT);
}

/* The twin. */
static void who_was_begun_again_ends(void **state UNUSED)
{
	struct job_progress done = { .id = 9, .state = JOB_DONE };
	struct seat s = { 0 };

	for (unsigned i = 1; i < SEAT_LOSSES; i++) {
		hear(&s, i, 10, NOW);
		seat_lost(&s);
	}
	seat_heard(&s, &done, NOW);
	assert_int_equal(s.at.state, JOB_DONE);
}

static void who_does_not_get_on_has_failed(void **state UNUSED)
{
	struct seat s = { 0 };

	hear(&s, 1, 10, NOW);
	hear(&s, 1, 10, NOW + SEAT_PATIENCE_MS - 1);
	assert_int_equal(s.at.state, JOB_RUNNING);
	hear(&s, 1, 10, NOW + SEAT_PATIENCE_MS);
	assert_int_equal(s.at.state, JOB_FAILED);
	assert_string_equal(s.at.why, "it does not get on");
}

/* The twin. */
static void who_gets_on_slowly_is_waited_for(void **state UNUSED)
{
	struct seat s = { 0 };

	for (int64_t i = 0; i < 10; i++)
		hear(&s, 1, (uint64_t)i, NOW + i * (SEAT_PATIENCE_MS - 1));
	assert_int_equal(s.at.state, JOB_RUNNING);
}

/* To say less and then as much again is no way to get on. */
static void who_has_what_it_had_does_not_get_on(void **state UNUSED)
{
	struct seat s = { 0 };

	for (int64_t i = 0; i <= 10; i++)
		hear(&s, 1, i % 2 ? 5 : 10, NOW + i * SEAT_PATIENCE_MS / 10);
	assert_int_equal(s.at.state, JOB_FAILED);
}

static void silences_in_a_row_count(void **state UNUSED)
{
	struct seat s = { 0 };

	for (int i = 0; i < 10; i++) {
		seat_silent(&s, ERR_CUT, "it does not answer");
		seat_silent(&s, ERR_CUT, "it does not answer");
		hear(&s, 1, 10, NOW);
	}
	assert_int_equal(s.at.state, JOB_RUNNING);
	for (int i = 0; i < SEAT_SILENCES; i++)
		seat_silent(&s, ERR_CUT, "it does not answer");
	assert_int_equal(s.at.state, JOB_FAILED);
	assert_string_equal(s.at.why, "it does not answer");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_forgets_again_and_again_has_failed),
		cmocka_unit_test(who_was_begun_again_ends),
		cmocka_unit_test(who_does_not_get_on_has_failed),
		cmocka_unit_test(who_gets_on_slowly_is_waited_for),
		cmocka_unit_test(who_has_what_it_had_does_not_get_on),
		cmocka_unit_test(silences_in_a_row_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
