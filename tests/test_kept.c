/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/kept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* A descriptor that can be told from others. */
static int mark(off_t size)
{
	int fd = memfd_create("mark", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static off_t mark_of(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void one_of_the_same_name_is_replaced(void **state UNUSED)
{
	struct kept k = { 0 };
	int first;

	kept_put(&k, "a", mark(1));
	first = k.fds[0].fd;
	kept_put(&k, "b", mark(2));
	kept_put(&k, "a", mark(3));
	assert_int_equal(k.count, 2);
	assert_string_equal(k.fds[0].name, "b");
	assert_int_equal(mark_of(k.fds[0].fd), 2);
	assert_int_equal(mark_of(k.fds[1].fd), 3);
	kept_drop(&k, "none");
	assert_int_equal(k.count, 2);
	first = k.fds[1].fd;
	kept_drop(&k, "a");
	assert_int_equal(k.count, 1);
	assert_false(is_open(first));
	kept_drop_all(&k);
	assert_int_equal(k.count, 0);
}

static void what_has_no_room_is_closed(void **state UNUSED)
{
	char name[KEPT_NAME_ROOM + 1];
	struct kept k = { 0 };
	int fd = mark(9);

	memset(name, 'x', KEPT_NAME_ROOM);
	name[KEPT_NAME_ROOM] = '\0';
	kept_put(&k, name, fd);
	assert_int_equal(k.count, 0);
	assert_false(is_open(fd));
	for (int i = 0; i < KEPT_MAX; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		kept_put(&k, name, mark(i));
	}
	fd = mark(9);
	kept_put(&k, "more", fd);
	assert_int_equal(k.count, KEPT_MAX);
	assert_false(is_open(fd));
	kept_drop_all(&k);
}

/* In a process of its own: its low descriptors are overwritten. */
static int pass_and_take(void)
{
	struct kept k = { 0 }, got = { 0 };

	kept_put(&k, "one", mark(11));
	kept_put(&k, "two", mark(22));
	if (kept_pass(&k) < 0 || fcntl(NOTIFY_FIRST_PASSED, F_GETFD) != 0)
		return 1;
	kept_take_passed(&got, getenv);
	if (got.count != 2 || strcmp(got.fds[1].name, "two") || mark_of(got.fds[1].fd) != 22)
		return 2;
	if (is_open(NOTIFY_FIRST_PASSED) || fcntl(got.fds[0].fd, F_GETFD) != FD_CLOEXEC)
		return 3; /* it does not lie where the next ones are to */
	if (kept_pass(&k) < 0)
		return 4;
	kept_pass_undo();
	setenv("LISTEN_PID", "1", 1); /* somebody else's */
	kept_drop_all(&got);
	kept_take_passed(&got, getenv);
	return is_open(NOTIFY_FIRST_PASSED + 1) || got.count ? 5 : 0;
}

static void what_is_passed_is_taken_by_the_next(void **state UNUSED)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(pass_and_take());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_of_the_same_name_is_replaced),
		cmocka_unit_test(what_has_no_room_is_closed),
		cmocka_unit_test(what_is_passed_is_taken_by_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
