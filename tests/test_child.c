/* SPDX-License-Identifier: Apache-2.0 */
/* The end of children; what a child does for us is in test_format. */
#include "daemon/base/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
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

/* ---- other programs ---- */

static int say(const char *script, int64_t timeout_ms, struct buf *said)
{
	char sh[] = "sh", c[] = "-c", text[200];
	char *const argv[] = { sh, c, text, NULL };

	snprintf(text, sizeof(text), "%s", script);
	return child_say("sh", argv, timeout_ms, said);
}

static void a_program_tells_its_status_and_what_is_wrong(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf said = { 0 };

	assert_int_equal(say("echo lost; echo wrong >&2; exit 9", 10000, &said), 9);
	assert_string_equal(buf_str(&said), "wrong\n");
	assert_int_equal(say("true", 10000, &said), 0);
	assert_int_equal(say("kill -9 $$", 10000, &said), -EIO);
}

static void a_program_that_is_not_there_cannot_be_run(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf said = { 0 };
	char word[] = "x";
	char *const argv[] = { word, NULL };

	assert_int_equal(child_say("/dev/null/x", argv, 10000, &said), -ENOTDIR);
	assert_int_equal(child_say("/dev/null", argv, 10000, &said), -EACCES);
}

static void a_program_that_hangs_is_killed(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf said = { 0 };
	int64_t began_ms = clock_ms();

	assert_int_equal(say("echo begun >&2; exec sleep 60", 3000, &said), ERR_TIMEOUT);
	assert_true(clock_ms() < began_ms + 20000);
	assert_string_equal(buf_str(&said), "begun\n");
	assert_int_equal(wait(NULL), -1);
}

/* Whoever runs it may hear of signals in another way. */
static void a_program_gets_its_signals(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf said = { 0 };
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &before);
	assert_int_equal(say("kill $$; exit 3", 10000, &said), -EIO);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_ends_tells_how),
		cmocka_unit_test(one_that_stays_is_waited_for_so_long_and_killed),
		cmocka_unit_test(a_program_tells_its_status_and_what_is_wrong),
		cmocka_unit_test(a_program_that_is_not_there_cannot_be_run),
		cmocka_unit_test(a_program_that_hangs_is_killed),
		cmocka_unit_test(a_program_gets_its_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
