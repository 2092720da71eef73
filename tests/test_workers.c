/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/workers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "daemon/base/clock.h"

#define MANY 200
#define SOON_MS 5000

static struct {
	uint64_t order[2 * MANY];
	atomic_uint done;
	pthread_t thread;
	sem_t here, go;
} seen;

static struct workers *start_with(const struct workers_conf *conf)
{
	struct workers *w = NULL;

	assert_int_equal(workers_start(conf, &w), 0);
	return w;
}

static struct workers *start(unsigned threads, bool drops)
{
	const struct workers_conf conf = { "test", threads, MANY, drops };

	return start_with(&conf);
}

static void note(void *arg UNUSED, uint64_t number)
{
	seen.thread = pthread_self();
	seen.order[atomic_fetch_add(&seen.done, 1)] = number;
}

static void wait_to_go(void *arg, uint64_t number)
{
	sem_post(&seen.here);
	sem_wait(&seen.go);
	note(arg, number);
}

static int set_up(void **state UNUSED)
{
	seen.done = 0;
	return sem_init(&seen.go, 0, 0) || sem_init(&seen.here, 0, 0);
}

static int add(struct workers *w, void (*fn)(void *, uint64_t), uint64_t number, uint64_t lane)
{
	return workers_add(w, &(struct work){ .fn = fn, .number = number, .lane = lane });
}

static bool stop(struct workers *w)
{
	return workers_stop(w, clock_ms() + SOON_MS);
}

static void await_done(unsigned n)
{
	for (int i = 0; i < 1000 && seen.done < n; i++)
		clock_sleep_ms(5);
	assert_int_equal(seen.done, n);
}

