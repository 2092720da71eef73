/* SPDX-License-Identifier: Apache-2.0 */
/* The end of children; what a child does for us is in test_format. */
#include "daemon/base/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

static pid_t begin(bool ends)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0 && !ends)
		pause();
	if (pid == 0)
		_exit(7);
	return pid;
}

static void one_that_ends_tells_how(void **state UNUSED)
{
	pid_t pid = begin(true);
	int status;

	assert_int_equal(child_wait(pid, clock_ms() + 10000, &status), 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_int_equal(child_wait(pid, clock_ms() + 10000, &status), -ECHILD);
}

static void one_that_stays_is_waited_for_so_long_and_killed(void **state UNUSED)
{
	int64_t began_ms = clock_ms();
	pid_t pid = begin(false);
	int status;

	assert_int_equal(child_wait(pid, began_ms + 100, &status), ERR_TIMEOUT);
	assert_true(clock_ms() >= began_ms + 100);
	assert_int_equal(kill(pid, 0), 0);
	child_kill(pid, clock_ms() + 10000);
	assert_int_equal(child_wait(pid, clock_ms() + 10000, &status), -ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_ends_tells_how),
		cmocka_unit_test(one_that_stays_is_waited_for_so_long_and_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
