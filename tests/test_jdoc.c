/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/jdoc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/err.h"

static int parse(const char *text, struct jdoc **ret)
{
	return jdoc_parse(text, strlen(text), ret);
}

static void a_document_gives_what_it_holds(UNUSED void **state)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *root, *list;

	assert_int_equal(parse("{\"path\": \"a/b\", \"size\": 42, \"l\": [\"x\", {}]}", &d), 0);
	root = jdoc_root(d);
	assert_true(jval_is_object(root));
	assert_string_equal(jval_get_str(root, "path"), "a/b");
	assert_int_equal(jval_get_size(root, "size"), 42);
	list = jval_get(root, "l");
	assert_true(jval_is_array(list));
	assert_int_equal(jval_count(list), 2);
	assert_string_equal(jval_str(jval_at(list, 0)), "x");
	assert_true(jval_is_object(jval_at(list, 1)));
}

static void the_wrong_type_is_not_there(UNUSED void **state)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *root;

	assert_int_equal(parse("{\"s\": \"7\", \"n\": 7, \"z\": null, \"l\": [1]}", &d), 0);
	root = jdoc_root(d);
	assert_null(jval_get_str(root, "n"));
	assert_int_equal(jval_get_size(root, "s"), -1);
	assert_null(jval_get(root, "z"));
	assert_null(jval_get(root, "absent"));
	assert_null(jval_get(jval_get(root, "l"), "s"));
	assert_int_equal(jval_count(root), 0);
	assert_null(jval_at(root, 0));
	assert_null(jval_at(jval_get(root, "l"), 1));
	assert_false(jval_is_array(root));
	assert_false(jval_is_object(jval_get(root, "l")));
}

static void nothing_holds_nothing(UNUSED void **state)
{
	assert_null(jval_get(NULL, "x"));
	assert_int_equal(jval_count(NULL), 0);
	assert_null(jval_at(NULL, 0));
	assert_false(jval_is_array(NULL));
	assert_false(jval_is_object(NULL));
	assert_null(jval_str(NULL));
	assert_int_equal(jval_size(NULL), -1);
	jdoc_free(NULL);
}

static void a_stranger_among_the_members_is_named(UNUSED void **state)
{
	static const char *const known[] = { "a", "b" };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL, *fine = NULL, *none = NULL;

	assert_int_equal(parse("{\"b\":1,\"A\":null,\"a\":2}", &d), 0);
	assert_int_equal(parse("{\"b\":1}", &fine), 0);
	assert_int_equal(parse("[1]", &none), 0);
	assert_string_equal(jval_stranger(jdoc_root(d), known, 2), "A");
	assert_string_equal(jval_stranger(jdoc_root(fine), known, 1), "b");
	assert_null(jval_stranger(jdoc_root(fine), known, 2));
	assert_null(jval_stranger(jdoc_root(none), known, 2));
	assert_null(jval_stranger(NULL, known, 2));
}

static void a_size_is_a_whole_number_from_zero_up(UNUSED void **state)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *root;

	assert_int_equal(parse("[0, 9223372036854775807, -1, 1.0, 1e3, true]", &d), 0);
	root = jdoc_root(d);
	assert_int_equal(jval_size(jval_at(root, 0)), 0);
	assert_true(jval_size(jval_at(root, 1)) == INT64_MAX);
	for (size_t i = 2; i < 6; i++)
		assert_int_equal(jval_size(jval_at(root, i)), -1);
}

static void a_string_with_a_nul_counts_as_absent(UNUSED void **state)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	assert_int_equal(parse("{\"bad\": \"a\\u0000b\", \"good\": \"ab\"}", &d), 0);
	assert_null(jval_get_str(jdoc_root(d), "bad"));
	assert_string_equal(jval_get_str(jdoc_root(d), "good"), "ab");
}

