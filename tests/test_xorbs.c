/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/xorbs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "tests/kept_repo.h"
#include "tests/xet_maker.h"

#define REPO "models/org/a"
#define OTHER "models/org/b"
#define CHUNKS 7

static int send(struct kept *k, const char *repo, const struct made_xorb *x,
		const uint8_t name[static XET_HASH])
{
	struct xorb_file *f = NULL;
	int r = xorbs_begin(k->xorbs, repo, name, &f);

	assert_int_equal(r, 0);
	r = xorb_file_add(f, x->bytes.data, x->bytes.len);
	if (r == 0)
		r = xorb_file_end(f);
	xorb_file_drop(f);
	return r;
}

static void count_name(void *arg, const char *name)
{
	*(unsigned *)arg += name[0] != '.';
}

static unsigned staged(const struct kept *k)
{
	unsigned n = 0;

	file_each_name(intake_staging(k->in), count_name, &n);
	return n;
}

static int gather(void *arg, const void *data, size_t len)
{
	return buf_add(arg, data, len);
}

static int open_one(struct kept *k, const char *repo, const uint8_t name[static XET_HASH])
{
	struct xorb_view v = { .fd = -1 };
	int r = xorbs_open(k->xorbs, repo, name, &v);

	xorb_view_fini(&v);
	return r;
}

static void one_that_came_can_be_read(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	CLEANUP(xorb_view_fini) struct xorb_view v = { .fd = -1 };
	CLEANUP(buf_free) struct buf got = { 0 };
	uint8_t name[XET_HASH];

	made_xorb_fill(&x, CHUNKS, 1);
	made_xorb_name(&x, name);
	assert_int_equal(open_one(k, REPO, name), -ENOENT);
	assert_int_equal(send(k, REPO, &x, name), 0);
	assert_int_equal(send(k, REPO, &x, name), 0);
	assert_int_equal(staged(k), 1);
	assert_int_equal(xorbs_open(k->xorbs, REPO, name, &v), 0);
	assert_int_equal(xorb_map_count(&v.map), CHUNKS);
	assert_int_equal(xorb_view_read(k->xorbs, &v, 2, 5, gather, &got), 0);
	assert_int_equal(got.len, x.ends[4] - x.ends[1]);
	assert_memory_equal(got.data, x.raw.data + x.ends[1], got.len);
}

static void it_is_of_the_repository_that_it_came_for(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	uint8_t name[XET_HASH];

	made_xorb_fill(&x, 2, 1);
	made_xorb_name(&x, name);
	assert_int_equal(send(k, REPO, &x, name), 0);
	assert_int_equal(open_one(k, OTHER, name), -ENOENT);
	assert_int_equal(open_one(k, REPO, name), 0);
	xorbs_remove(k->xorbs, REPO, name);
	assert_int_equal(open_one(k, REPO, name), -ENOENT);
}

static void what_is_another_or_none_leaves_nothing(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	uint8_t name[XET_HASH];

	made_xorb_fill(&x, 2, 1);
	made_xorb_name(&x, name);
	name[0] ^= 1;
	assert_int_equal(send(k, REPO, &x, name), ERR_DIGEST);
	name[0] ^= 1;
	x.bytes.len--;
	assert_int_equal(send(k, REPO, &x, name), -EBADMSG);
	assert_int_equal(staged(k), 0);
	x.bytes.len++;
	assert_int_equal(send(k, REPO, &x, name), 0);
}

