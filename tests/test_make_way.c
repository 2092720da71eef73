/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/make_way.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/own.h"

#define AWHILE_MS 100

struct fixture {
	struct make_way way;
	bool says;
	unsigned asked;
	bool in_use;
	char etag[8];
	atomic_bool entered, may_end, was_set;
};

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){ 0 };
	make_way_init(&f.way);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	make_way_fini(&f->way);
	return 0;
}

static bool close_it(void *arg, const char *etag, bool in_use)
{
	struct fixture *f = arg;

	strncpy(f->etag, etag, sizeof(f->etag) - 1);
	f->in_use = in_use;
	f->asked++;
	return f->says;
}

static void where_nobody_keeps_blobs_open_none_is_closed(void **state)
{
	struct fixture *f = *state;

	assert_false(make_way_ask(&f->way, "a", true));
}

static void who_keeps_them_is_asked_and_may_refuse(void **state)
{
	struct fixture *f = *state;

	make_way_set(&f->way, close_it, f);
	assert_false(make_way_ask(&f->way, "a", true));
	assert_true(f->in_use);
	f->says = true;
	assert_true(make_way_ask(&f->way, "b", false));
	assert_string_equal(f->etag, "b");
	assert_false(f->in_use);
	make_way_set(&f->way, NULL, NULL);
	assert_false(make_way_ask(&f->way, "a", true));
	assert_int_equal(f->asked, 2);
}

/* ---- who keeps them ends while he is asked ---- */

static bool wait_and_close(void *arg, const char *etag UNUSED, bool in_use UNUSED)
{
	struct fixture *f = arg;

	f->entered = true;
	while (!f->may_end)
		clock_sleep_ms(1);
	clock_sleep_ms(AWHILE_MS);
	assert_false(f->was_set);
	return true;
}

static void *ask_on_a_thread(void *arg)
{
	struct fixture *f = arg;

	return make_way_ask(&f->way, "a", false) ? f : NULL;
}

static void who_is_being_asked_is_waited_for(void **state)
{
	struct fixture *f = *state;
	pthread_t asker;
	void *said;

	make_way_set(&f->way, wait_and_close, f);
	assert_int_equal(thread_start(&asker, "asker", ask_on_a_thread, f), 0);
	while (!f->entered)
		clock_sleep_ms(1);
	f->may_end = true;
	make_way_set(&f->way, NULL, NULL);
	f->was_set = true;
	pthread_join(asker, &said);
	assert_ptr_equal(said, f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(where_nobody_keeps_blobs_open_none_is_closed),
		TEST(who_keeps_them_is_asked_and_may_refuse),
		TEST(who_is_being_asked_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
