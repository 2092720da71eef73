/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/own.h"

#define ETAG "0123abcd"

static void without_conditions_all_goes_on(void **state)
{
	(void)state;
	assert_int_equal(condition_check(NULL, NULL, ETAG), 0);
	assert_true(condition_allows_part(NULL, ETAG));
}

static void who_has_it_is_not_sent_it_again(void **state)
{
	static const char *const same[] = {
		"\"0123abcd\"",
		"W/\"0123abcd\"",
		"\"x\", \"0123abcd\"",
		"\"x\" , W/\"0123abcd\",",
		"*",
		" * ",
		",,\"a,b\",\"0123abcd\"",
	};
	static const char *const other[] = {
		"\"0123abc\"", "\"0123abcde\"", "0123abcd",      "\"0123abcd", "", "w/\"0123abcd\"",
		"*x",          "\"*\"",         "\"x0123abcd\"",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		assert_int_equal(condition_check(NULL, same[i], ETAG), 304);
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		assert_int_equal(condition_check(NULL, other[i], ETAG), 0);
}

static void who_wants_only_this_one_gets_no_other(void **state)
{
	(void)state;
	assert_int_equal(condition_check("\"0123abcd\"", NULL, ETAG), 0);
	assert_int_equal(condition_check("\"x\",\"0123abcd\"", NULL, ETAG), 0);
	assert_int_equal(condition_check("*", NULL, ETAG), 0);
	assert_int_equal(condition_check("\"x\"", NULL, ETAG), 412);
	assert_int_equal(condition_check("W/\"0123abcd\"", NULL, ETAG), 412);
	assert_int_equal(condition_check("", NULL, ETAG), 412);
	/* If-Match is looked at first. */
	assert_int_equal(condition_check("\"x\"", "\"0123abcd\"", ETAG), 412);
	assert_int_equal(condition_check("\"0123abcd\"", "\"0123abcd\"", ETAG), 304);
}

static void a_part_is_given_for_the_files_own_strong_tag_alone(void **state)
{
	static const char *const others[] = {
		"\"x\"",
		"W/\"0123abcd\"",
		"*",
		"",
		"0123abcd",
		"\"0123abcd\", \"x\"",
		"Sat, 21 Nov 2026 19:00:00 GMT",
	};

	(void)state;
	assert_true(condition_allows_part("\"0123abcd\"", ETAG));
	assert_true(condition_allows_part(" \"0123abcd\" ", ETAG));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(condition_allows_part(others[i], ETAG));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_conditions_all_goes_on),
		cmocka_unit_test(who_has_it_is_not_sent_it_again),
		cmocka_unit_test(who_wants_only_this_one_gets_no_other),
		cmocka_unit_test(a_part_is_given_for_the_files_own_strong_tag_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
