/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"

static void bytes_are_counted_in_whole_blocks(void **state)
{
	(void)state;
	assert_int_equal(usage_blocks(0), 0);
	assert_int_equal(usage_blocks(1), 4096);
	assert_int_equal(usage_blocks(4096), 4096);
	assert_int_equal(usage_blocks(4097), 8192);
}

static void it_follows_what_comes_and_goes(void **state)
{
	struct usage u = { 0 };

	(void)state;
	usage_add(&u, 10);
	usage_add(&u, 5);
	usage_sub(&u, 3);
	assert_int_equal(usage_bytes(&u), 12);
}

static void it_never_falls_below_zero(void **state)
{
	struct usage u = { 0 };

	(void)state;
	usage_add(&u, 10);
	usage_sub(&u, 11);
	assert_int_equal(usage_bytes(&u), 0);
}

static void count_call(void *arg)
{
	++*(int *)arg;
}

static void no_more_is_taken_than_the_limit(void **state)
{
	struct usage u = { 0 };
	int calls = 0;

	(void)state;
	assert_int_equal(usage_take(&u, UINT64_C(1) << 50), 0); /* there is none yet */
	usage_sub(&u, UINT64_C(1) << 50);
	usage_limit(&u, 100, -1, 0);
	usage_watch(&u, 90, count_call, &calls);
	assert_int_equal(usage_take(&u, 60), 0);
	assert_int_equal(calls, 0);
	assert_int_equal(usage_take(&u, 41), ERR_FULL);
	assert_int_equal(usage_bytes(&u), 60);
	assert_int_equal(calls, 1); /* what was refused is a reason to make room */
	assert_int_equal(usage_take(&u, 40), 0);
	assert_int_equal(calls, 2);
	usage_add(&u, 50); /* was there before anybody asked */
	assert_int_equal(usage_take(&u, 1), ERR_FULL);
	usage_sub(&u, 51);
	assert_int_equal(usage_take(&u, 1), 0);
	assert_int_equal(usage_bytes(&u), 100);
}

static void what_stays_free_is_a_limit_of_its_own(void **state)
{
	struct usage u = { 0 };
	uint64_t total, left;
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(file_space(fd, &left, &total), 0);
	usage_limit(&u, 10, fd, 1);
	assert_int_equal(usage_take(&u, 11), ERR_FULL);
	assert_int_equal(usage_take_beyond(&u, 11), 0);
	assert_int_equal(usage_bytes(&u), 11);
	/* What is being written is not free any more, though the disk does not know it yet. */
	assert_int_equal(usage_take_beyond(&u, total), ERR_FULL);
	atomic_store(&u.coming, total);
	assert_int_equal(usage_take_beyond(&u, 1), ERR_FULL);
	usage_took(&u, total);
	assert_int_equal(usage_take_beyond(&u, 1), 0);
	usage_limit(&u, 0, fd, total);
	assert_int_equal(usage_take_beyond(&u, 1), ERR_FULL);
	assert_int_equal(usage_capacity(&u), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_counted_in_whole_blocks),
		cmocka_unit_test(it_follows_what_comes_and_goes),
		cmocka_unit_test(it_never_falls_below_zero),
		cmocka_unit_test(no_more_is_taken_than_the_limit),
		cmocka_unit_test(what_stays_free_is_a_limit_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
