/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/lock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/base/clock.h"
#include "daemon/base/own.h"

#define THREADS 4
#define ROUNDS 5000

struct shared {
	struct lock lock;
	struct cond cond;
	int value;
	char name[16];
	sigset_t blocked;
};

static int setup(void **state)
{
	struct shared *s = calloc(1, sizeof(*s));

	if (!s)
		return -1;
	lock_init(&s->lock, LOCK_STORE);
	cond_init(&s->cond);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct shared *s = *state;

	cond_fini(&s->cond);
	lock_fini(&s->lock);
	free(s);
	return 0;
}

/* True if fn aborts. It runs in a child, which says nothing and leaves no core. */
static int aborts(void (*fn)(struct shared *), struct shared *s)
{
	const struct rlimit none = { 0, 0 };
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		fn(s);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void a_lock_knows_who_holds_it(void **state)
{
	struct shared *s = *state;

	assert_false(lock_mine(&s->lock));
	lock_take(&s->lock);
	assert_true(lock_mine(&s->lock));
	lock_drop(&s->lock);
	assert_false(lock_mine(&s->lock));
}

static void take_upwards(struct shared *s)
{
	struct lock higher;

	lock_init(&higher, LOCK_KV);
	lock_take(&s->lock);
	lock_take(&higher);
	lock_drop(&s->lock);
	lock_drop(&higher);
	lock_fini(&higher);
}

static void take_downwards(struct shared *s)
{
	struct lock lower;

	lock_init(&lower, LOCK_NODE);
	lock_take(&s->lock);
	lock_take(&lower);
}

static void take_twice(struct shared *s)
{
	lock_take(&s->lock);
	lock_take(&s->lock);
}

static void take_two_of_one_rank(struct shared *s)
{
	struct lock same;

	lock_init(&same, LOCK_STORE);
	lock_take(&s->lock);
	lock_take(&same);
}

static void drop_what_is_free(struct shared *s)
{
	lock_drop(&s->lock);
}

static void locks_nest_upwards(void **state)
{
	assert_false(aborts(take_upwards, *state));
	take_upwards(*state);
	/* Dropped in another order, and still nothing is held. */
	take_upwards(*state);
}

static void any_other_order_is_a_bug(void **state)
{
	assert_true(aborts(take_downwards, *state));
	assert_true(aborts(take_twice, *state));
	assert_true(aborts(take_two_of_one_rank, *state));
	assert_true(aborts(drop_what_is_free, *state));
}

static void *count(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < ROUNDS; i++) {
		lock_take(&s->lock);
		s->value++;
		lock_drop(&s->lock);
	}
	return NULL;
}

static void only_one_thread_is_inside(void **state)
{
	struct shared *s = *state;
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(thread_start(&threads[i], "count", count, s), 0);
	for (int i = 0; i < ROUNDS; i++)
		assert_false(lock_mine(&s->lock));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s->value, THREADS * ROUNDS);
}

static void a_wait_ends_at_its_deadline(void **state)
{
	struct shared *s = *state;
	int64_t before = clock_ms();
	int r;

	lock_take(&s->lock);
	do
		r = cond_wait(&s->cond, &s->lock, before + 50);
	while (!r);
	assert_int_equal(r, -ETIMEDOUT);
	assert_true(lock_mine(&s->lock));
	assert_true(clock_ms() >= before + 50);
	lock_drop(&s->lock);
}

static void *answer(void *arg)
{
	struct shared *s = arg;

	lock_take(&s->lock);
	s->value = 42;
	cond_wake_all(&s->cond);
	lock_drop(&s->lock);
	return NULL;
}

static void wait_for_answer(struct shared *s, int64_t deadline_ms)
{
	pthread_t thread;

	lock_take(&s->lock);
	s->value = 0;
	assert_int_equal(thread_start(&thread, "answer", answer, s), 0);
	while (s->value != 42)
		assert_int_equal(cond_wait(&s->cond, &s->lock, deadline_ms), 0);
	assert_true(lock_mine(&s->lock));
	lock_drop(&s->lock);
	pthread_join(thread, NULL);
}

static void a_wait_ends_when_woken(void **state)
{
	wait_for_answer(*state, clock_ms() + 60000);
	wait_for_answer(*state, CLOCK_FOREVER);
}

static void wait_without_the_lock(struct shared *s)
{
	cond_wait(&s->cond, &s->lock, 0);
}

static void waiting_without_the_lock_is_a_bug(void **state)
{
	assert_true(aborts(wait_without_the_lock, *state));
}

static void *be_nice(void *arg)
{
	int *nice = arg;

	nice[0] = getpriority(PRIO_PROCESS, 0);
	thread_be_nice(7);
	nice[1] = getpriority(PRIO_PROCESS, 0);
	thread_be_nice(THREAD_NICE_MAX);
	nice[2] = getpriority(PRIO_PROCESS, 0);
	return NULL;
}

static void a_thread_is_nice_for_itself_alone(void **state UNUSED)
{
	int nice[3], before = getpriority(PRIO_PROCESS, 0);
	pthread_t thread;

	assert_int_equal(thread_start(&thread, "nice", be_nice, nice), 0);
	pthread_join(thread, NULL);
	assert_int_equal(nice[0], before);
	assert_int_equal(nice[1], 7);
	assert_int_equal(nice[2], THREAD_NICE_MAX);
	assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
}

static void *introduce(void *arg)
{
	struct shared *s = arg;

	lock_take(&s->lock);
	while (!s->value)
		cond_wait(&s->cond, &s->lock, CLOCK_FOREVER);
	pthread_getname_np(pthread_self(), s->name, sizeof(s->name));
	pthread_sigmask(SIG_SETMASK, NULL, &s->blocked);
	lock_drop(&s->lock);
	return NULL;
}

static void a_thread_has_its_name_and_leaves_ending_signals_to_main(void **state)
{
	struct shared *s = *state;
	pthread_t thread;

	assert_int_equal(thread_start(&thread, "fifteen-letters", introduce, s), 0);
	lock_take(&s->lock);
	s->value = 1;
	cond_wake_one(&s->cond);
	lock_drop(&s->lock);
	pthread_join(thread, NULL);
	assert_string_equal(s->name, "fifteen-letters");
	assert_true(sigismember(&s->blocked, SIGTERM));
	assert_true(sigismember(&s->blocked, SIGINT));
	assert_false(sigismember(&s->blocked, SIGSEGV));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lock_knows_who_holds_it),
		TEST(locks_nest_upwards),
		TEST(any_other_order_is_a_bug),
		TEST(only_one_thread_is_inside),
		TEST(a_wait_ends_at_its_deadline),
		TEST(a_wait_ends_when_woken),
		TEST(waiting_without_the_lock_is_a_bug),
		TEST(a_thread_has_its_name_and_leaves_ending_signals_to_main),
		TEST(a_thread_is_nice_for_itself_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
