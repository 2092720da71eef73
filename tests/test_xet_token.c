/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define NOW 1700000000

static const uint8_t key[CAPABILITY_KEY] = { 1, 2, 3 };
static char uid[] = "0123456789abcdef01234567", user[] = "somebody", token[] = "my laptop",
	    made[] = "1699999999", none[] = "";

static const struct xet_token example = { uid, user, token, made, NOW + XET_TOKEN_S, false };

/* "Bearer ..." */
static char *print(const struct xet_token *t)
{
	struct buf text = { 0 };

	buf_add_str(&text, "Bearer ");
	assert_int_equal(xet_token_print(key, t, &text), 0);
	return buf_take(&text);
}

static int parse(const char *field, int64_t now_s, struct xet_token *ret)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = xet_token_read(key, field, now_s, ret, &why);

	assert_int_equal(r == -EACCES, why.len > 0);
	return r;
}

static void a_token_says_what_was_printed(UNUSED void **state)
{
	CLEANUP(freep) char *text = print(&example);
	struct xet_token got = { 0 };

	assert_int_equal(parse(text, NOW + XET_TOKEN_S, &got), 0);
	assert_string_equal(got.uid, uid);
	assert_string_equal(got.user, user);
	assert_string_equal(got.token, token);
	assert_string_equal(got.made, made);
	assert_true(got.expires_s == example.expires_s);
	assert_null(strpbrk(text + strlen("Bearer "), " \t\r\n,;"));
	xet_token_fini(&got);
}

/* What is for reading is no other token with a word changed. */
static void one_for_reading_is_for_that_alone(UNUSED void **state)
{
	struct xet_token reading = example, got = { 0 };
	CLEANUP(freep) char *text = NULL;
	char *kind;

	reading.reads = true;
	text = print(&reading);
	kind = text + strlen("Bearer mfs");
	assert_int_equal(*kind, 'r');
	assert_int_equal(parse(text, NOW, &got), 0);
	assert_true(got.reads);
	xet_token_fini(&got);
	*kind = 'x';
	assert_int_equal(parse(text, NOW, &got), -EACCES);
}

static void an_old_one_is_none(UNUSED void **state)
{
	CLEANUP(freep) char *text = print(&example);
	struct xet_token got = { 0 };

	assert_int_equal(parse(text, NOW + XET_TOKEN_S + 1, &got), -EACCES);
	assert_null(got.uid);
}

/* Twin of the first: any byte counts. */
static void one_that_was_changed_is_none(UNUSED void **state)
{
	CLEANUP(freep) char *text = print(&example);
	struct xet_token got = { 0 };

	for (size_t i = strlen("Bearer "); text[i]; i++) {
		char was = text[i];

		text[i] = was == '1' ? '2' : '1';
		assert_int_equal(parse(text, NOW, &got), -EACCES);
		text[i] = was;
	}
	text[strlen(text) - 1] = '\0';
	assert_int_equal(parse(text, NOW, &got), -EACCES);
}

static void texts_do_not_lend_their_ends_to_others(UNUSED void **state)
{
	char longer[] = "0123456789abcdef01234567some", shorter[] = "body";
	const struct xet_token other = { longer, shorter, token, made, example.expires_s, false };
	CLEANUP(freep) char *one = print(&example), *two = print(&other);

	assert_string_not_equal(strrchr(one, '.'), strrchr(two, '.'));
}

static void what_is_no_token_of_ours_is_none(UNUSED void **state)
{
	static const char *const fields[] = {
		"",
		"Bearer",
		"Bearer ",
		"Bearer hf_abcdef",
		"Bearer mfsx.",
		"Bearer mfsx..1.0",
		"Bearer mfsx.6.1.0",
		"Bearer mfsx.61.1.0",
		"Bearer mfsx.610062006300.1.0",
		"Basic bWZzeC4=",
	};
	struct xet_token got = { 0 };

	assert_int_equal(parse(NULL, NOW, &got), -EACCES);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		assert_int_equal(parse(fields[i], NOW, &got), -EACCES);
}

static void one_without_a_name_can_be_read(UNUSED void **state)
{
	const struct xet_token t = { uid, user, none, made, NOW, false };
	CLEANUP(freep) char *text = print(&t);
	struct xet_token got = { 0 };

	assert_int_equal(parse(text, NOW, &got), 0);
	assert_string_equal(got.token, "");
	xet_token_fini(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_says_what_was_printed),
		cmocka_unit_test(one_for_reading_is_for_that_alone),
		cmocka_unit_test(an_old_one_is_none),
		cmocka_unit_test(one_that_was_changed_is_none),
		cmocka_unit_test(texts_do_not_lend_their_ends_to_others),
		cmocka_unit_test(what_is_no_token_of_ours_is_none),
		cmocka_unit_test(one_without_a_name_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
