/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/xorbs_sweep.h"

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

#define CHUNKS 7

static const struct xorb_owner ann = { KEPT_UID_A, "ann" }, bob = { KEPT_UID_A, "bob" },
			       ann_there = { KEPT_UID_B, "ann" };

static int send_some(struct kept *k, const struct xorbs_want *want, const struct made_xorb *x,
		     const uint8_t name[static XET_HASH])
{
	struct xorb_file *f = NULL;
	int r = xorbs_begin(k->xorbs, want, name, &f);

	assert_int_equal(r, 0);
	r = xorb_file_add(f, x->bytes.data, x->bytes.len);
	if (r == 0)
		r = xorb_file_end(f);
	xorb_file_drop(f);
	return r;
}

static int send(struct kept *k, const struct xorb_owner *owner, const struct made_xorb *x,
		const uint8_t name[static XET_HASH])
{
	const struct xorbs_want want = { *owner, "org", UINT64_MAX };

	return send_some(k, &want, x, name);
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

static int open_one(struct kept *k, const struct xorb_owner *owner,
		    const uint8_t name[static XET_HASH])
{
	struct xorb_view v = { .fd = -1 };
	int r = xorbs_open(k->xorbs, owner, name, &v);

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
	assert_int_equal(open_one(k, &ann, name), -ENOENT);
	assert_int_equal(send(k, &ann, &x, name), 0);
	assert_int_equal(send(k, &ann, &x, name), 0);
	assert_int_equal(staged(k), 1);
	assert_int_equal(xorbs_open(k->xorbs, &ann, name, &v), 0);
	assert_int_equal(xorb_map_count(&v.map), CHUNKS);
	assert_int_equal(xorb_view_read(k->xorbs, &v, 2, 5, gather, &got), 0);
	assert_int_equal(got.len, x.ends[4] - x.ends[1]);
	assert_memory_equal(got.data, x.raw.data + x.ends[1], got.len);
}

static void it_is_of_the_repository_that_it_came_for_and_of_who_brought_it(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	uint8_t name[XET_HASH];

	made_xorb_fill(&x, 2, 1);
	made_xorb_name(&x, name);
	assert_int_equal(send(k, &ann, &x, name), 0);
	assert_int_equal(open_one(k, &ann_there, name), -ENOENT);
	assert_int_equal(open_one(k, &bob, name), -ENOENT);
	assert_int_equal(open_one(k, &ann, name), 0);
	xorbs_remove(k->xorbs, &ann, name);
	assert_int_equal(open_one(k, &ann, name), -ENOENT);
}

static void what_is_another_or_none_leaves_nothing(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	uint8_t name[XET_HASH];

	made_xorb_fill(&x, 2, 1);
	made_xorb_name(&x, name);
	name[0] ^= 1;
	assert_int_equal(send(k, &ann, &x, name), ERR_DIGEST);
	name[0] ^= 1;
	x.bytes.len--;
	assert_int_equal(send(k, &ann, &x, name), -EBADMSG);
	assert_int_equal(staged(k), 0);
	x.bytes.len++;
	assert_int_equal(send(k, &ann, &x, name), 0);
}

/* The file in which one of Ann's waits. */
static int open_file(struct kept *k, const uint8_t name[static XET_HASH], struct stat *st)
{
	char hex[XET_HASH_HEX + 1], file[256] = "";
	int fd;

	xet_hash_print(name, hex);
	snprintf(file, sizeof(file), "xorb-" KEPT_UID_A "-%s-ann", hex);
	fd = openat(intake_staging(k->in), file, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, st) == 0);
	return fd;
}

/* Nothing of it was flushed: what a crash leaves is as if it had not come. */
static void one_that_is_torn_is_not_here(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	uint8_t name[XET_HASH];
	struct stat st;
	int fd;

	made_xorb_fill(&x, 4, 1);
	made_xorb_name(&x, name);
	assert_int_equal(send(k, &ann, &x, name), 0);
	fd = open_file(k, name, &st);
	assert_int_equal(open_one(k, &ann, name), 0);
	assert_int_equal(file_pwrite(fd, "\1", 1, (uint64_t)st.st_size - 20), 0);
	assert_int_equal(open_one(k, &ann, name), -ENOENT);
	assert_int_equal(staged(k), 0); /* and can come again */
	close(fd);
	for (off_t size = 0; size < st.st_size; size += 101) {
		assert_int_equal(send(k, &ann, &x, name), 0);
		fd = open_file(k, name, &st);
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(ftruncate(fd, size % 2 ? size : st.st_size), 0);
		assert_int_equal(open_one(k, &ann, name), -ENOENT);
		close(fd);
	}
	assert_int_equal(staged(k), 0);
}

