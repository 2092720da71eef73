/* SPDX-License-Identifier: Apache-2.0 */
/* This program, a copy of it, and scripts in its place. */
#include "fs/successor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "tests/workdir.h"

static char name[] = "name", end[] = "--", where[] = "/mnt";
static char *const words[] = { name, end, where, NULL };

static void where_this_one_lies(void **state)
{
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(successor_find(path), 0);
	assert_non_null(strstr(path, "/test_successor"));
	assert_false(successor_is_other(path));
	assert_true(successor_is_other("/bin/sh"));
	assert_true(successor_is_other("/nonexistent"));
}

static void write_script(const struct workdir *d, const char *text, char *ret_path, size_t cap)
{
	int fd = openat(d->dirfd, "program", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0 && dprintf(fd, "#!/bin/sh\n%s\n", text) > 0);
	close(fd);
	snprintf(ret_path, cap, "%s/program", d->path);
}

static void it_is_asked_before_its_other_words(void **state)
{
	CLEANUP(buf_free) struct buf said = { 0 };
	char path[PATH_MAX];

	write_script(*state, "[ \"$*\" = '--check -- /mnt' ]", path, sizeof(path));
	assert_int_equal(successor_check(path, words, &said), 0);
	assert_string_equal(buf_str(&said), "");
}

static void one_that_refuses_says_why(void **state)
{
	CLEANUP(buf_free) struct buf said = { 0 };
	char path[PATH_MAX];

	write_script(*state, "echo 'no such library' >&2; exit 127", path, sizeof(path));
	assert_int_equal(successor_check(path, words, &said), 127);
	assert_string_equal(buf_str(&said), "no such library\n");
	remove(path);
	assert_int_equal(successor_check(path, words, &said), -ENOENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_this_one_lies),
		cmocka_unit_test_setup_teardown(it_is_asked_before_its_other_words, workdir_setup,
						workdir_teardown),
		cmocka_unit_test_setup_teardown(one_that_refuses_says_why, workdir_setup,
						workdir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
