/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/underway.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "tests/workdir.h"

struct fixture {
	struct workdir dir;
	struct underway all;
	struct metrics metrics;
	int old_stderr;
};

static void describe(UNUSED struct underway_item *i, struct buf *ret)
{
	buf_add_str(ret, "op=test");
}

static struct underway_item item(int64_t age_ms, int64_t left_ms)
{
	return (struct underway_item){
		.started_us = clock_us() - age_ms * 1000,
		.deadline_ms = clock_ms() + left_ms,
		.describe = describe,
	};
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	assert_non_null(f);
	workdir_init(&f->dir);
	f->old_stderr = dup(STDERR_FILENO);
	fd = openat(f->dir.dirfd, "log", O_CREAT | O_RDWR | O_APPEND, 0600);
	dup2(fd, STDERR_FILENO);
	close(fd);
	assert_int_equal(underway_start(&f->all, 500, &f->metrics), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	underway_stop(&f->all);
	dup2(f->old_stderr, STDERR_FILENO);
	close(f->old_stderr);
	workdir_fini(&f->dir);
	free(f);
	return 0;
}

static bool logged(const struct fixture *f, const char *text)
{
	CLEANUP(buf_free) struct buf log = { 0 };

	assert_int_equal(file_read_all(f->dir.dirfd, "log", 1 << 20, &log), 0);
	return strstr(buf_str(&log), text) != NULL;
}

static bool await_log(const struct fixture *f, const char *text)
{
	for (int i = 0; i < 500 && !logged(f, text); i++)
		clock_sleep_ms(10);
	return logged(f, text);
}

static void one_that_outlives_its_deadline_is_counted_once(void **state)
{
	struct fixture *f = *state;
	struct underway_item late = item(0, -UNDERWAY_GRACE_MS - 1);
	struct underway_item fine = item(0, 60000), nearly = item(0, 0);
	int64_t oldest_ms;

	underway_add(&f->all, &late);
	underway_add(&f->all, &fine);
	underway_add(&f->all, &nearly);
	assert_true(await_log(f, "was not answered at its deadline: op=test"));
	assert_int_equal(underway_count(&f->all, &oldest_ms), 3);
	underway_del(&f->all, &nearly);
	clock_sleep_ms(1200);
	assert_int_equal(metrics_get(&f->metrics.wedged), 1);
	underway_del(&f->all, &late);
	underway_del(&f->all, &fine);
	assert_int_equal(underway_count(&f->all, &oldest_ms), 0);
}

static void a_slow_one_is_told_while_it_waits_and_when_it_ends(void **state)
{
	struct fixture *f = *state;
	struct underway_item slow = item(700, 60000), quick = item(0, 60000);

	underway_add(&f->all, &slow);
	underway_add(&f->all, &quick);
	assert_true(await_log(f, "slow, still waiting: seconds="));
	underway_ended(&f->all, &quick, 499999);
	assert_false(logged(f, "slow: seconds="));
	assert_int_equal(metrics_get(&f->metrics.slow_ops), 0);
	underway_ended(&f->all, &slow, 900000);
	assert_true(logged(f, "slow: seconds=0.9 op=test"));
	assert_int_equal(metrics_get(&f->metrics.slow_ops), 1);
	underway_del(&f->all, &slow);
	underway_del(&f->all, &quick);
	assert_int_equal(metrics_get(&f->metrics.wedged), 0);
}

static void describe_alone(struct underway_item *i, struct buf *ret)
{
	buf_printf(ret, "op=%jd", (intmax_t)i->deadline_ms % 10);
}

/* The line names the oldest and counts the others. */
static void all_that_wait_are_told_in_one_line(void **state)
{
	struct fixture *f = *state;
	struct underway_item items[UNDERWAY_SHOWN + 3];
	size_t n = ARRAY_LEN(items);

	for (size_t i = 0; i < n; i++) {
		items[i] = item(600 + 10 * (int64_t)((3 * i) % n), 60000);
		items[i].deadline_ms += 10 - items[i].deadline_ms % 10 + (int64_t)((3 * i) % n);
		items[i].describe = describe_alone;
	}
	/* All at once, as the watcher sees them. */
	lock_take(&f->all.lock);
	for (size_t i = 0; i < n; i++) {
		items[i].prev = NULL;
		items[i].next = i ? &items[i - 1] : NULL;
		if (i)
			items[i - 1].prev = &items[i];
	}
	f->all.first = &items[n - 1];
	cond_wake_all(&f->all.wake);
	lock_drop(&f->all.lock);
	assert_true(await_log(f, " op=6; seconds="));
	assert_true(logged(f, "; and 3 more\n"));
	assert_true(logged(f, " op=3; and"));
	assert_false(logged(f, "op=2"));
	for (size_t i = 0; i < n; i++)
		underway_del(&f->all, &items[i]);
}

static void with_0_nothing_is_slow(void **state)
{
	struct fixture *f = *state;
	struct underway all;
	struct underway_item old = item(3600 * 1000, 60000);

	assert_int_equal(underway_start(&all, 0, &f->metrics), 0);
	underway_add(&all, &old);
	clock_sleep_ms(1200);
	underway_ended(&all, &old, INT64_C(3600) * 1000000);
	underway_del(&all, &old);
	underway_stop(&all);
	assert_false(logged(f, "slow"));
	assert_int_equal(metrics_get(&f->metrics.slow_ops), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void count_one(void *arg, struct underway_item *i)
{
	unsigned *n = arg;

	assert_ptr_equal(i->describe, describe);
	(*n)++;
}

static void each_that_is_under_way_can_be_looked_at(void **state)
{
	struct fixture *f = *state;
	struct underway_item one = item(0, 10000), two = item(0, 10000);
	unsigned n = 0;

	underway_each(&f->all, count_one, &n);
	assert_int_equal(n, 0);
	underway_add(&f->all, &one);
	underway_add(&f->all, &two);
	underway_each(&f->all, count_one, &n);
	assert_int_equal(n, 2);
	underway_del(&f->all, &one);
	underway_each(&f->all, count_one, &n);
	assert_int_equal(n, 3);
	underway_del(&f->all, &two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* The log says each kind of line once in 10 s: this one comes first. */
		TEST(a_slow_one_is_told_while_it_waits_and_when_it_ends),
		TEST(one_that_outlives_its_deadline_is_counted_once),
		TEST(all_that_wait_are_told_in_one_line),
		TEST(with_0_nothing_is_slow),
		TEST(each_that_is_under_way_can_be_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
