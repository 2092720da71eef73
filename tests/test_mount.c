/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told of a mount point without mounting; the rest is in the flows. */
#include "fs/mount.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/workdir.h"

static void check(const char *path, int result, const char *sentence)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	char *found;

	assert_int_equal(mount_find(path, &found, &why), result);
	assert_string_equal(found, path);
	free(found);
	if (!sentence)
		assert_int_equal(why.len, 0);
	else if (!strstr(buf_str(&why), sentence) || !strstr(buf_str(&why), path))
		fail_msg("%s", buf_str(&why));
}

static void test_a_directory_is_fine(void **state)
{
	const struct workdir *d = *state;

	check(d->path, 0, NULL);
	/* Files in it are hidden, no more. */
	assert_int_equal(mkdirat(d->dirfd, "sub", 0700), 0);
	check(d->path, 0, NULL);
}

static void test_a_mount_that_is_not_fuse_is_fine(void **state UNUSED)
{
	check("/proc", 0, NULL);
}

static void test_what_is_missing(void **state)
{
	const struct workdir *d = *state;
	char path[WORKDIR_PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/none", d->path);
	check(path, -ENOENT, "make it with mkdir");
	assert_int_equal(mkdirat(d->dirfd, "none", 0700), 0);
	check(path, 0, NULL);
}

static void test_what_is_no_directory(void **state)
{
	const struct workdir *d = *state;
	char path[WORKDIR_PATH_MAX + 16];
	int fd = openat(d->dirfd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/file", d->path);
	check(path, -ENOTDIR, "is not a directory");
	snprintf(path, sizeof(path), "%s/file/x", d->path);
	check(path, -ENOTDIR, "cannot be used");
	assert_int_equal(symlinkat("nowhere", d->dirfd, "link"), 0);
	snprintf(path, sizeof(path), "%s/link", d->path);
	check(path, -ENOENT, "cannot be used");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, workdir_setup, workdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_directory_is_fine),
		cmocka_unit_test(test_a_mount_that_is_not_fuse_is_fine),
		TEST(test_what_is_missing),
		TEST(test_what_is_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
