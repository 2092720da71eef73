/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/base/buf.h"

#define MAX_BYTES 1000
#define MAX_NODES 20

static int setup(void **state)
{
	struct scratch_conf conf = {
		.max_bytes = MAX_BYTES,
		.max_nodes = MAX_NODES,
		.uid = 7,
		.gid = 8,
	};
	struct scratch *s;

	if (scratch_new(&conf, &s))
		return -1;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	scratch_free(*state);
	return 0;
}

/* The directory of a path, without a reference: in a test it lives on by its name. */
static struct scratch_node *dir(struct scratch *s, const char *path)
{
	struct scratch_node *n = NULL;

	assert_int_equal(scratch_dir(s, path, 1, &n), 0);
	scratch_unref(s, n);
	return n;
}

static struct scratch_node *make(struct scratch *s, const char *path, const char *name, mode_t mode)
{
	struct scratch_node *n = NULL;

	assert_int_equal(scratch_make(s, dir(s, path), name, mode, 1, 2, NULL, &n), 0);
	return n;
}

/* A file with `len` bytes of its name's first letter, given back. */
static void put(struct scratch *s, const char *path, const char *name, size_t len)
{
	struct scratch_node *n = make(s, path, name, S_IFREG | 0644);
	char data[MAX_BYTES];

	memset(data, name[0], len);
	assert_int_equal(scratch_write(s, n, data, len, 0), len);
	scratch_unref(s, n);
}

static struct scratch_node *find(struct scratch *s, const char *path, const char *name)
{
	struct scratch_node *n = NULL;

	return scratch_find(s, dir(s, path), name, &n) ? NULL : n;
}

static bool has(struct scratch *s, const char *path, const char *name)
{
	struct scratch_node *n = find(s, path, name);

	if (n)
		scratch_unref(s, n);
	return n != NULL;
}

static struct stat stat_of(struct scratch *s, const char *path, const char *name)
{
	struct scratch_node *n = find(s, path, name);
	struct stat st;

	assert_non_null(n);
	scratch_stat(s, n, &st);
	scratch_unref(s, n);
	return st;
}

static uint64_t bytes(struct scratch *s)
{
	uint64_t b, n;

	scratch_used(s, &b, &n);
	return b;
}

static uint64_t nodes(struct scratch *s)
{
	uint64_t b, n;

	scratch_used(s, &b, &n);
	return n;
}

static void test_mirror(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *n = NULL, *again = NULL;
	struct stat st;

	assert_int_equal(scratch_dir(s, "hub/.locks", 0, &n), -ENOENT);
	assert_int_equal(scratch_dir(s, "hub/.locks", 1, &n), 0);
	assert_int_equal(scratch_dir(s, "/hub//.locks/", 0, &again), 0);
	assert_ptr_equal(n, again);
	assert_int_equal(nodes(s), 2);
	scratch_stat(s, n, &st);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	assert_int_equal(st.st_uid, 7);
	assert_int_equal(st.st_gid, 8);
	scratch_unref(s, n);
	scratch_unref(s, again);

	assert_int_equal(scratch_dir(s, "", 0, &n), 0);
	assert_int_equal(scratch_rmdir(s, n, "hub"), -ENOTEMPTY);
	scratch_unref(s, n);
	put(s, "hub", "file", 1);
	assert_int_equal(scratch_dir(s, "hub/file", 1, &n), -ENOTDIR);
	assert_int_equal(scratch_dir(s, "hub/file/below", 1, &n), -ENOTDIR);
	assert_int_equal(scratch_dir(s, "hub/../x", 1, &n), -EINVAL);
}

static void test_names(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *root = dir(s, ""), *n = NULL;
	struct scratch_node *file = make(s, "", "f", S_IFREG | 0600);
	char name[257];

	assert_int_equal(scratch_make(s, root, "f", S_IFREG, 0, 0, NULL, &n), -EEXIST);
	assert_int_equal(scratch_make(s, file, "g", S_IFREG, 0, 0, NULL, &n), -ENOTDIR);
	assert_int_equal(scratch_find(s, file, "g", &n), -ENOTDIR);
	assert_int_equal(scratch_find(s, root, "g", &n), -ENOENT);
	assert_int_equal(scratch_unlink(s, root, "g"), -ENOENT);
	assert_int_equal(scratch_rmdir(s, root, "f"), -ENOTDIR);
	memset(name, 'n', sizeof(name) - 1);
	name[256] = '\0';
	assert_int_equal(scratch_make(s, root, name, S_IFREG, 0, 0, NULL, &n), -ENAMETOOLONG);
	assert_int_equal(scratch_dir(s, name, 1, &n), -ENAMETOOLONG);
	name[255] = '\0';
	put(s, "", name, 0);
	assert_int_equal(scratch_make(s, root, "..", S_IFREG, 0, 0, NULL, &n), -EINVAL);
	assert_int_equal(scratch_make(s, root, "a/b", S_IFREG, 0, 0, NULL, &n), -EINVAL);
	assert_int_equal(scratch_make(s, root, "", S_IFREG, 0, 0, NULL, &n), -EINVAL);
	scratch_unref(s, file);
}