static void any_value_may_be_the_root(UNUSED void **state)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	assert_int_equal(parse(" \"x\" ", &d), 0);
	assert_string_equal(jval_str(jdoc_root(d)), "x");
}

static void what_is_no_json_is_refused(UNUSED void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[1,]",
		"{} {}",
		"[] x",
		"<html>",
		"{\"a\": 1, \"a\": 2}",
		"{\"a\\u0000b\": 1}",
		"[\"\xff\"]",
		"[\"\xc0\x80\"]",
		"[1e999]",
		"[99999999999999999999",
		"[0099999999999999999999]",
		"{'a': 1}",
	};
	struct jdoc *d = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse(bad[i], &d), ERR_PROTO);
	assert_int_equal(jdoc_parse("[1]\0", 4, &d), ERR_PROTO);
	assert_null(d);
}

static void endless_nesting_is_refused(UNUSED void **state)
{
	CLEANUP(freep) char *text = malloc(100000);
	struct jdoc *d = NULL;

	assert_non_null(text);
	memset(text, '[', 100000);
	assert_int_equal(jdoc_parse(text, 100000, &d), ERR_PROTO);
	assert_null(d);
}

static void a_quoted_string_parses_back(UNUSED void **state)
{
	static const char text[] = "a\"b\\c\n\x01/\x7f\xc3\xa4";
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(jdoc_quote(&b, text), 0);
	assert_string_equal(buf_str(&b), "\"a\\\"b\\\\c\\u000a\\u0001/\x7f\xc3\xa4\"");
	assert_int_equal(jdoc_parse(b.data, b.len, &d), 0);
	assert_string_equal(jval_str(jdoc_root(d)), text);
}

static void numbers_and_booleans_are_told_apart(UNUSED void **state)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *root;
	int64_t i = 0;
	double real = 0;

	assert_int_equal(parse("[-7, 2.5, true, false, null, \"1\"]", &d), 0);
	root = jdoc_root(d);
	assert_true(jval_int(jval_at(root, 0), &i) && i == -7);
	assert_true(jval_real(jval_at(root, 0), &real) && real == -7);
	assert_true(jval_real(jval_at(root, 1), &real) && real == 2.5);
	assert_int_equal(jval_bool(jval_at(root, 2)), 1);
	assert_int_equal(jval_bool(jval_at(root, 3)), 0);
	for (size_t at = 1; at < 7; at++)
		assert_false(jval_int(jval_at(root, at), &i));
	for (size_t at = 2; at < 7; at++)
		assert_false(jval_real(jval_at(root, at), &real));
	for (size_t at = 4; at < 7; at++)
		assert_int_equal(jval_bool(jval_at(root, at)), -1);
	assert_int_equal(jval_bool(jval_at(root, 0)), -1);
}

static void members_come_in_the_order_of_the_text(UNUSED void **state)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_free) struct buf names = { 0 };
	const struct jval *member;
	const char *name = NULL;

	assert_int_equal(parse("{\"z\": 1, \"a\": null, \"m\": {\"x\": 2}}", &d), 0);
	while ((member = jval_next(jdoc_root(d), &name)))
		buf_printf(&names, "%s%d", name, jval_is_object(member));
	assert_string_equal(buf_str(&names), "z0a0m1");
	name = NULL;
	assert_null(jval_next(jval_get(jdoc_root(d), "z"), &name));
	assert_null(jval_next(NULL, &name));
	name = "absent";
	assert_null(jval_next(jdoc_root(d), &name));
}

static void check_print(const char *text, const char *const *without, const char *const *nowhere,
			const char *expected)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(parse(text, &d), 0);
	assert_int_equal(jdoc_print(jdoc_root(d), without, nowhere, &b), 0);
	assert_string_equal(buf_str(&b), expected);
}