/* Its chunks are named behind them, and are there: the blocks in front are not. */
static void a_chunk_that_is_not_what_its_hash_says_is_not_read(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	CLEANUP(xorb_view_fini) struct xorb_view v = { .fd = -1 };
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = -1;
	uint8_t name[XET_HASH];
	struct stat st;

	made_xorb_fill(&x, 4, 1);
	made_xorb_name(&x, name);
	assert_int_equal(send(k, &ann, &x, name), 0);
	fd = open_file(k, name, &st);
	assert_int_equal(file_pwrite(fd, "\0\0\0\0", 4, x.ends[1] + 5), 0);
	assert_int_equal(xorbs_open(k->xorbs, &ann, name, &v), 0);
	assert_int_equal(xorb_view_read(k->xorbs, &v, 0, 4, gather, &got), ERR_DIGEST);
	assert_int_equal(got.len, x.ends[1]); /* what is right in front of it */
	assert_int_equal(xorb_view_read(k->xorbs, &v, 3, 4, gather, &got), 0);
}

static void place_all(struct xorb_view *v, const char *text)
{
	struct xorb_piece p = { 0, xorb_map_count(&v->map), 0, "" };

	kept_etag(text, true, p.etag);
	assert_int_equal(buf_add(&v->map.pieces, &p, sizeof(p)), 0);
}

static void what_one_blob_has_wrong_is_read_from_the_next(void **state)
{
	struct kept *k = *state;
	CLEANUP(xorb_view_fini) struct xorb_view v = { .fd = -1 };
	CLEANUP(buf_free) struct buf got = { 0 };
	uint8_t hash[XET_HASH];

	kept_make(k, KEPT_UID_A, "a");
	kept_bring(k, "a", "one two THREE", true);
	kept_bring(k, "a", "one two three", true);
	xet_hash_chunk("one ", 4, hash);
	assert_int_equal(xorb_map_add(&v.map, hash, 4), 0);
	xet_hash_chunk("two three", 9, hash);
	assert_int_equal(xorb_map_add(&v.map, hash, 9), 0);
	place_all(&v, "one two THREE");
	assert_int_equal(xorb_view_read(k->xorbs, &v, 0, 2, gather, &got), ERR_DIGEST);
	place_all(&v, "no blob");
	place_all(&v, "one two three");
	buf_clear(&got);
	assert_int_equal(xorb_view_read(k->xorbs, &v, 0, 2, gather, &got), 0);
	assert_string_equal(buf_str(&got), "one two three");
}

struct generation {
	const char *user;
	uint32_t now;
};

static int get_generation(struct db_txn *t, void *arg)
{
	struct generation *g = arg;

	return xorb_rows_generation(t, g->user, &g->now);
}

static uint32_t generation(struct kept *k, const char *user)
{
	struct generation g = { user, 0 };

	assert_int_equal(db_read(k->db, get_generation, &g), 0);
	return g.now;
}

static void those_that_nobody_named_go_in_time(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	CLEANUP(closep) int fd = -1;
	uint8_t name[XET_HASH];

	made_xorb_fill(&x, 2, 1);
	made_xorb_name(&x, name);
	assert_false(xorbs_coming(k->xorbs, KEPT_UID_A, 0));
	assert_int_equal(send(k, &ann, &x, name), 0);
	assert_true(xorbs_coming(k->xorbs, KEPT_UID_A, 0));
	assert_false(xorbs_coming(k->xorbs, KEPT_UID_B, 0));
	assert_false(xorbs_coming(k->xorbs, KEPT_UID_A, INT64_MAX));
	assert_int_equal(xorbs_sweep(k->xorbs, k->db, 0, 0), 0);
	assert_int_equal(staged(k), 1);
	assert_int_equal(generation(k, "ann"), 1);
	assert_int_equal(xorbs_sweep(k->xorbs, k->db, INT64_MAX, INT64_MAX), 0);
	assert_int_equal(staged(k), 0);
	assert_int_equal(generation(k, "ann"), 2);
	assert_int_equal(generation(k, "bob"), 1);
	/* What was cut off nobody remembers. */
	fd = openat(intake_staging(k->in), "xorbing-" KEPT_UID_A "-1", O_RDWR | O_CREAT | O_CLOEXEC,
		    0600);
	assert_true(fd >= 0);
	assert_int_equal(xorbs_sweep(k->xorbs, k->db, INT64_MAX, INT64_MAX), 0);
	assert_int_equal(staged(k), 0);
	assert_int_equal(generation(k, "ann"), 2);
}