static void test_bytes(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *n = make(s, "", "f", S_IFREG | 0600);
	char got[64];

	assert_int_equal(scratch_read(s, n, got, sizeof(got), 0), 0);
	assert_int_equal(scratch_write(s, n, "tail", 4, 10), 4);
	assert_int_equal(scratch_read(s, n, got, sizeof(got), 0), 14);
	assert_memory_equal(got, "\0\0\0\0\0\0\0\0\0\0tail", 14);
	assert_int_equal(scratch_read(s, n, got, 2, 12), 2);
	assert_memory_equal(got, "il", 2);
	assert_int_equal(scratch_read(s, n, got, 2, 14), 0);
	assert_int_equal(scratch_read(s, n, got, 2, UINT64_MAX), 0);
	assert_int_equal(bytes(s), 14);

	/* What a truncation cut off does not come back when the file grows again. */
	assert_int_equal(scratch_truncate(s, n, 11), 0);
	assert_int_equal(scratch_truncate(s, n, 14), 0);
	assert_int_equal(scratch_read(s, n, got, sizeof(got), 10), 4);
	assert_memory_equal(got, "t\0\0\0", 4);
	assert_int_equal(scratch_truncate(s, n, 0), 0);
	assert_int_equal(bytes(s), 0);
	assert_int_equal(scratch_write(s, n, "new", 3, 0), 3);
	assert_int_equal(scratch_read(s, n, got, sizeof(got), 0), 3);
	assert_memory_equal(got, "new", 3);
	scratch_unref(s, n);
}

static void test_limits_of_a_file(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *n = make(s, "", "f", S_IFREG | 0600);
	static char data[MAX_BYTES + 1];
	struct stat st;

	assert_int_equal(scratch_write(s, n, data, MAX_BYTES, 0), MAX_BYTES);
	assert_int_equal(scratch_write(s, n, data, MAX_BYTES + 1, 0), -EFBIG);
	assert_int_equal(scratch_write(s, n, data, 1, MAX_BYTES), -EFBIG);
	assert_int_equal(scratch_write(s, n, data, 8, UINT64_MAX - 4), -EFBIG);
	assert_int_equal(scratch_truncate(s, n, UINT64_MAX), -EFBIG);
	assert_int_equal(scratch_write(s, n, data, 0, MAX_BYTES), 0);
	scratch_stat(s, n, &st);
	assert_int_equal(st.st_size, MAX_BYTES);
	assert_int_equal(st.st_blocks, 2);
	scratch_unref(s, n);

	n = dir(s, "d");
	assert_int_equal(scratch_read(s, n, data, 1, 0), -EISDIR);
	assert_int_equal(scratch_write(s, n, data, 1, 0), -EISDIR);
	assert_int_equal(scratch_truncate(s, n, 0), -EISDIR);
}

static void test_symlink(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *n = NULL;
	struct stat st;
	char got[8];

	assert_int_equal(scratch_make(s, dir(s, ""), "l", 0, 1, 2, "../blobs/abc", &n), 0);
	assert_string_equal(scratch_target(n), "../blobs/abc");
	scratch_stat(s, n, &st);
	assert_int_equal(st.st_mode, S_IFLNK | 0777);
	assert_int_equal(st.st_size, 12);
	assert_int_equal(scratch_read(s, n, got, sizeof(got), 0), -EINVAL);
	scratch_unref(s, n);
	n = make(s, "", "f", S_IFREG | 0600);
	assert_null(scratch_target(n));
	scratch_unref(s, n);
}

