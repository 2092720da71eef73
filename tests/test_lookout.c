/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/lookout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/workdir.h"

#define LONG_MS 10000

static int ask(struct lookout *l, const char *path, int ms)
{
	return lookout_ask(l, path, clock_ms() + ms);
}

static void what_is_there_answers_again_and_again(void **state)
{
	const struct workdir *d = *state;
	struct lookout *l;

	assert_int_equal(lookout_start(&l), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(l, d->path, LONG_MS), 0);
	lookout_free(l);
	assert_int_equal(wait(NULL), -1); /* it has ended, and was reaped */
}

static void what_is_not_there_is_told(UNUSED void **state)
{
	struct lookout *l;

	assert_int_equal(lookout_start(&l), 0);
	assert_int_equal(ask(l, "/nonexistent", LONG_MS), -ENOENT);
	lookout_free(l);
	assert_int_equal(wait(NULL), -1);
}

/* The only child of this process. */
static pid_t child_of_this(void)
{
	char path[64];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

static void who_does_not_answer_is_asked_once(void **state)
{
	const struct workdir *d = *state;
	struct lookout *l;
	pid_t pid;

	assert_int_equal(lookout_start(&l), 0);
	assert_int_equal(ask(l, d->path, LONG_MS), 0);
	pid = child_of_this();
	kill(pid, SIGSTOP);
	assert_int_equal(ask(l, d->path, 20), ERR_TIMEOUT);
	assert_int_equal(ask(l, d->path, 20), ERR_TIMEOUT);
	kill(pid, SIGCONT);
	assert_int_equal(ask(l, d->path, LONG_MS), 0);
	assert_int_equal(ask(l, d->path, LONG_MS), 0);
	kill(pid, SIGKILL);
	assert_int_equal(ask(l, d->path, LONG_MS), ERR_STOPPING);
	lookout_free(l);
}

static void *stop_later(void *arg)
{
	clock_sleep_ms(100);
	lookout_stop(arg);
	return NULL;
}

/* The twin is who_does_not_answer_is_asked_once. */
static void a_wait_for_an_answer_can_be_ended(void **state)
{
	const struct workdir *d = *state;
	int64_t began_ms = clock_ms();
	struct lookout *l;
	pthread_t thread;

	assert_int_equal(lookout_start(&l), 0);
	assert_int_equal(ask(l, d->path, LONG_MS), 0);
	kill(child_of_this(), SIGSTOP);
	assert_int_equal(pthread_create(&thread, NULL, stop_later, l), 0);
	assert_int_equal(ask(l, d->path, LONG_MS), ERR_STOPPING);
	assert_true(clock_ms() < began_ms + LONG_MS / 2);
	pthread_join(thread, NULL);
	assert_int_equal(ask(l, d->path, LONG_MS), ERR_STOPPING);
	assert_int_equal(wait(NULL), -1);
	lookout_free(l);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, workdir_setup, workdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_there_answers_again_and_again),
		cmocka_unit_test(what_is_not_there_is_told),
		TEST(who_does_not_answer_is_asked_once),
		TEST(a_wait_for_an_answer_can_be_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