static void set_age(struct kept *k, const uint8_t name[static XET_HASH], int64_t came_s)
{
	const struct timespec came[2] = { { .tv_sec = came_s }, { .tv_sec = came_s } };
	struct stat st;
	CLEANUP(closep) int fd = open_file(k, name, &st);

	assert_int_equal(futimens(fd, came), 0);
}

/* What is made of them is told when the last one is there. */
static void those_of_an_upload_that_takes_long_wait_for_its_end(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 }, y = { .count = 0 };
	int64_t now_s = clock_wall_s();
	uint8_t first[XET_HASH], last[XET_HASH];

	made_xorb_fill(&x, 2, 1);
	made_xorb_name(&x, first);
	made_xorb_fill(&y, 3, 9);
	made_xorb_name(&y, last);
	assert_int_equal(send(k, &ann, &x, first), 0);
	assert_int_equal(send(k, &ann, &y, last), 0);
	set_age(k, first, now_s - 200);
	assert_int_equal(xorbs_sweep(k->xorbs, k->db, now_s - 100, now_s - 700), 0);
	assert_int_equal(open_one(k, &ann, first), 0);
	assert_int_equal(generation(k, "ann"), 1);
	/* Twins: another one's, or for another repository, is no sign; nothing waits for ever. */
	set_age(k, last, now_s - 150);
	assert_int_equal(send(k, &bob, &y, last), 0);
	assert_int_equal(send(k, &ann_there, &y, last), 0);
	assert_int_equal(xorbs_sweep(k->xorbs, k->db, now_s - 160, now_s - 700), 0);
	assert_int_equal(open_one(k, &ann, first), 0);
	assert_int_equal(xorbs_sweep(k->xorbs, k->db, now_s - 160, now_s - 170), 0);
	assert_int_equal(open_one(k, &ann, first), -ENOENT);
	assert_int_equal(open_one(k, &ann, last), 0);
	assert_int_equal(xorbs_sweep(k->xorbs, k->db, now_s - 100, now_s - 700), 0);
	assert_int_equal(open_one(k, &ann, last), -ENOENT);
	assert_int_equal(open_one(k, &bob, last), 0);
	assert_int_equal(generation(k, "ann"), 3);
}

/* Killed between its name and the end of the one under which it came: the numbers begin anew. */
static void one_with_two_names_is_not_written_to(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 }, y = { .count = 0 };
	static const char *const halves[] = { "xorbing-" KEPT_UID_A "-0", "xorbed-0" };
	uint8_t name[XET_HASH], other[XET_HASH];
	char hex[XET_HASH_HEX + 1], file[256];
	int stage = intake_staging(k->in);

	made_xorb_fill(&x, 2, 1);
	made_xorb_name(&x, name);
	made_xorb_fill(&y, 5, 50);
	made_xorb_name(&y, other);
	xet_hash_print(name, hex);
	snprintf(file, sizeof(file), "xorb-" KEPT_UID_A "-%s-ann", hex);
	assert_int_equal(send(k, &ann, &x, name), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(linkat(stage, file, stage, halves[i], 0), 0);
	xorbs_free(k->xorbs);
	assert_int_equal(xorbs_new(k->in, &k->xorbs), 0);
	assert_int_equal(staged(k), 1);
	assert_int_equal(send(k, &ann, &y, other), 0);
	assert_int_equal(open_one(k, &ann, name), 0);
	assert_int_equal(open_one(k, &ann, other), 0);
	xorbs_remove(k->xorbs, &ann, other);
	assert_int_equal(open_one(k, &ann, name), 0);
	assert_int_equal(staged(k), 1);
}

