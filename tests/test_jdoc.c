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
		"[99999999999999999999]",
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
		cmocka_unit_test(a_size_is_a_whole_number_from_zero_up),
		cmocka_unit_test(a_string_with_a_nul_counts_as_absent),
		cmocka_unit_test(any_value_may_be_the_root),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(endless_nesting_is_refused),
		cmocka_unit_test(a_quoted_string_parses_back),
		cmocka_unit_test(an_empty_string_is_two_quotes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
