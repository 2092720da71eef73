/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

static void failures_of_the_way_pass(UNUSED void **state)
{
	static const int passing[] = { ERR_UPSTREAM, ERR_TIMEOUT, ERR_CUT,     ERR_BUSY,
				       ERR_SERVER,   ERR_EXPIRED, -ECONNRESET, -ETIMEDOUT };

	for (size_t i = 0; i < ARRAY_LEN(passing); i++)
		assert_true(retry_passes(passing[i]));
}

static void answers_do_not_pass(UNUSED void **state)
{
	static const int lasting[] = { ERR_NOREPO,   ERR_GATED, ERR_TOKEN, ERR_DIGEST, ERR_OFFLINE,
				       ERR_CANCELED, ERR_TLS,   -ENOMEM,   -ENOSPC,    0 };

	for (size_t i = 0; i < ARRAY_LEN(lasting); i++)
		assert_false(retry_passes(lasting[i]));
}

static void pauses_double_to_five_seconds_with_jitter(UNUSED void **state)
{
	static const int64_t middle[] = { 100, 200, 400, 800, 1600, 3200, 5000, 5000 };
	struct retry t;

	for (uint64_t seed = 0; seed < 1000; seed++) {
		retry_init(&t, 10, CLOCK_FOREVER, seed);
		for (unsigned n = 1; n <= ARRAY_LEN(middle); n++) {
			t.failures = n;
			assert_in_range(retry_pause_ms(&t), middle[n - 1] / 2,
					middle[n - 1] * 3 / 2);
		}
		t.failures = UINT32_MAX;
		assert_in_range(retry_pause_ms(&t), 2500, 7500);
	}
}

static void jitter_depends_on_the_seed_alone(UNUSED void **state)
{
	struct retry a, b, c;
	unsigned same = 0;

	retry_init(&a, 10, CLOCK_FOREVER, 1);
	retry_init(&b, 10, CLOCK_FOREVER, 1);
	retry_init(&c, 10, CLOCK_FOREVER, 2);
	a.failures = b.failures = c.failures = 7;
	for (int i = 0; i < 20; i++) {
		int64_t pause = retry_pause_ms(&a);

		assert_int_equal(retry_pause_ms(&b), pause);
		same += retry_pause_ms(&c) == pause;
	}
	assert_true(same < 5);
}

static void the_servers_wish_lengthens_a_pause_and_never_shortens_it(UNUSED void **state)
{
	struct retry t;

	retry_init(&t, 10, CLOCK_FOREVER, 1);
	t.asked_ms = 12345;
	assert_int_equal(retry_pause_ms(&t), 12345);
	t.asked_ms = 0; /* "at once" from one who has too much to do already */
	assert_true(retry_pause_ms(&t) >= 50);
}

static void a_passing_failure_is_waited_out(UNUSED void **state)
{
	int64_t before = clock_ms();
	struct retry t;

	retry_init(&t, 2, CLOCK_FOREVER, 1);
	assert_int_equal(retry_wait(&t, ERR_CUT), 0);
	assert_in_range(clock_ms() - before, 50, 5000);
	assert_int_equal(t.failures, 1);
}

static void a_wish_counts_for_one_failure_only(UNUSED void **state)
{
	int64_t before = clock_ms();
	struct retry t;

	retry_init(&t, 2, CLOCK_FOREVER, 1);
	t.asked_ms = 0;
	assert_int_equal(retry_wait(&t, ERR_BUSY), 0);
	assert_int_equal(t.asked_ms, -1);
	assert_true(clock_ms() - before < 5000);
}

static void a_lasting_failure_is_handed_back_at_once(UNUSED void **state)
{
	int64_t before = clock_ms();
	struct retry t;

	retry_init(&t, 5, CLOCK_FOREVER, 1);
	t.asked_ms = 60000;
	assert_int_equal(retry_wait(&t, ERR_GATED), ERR_GATED);
	assert_true(clock_ms() - before < 5000);
	assert_int_equal(t.failures, 0);
}

static void too_many_failures_in_a_row_end_it(UNUSED void **state)
{
	struct retry t;

	retry_init(&t, 2, CLOCK_FOREVER, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(retry_wait(&t, ERR_CUT), 0);
	assert_int_equal(retry_wait(&t, ERR_CUT), ERR_CUT);
}

static void progress_forgives_failures(UNUSED void **state)
{
	struct retry t;

	retry_init(&t, 1, CLOCK_FOREVER, 1);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(retry_wait(&t, ERR_CUT), 0);
		retry_reset(&t);
	}
}

static void a_pause_beyond_the_deadline_is_not_begun(UNUSED void **state)
{
	int64_t before = clock_ms();
	struct retry t;

	retry_init(&t, 5, before + 10000, 1);
	t.asked_ms = 60000;
	assert_int_equal(retry_wait(&t, ERR_BUSY), ERR_BUSY);
	assert_true(clock_ms() - before < 5000);
}

static void *stop_soon(void *arg)
{
	clock_sleep_ms(50);
	atomic_store((atomic_int *)arg, 1);
	return NULL;
}

static void a_stop_ends_a_pause(UNUSED void **state)
{
	int64_t before = clock_ms();
	atomic_int stop = 0;
	pthread_t thread;
	struct retry t;

	retry_init(&t, 5, CLOCK_FOREVER, 1);
	t.stop = &stop;
	t.asked_ms = 60000;
	assert_int_equal(pthread_create(&thread, NULL, stop_soon, &stop), 0);
	assert_int_equal(retry_wait(&t, ERR_BUSY), ERR_CANCELED);
	assert_in_range(clock_ms() - before, 50, 10000);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failures_of_the_way_pass),
		cmocka_unit_test(answers_do_not_pass),
		cmocka_unit_test(pauses_double_to_five_seconds_with_jitter),
		cmocka_unit_test(jitter_depends_on_the_seed_alone),
		cmocka_unit_test(the_servers_wish_lengthens_a_pause_and_never_shortens_it),
		cmocka_unit_test(a_passing_failure_is_waited_out),
		cmocka_unit_test(a_wish_counts_for_one_failure_only),
		cmocka_unit_test(a_lasting_failure_is_handed_back_at_once),
		cmocka_unit_test(too_many_failures_in_a_row_end_it),
		cmocka_unit_test(progress_forgives_failures),
		cmocka_unit_test(a_pause_beyond_the_deadline_is_not_begun),
		cmocka_unit_test(a_stop_ends_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
