/* SPDX-License-Identifier: Apache-2.0 */
/* Of whom it is told that TLS with it fails. */
#include "daemon/peer/tls_troubles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "daemon/base/err.h"

#define ONE "192.0.2.1:9980"
#define WORDS "SSL routines::wrong version number"

static int set_up(void **state)
{
	struct tls_troubles *t;

	assert_int_equal(tls_troubles_new(&t), 0);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	tls_troubles_free(*state);
	return 0;
}

static bool is_told(struct tls_troubles *t, const char *must)
{
	char why[TLS_TROUBLE_TEXT];
	bool so = tls_troubles_find(t, ONE, why);

	if (so)
		assert_string_equal(why, must);
	return so;
}

static void what_the_library_says_of_it_is_told_until_it_is_over(void **state)
{
	tls_troubles_note(*state, ONE, true, ERR_TLS, "no such issuer");
	assert_true(is_told(*state, "no such issuer"));
	tls_troubles_note(*state, ONE, true, ERR_TIMEOUT, ""); /* that says nothing of it */
	assert_true(is_told(*state, "no such issuer"));
	tls_troubles_note(*state, ONE, true, 200, "");
	assert_false(is_told(*state, ""));
}

static void it_may_not_even_begin(void **state)
{
	tls_troubles_note(*state, ONE, true, ERR_UPSTREAM, WORDS);
	assert_true(is_told(*state, WORDS));
}

static void who_is_not_there_has_no_trouble_with_it(void **state)
{
	tls_troubles_note(*state, ONE, true, ERR_UPSTREAM, "Connection refused");
	assert_false(is_told(*state, ""));
	tls_troubles_note(*state, ONE, false, ERR_UPSTREAM, WORDS); /* nor who speaks none */
	assert_false(is_told(*state, ""));
}

/* With so many more it fails, each once. */
static void fail_with(struct tls_troubles *t, int count)
{
	char member[40], why[TLS_TROUBLE_TEXT];

	for (int i = 0; i < count; i++) {
		snprintf(member, sizeof(member), "192.0.2.1:%d", 1000 + i);
		tls_troubles_note(t, member, true, ERR_TLS, "");
		assert_true(tls_troubles_find(t, member, why));
	}
}

static void of_too_many_those_are_told_that_failed_last(void **state)
{
	tls_troubles_note(*state, ONE, true, ERR_TLS, WORDS);
	fail_with(*state, TLS_TROUBLES_MAX - 1);
	assert_true(is_told(*state, WORDS)); /* there is room for all */
	fail_with(*state, TLS_TROUBLES_MAX);
	assert_false(is_told(*state, ""));
}

static void who_fails_still_is_told_still(void **state)
{
	tls_troubles_note(*state, ONE, true, ERR_TLS, WORDS);
	fail_with(*state, TLS_TROUBLES_MAX - 1);
	tls_troubles_note(*state, ONE, true, ERR_TLS, WORDS);
	fail_with(*state, TLS_TROUBLES_MAX);
	assert_false(is_told(*state, "")); /* these all failed since */
	tls_troubles_note(*state, ONE, true, ERR_TLS, WORDS);
	fail_with(*state, TLS_TROUBLES_MAX - 1);
	assert_true(is_told(*state, WORDS));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_library_says_of_it_is_told_until_it_is_over),
		TEST(it_may_not_even_begin),
		TEST(who_is_not_there_has_no_trouble_with_it),
		TEST(of_too_many_those_are_told_that_failed_last),
		TEST(who_fails_still_is_told_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