static void assert_waiting(struct kept *k, const char *payer, uint64_t bytes, uint64_t files)
{
	uint64_t b, f;

	xorbs_waiting(k->xorbs, payer, &b, &f);
	assert_int_equal(b, bytes);
	assert_int_equal(f, files);
}

static void what_waits_is_counted_once_until_it_goes(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 }, y = { .count = 0 };
	uint8_t name[XET_HASH], other[XET_HASH];
	uint64_t size;

	made_xorb_fill(&x, 2, 1);
	made_xorb_name(&x, name);
	made_xorb_fill(&y, 5, 50);
	made_xorb_name(&y, other);
	assert_waiting(k, "org", 0, 0);
	assert_int_equal(send(k, &ann, &x, name), 0);
	assert_int_equal(send(k, &ann, &x, name), 0);
	assert_waiting(k, "org", 4096, 1);
	assert_int_equal(send(k, &bob, &y, other), 0);
	size = (y.ends[4] + 8 + 5 * 36 + 4095) / 4096 * 4096;
	assert_waiting(k, "org", 4096 + size, 2);
	xorbs_remove(k->xorbs, &bob, other);
	xorbs_remove(k->xorbs, &bob, other);
	assert_waiting(k, "org", 4096, 1);
	/* Another run: whoever brought it pays, until more comes. */
	xorbs_free(k->xorbs);
	assert_int_equal(xorbs_new(k->in, &k->xorbs), 0);
	assert_waiting(k, "org", 0, 0);
	assert_waiting(k, "ann", 4096, 1);
	assert_int_equal(send(k, &ann, &x, name), 0);
	assert_waiting(k, "org", 4096, 1);
	assert_int_equal(xorbs_sweep(k->xorbs, k->db, INT64_MAX, INT64_MAX), 0);
	assert_waiting(k, "org", 0, 0);
}

static void no_more_waits_than_its_payer_may_have(void **state)
{
	struct kept *k = *state;
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 }, y = { .count = 0 };
	struct xorbs_want want = { ann, "org", 1000 };
	uint8_t name[XET_HASH], other[XET_HASH];

	made_xorb_fill(&x, 2, 1);
	made_xorb_name(&x, name);
	assert_int_equal(send_some(k, &want, &x, name), ERR_QUOTA);
	assert_int_equal(staged(k), 0);
	assert_waiting(k, "org", 0, 0);
	want.most = 5000;
	assert_int_equal(send_some(k, &want, &x, name), 0);
	/* What waits already counts. */
	made_xorb_fill(&y, 2, 9);
	made_xorb_name(&y, other);
	assert_int_equal(send_some(k, &want, &y, other), ERR_QUOTA);
	want.payer = "somebody";
	want.owner.uid = KEPT_UID_B;
	assert_int_equal(send_some(k, &want, &y, other), 0);
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
	assert_int_equal(send(k, &ann, &x, name), 0);
	file_each_name(intake_staging(k->in), touch_later, k);
	assert_int_equal(kept_collect(k, before_s, false, 0).uploads, 0);
	xorbs_remove(k->xorbs, &ann, name);
	assert_int_equal(kept_collect(k, before_s, false, 0).uploads, 1); /* the twin */
}

int main(void)
{
#define TEST(story) cmocka_unit_test_setup_teardown(story, kept_setup, kept_teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_that_came_can_be_read),
		TEST(it_is_of_the_repository_that_it_came_for_and_of_who_brought_it),
		TEST(what_is_another_or_none_leaves_nothing),
		TEST(one_that_is_torn_is_not_here),
		TEST(a_chunk_that_is_not_what_its_hash_says_is_not_read),
		TEST(what_one_blob_has_wrong_is_read_from_the_next),
		TEST(those_that_nobody_named_go_in_time),
		TEST(those_of_an_upload_that_takes_long_wait_for_its_end),
		TEST(one_with_two_names_is_not_written_to),
		TEST(what_waits_is_counted_once_until_it_goes),
		TEST(no_more_waits_than_its_payer_may_have),
		TEST(one_that_comes_keeps_the_files_that_came_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