static void a_document_is_printed_as_it_came_without_white_space(UNUSED void **state)
{
	static const char *const same[] = {
		"{\"b\":[1,-2,[],{}],\"a\":{\"t\":true,\"f\":false,\"n\":null}}",
		"[0.1,1e+30,1.0,-0.5,3.141592653589793,1e-07,9223372036854775807]",
		"\"\xc3\xa4 \\\" \\\\ \\u0001 \\u0000 /\"",
		"null",
	};

	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		check_print(same[i], NULL, NULL, same[i]);
	check_print(" { \"a\" : [ 1 ,\n2 ] , \"\\u00e4\" : 1.50 } ", NULL, NULL,
		    "{\"a\":[1,2],\"\xc3\xa4\":1.5}");
}

static void members_are_left_out(UNUSED void **state)
{
	static const char *const without[] = { "s", "t", NULL }, *const nowhere[] = { "x", NULL };
	static const char text[] = "{\"s\":1,\"a\":{\"s\":2,\"x\":3},\"x\":4,\"l\":[{\"x\":5}]}";

	check_print(text, without, NULL, "{\"a\":{\"s\":2,\"x\":3},\"x\":4,\"l\":[{\"x\":5}]}");
	check_print(text, NULL, nowhere, "{\"s\":1,\"a\":{\"s\":2},\"l\":[{}]}");
	check_print(text, without, nowhere, "{\"a\":{\"s\":2},\"l\":[{}]}");
	check_print("[{\"s\":1}]", without, NULL, "[{\"s\":1}]");
}

static void an_integer_too_long_is_a_real(UNUSED void **state)
{
	check_print("[1000000000000000019884624838656, 9223372036854775807, -5,"
		    " \"99999999999999999999\\\" 99999999999999999999\"]",
		    NULL, NULL,
		    "[1e+30,9.223372036854776e+18,-5,"
		    "\"99999999999999999999\\\" 99999999999999999999\"]");
	check_print("-99999999999999999999", NULL, NULL, "-1e+20");
	/* The twin: what fits stays what it is. */
	check_print("[9223372036854775807,-5]", NULL, NULL, "[9223372036854775807,-5]");
}

static void what_is_nested_too_deep_is_not_printed(UNUSED void **state)
{
	CLEANUP(freep) char *text = malloc(2 * 2 * JDOC_PRINT_DEPTH);

	assert_non_null(text);
	for (size_t depth = JDOC_PRINT_DEPTH; depth <= JDOC_PRINT_DEPTH + 2; depth++) {
		CLEANUP(jdoc_freep) struct jdoc *d = NULL;
		CLEANUP(buf_free) struct buf b = { 0 };

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(jdoc_parse(text, 2 * depth, &d), 0);
		assert_int_equal(jdoc_print(jdoc_root(d), NULL, NULL, &b),
				 depth - 1 > JDOC_PRINT_DEPTH ? ERR_PROTO : 0);
	}
}

static void an_empty_string_is_two_quotes(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(jdoc_quote(&b, ""), 0);
	assert_string_equal(buf_str(&b), "\"\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_gives_what_it_holds),
		cmocka_unit_test(the_wrong_type_is_not_there),
		cmocka_unit_test(nothing_holds_nothing),
		cmocka_unit_test(a_stranger_among_the_members_is_named),
		cmocka_unit_test(a_size_is_a_whole_number_from_zero_up),
		cmocka_unit_test(a_string_with_a_nul_counts_as_absent),
		cmocka_unit_test(any_value_may_be_the_root),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(endless_nesting_is_refused),
		cmocka_unit_test(a_quoted_string_parses_back),
		cmocka_unit_test(an_empty_string_is_two_quotes),
		cmocka_unit_test(numbers_and_booleans_are_told_apart),
		cmocka_unit_test(members_come_in_the_order_of_the_text),
		cmocka_unit_test(a_document_is_printed_as_it_came_without_white_space),
		cmocka_unit_test(members_are_left_out),
		cmocka_unit_test(an_integer_too_long_is_a_real),
		cmocka_unit_test(what_is_nested_too_deep_is_not_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
