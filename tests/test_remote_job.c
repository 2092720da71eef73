/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time. */
#include "daemon/remote_job.h"

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

static void hear(struct remote_job *s, uint64_t id, uint64_t bytes, int64_t now_ms)
{
	struct job_progress p = running(id, bytes);

	remote_job_heard(s, &p, now_ms);
}

static void who_forgets_again_and_again_has_failed(void **state UNUSED)
{
	struct remote_job s = { 0 };

	for (unsigned i = 1; i <= REMOTE_JOB_LOSSES; i++) {
		assert_int_equal(s.at.state, JOB_RUNNING);
		hear(&s, i, 10, NOW);
		assert_int_equal(s.job, i);
		remote_job_lost(&s);
		assert_int_equal(s.job, 0);
	}
	assert_int_equal(s.at.state, JOB_FAILED);
	assert_int_equal(s.at.error, ERR_CUT);
}

/* The twin. */
static void who_was_begun_again_ends(void **state UNUSED)
{
	struct job_progress done = { .id = 9, .state = JOB_DONE };
	struct remote_job s = { 0 };

	for (unsigned i = 1; i < REMOTE_JOB_LOSSES; i++) {
		hear(&s, i, 10, NOW);
		remote_job_lost(&s);
	}
	remote_job_heard(&s, &done, NOW);
	assert_int_equal(s.at.state, JOB_DONE);
}

static void who_does_not_get_on_has_failed(void **state UNUSED)
{
	struct remote_job s = { 0 };

	hear(&s, 1, 10, NOW);
	hear(&s, 1, 10, NOW + REMOTE_JOB_PATIENCE_MS - 1);
	assert_int_equal(s.at.state, JOB_RUNNING);
	hear(&s, 1, 10, NOW + REMOTE_JOB_PATIENCE_MS);
	assert_int_equal(s.at.state, JOB_FAILED);
	assert_string_equal(s.at.why, "it does not get on");
}

/* The twin. */
static void who_gets_on_slowly_is_waited_for(void **state UNUSED)
{
	struct remote_job s = { 0 };

	for (int64_t i = 0; i < 10; i++)
		hear(&s, 1, (uint64_t)i, NOW + i * (REMOTE_JOB_PATIENCE_MS - 1));
	assert_int_equal(s.at.state, JOB_RUNNING);
}

static void hear_that_it_waits(struct remote_job *s, uint64_t id, int64_t now_ms)
{
	struct job_progress p = running(id, 0);

	p.waits = true;
	remote_job_heard(s, &p, now_ms);
}

/* As many pulls as a node does at once go before it. */
static void who_waits_for_its_turn_has_its_time_from_then_on(void **state UNUSED)
{
	struct remote_job s = { 0 };
	int64_t at = NOW;

	for (; at < NOW + 4 * REMOTE_JOB_PATIENCE_MS; at += REMOTE_JOB_PATIENCE_MS / 10)
		hear_that_it_waits(&s, 1, at);
	assert_int_equal(s.at.state, JOB_RUNNING);
	hear(&s, 1, 0, at);
	hear(&s, 1, 0, at + REMOTE_JOB_PATIENCE_MS - 1);
	assert_int_equal(s.at.state, JOB_RUNNING);
	hear(&s, 1, 0, at + REMOTE_JOB_PATIENCE_MS);
	assert_int_equal(s.at.state, JOB_FAILED);
}

/* The twins. */
static void who_waits_for_ever_has_failed(void **state UNUSED)
{
	struct remote_job s = { 0 };

	hear_that_it_waits(&s, 1, NOW);
	hear_that_it_waits(&s, 1, NOW + REMOTE_JOB_TURN_MS - 1);
	assert_int_equal(s.at.state, JOB_RUNNING);
	hear_that_it_waits(&s, 1, NOW + REMOTE_JOB_TURN_MS);
	assert_int_equal(s.at.state, JOB_FAILED);
}

static void who_has_begun_and_says_that_it_waits_does_not_get_on(void **state UNUSED)
{
	struct remote_job s = { 0 };

	for (int64_t i = 0; i <= 10; i++) {
		if (i % 2)
			hear_that_it_waits(&s, 1, NOW + i * REMOTE_JOB_PATIENCE_MS / 10);
		else
			hear(&s, 1, 0, NOW + i * REMOTE_JOB_PATIENCE_MS / 10);
	}
	assert_int_equal(s.at.state, JOB_FAILED);
}

static void who_is_begun_again_may_wait_again(void **state UNUSED)
{
	struct remote_job s = { 0 };

	hear(&s, 1, 0, NOW);
	remote_job_lost(&s);
	hear_that_it_waits(&s, 2, NOW + 2 * REMOTE_JOB_PATIENCE_MS);
	assert_int_equal(s.at.state, JOB_RUNNING);
	hear(&s, 2, 0, NOW + 4 * REMOTE_JOB_PATIENCE_MS);
	assert_int_equal(s.at.state, JOB_RUNNING);
}

/* To say less and then as much again is no way to get on. */
static void who_has_what_it_had_does_not_get_on(void **state UNUSED)
{
	struct remote_job s = { 0 };

	for (int64_t i = 0; i <= 10; i++)
		hear(&s, 1, i % 2 ? 5 : 10, NOW + i * REMOTE_JOB_PATIENCE_MS / 10);
	assert_int_equal(s.at.state, JOB_FAILED);
}

static void silences_in_a_row_count(void **state UNUSED)
{
	struct remote_job s = { 0 };

	for (int i = 0; i < 10; i++) {
		remote_job_silent(&s, ERR_CUT, "it does not answer");
		remote_job_silent(&s, ERR_CUT, "it does not answer");
		hear(&s, 1, 10, NOW);
	}
	assert_int_equal(s.at.state, JOB_RUNNING);
	for (int i = 0; i < REMOTE_JOB_SILENCES; i++)
		remote_job_silent(&s, ERR_CUT, "it does not answer");
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
		cmocka_unit_test(who_waits_for_its_turn_has_its_time_from_then_on),
		cmocka_unit_test(who_waits_for_ever_has_failed),
		cmocka_unit_test(who_has_begun_and_says_that_it_waits_does_not_get_on),
		cmocka_unit_test(who_is_begun_again_may_wait_again),
		cmocka_unit_test(who_has_what_it_had_does_not_get_on),
		cmocka_unit_test(silences_in_a_row_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
