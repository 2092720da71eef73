/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK 65536

/* Each test runs in an empty directory of its own. */
struct place {
	char path[64];
	int dirfd;
};

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	if (!p)
		return -1;
	strcpy(p->path, "/tmp/matrixfs-file-XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	p->dirfd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return p->dirfd < 0;
}

static int remove_one(const char *path, UNUSED const struct stat *st, UNUSED int kind,
		      UNUSED struct FTW *ftw)
{
	return remove(path);
}

static int remove_place(void **state)
{
	struct place *p = *state;

	close(p->dirfd);
	nftw(p->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

static unsigned count_entries(const struct place *p)
{
	CLEANUP(closedirp) DIR *dir = opendir(p->path);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	return n - 2; /* "." and ".." */
}

static int open_new(const struct place *p, const char *name)
{
	int fd = openat(p->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void missing_directories_are_made_private(void **state)
{
	struct place *p = *state;
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/a//b/c/", p->path);
	assert_int_equal(file_mkdirs(path), 0);
	assert_int_equal(fstatat(p->dirfd, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(file_mkdirs(path), 0);
}

static void a_file_is_no_directory(void **state)
{
	struct place *p = *state;
	char path[128];

	assert_int_equal(file_replace(p->dirfd, "f", "", 0, 0600), 0);
	snprintf(path, sizeof(path), "%s/f", p->path);
	assert_int_equal(file_mkdirs(path), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/f/g", p->path);
	assert_int_equal(file_mkdirs(path), -ENOTDIR);
	assert_int_equal(file_mkdirs(""), -ENOENT);
}

static void a_replaced_file_reads_back(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct place *p = *state;
	struct stat st;

	assert_int_equal(file_replace(p->dirfd, "f", "old bytes", 9, 0600), 0);
	assert_int_equal(file_replace(p->dirfd, "f", "n\0w", 3, 0600), 0);
	assert_int_equal(buf_add_str(&b, "->"), 0);
	assert_int_equal(file_read_all(p->dirfd, "f", 3, &b), 0);
	assert_int_equal(b.len, 5);
	assert_memory_equal(b.data, "->n\0w", 5);
	assert_int_equal(fstatat(p->dirfd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(count_entries(p), 1);
}

static void a_path_with_directories_is_replaced_in_its_own(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct place *p = *state;
	char path[128];

	assert_int_equal(mkdirat(p->dirfd, "d", 0700), 0);
	assert_int_equal(file_replace(p->dirfd, "d/f", "1", 1, 0600), 0);
	snprintf(path, sizeof(path), "%s/d/f", p->path);
	assert_int_equal(file_replace(AT_FDCWD, path, "22", 2, 0600), 0);
	assert_int_equal(file_read_all(AT_FDCWD, path, 10, &b), 0);
	assert_string_equal(buf_str(&b), "22");
}

static void a_failed_replacement_leaves_nothing_behind(void **state)
{
	struct place *p = *state;

	assert_int_equal(file_replace(p->dirfd, "none/f", "x", 1, 0600), -ENOENT);
	assert_int_equal(mkdirat(p->dirfd, "d", 0700), 0);
	assert_int_equal(file_replace(p->dirfd, "d", "x", 1, 0600), -EISDIR);
	assert_int_equal(count_entries(p), 1);
}

static void a_large_file_is_read_whole_or_not_at_all(void **state)
{
	CLEANUP(freep) char *bytes = malloc(3 * BLOCK);
	CLEANUP(buf_free) struct buf b = { 0 };
	struct place *p = *state;

	assert_non_null(bytes);
	memset(bytes, 'x', 3 * BLOCK);
	assert_int_equal(file_replace(p->dirfd, "f", bytes, 3 * BLOCK, 0600), 0);
	assert_int_equal(file_read_all(p->dirfd, "f", 3 * BLOCK - 1, &b), -EFBIG);
	assert_int_equal(b.len, 0);
	assert_int_equal(file_read_all(p->dirfd, "f", 3 * BLOCK, &b), 0);
	assert_int_equal(b.len, 3 * BLOCK);
	assert_memory_equal(b.data, bytes, 3 * BLOCK);
}

static void what_cannot_be_read_says_why(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct place *p = *state;

	assert_int_equal(file_read_all(p->dirfd, "none", 10, &b), -ENOENT);
	assert_int_equal(file_read_all(p->dirfd, ".", 10, &b), -EISDIR);
	assert_int_equal(b.len, 0);
}

static void bytes_go_to_their_place_and_come_back(void **state)
{
	CLEANUP(closep) int fd = open_new(*state, "f");
	char got[4] = "";

	assert_int_equal(file_pwrite(fd, "abcd", 4, 1000), 0);
	assert_int_equal(file_pread(fd, got, 4, 1000), 0);
	assert_memory_equal(got, "abcd", 4);
	assert_int_equal(file_pread(fd, got, 4, 996), 0);
	assert_memory_equal(got, "\0\0\0\0", 4);
}

static void a_read_over_the_end_fails(void **state)
{
	CLEANUP(closep) int fd = open_new(*state, "f");
	char got[4];

	assert_int_equal(file_pwrite(fd, "abcd", 4, 0), 0);
	assert_int_equal(file_pread(fd, got, 4, 1), -ENODATA);
	assert_int_equal(file_pread(fd, got, 1, 100), -ENODATA);
	assert_int_equal(file_pread(fd, got, 0, 100), 0);
}

static void a_closed_descriptor_says_so(UNUSED void **state)
{
	uint64_t space, total;
	char got[4];

	assert_int_equal(file_pwrite(-1, "x", 1, 0), -EBADF);
	assert_int_equal(file_pread(-1, got, 1, 0), -EBADF);
	assert_int_equal(file_punch(-1, 0, 1), -EBADF);
	assert_int_equal(file_sync_dir(-1), -EBADF);
	assert_int_equal(file_space(-1, &space, &total), -EBADF);
	assert_int_equal(file_lock(-1), -EBADF);
}

static void a_punched_range_reads_as_zero_and_frees_its_blocks(void **state)
{
	CLEANUP(closep) int fd = open_new(*state, "f");
	CLEANUP(freep) char *bytes = malloc(4 * BLOCK);
	struct stat before, after;
	int r;

	assert_non_null(bytes);
	memset(bytes, 'x', 4 * BLOCK);
	assert_int_equal(file_pwrite(fd, bytes, 4 * BLOCK, 0), 0);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(file_punch(fd, 0, 0), 0);
	r = file_punch(fd, BLOCK, 2 * BLOCK);
	if (r == -EOPNOTSUPP)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(fstat(fd, &after), 0);
	assert_int_equal(after.st_size, 4 * BLOCK);
	assert_true(after.st_blocks < before.st_blocks);
	assert_int_equal(file_pread(fd, bytes, 4 * BLOCK, 0), 0);
	assert_int_equal(bytes[BLOCK - 1], 'x');
	assert_int_equal(bytes[BLOCK], 0);
	assert_int_equal(bytes[3 * BLOCK - 1], 0);
	assert_int_equal(bytes[3 * BLOCK], 'x');
}

static void the_file_system_tells_its_space(void **state)
{
	const struct place *p = *state;
	uint64_t space = 0, total = 0;

	assert_int_equal(file_space(p->dirfd, &space, &total), 0);
	assert_true(total > 0);
	assert_true(space <= total);
	assert_int_equal(file_sync_dir(p->dirfd), 0);
}

static void a_lock_excludes_others_until_it_is_closed(void **state)
{
	const struct place *p = *state;
	int first = open_new(p, "lock");
	CLEANUP(closep) int second = openat(p->dirfd, "lock", O_RDWR | O_CLOEXEC);

	assert_int_equal(file_lock(first), 0);
	assert_int_equal(file_lock(second), -EWOULDBLOCK);
	close(first);
	assert_int_equal(file_lock(second), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)

static void what_a_killed_replace_left_is_swept_away(void **state)
{
	const struct place *p = *state;

	assert_int_equal(file_replace(p->dirfd, ".new-0123456789abcdef", "x", 1, 0600), 0);
	assert_int_equal(file_replace(p->dirfd, "kept", "x", 1, 0600), 0);
	file_sweep(p->dirfd);
	assert_int_equal(faccessat(p->dirfd, ".new-0123456789abcdef", F_OK, 0), -1);
	assert_int_equal(faccessat(p->dirfd, "kept", F_OK, 0), 0);
}

static bool was_touched(const struct place *p)
{
	static const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct stat st;

	assert_int_equal(fstatat(p->dirfd, ".", &st, 0), 0);
	assert_int_equal(futimens(p->dirfd, old), 0);
	return st.st_mtim.tv_sec != 1;
}

/* Where a sweep of the directory that was named finds what a kill leaves. */
static void what_replaces_a_file_further_down_comes_from_above(void **state)
{
	const struct place *p = *state;
	char path[128];

	assert_int_equal(mkdirat(p->dirfd, "d", 0700), 0);
	assert_true(was_touched(p));
	assert_int_equal(file_replace(p->dirfd, "d/f", "x", 1, 0600), 0);
	assert_true(was_touched(p));
	snprintf(path, sizeof(path), "%s/d/f", p->path);
	assert_int_equal(file_replace(AT_FDCWD, path, "y", 1, 0600), 0);
	assert_false(was_touched(p)); /* the twin: there is no such directory */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(missing_directories_are_made_private),
		TEST(a_file_is_no_directory),
		TEST(a_replaced_file_reads_back),
		TEST(a_path_with_directories_is_replaced_in_its_own),
		TEST(a_failed_replacement_leaves_nothing_behind),
		TEST(what_a_killed_replace_left_is_swept_away),
		TEST(what_replaces_a_file_further_down_comes_from_above),
		TEST(a_large_file_is_read_whole_or_not_at_all),
		TEST(what_cannot_be_read_says_why),
		TEST(bytes_go_to_their_place_and_come_back),
		TEST(a_read_over_the_end_fails),
		TEST(a_closed_descriptor_says_so),
		TEST(a_punched_range_reads_as_zero_and_frees_its_blocks),
		TEST(the_file_system_tells_its_space),
		TEST(a_lock_excludes_others_until_it_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