static void test_unlinked_but_open(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *n = make(s, "", "f", S_IFREG | 0600), *other;
	uint64_t id = scratch_id(n);
	struct stat st;
	char got[4];

	scratch_open(s, n);
	assert_int_equal(scratch_write(s, n, "data", 4, 0), 4);
	assert_int_equal(scratch_unlink(s, dir(s, ""), "f"), 0);
	assert_false(has(s, "", "f"));
	scratch_stat(s, n, &st);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(scratch_write(s, n, "D", 1, 0), 1);
	assert_int_equal(scratch_read(s, n, got, 4, 0), 4);
	assert_memory_equal(got, "Data", 4);
	assert_int_equal(bytes(s), 4);

	other = make(s, "", "f", S_IFREG | 0600);
	assert_int_not_equal(scratch_id(other), id);
	scratch_unref(s, other);
	scratch_close(s, n);
	assert_int_equal(bytes(s), 0);
	assert_int_equal(nodes(s), 1);
	assert_int_equal(scratch_read(s, n, got, 4, 0), -ESTALE);
	assert_int_equal(scratch_write(s, n, "x", 1, 0), -ESTALE);
	scratch_unref(s, n);
}

static void test_removed_directory(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *d = make(s, "", "d", S_IFDIR | 0700), *n = NULL;

	assert_int_equal(scratch_unlink(s, dir(s, ""), "d"), -EISDIR);
	put(s, "d", "f", 1);
	assert_int_equal(scratch_rmdir(s, dir(s, ""), "d"), -ENOTEMPTY);
	assert_int_equal(scratch_unlink(s, d, "f"), 0);
	assert_int_equal(scratch_rmdir(s, dir(s, ""), "d"), 0);
	assert_int_equal(scratch_make(s, d, "g", S_IFREG, 0, 0, NULL, &n), -ENOENT);
	put(s, "", "f", 1);
	assert_int_equal(scratch_rename(s, dir(s, ""), "f", d, "f", 0), -ENOENT);
	assert_int_equal(scratch_find(s, d, "f", &n), -ENOENT);
	scratch_unref(s, d);
	assert_int_equal(nodes(s), 1);
}

