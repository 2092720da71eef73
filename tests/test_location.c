/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/hub/location.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"

static void memory_freep(struct location_memory **m)
{
	location_memory_free(*m);
}

static void assert_location(struct location_memory *m, const char *key, int64_t now_ms,
			    const char *expected)
{
	CLEANUP(buf_free) struct buf url = { 0 };

	assert_int_equal(location_get(m, key, now_ms, 0, &url), expected ? 0 : -ENOENT);
	location_asked(m, key);
	assert_string_equal(buf_str(&url), expected ? expected : "");
}

static void test_until_it_expires(void **state)
{
	CLEANUP(memory_freep) struct location_memory *m = NULL;

	(void)state;
	assert_int_equal(location_memory_new(4, &m), 0);
	assert_location(m, "k", 0, NULL);
	location_put(m, "k", "http://a", 1000, 500);
	assert_location(m, "k", 1499, "http://a");
	assert_location(m, "k", 1500, NULL);
	assert_int_equal(location_count(m), 0);
	location_put(m, "k", "http://a", 1000, 0);
	assert_int_equal(location_count(m), 0);
}

static void test_replace_and_forget(void **state)
{
	CLEANUP(memory_freep) struct location_memory *m = NULL;

	(void)state;
	assert_int_equal(location_memory_new(4, &m), 0);
	location_put(m, "k", "http://a", 0, 500);
	location_put(m, "k", "http://b", 0, 500);
	location_forget(m, "k", "http://a"); /* an old one: the new one stays */
	assert_location(m, "k", 0, "http://b");
	location_forget(m, "k", "http://b");
	assert_location(m, "k", 0, NULL);
	location_forget(m, "other", "http://b");
}

static void test_bounded_by_use(void **state)
{
	CLEANUP(memory_freep) struct location_memory *m = NULL;
	char key[16];

	(void)state;
	assert_int_equal(location_memory_new(4, &m), 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "%d", i);
		location_put(m, key, "http://a", 0, 500);
		assert_location(m, "0", 0, "http://a"); /* used, so it stays */
	}
	assert_int_equal(location_count(m), 4);
	assert_location(m, "996", 0, NULL);
	assert_location(m, "997", 0, "http://a");
}

static void test_etag(void **state)
{
	CLEANUP(memory_freep) struct location_memory *m = NULL;

	(void)state;
	assert_int_equal(location_memory_new(4, &m), 0);
	assert_int_equal(location_check_etag(m, "k", "http://a", "x"), 0); /* not remembered */
	location_put(m, "k", "http://a", 0, 500);
	assert_int_equal(location_check_etag(m, "k", "http://a", "x"), 0);
	assert_int_equal(location_check_etag(m, "k", "http://a", "x"), 0);
	assert_int_equal(location_check_etag(m, "k", "http://a", "y"), ERR_CHANGED);
	assert_int_equal(location_check_etag(m, "k", "http://b", "y"), 0); /* another place */
	location_put(m, "k", "http://a", 0, 500);
	assert_int_equal(location_check_etag(m, "k", "http://a", "y"), 0); /* signed anew */
}

static void test_life(void **state)
{
	static const int64_t now = 1704164645; /* 2024-01-02T03:04:05Z */
	static const struct {
		const char *url, *cache_control, *age;
		int64_t life_s;
	} cases[] = {
		{ "http://h/x", NULL, NULL, 570 },
		{ "http://h/x", "private, max-age=100", NULL, 70 },
		{ "http://h/x", "max-age=100", "60", 10 },
		{ "http://h/x", "max-age=100", "90", 0 },
		{ "http://h/x", "max-age=20", NULL, 0 },
		{ "http://h/x", "max-age=9999999", NULL, 3570 },
		{ "http://h/x", "no-cache", NULL, 570 },
		{ "http://h/x?Expires=1704164745&Signature=z", "max-age=7", NULL, 70 },
		{ "http://h/x?a=b&Expires=1704164000", NULL, NULL, 0 },
		{ "http://h/x?Expires=99999999999", NULL, NULL, 3570 },
		{ "http://h/x?NotExpires=1704164745", NULL, NULL, 570 },
		{ "http://h/x?Expires=soon", NULL, NULL, 570 },
		{ "http://h/x?X-Amz-Date=20240102T030405Z&X-Amz-Expires=200", NULL, NULL, 170 },
		{ "http://h/x?X-Amz-Expires=200&X-Amz-Date=20240102T030225Z", NULL, NULL, 70 },
		{ "http://h/x?X-Amz-Expires=200&X-Amz-Date=20240102", NULL, NULL, 570 },
		{ "http://h/x?X-Amz-Expires=200", NULL, NULL, 570 },
		{ "http://h/x?X-Goog-Date=20240102T030405Z&X-Goog-Expires=60", NULL, NULL, 30 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
			location_life_ms(cases[i].url, cases[i].cache_control, cases[i].age, now),
			cases[i].life_s * 1000);
}

#define CALLERS 8
#define LONG_MS 10000

struct fanout {
	struct location_memory *m;
	atomic_int askers, right;
};

/* As hub_range does: asks if it must, and tells what it learnt. */
static void *look_for(void *arg)
{
	CLEANUP(buf_free) struct buf url = { 0 };
	struct fanout *c = arg;
	int64_t now = clock_ms();

	if (location_get(c->m, "k", now, now + LONG_MS, &url) == -ENOENT) {
		atomic_fetch_add(&c->askers, 1);
		clock_sleep_ms(50);
		location_put(c->m, "k", "http://a", now, LONG_MS);
		location_asked(c->m, "k");
	} else {
		atomic_fetch_add(&c->right, !strcmp(buf_str(&url), "http://a"));
	}
	return NULL;
}

static void test_one_asks_for_all(void **state)
{
	CLEANUP(memory_freep) struct location_memory *m = NULL;
	pthread_t threads[CALLERS];
	struct fanout c = { 0 };

	(void)state;
	assert_int_equal(location_memory_new(4, &m), 0);
	c.m = m;
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(thread_start(&threads[i], "caller", look_for, &c), 0);
	for (int i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.askers, 1);
	assert_int_equal(c.right, CALLERS - 1);
}

static void test_who_waits_too_long_asks_too(void **state)
{
	CLEANUP(memory_freep) struct location_memory *m = NULL;
	CLEANUP(buf_free) struct buf url = { 0 };
	int64_t now = clock_ms();

	(void)state;
	assert_int_equal(location_memory_new(4, &m), 0);
	assert_int_equal(location_get(m, "k", now, now, &url), -ENOENT);
	assert_int_equal(location_get(m, "k", now, now + 20, &url), -ENOENT);
	assert_true(clock_ms() >= now + 20);
	location_asked(m, "k");
	location_asked(m, "never asked for");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_until_it_expires),
		cmocka_unit_test(test_replace_and_forget),
		cmocka_unit_test(test_bounded_by_use),
		cmocka_unit_test(test_etag),
		cmocka_unit_test(test_one_asks_for_all),
		cmocka_unit_test(test_who_waits_too_long_asks_too),
		cmocka_unit_test(test_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
