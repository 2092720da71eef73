/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/hearing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define MANY 40

static char address[64];

static char *env(const char *name)
{
	return strcmp(name, "NOTIFY_SOCKET") == 0 ? address : NULL;
}

static int setup(void **state)
{
	static struct hearing h;

	*state = &h;
	return hearing_open(&h);
}

static int teardown(void **state)
{
	hearing_close(*state);
	return 0;
}

static void speak(const struct hearing *h, struct notify *ret)
{
	snprintf(address, sizeof(address), "/proc/self/fd/%d", h->address);
	assert_int_equal(notify_open(ret, env), 0);
}

static void what_was_said_is_heard_and_by_whom(void **state)
{
	const struct hearing *h = *state;
	struct hearing_said said;
	struct notify n;
	int status;
	pid_t pid;

	assert_int_equal(hearing_take(h, &said), -EAGAIN);
	speak(h, &n);
	assert_int_equal(notify_ready(&n), 0);
	pid = fork();
	if (pid == 0)
		_exit(notify_status(&n, "busy") == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(hearing_take(h, &said), 0);
	assert_int_equal(said.from, getpid());
	assert_int_equal(said.fd, -1);
	assert_string_equal(said.text, "READY=1");
	assert_int_equal(hearing_take(h, &said), 0);
	assert_int_equal(said.from, pid);
	assert_int_equal(hearing_take(h, &said), -EAGAIN);
	notify_close(&n);
}

/* The next free descriptor tells whether others were left open. */
static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void of_many_descriptors_one_is_taken(void **state)
{
	const int fds[] = { 0, 1, 2, 0, 1, 2, 0, 1 };
	const struct hearing *h = *state;
	struct hearing_said said;
	struct notify n;
	int before;

	speak(h, &n);
	before = next_fd();
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(notify_keep_fds(&n, "x", fds, ARRAY_LEN(fds), false), 0);
		assert_int_equal(hearing_take(h, &said), 0);
		assert_true(said.fd >= 0);
		close(said.fd);
	}
	assert_int_equal(next_fd(), before);
	notify_close(&n);
}

static void a_value_is_that_of_its_line(void **state UNUSED)
{
	const char *text = "FDSTORE=1\nFDNAME=of\nSTATUS=a=b\nEMPTY=";
	char value[8] = "as was";

	assert_false(hearing_value(text, "NAME", value, sizeof(value)));
	assert_false(hearing_value(text, "FD", value, sizeof(value)));
	assert_string_equal(value, "as was");
	assert_true(hearing_value(text, "FDNAME", value, sizeof(value)));
	assert_string_equal(value, "of");
	assert_true(hearing_value(text, "STATUS", value, 3));
	assert_string_equal(value, "a=");
	assert_true(hearing_value(text, "EMPTY", value, sizeof(value)));
	assert_string_equal(value, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_said_is_heard_and_by_whom, setup,
						teardown),
		cmocka_unit_test_setup_teardown(of_many_descriptors_one_is_taken, setup, teardown),
		cmocka_unit_test(a_value_is_that_of_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