static void test_rename_files(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *root = dir(s, ""), *n;

	put(s, "", "main.tmp", 3);
	put(s, "", "main", 5);
	assert_int_equal(scratch_rename(s, root, "main.tmp", root, "main", RENAME_NOREPLACE),
			 -EEXIST);
	assert_int_equal(scratch_rename(s, root, "main.tmp", root, "main", 0), 0);
	assert_false(has(s, "", "main.tmp"));
	assert_int_equal(stat_of(s, "", "main").st_size, 3);
	assert_int_equal(stat_of(s, "", "main").st_nlink, 1);
	assert_int_equal(bytes(s), 3);
	assert_int_equal(nodes(s), 1);

	assert_int_equal(scratch_rename(s, root, "main", dir(s, "refs"), "v1", RENAME_NOREPLACE),
			 0);
	assert_true(has(s, "refs", "v1"));
	assert_int_equal(scratch_rename(s, root, "main", root, "x", 0), -ENOENT);
	assert_int_equal(scratch_rename(s, root, "refs", root, "x", RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(scratch_rename(s, dir(s, "refs"), "v1", root, "a/b", 0), -EINVAL);

	/* An open file that is renamed over goes on, without a name. */
	put(s, "", "new", 1);
	n = find(s, "refs", "v1");
	scratch_open(s, n);
	assert_int_equal(scratch_rename(s, root, "new", dir(s, "refs"), "v1", 0), 0);
	assert_int_equal(bytes(s), 4);
	scratch_close(s, n);
	assert_int_equal(bytes(s), 1);
	scratch_unref(s, n);
}

static void test_rename_directories(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *root = dir(s, "");

	put(s, "a/b", "f", 1);
	put(s, "", "file", 1);
	dir(s, "empty");
	assert_int_equal(scratch_rename(s, root, "a", dir(s, "a/b"), "a", 0), -EINVAL);
	assert_int_equal(scratch_rename(s, root, "a", dir(s, "a"), "x", 0), -EINVAL);
	assert_int_equal(scratch_rename(s, root, "a", root, "file", 0), -ENOTDIR);
	assert_int_equal(scratch_rename(s, root, "file", root, "a", 0), -EISDIR);
	assert_int_equal(scratch_rename(s, root, "empty", root, "a", 0), -ENOTEMPTY);
	assert_int_equal(scratch_rename(s, dir(s, "a"), "b", root, "a", 0), -ENOTEMPTY);
	assert_int_equal(stat_of(s, "", "a").st_nlink, 3);
	assert_int_equal(scratch_rename(s, root, "a", root, "empty", 0), 0);
	assert_int_equal(scratch_rename(s, root, "empty", root, "empty", 0), 0);
	assert_false(has(s, "", "a"));
	assert_true(has(s, "empty/b", "f"));
	assert_int_equal(stat_of(s, "", "empty").st_nlink, 3);
	assert_int_equal(nodes(s), 4);
	assert_int_equal(scratch_rename(s, dir(s, "empty"), "b", root, "b", 0), 0);
	assert_int_equal(stat_of(s, "", "empty").st_nlink, 2);
	assert_true(has(s, "b", "f"));
}

static void test_hard_links(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *root = dir(s, ""), *n, *b;

	put(s, "", "a", 4);
	n = find(s, "", "a");
	assert_int_equal(scratch_link(s, n, root, "a"), -EEXIST);
	assert_int_equal(scratch_link(s, dir(s, "d"), root, "e"), -EPERM);
	assert_int_equal(scratch_link(s, n, dir(s, "d"), "b"), 0);
	b = find(s, "d", "b");
	assert_ptr_equal(b, n);
	scratch_unref(s, b);
	assert_int_equal(stat_of(s, "", "a").st_nlink, 2);
	assert_int_equal(bytes(s), 4);

	assert_int_equal(scratch_rename(s, root, "a", dir(s, "d"), "b", 0), 0);
	assert_true(has(s, "", "a"));
	assert_int_equal(scratch_unlink(s, root, "a"), 0);
	assert_int_equal(stat_of(s, "d", "b").st_nlink, 1);
	assert_int_equal(scratch_unlink(s, dir(s, "d"), "b"), 0);
	assert_int_equal(scratch_link(s, n, root, "c"), -ENOENT);
	scratch_unref(s, n);
	assert_int_equal(bytes(s), 0);
}

static void test_forgets_the_oldest(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *a, *b;

	put(s, "x", "a", 300);
	put(s, "x", "b", 300);
	put(s, "y", "c", 300);
	a = find(s, "x", "a");
	assert_int_equal(scratch_write(s, a, "A", 1, 0), 1); /* now b is the oldest */
	scratch_unref(s, a);
	b = find(s, "x", "b");
	put(s, "", "d", 200);
	assert_false(has(s, "x", "b"));
	assert_true(has(s, "x", "a"));
	assert_true(has(s, "y", "c"));
	assert_int_equal(bytes(s), 800);
	scratch_unref(s, b); /* a reference had kept neither the name nor the bytes */

	/* All names of a forgotten file go. */
	a = find(s, "x", "a");
	assert_int_equal(scratch_link(s, a, dir(s, "y"), "a2"), 0);
	scratch_unref(s, a);
	put(s, "", "e", 700);
	assert_false(has(s, "y", "c"));
	assert_false(has(s, "x", "a"));
	assert_false(has(s, "y", "a2"));
	assert_int_equal(bytes(s), 900);
}

static void test_open_files_stay(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *a, *n;
	static char data[MAX_BYTES];

	put(s, "", "a", 600);
	put(s, "", "b", 300);
	a = find(s, "", "a");
	scratch_open(s, a);
	n = make(s, "", "c", S_IFREG | 0600);
	/* It cannot fit whatever is forgotten: b must not go in vain. */
	assert_int_equal(scratch_write(s, n, data, 500, 0), -ENOSPC);
	assert_true(has(s, "", "b"));
	assert_int_equal(scratch_write(s, n, data, 400, 0), 400);
	assert_true(has(s, "", "a"));
	assert_false(has(s, "", "b"));
	/* Nor does a file make room for itself. */
	assert_int_equal(scratch_truncate(s, n, 401), -ENOSPC);
	assert_true(has(s, "", "c"));
	scratch_close(s, a);
	assert_int_equal(scratch_truncate(s, n, 401), 0);
	assert_false(has(s, "", "a"));
	scratch_unref(s, a);
	scratch_unref(s, n);
}

/* So many files, each of a tenth of the room, called by their numbers. */
static void fill(struct scratch *s, const char *path, unsigned from, unsigned count)
{
	char name[16];

	for (unsigned i = from; i < from + count; i++) {
		snprintf(name, sizeof(name), "%u", i);
		put(s, path, name, MAX_BYTES / 10);
	}
}

static void test_neither_side_of_hub_takes_the_half_of_the_other(void **state)
{
	struct scratch *s = *state;

	fill(s, "", 0, 4); /* beside hub/ */
	fill(s, "hub/.locks", 0, 30);
	assert_int_equal(bytes(s), MAX_BYTES);
	assert_true(has(s, "", "0"));
	assert_false(has(s, "hub/.locks", "23"));
	assert_true(has(s, "hub/.locks", "24"));
	fill(s, "", 4, 30); /* beside it what is beside it goes, beyond the half */
	assert_false(has(s, "", "0"));
	assert_true(has(s, "hub/.locks", "25"));
	assert_true(has(s, "hub/.locks", "29"));
	assert_int_equal(bytes(s), MAX_BYTES);
	fill(s, "hub/.locks", 30, 2);
	assert_true(has(s, "", "33"));
	assert_false(has(s, "hub/.locks", "25"));
}

/* What one side does not use the other may have, until it is wanted back. */
static void test_what_one_side_does_not_use_the_other_has(void **state)
{
	struct scratch *s = *state;

	fill(s, "", 0, 10);
	assert_true(has(s, "", "0"));
	fill(s, "hub", 0, 3);
	assert_false(has(s, "", "2"));
	assert_true(has(s, "", "3"));
	assert_true(has(s, "hub", "0"));
	fill(s, "hub", 3, 2);
	assert_true(has(s, "", "5"));
	fill(s, "hub", 5, 1);
	assert_true(has(s, "", "5")); /* five are its half */
	assert_false(has(s, "hub", "0"));
}

/* A file that would cost what lies on the other side cannot be made. */
static void test_a_large_file_pushes_nothing_out_on_the_other_side(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *n;

	fill(s, "", 0, 4);
	fill(s, "hub", 0, 6);
	n = make(s, "hub", "large", S_IFREG);
	assert_int_equal(scratch_truncate(s, n, 601), -ENOSPC);
	assert_true(has(s, "hub", "0"));
	assert_int_equal(scratch_truncate(s, n, 600), 0);
	assert_false(has(s, "hub", "5"));
	assert_true(has(s, "", "0"));
	scratch_unref(s, n);
}

static void test_neither_side_of_hub_takes_the_nodes_of_the_other(void **state)
{
	struct scratch *s = *state;
	char name[16];

	put(s, "", "first", 0);
	for (int i = 0; i < 3 * MAX_NODES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put(s, "hub", name, 0);
	}
	assert_true(has(s, "", "first"));
	for (int i = 0; i < 3 * MAX_NODES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put(s, "", name, 0);
	}
	assert_false(has(s, "", "first"));
	assert_true(has(s, "hub", name));
	assert_true(nodes(s) <= MAX_NODES);
}

static void test_nothing_moves_from_one_side_to_the_other(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *f = make(s, "hub", "f", S_IFREG);

	assert_int_equal(scratch_link(s, f, dir(s, ""), "g"), -EXDEV);
	assert_int_equal(scratch_rename(s, dir(s, "hub"), "f", dir(s, ""), "g", 0), -EXDEV);
	assert_int_equal(scratch_rename(s, dir(s, "hub"), "f", dir(s, "hub/.locks"), "g", 0), 0);
	scratch_unref(s, f);
}

static void test_a_path_is_told(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *f = make(s, "hub/.locks/a", "f", S_IFREG);
	CLEANUP(buf_free) struct buf path = { 0 };

	assert_int_equal(scratch_path(s, f, &path), 0);
	assert_string_equal(buf_str(&path), "hub/.locks/a/f");
	assert_int_equal(scratch_unlink(s, dir(s, "hub/.locks/a"), "f"), 0);
	assert_int_equal(scratch_path(s, f, &path), -ENOENT);
	scratch_unref(s, f);
}

static void test_too_many_nodes(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *open[MAX_NODES], *n = NULL;
	char name[16];

	for (int i = 0; i < 3 * MAX_NODES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put(s, "locks", name, 0);
		assert_true(nodes(s) <= MAX_NODES);
	}
	assert_true(has(s, "locks", name));
	assert_false(has(s, "locks", "0"));

	/* Directories that emptied go when they are needed no more. */
	for (int i = 0; i < MAX_NODES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		open[i] = make(s, "", name, S_IFREG);
		scratch_open(s, open[i]);
	}
	assert_false(has(s, "", "locks"));
	assert_int_equal(scratch_make(s, dir(s, ""), "more", S_IFREG, 0, 0, NULL, &n), -ENOSPC);
	assert_int_equal(scratch_dir(s, "a/b", 1, &n), -ENOSPC);
	for (int i = 0; i < MAX_NODES; i++) {
		scratch_close(s, open[i]);
		scratch_unref(s, open[i]);
	}
	assert_int_equal(scratch_dir(s, "a/b", 1, &n), 0);
	assert_int_equal(nodes(s), MAX_NODES);
	scratch_unref(s, n);
}

/* Files in hub/ whose names begin so, until there is no room for one more node. */
static void fill_up(struct scratch *s, char first)
{
	char name[16];

	for (unsigned i = 0; nodes(s) < MAX_NODES; i++) {
		snprintf(name, sizeof(name), "%c%u", first, i);
		put(s, "hub", name, 0);
	}
}

static bool is_there(struct scratch *s, const char *path)
{
	struct scratch_node *n;

	if (scratch_dir(s, path, 0, &n) < 0)
		return false;
	scratch_unref(s, n);
	return true;
}

/* It is made again when it is needed; but whoever refers to it is about to need it. */
static void an_empty_mirror_goes_before_the_oldest_file(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *a, *in_b;

	put(s, "hub", "oldest", 0);
	put(s, "hub/.locks/a", "f", 0);
	put(s, "hub/.locks/b", "f", 0);
	fill_up(s, 'a');
	assert_int_equal(scratch_dir(s, "hub/.locks/a", 0, &a), 0);
	assert_int_equal(scratch_unlink(s, a, "f"), 0);
	scratch_unref(s, a);
	assert_int_equal(scratch_dir(s, "hub/.locks/b", 0, &in_b), 0);
	assert_int_equal(scratch_unlink(s, in_b, "f"), 0);
	fill_up(s, 'b');
	put(s, "hub", "one", 0);
	assert_false(is_there(s, "hub/.locks/a"));
	assert_true(has(s, "hub", "oldest"));
	put(s, "hub", "two", 0);
	assert_true(is_there(s, "hub/.locks/b"));
	assert_false(has(s, "hub", "oldest"));
	scratch_unref(s, in_b);
}

/* References are what clients of NFS used last: if they held it, it would cost files of others. */
static void an_empty_directory_is_forgotten_in_its_turn_whoever_knows_of_it(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *old = make(s, "hub", "old", S_IFDIR | 0755), *full, *n;

	full = make(s, "hub", "full", S_IFDIR | 0755);
	put(s, "hub/full", "f", 0);
	fill_up(s, 'a');
	put(s, "hub", "one", 0);
	assert_false(is_there(s, "hub/old"));
	assert_true(is_there(s, "hub/full"));
	assert_int_equal(scratch_make(s, old, "x", S_IFREG, 0, 0, NULL, &n), -ENOENT);
	scratch_unref(s, old);
	scratch_unref(s, full);
}

static void a_directory_is_not_forgotten_for_what_is_made_in_it(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *old = make(s, "hub", "old", S_IFDIR | 0755), *n;

	put(s, "hub", "second", 0);
	fill_up(s, 'a');
	assert_int_equal(scratch_make(s, old, "x", S_IFREG, 0, 0, NULL, &n), 0);
	scratch_unref(s, n);
	assert_true(has(s, "hub/old", "x"));
	assert_false(has(s, "hub", "second"));
	scratch_unref(s, old);
}

static void a_node_is_found_by_its_number_as_long_as_it_lives(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *f = make(s, "hub", "f", S_IFREG), *found;

	assert_int_equal(scratch_by_id(s, scratch_id(f), &found), 0);
	assert_ptr_equal(found, f);
	scratch_unref(s, found);
	assert_int_equal(scratch_by_id(s, scratch_id(f) + 1, &found), -ENOENT);
	scratch_open(s, f);
	assert_int_equal(scratch_unlink(s, dir(s, "hub"), "f"), 0);
	assert_int_equal(scratch_by_id(s, scratch_id(f), &found), 0);
	scratch_unref(s, found);
	scratch_close(s, f);
	assert_int_equal(scratch_by_id(s, scratch_id(f), &found), -ENOENT);
	scratch_unref(s, f);
}

static void test_attributes(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *n = make(s, "", "f", S_IFREG | 0640);
	struct timespec times[2] = { { 100, 5 }, { 0, UTIME_OMIT } };
	mode_t mode = S_IFDIR | 0444;
	struct stat was, st;

	scratch_stat(s, n, &was);
	assert_int_equal(was.st_mode, S_IFREG | 0640);
	assert_int_equal(was.st_uid, 1);
	assert_int_equal(was.st_gid, 2);
	scratch_set(s, n, NULL, (uid_t)-1, 9, times);
	scratch_stat(s, n, &st);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_uid, 1);
	assert_int_equal(st.st_gid, 9);
	assert_int_equal(st.st_atim.tv_sec, 100);
	assert_int_equal(st.st_atim.tv_nsec, 5);
	assert_memory_equal(&st.st_mtim, &was.st_mtim, sizeof(st.st_mtim));

	times[1].tv_nsec = UTIME_NOW;
	scratch_set(s, n, &mode, 3, (gid_t)-1, times);
	scratch_stat(s, n, &st);
	assert_int_equal(st.st_mode, S_IFREG | 0444);
	assert_int_equal(st.st_uid, 3);
	assert_true(st.st_mtim.tv_sec >= was.st_mtim.tv_sec);
	scratch_unref(s, n);
}

static void nobodys_file_runs_as_its_maker(void **state)
{
	struct scratch *s = *state;
	struct scratch_node *file = make(s, "hub", "run", S_IFREG | 07755);
	struct scratch_node *folder = make(s, "hub", "all", S_IFDIR | 07777);
	const mode_t mode = 06711;
	struct stat st;

	scratch_stat(s, file, &st);
	assert_int_equal(st.st_mode, S_IFREG | 0755);
	scratch_stat(s, folder, &st);
	assert_int_equal(st.st_mode, S_IFDIR | 01777);
	scratch_set(s, file, &mode, (uid_t)-1, (gid_t)-1, NULL);
	scratch_set(s, folder, &mode, (uid_t)-1, (gid_t)-1, NULL);
	scratch_stat(s, file, &st);
	assert_int_equal(st.st_mode, S_IFREG | 0711);
	scratch_stat(s, folder, &st);
	assert_int_equal(st.st_mode, S_IFDIR | 0711);
	scratch_unref(s, file);
	scratch_unref(s, folder);
}

struct seen {
	struct scratch *s;
	struct buf names;
	int stop_after;
};

static int see(void *arg, const char *name, struct scratch_node *n)
{
	struct seen *seen = arg;
	struct stat st;

	scratch_stat(seen->s, n, &st);
	buf_printf(&seen->names, "%s%s ", name, S_ISDIR(st.st_mode) ? "/" : "");
	if (S_ISREG(st.st_mode))
		assert_int_equal(scratch_unlink(seen->s, dir(seen->s, ""), name), 0);
	return --seen->stop_after == 0 ? 42 : 0;
}

static void test_each(void **state)
{
	struct seen seen = { .s = *state };

	put(seen.s, "", "c", 1);
	put(seen.s, "", "a", 1);
	dir(seen.s, "b");
	seen.stop_after = 2;
	assert_int_equal(scratch_each(seen.s, dir(seen.s, ""), see, &seen), 42);
	assert_string_equal(buf_str(&seen.names), "a b/ ");
	buf_clear(&seen.names);
	assert_int_equal(scratch_each(seen.s, dir(seen.s, ""), see, &seen), 0);
	assert_string_equal(buf_str(&seen.names), "b/ c ");
	buf_clear(&seen.names);
	assert_int_equal(scratch_each(seen.s, dir(seen.s, "b"), see, &seen), 0);
	assert_string_equal(buf_str(&seen.names), "");
	buf_free(&seen.names);
}

/* Each thread works on few names in few directories, so that they meet all the time. */
struct walker {
	struct scratch *s;
	unsigned seed;
};

static int pick(struct walker *w, int n)
{
	return rand_r(&w->seed) % n;
}

static int look_at(void *arg, const char *name, struct scratch_node *n)
{
	struct stat st;

	scratch_stat(arg, n, &st);
	return name[0] == '\0';
}

static void use_file(struct walker *w, struct scratch_node *n)
{
	char data[200];
	int64_t r;

	memset(data, 'x', sizeof(data));
	scratch_open(w->s, n);
	r = scratch_write(w->s, n, data, (size_t)pick(w, 200), (uint64_t)pick(w, 400));
	assert_true(r >= 0 || r == -EISDIR || r == -ENOSPC);
	r = scratch_read(w->s, n, data, sizeof(data), (uint64_t)pick(w, 400));
	assert_true(r >= 0 || r == -EISDIR);
	r = scratch_truncate(w->s, n, (uint64_t)pick(w, 400));
	assert_true(r == 0 || r == -EISDIR || r == -ENOSPC);
	scratch_close(w->s, n);
}

static void step(struct walker *w, struct scratch_node *from, struct scratch_node *to)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	const char *name = names[pick(w, 4)], *other = names[pick(w, 4)];
	mode_t mode = S_IFREG | 0600;
	struct scratch_node *n = NULL;
	int r = -1;

	switch (pick(w, 8)) {
	case 0:
		r = scratch_unlink(w->s, from, name);
		break;
	case 1:
		r = scratch_rename(w->s, from, name, to, other, 0);
		break;
	case 2:
		if (!scratch_find(w->s, from, name, &n))
			r = scratch_link(w->s, n, to, other);
		break;
	case 3:
		scratch_each(w->s, from, look_at, w->s);
		break;
	case 4:
		r = scratch_rmdir(w->s, from, name);
		break;
	case 5:
		mode = S_IFDIR | 0700;
		/* fall through */
	default:
		r = scratch_make(w->s, from, name, mode, 0, 0, NULL, &n);
		if (r == -EEXIST)
			r = scratch_find(w->s, from, name, &n);
	}
	if (n && !r)
		use_file(w, n);
	if (n)
		scratch_unref(w->s, n);
}

