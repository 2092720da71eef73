/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

static void check(const char *text, uint64_t size, uint64_t from, uint64_t to)
{
	struct ranges r;

	assert_int_equal(ranges_parse(text, size, &r), 0);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.at[0].from, from);
	assert_int_equal(r.at[0].to, to);
}

static void check_whole(const char *text)
{
	struct ranges r;

	assert_int_equal(ranges_parse(text, 1000, &r), 0);
	assert_int_equal(r.count, 0);
}

static void check_none(const char *text, uint64_t size)
{
	struct ranges r;

	assert_int_equal(ranges_parse(text, size, &r), -ERANGE);
}

static void one_range_is_cut_at_the_end_of_the_file(void **state)
{
	(void)state;
	check("bytes=0-0", 1000, 0, 1);
	check("bytes=5-9", 1000, 5, 10);
	check("bytes=5-", 1000, 5, 1000);
	check("bytes=-5", 1000, 995, 1000);
	check("bytes=-5000", 1000, 0, 1000);
	check("bytes=0-100000", 1000, 0, 1000);
	check("Bytes= 5-9 ", 1000, 5, 10);
	check("bytes=5-18446744073709551615", 1000, 5, 1000);
	check("bytes=5-99999999999999999999999", 1000, 5, 1000);
	check("bytes=-99999999999999999999999", 1000, 0, 1000);
	check("bytes=, ,5-9,\t,", 1000, 5, 10);
}

static void what_is_no_range_means_the_whole_file(void **state)
{
	static const char *const texts[] = {
		"items=0-1",  "bytes",      "bytes=",        "bytes=a-b",     "bytes=9-5",
		"bytes=5",    "bytes=--5",  "bytes=5-9x",    "bytes=+5-9",    "bytes=,",
		"bytes=0-1;", "bytes=5 -9", "bytes=0-1 2-3", "bytes=0-1,x",   "bytes = 0-1",
		"bytes=-",    "bytes=5--9", "bytes=0x5-9",   "bytes=5-9,9-5", "",
	};

	(void)state;
	check_whole(NULL);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		check_whole(texts[i]);
}

static void what_lies_beyond_the_file_cannot_be_had(void **state)
{
	(void)state;
	check_none("bytes=1000-", 1000);
	check_none("bytes=1000-2000,3000-", 1000);
	check_none("bytes=-0", 1000);
	check_none("bytes=0-0", 0);
	check_none("bytes=-5", 0);
	check_none("bytes=99999999999999999999999-", 1000);
	check_none("bytes=99999999999999999999999-99999999999999999999999", 1000);
	check("bytes=5-", UINT64_MAX, 5, UINT64_MAX);
	check("bytes=2000-,5-9", 1000, 5, 10);
}

static void several_ranges_keep_their_order(void **state)
{
	struct ranges r;

	(void)state;
	assert_int_equal(ranges_parse("bytes=50-59, 0-9 ,-10", 1000, &r), 0);
	assert_int_equal(r.count, 3);
	assert_int_equal(r.at[0].from, 50);
	assert_int_equal(r.at[1].to, 10);
	assert_int_equal(r.at[2].from, 990);
}

static void overlapping_ranges_are_one(void **state)
{
	struct ranges r;

	(void)state;
	check("bytes=0-5,3-9", 1000, 0, 10);
	check("bytes=0-,-5,7-7", 1000, 0, 1000);
	assert_int_equal(ranges_parse("bytes=0-1,4-5,8-9,1-4", 1000, &r), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.at[0].from, 8);
	assert_int_equal(r.at[1].from, 0);
	assert_int_equal(r.at[1].to, 6);
	/* What only adjoins stays two. */
	assert_int_equal(ranges_parse("bytes=0-4,5-9", 1000, &r), 0);
	assert_int_equal(r.count, 2);
}

static void too_many_ranges_are_none(void **state)
{
	(void)state;
	check_whole("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,"
		    "26-26,28-28,30-30,32-32");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_range_is_cut_at_the_end_of_the_file),
		cmocka_unit_test(what_is_no_range_means_the_whole_file),
		cmocka_unit_test(what_lies_beyond_the_file_cannot_be_had),
		cmocka_unit_test(several_ranges_keep_their_order),
		cmocka_unit_test(overlapping_ranges_are_one),
		cmocka_unit_test(too_many_ranges_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
