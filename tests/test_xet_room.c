/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#define MIB (UINT64_C(1) << 20)

static int set_up(void **state)
{
	struct xet_room *r = NULL;

	assert_int_equal(xet_room_new(&r), 0);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	xet_room_free(*state);
	return 0;
}

static void one_user_has_not_all_of_it(void **state)
{
	struct xet_room *r = *state;
	struct xet_hold one = { .user = "ann" }, two = { .user = "ann" }, other = { .user = "ben" };

	assert_int_equal(xet_room_take(r, &one, XET_ROOM_USER_BYTES - MIB), 0);
	assert_int_equal(xet_room_take(r, &two, 2 * MIB), -EAGAIN);
	assert_int_equal(xet_room_take(r, &two, MIB), 0);
	assert_int_equal(xet_room_take(r, &two, MIB), 0); /* it has that */
	assert_int_equal(xet_room_take(r, &one, XET_ROOM_USER_BYTES), -EAGAIN);
	/* Twin: somebody else. */
	assert_int_equal(xet_room_take(r, &other, 2 * MIB), 0);
	xet_room_leave(r, &one);
	assert_int_equal(xet_room_take(r, &two, 30 * MIB), 0);
	xet_room_leave(r, &two);
	xet_room_leave(r, &two); /* it has nothing any more */
	xet_room_leave(r, &other);
}

static void what_is_small_finds_room_beside_what_is_large(void **state)
{
	struct xet_room *r = *state;
	struct xet_hold large[2] = { { .user = "ann" }, { .user = "ben" } };
	struct xet_hold small[6];
	static const char *const users[] = { "a", "b", "c", "d", "e", "f" };
	uint64_t bytes = 0;

	assert_int_equal(xet_room_take(r, &large[0], 30 * MIB), 0);
	assert_int_equal(xet_room_take(r, &large[1], 30 * MIB), -EAGAIN);
	assert_int_equal(xet_room_take(r, &large[1], 18 * MIB), 0);
	for (unsigned i = 0; i < 6; i++) {
		small[i] = (struct xet_hold){ .user = users[i] };
		assert_int_equal(xet_room_take(r, &small[i], XET_ROOM_SMALL_BYTES + 1), -EAGAIN);
		if (xet_room_take(r, &small[i], XET_ROOM_SMALL_BYTES) == 0)
			bytes += XET_ROOM_SMALL_BYTES;
	}
	assert_int_equal(bytes, XET_ROOM_BYTES - XET_ROOM_LARGE_BYTES);
	xet_room_leave(r, &large[0]);
	assert_int_equal(xet_room_take(r, &small[5], 12 * MIB), 0);
	xet_room_leave(r, &large[1]);
	for (unsigned i = 0; i < 6; i++)
		xet_room_leave(r, &small[i]);
	assert_int_equal(xet_room_take(r, &large[0], XET_ROOM_USER_BYTES), 0);
	xet_room_leave(r, &large[0]);
}

int main(void)
{
#define TEST(story) cmocka_unit_test_setup_teardown(story, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(one_user_has_not_all_of_it),
		TEST(what_is_small_finds_room_beside_what_is_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
