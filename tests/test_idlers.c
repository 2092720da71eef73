/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/idlers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/own.h"

#define COUNT 4

struct fixture {
	struct idlers all;
	struct idler list[COUNT];
	int far[COUNT]; /* the clients' ends */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];

	assert_non_null(f);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		f->list[i].fd = pair[0];
		f->far[i] = pair[1];
	}
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < COUNT; i++) {
		close(f->far[i]);
		close(f->list[i].fd);
	}
	free(f);
	return 0;
}

static bool has_ended(const struct fixture *f, int i)
{
	char byte;

	return recv(f->far[i], &byte, 1, 0) == 0;
}

static void who_has_waited_longest_goes_first(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++)
		idlers_add(&f->all, &f->list[i], i);
	assert_ptr_equal(idlers_end_first(&f->all), &f->list[0]);
	assert_true(has_ended(f, 0));
	assert_false(has_ended(f, 1) || has_ended(f, 2));
	assert_int_equal(f->all.count, 2);
	idlers_del(&f->all, &f->list[0]); /* has gone already */
	assert_int_equal(f->all.count, 2);
}

static void nobody_goes_where_nobody_waits(void **state)
{
	struct fixture *f = *state;

	assert_null(idlers_end_first(&f->all));
	idlers_add(&f->all, &f->list[0], 1);
	idlers_del(&f->all, &f->list[0]);
	assert_null(idlers_end_first(&f->all));
	assert_false(has_ended(f, 0));
	idlers_add(&f->all, NULL, 1);
	idlers_del(&f->all, NULL);
}

static void who_waits_anew_is_the_last(void **state)
{
	struct fixture *f = *state;

	idlers_add(&f->all, &f->list[0], 1);
	idlers_add(&f->all, &f->list[1], 2);
	idlers_add(&f->all, &f->list[0], 3);
	assert_int_equal(f->all.count, 2);
	idlers_end_first(&f->all);
	assert_true(has_ended(f, 1));
	assert_false(has_ended(f, 0));
}

static void who_has_waited_too_long_goes(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < COUNT; i++)
		idlers_add(&f->all, &f->list[i], 10 * i);
	idlers_end_since(&f->all, 10, 10);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(has_ended(f, i), i < 2);
	assert_ptr_equal(f->all.strangers.first, &f->list[2]);
}

static void strangers_go_before_those_who_are_known(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < COUNT; i++) {
		idlers_add(&f->all, &f->list[i], i);
		if (i % 2)
			continue;
		idlers_know(&f->all, &f->list[i]);
		assert_false(f->list[i].listed);
		idlers_add(&f->all, &f->list[i], i);
	}
	assert_int_equal(f->all.count, COUNT);
	assert_ptr_equal(idlers_end_first(&f->all), &f->list[1]);
	assert_ptr_equal(idlers_end_first(&f->all), &f->list[3]);
	assert_ptr_equal(idlers_end_first(&f->all), &f->list[0]);
	assert_ptr_equal(idlers_end_first(&f->all), &f->list[2]);
	assert_null(idlers_end_first(&f->all));
	idlers_know(&f->all, NULL);
}

static void strangers_may_wait_for_less_long(void **state)
{
	struct fixture *f = *state;

	idlers_know(&f->all, &f->list[0]);
	for (int i = 0; i < COUNT; i++)
		idlers_add(&f->all, &f->list[i], 10 * i);
	idlers_end_since(&f->all, -1, 20);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(has_ended(f, i), i == 1 || i == 2);
	idlers_end_since(&f->all, 0, 20); /* the twin */
	assert_true(has_ended(f, 0));
}

static void what_has_come_is_heard_but_no_more(void **state)
{
	struct fixture *f = *state;
	char byte = 0;

	assert_int_equal(send(f->far[0], "x", 1, 0), 1);
	idlers_add(&f->all, &f->list[0], 1);
	idlers_hear_no_more(&f->all);
	assert_int_equal(recv(f->list[0].fd, &byte, 1, 0), 1);
	assert_int_equal(recv(f->list[0].fd, &byte, 1, 0), 0);
	assert_int_equal(send(f->list[0].fd, "y", 1, 0), 1);
	assert_int_equal(recv(f->far[0], &byte, 1, 0), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(f->all.count, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_has_waited_longest_goes_first),
		TEST(nobody_goes_where_nobody_waits),
		TEST(who_waits_anew_is_the_last),
		TEST(who_has_waited_too_long_goes),
		TEST(what_has_come_is_heard_but_no_more),
		TEST(strangers_go_before_those_who_are_known),
		TEST(strangers_may_wait_for_less_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