static void *walk(void *arg)
{
	static const char *const dirs[] = { "", "p", "p/q", "r", "r/a" };
	struct walker *w = arg;

	for (int i = 0; i < 5000; i++) {
		struct scratch_node *from = NULL, *to = NULL;
		int r = scratch_dir(w->s, dirs[pick(w, 5)], 1, &from);

		if (!r && !scratch_dir(w->s, dirs[pick(w, 5)], 1, &to))
			step(w, from, to);
		if (from)
			scratch_unref(w->s, from);
		if (to)
			scratch_unref(w->s, to);
	}
	return NULL;
}

struct branch {
	struct scratch *s;
	struct scratch_node *dir;
};

static int empty_out(void *arg, const char *name, struct scratch_node *n)
{
	struct branch *at = arg, below = { at->s, n };

	assert_int_equal(scratch_each(at->s, n, empty_out, &below), 0);
	if (scratch_unlink(at->s, at->dir, name))
		assert_int_equal(scratch_rmdir(at->s, at->dir, name), 0);
	return 0;
}

static void test_threads(void **state)
{
	struct branch root = { *state, dir(*state, "") };
	struct walker walkers[4];
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++) {
		walkers[i] = (struct walker){ .s = *state, .seed = i + 1 };
		assert_int_equal(pthread_create(&threads[i], NULL, walk, &walkers[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(bytes(*state) <= MAX_BYTES);
	assert_true(nodes(*state) <= MAX_NODES);
	assert_int_equal(scratch_each(*state, root.dir, empty_out, &root), 0);
	assert_int_equal(bytes(*state), 0);
	assert_int_equal(nodes(*state), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mirror),
		TEST(test_names),
		TEST(test_bytes),
		TEST(test_limits_of_a_file),
		TEST(test_symlink),
		TEST(test_unlinked_but_open),
		TEST(test_removed_directory),
		TEST(test_rename_files),
		TEST(test_rename_directories),
		TEST(test_hard_links),
		TEST(test_forgets_the_oldest),
		TEST(test_open_files_stay),
		TEST(test_neither_side_of_hub_takes_the_half_of_the_other),
		TEST(test_what_one_side_does_not_use_the_other_has),
		TEST(test_a_large_file_pushes_nothing_out_on_the_other_side),
		TEST(test_neither_side_of_hub_takes_the_nodes_of_the_other),
		TEST(test_nothing_moves_from_one_side_to_the_other),
		TEST(test_a_path_is_told),
		TEST(test_too_many_nodes),
		TEST(an_empty_mirror_goes_before_the_oldest_file),
		TEST(an_empty_directory_is_forgotten_in_its_turn_whoever_knows_of_it),
		TEST(a_directory_is_not_forgotten_for_what_is_made_in_it),
		TEST(a_node_is_found_by_its_number_as_long_as_it_lives),
		TEST(test_attributes),
		TEST(nobodys_file_runs_as_its_maker),
		TEST(test_each),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