static void one_does_all_in_order_and_before_the_end(void **state UNUSED)
{
	struct workers *w = start(1, false);

	for (uint64_t i = 0; i < MANY; i++)
		while (add(w, note, i, 0) == -EAGAIN)
			clock_sleep_ms(1);
	assert_true(stop(w));
	assert_int_equal(seen.done, MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(seen.order[i], i);
	assert_false(pthread_equal(seen.thread, pthread_self()));
}

static void more_than_may_wait_are_refused(void **state UNUSED)
{
	struct workers *w = start(1, false);

	assert_int_equal(add(w, wait_to_go, 0, 0), 0);
	sem_wait(&seen.here);
	for (uint64_t i = 0; i < MANY - 2; i++)
		assert_int_equal(add(w, note, i, 0), 0);
	assert_int_equal(add(w, wait_to_go, 0, 0), 0);
	assert_int_equal(add(w, note, 0, 0), 0);
	assert_int_equal(add(w, note, 0, 0), -EAGAIN);
	sem_post(&seen.go);
	sem_wait(&seen.here);
	assert_int_equal(seen.done, MANY - 1);
	seen.done = 0;
	assert_int_equal(add(w, note, 0, 0), 0); /* the twin: there is room again */
	sem_post(&seen.go);
	assert_true(stop(w));
	assert_int_equal(seen.done, 3);
}

static void what_is_slow_holds_up_none_but_its_lane(void **state UNUSED)
{
	struct workers *w = start(2, false);

	assert_int_equal(add(w, wait_to_go, 1, 5), 0);
	sem_wait(&seen.here);
	assert_int_equal(add(w, note, 2, 5), 0);
	assert_int_equal(add(w, note, 3, 6), 0);
	assert_int_equal(add(w, note, 4, 0), 0);
	await_done(2);
	sem_post(&seen.go);
	assert_true(stop(w));
	assert_int_equal(seen.done, 4);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(seen.order[i], ((uint64_t[]){ 3, 4, 1, 2 })[i]);
}

static void one_lane_gets_half_the_places(void **state UNUSED)
{
	struct workers *w = start(1, false);

	assert_int_equal(add(w, wait_to_go, 0, 6), 0);
	sem_wait(&seen.here);
	for (uint64_t i = 0; i < MANY / 2; i++)
		assert_int_equal(add(w, note, i, 6), 0);
	assert_int_equal(add(w, note, 0, 6), -EAGAIN);
	for (uint64_t i = 0; i < MANY / 2; i++) /* the twin: the other half is for others */
		assert_int_equal(add(w, note, i, 7), 0);
	assert_int_equal(add(w, note, 0, 0), -EAGAIN);
	sem_post(&seen.go);
	assert_true(stop(w));
}

static void a_lane_has_a_place_where_there_is_but_one(void **state UNUSED)
{
	struct workers *w = start_with(&(const struct workers_conf){ "test", 1, 1, false });

	assert_int_equal(add(w, wait_to_go, 0, 6), 0);
	sem_wait(&seen.here);
	assert_int_equal(add(w, note, 0, 6), 0);
	assert_int_equal(add(w, note, 0, 6), -EAGAIN);
	sem_post(&seen.go);
	assert_true(stop(w));
	assert_int_equal(seen.done, 2);
}

static void a_single_one_is_held_up_by_what_is_slow(void **state UNUSED)
{
	struct workers *w = start(1, false);

	assert_int_equal(add(w, wait_to_go, 1, 0), 0);
	sem_wait(&seen.here);
	assert_int_equal(add(w, note, 2, 0), 0);
	clock_sleep_ms(20);
	assert_int_equal(seen.done, 0);
	sem_post(&seen.go);
	assert_true(stop(w));
	assert_int_equal(seen.order[0], 1);
}

static void what_is_for_later_comes_later_or_at_the_stop(void **state UNUSED)
{
	struct workers *w = start(2, false);
	const struct work soon = { .fn = note, .number = 2, .delay_ms = 50 };
	const struct work late = { .fn = note, .number = 3, .delay_ms = 3600 * 1000 };
	int64_t begun_ms = clock_ms();

	assert_int_equal(workers_add(w, &late), 0);
	assert_int_equal(workers_add(w, &soon), 0);
	assert_int_equal(add(w, note, 1, 0), 0);
	await_done(2);
	assert_true(clock_ms() - begun_ms >= 50);
	assert_true(stop(w));
	assert_int_equal(seen.done, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(seen.order[i], i + 1);
}

static void a_stop_may_drop_what_waits(void **state UNUSED)
{
	struct workers *w = start(1, true);

	assert_int_equal(add(w, wait_to_go, 1, 0), 0);
	sem_wait(&seen.here);
	assert_int_equal(add(w, note, 2, 0), 0);
	sem_post(&seen.go);
	assert_true(stop(w));
	assert_in_range(seen.done, 1, 2);
	assert_int_equal(seen.order[0], 1);
}

static void a_stop_does_not_wait_for_ever(void **state UNUSED)
{
	struct workers *w = start(2, false);
	int64_t begun_ms = clock_ms();

	assert_int_equal(add(w, wait_to_go, 1, 0), 0);
	sem_wait(&seen.here);
	assert_false(workers_stop(w, clock_ms() + 50));
	assert_in_range(clock_ms() - begun_ms, 50, SOON_MS);
	assert_int_equal(add(w, note, 2, 0), -EAGAIN);
	sem_post(&seen.go); /* nothing of it was freed */
	assert_true(stop(w));
	assert_int_equal(seen.done, 1);
}

static void look_where(void *arg, uint64_t number)
{
	*(bool *)arg = workers_run_here();
	note(arg, number);
}

static void a_thread_knows_whether_it_is_one_of_them(void **state UNUSED)
{
	struct workers *w = start(1, false);
	bool there = false;

	assert_int_equal(workers_add(w, &(struct work){ .fn = look_where, .arg = &there }), 0);
	assert_true(stop(w));
	assert_true(there);
	assert_false(workers_run_here());
}

static void none_is_stopped_as_well(void **state UNUSED)
{
	assert_true(workers_stop(NULL, 0));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_does_all_in_order_and_before_the_end),
		TEST(more_than_may_wait_are_refused),
		TEST(what_is_slow_holds_up_none_but_its_lane),
		TEST(one_lane_gets_half_the_places),
		TEST(a_lane_has_a_place_where_there_is_but_one),
		TEST(a_single_one_is_held_up_by_what_is_slow),
		TEST(what_is_for_later_comes_later_or_at_the_stop),
		TEST(a_stop_may_drop_what_waits),
		TEST(a_stop_does_not_wait_for_ever),
		TEST(a_thread_knows_whether_it_is_one_of_them),
		TEST(none_is_stopped_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