/* Nothing of it was flushed: what a crash leaves is as if it had not come. */
static void one_that_is_torn_is_not_here(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	char hex[XET_HASH_HEX + 1], file[256] = "";
	CLEANUP(closep) int fd = -1;
	uint8_t name[XET_HASH];
	struct stat st;

	made_xorb_fill(&x, 4, 1);
	made_xorb_name(&x, name);
	assert_int_equal(send(k, REPO, &x, name), 0);
	xet_hash_print(name, hex);
	snprintf(file, sizeof(file), "xorb-%s-%016llx", hex,
		 (unsigned long long)xxh3_of(REPO, strlen(REPO)));
	fd = openat(intake_staging(k->in), file, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	assert_int_equal(open_one(k, REPO, name), 0);
	assert_int_equal(file_pwrite(fd, "\1", 1, (uint64_t)st.st_size - 20), 0);
	assert_int_equal(open_one(k, REPO, name), -ENOENT);
	for (off_t size = 0; size < st.st_size; size += 101) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(open_one(k, REPO, name), -ENOENT);
		assert_int_equal(ftruncate(fd, st.st_size), 0);
		assert_int_equal(open_one(k, REPO, name), -ENOENT);
	}
}

static int get_generation(struct db_txn *t, void *arg)
{
	return xorb_rows_generation(t, arg);
}

static uint32_t generation(struct kept *k)
{
	uint32_t n = 0;

	assert_int_equal(db_read(k->db, get_generation, &n), 0);
	return n;
}

static void those_that_nobody_named_go_in_time(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	CLEANUP(closep) int fd = -1;
	uint8_t name[XET_HASH];

	made_xorb_fill(&x, 2, 1);
	made_xorb_name(&x, name);
	assert_false(xorbs_coming(k->xorbs, REPO, 0));
	assert_int_equal(send(k, REPO, &x, name), 0);
	assert_true(xorbs_coming(k->xorbs, REPO, 0));
	assert_false(xorbs_coming(k->xorbs, OTHER, 0));
	assert_false(xorbs_coming(k->xorbs, REPO, INT64_MAX));
	assert_int_equal(xorbs_sweep(k->xorbs, k->db, 0), 0);
	assert_int_equal(staged(k), 1);
	assert_int_equal(generation(k), 1);
	assert_int_equal(xorbs_sweep(k->xorbs, k->db, INT64_MAX), 0);
	assert_int_equal(staged(k), 0);
	assert_int_equal(generation(k), 2);
	/* What was cut off nobody remembers. */
	fd = openat(intake_staging(k->in), "xorb-0-0.1", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(xorbs_sweep(k->xorbs, k->db, INT64_MAX), 0);
	assert_int_equal(staged(k), 0);
	assert_int_equal(generation(k), 2);
}

static void touch_later(void *arg, const char *name)
{
	const struct kept *k = arg;
	const struct timespec later[2] = { { .tv_sec = clock_wall_s() + 1000 },
					   { .tv_sec = clock_wall_s() + 1000 } };

	if (!strncmp(name, "xorb-", 5))
		assert_int_equal(utimensat(intake_staging(k->in), name, later, 0), 0);
}

/* Its client is still at it. */
static void one_that_comes_keeps_the_files_that_came_before(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	int64_t before_s = clock_wall_s() + 500;
	uint8_t name[XET_HASH];

	kept_make(k, KEPT_UID_A, "a");
	kept_bring(k, "a", "waits", true);
	made_xorb_fill(&x, 2, 1);
	made_xorb_name(&x, name);
	assert_int_equal(send(k, REPO, &x, name), 0);
	file_each_name(intake_staging(k->in), touch_later, k);
	assert_int_equal(kept_collect(k, before_s, false, 0).uploads, 0);
	xorbs_remove(k->xorbs, REPO, name);
	assert_int_equal(kept_collect(k, before_s, false, 0).uploads, 1); /* the twin */
}

int main(void)
{
#define TEST(story) cmocka_unit_test_setup_teardown(story, kept_setup, kept_teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_that_came_can_be_read),
		TEST(it_is_of_the_repository_that_it_came_for),
		TEST(what_is_another_or_none_leaves_nothing),
		TEST(one_that_is_torn_is_not_here),
		TEST(those_that_nobody_named_go_in_time),
		TEST(one_that_comes_keeps_the_files_that_came_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
