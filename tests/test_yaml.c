/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void check_json(const char *text, const char *wanted)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct yaml_wrong wrong;

	assert_int_equal(yaml_json(text, strlen(text), &json, &wrong), 0);
	assert_string_equal(buf_str(&json), wanted);
}

static void check_wrong(const char *text, const char *what, size_t line, size_t column)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct yaml_wrong wrong = { .line = 0 };

	assert_int_equal(yaml_json(text, strlen(text), &json, &wrong), -EINVAL);
	assert_true(strstr(wrong.what, what));
	assert_int_equal(wrong.line, line);
	assert_int_equal(wrong.column, column);
}

static void collections_become_objects_and_arrays(UNUSED void **state)
{
	check_json("license: mit\ntags:\n- a\n- b\nnested: {x: [1, {y: z}], e: {}, f: []}\n",
		   "{\"license\":\"mit\",\"tags\":[\"a\",\"b\"],"
		   "\"nested\":{\"x\":[1,{\"y\":\"z\"}],\"e\":{},\"f\":[]}}");
	check_json("- 1\n-\n  - 2\n", "[1,[2]]");
	check_json("text: |\n  one\n  two\n", "{\"text\":\"one\\u000atwo\\u000a\"}");
	check_json("\"k\\\"\\u00e9\": \xc3\xa9\n", "{\"k\\\"\xc3\xa9\":\"\xc3\xa9\"}");
	check_json("\xef\xbb\xbf"
		   "a: b",
		   "{\"a\":\"b\"}");
}

static void of_nothing_comes_null(UNUSED void **state)
{
	check_json("", "null");
	check_json("# only this\n", "null");
	check_json("---\n", "null");
	check_json("--- \n...\n", "null");
}

static void plain_scalars_have_the_types_of_the_core_schema(UNUSED void **state)
{
	check_json("a:\nb: [null, ~, Null, '', \"null\"]",
		   "{\"a\":null,\"b\":[null,null,null,\"\",\"null\"]}");
	check_json("[true, False, yes, on, 'true']", "[true,false,\"yes\",\"on\",\"true\"]");
	check_json("[12, -3, +4, 0x1F, 0o17, 010, '5', 1_000]",
		   "[12,-3,4,31,15,10,\"5\",\"1_000\"]");
	check_json("[0.5, .5, 1e3, -1.25E-2, 1., '.', ., e3, 1e, .nan, -.inf]",
		   "[0.5,0.5,1000,-0.0125,1,\".\",\".\",\"e3\",\"1e\",null,null]");
	check_json("[2024-01-02, 1.2.3, 12:30, 0x]", "[\"2024-01-02\",\"1.2.3\",\"12:30\",\"0x\"]");
	check_json("99999999999999999999", "1e+20");
}

static void a_tag_makes_a_text_of_what_looks_otherwise(UNUSED void **state)
{
	check_json("[!!str 5, ! 6, !!int 7]", "[\"5\",\"6\",7]");
	check_wrong("a: !!python/tuple [1]\n", "unknown tag !<tag:yaml.org,2002:python/tuple>", 1,
		    4);
	check_wrong("a: !own x\n", "unknown tag !<!own>", 1, 4);
}

static void an_alias_says_again_what_its_anchor_says(UNUSED void **state)
{
	check_json(
		"a: &x [1, {b: c}]\nd: *x\n\"e,\\\":\": *x\n",
		"{\"a\":[1,{\"b\":\"c\"}],\"d\":[1,{\"b\":\"c\"}],\"e,\\\":\":[1,{\"b\":\"c\"}]}");
	check_json("- &x 1\n- *x\n- &x two\n- *x\n", "[1,1,\"two\",\"two\"]");
	check_json("\"k\\\\\\\"\": &x v\nb: *x\n", "{\"k\\\\\\\"\":\"v\",\"b\":\"v\"}");
	check_wrong("a: *x\n", "unidentified alias \"x\"", 1, 4);
	check_wrong("a: &x [*x]\n", "unidentified alias \"x\"", 1, 8);
}

static void what_is_no_yaml_is_told_with_its_place(UNUSED void **state)
{
	check_wrong("license: [\n", "did not find expected node content", 2, 1);
	check_wrong("a: b\n c: d\n", "mapping values are not allowed", 2, 3);
	check_wrong("a: 1\nb: 2\na: 3\n", "duplicated mapping key", 3, 1);
	check_wrong("a: \"\\0\"\n", "a text holds a NUL", 1, 4);
	check_wrong("? [1]\n: 2\n", "a name cannot be a collection", 1, 3);
	check_wrong("- &x a\n- *x : b\n", "a name cannot be an alias", 2, 3);
	check_wrong("a\n---\nb\n", "expected a single document", 2, 1);
	check_wrong("ab\nc\x01", "control characters are not allowed", 2, 2);
	check_wrong("ab\nc\xff", "UTF-8", 2, 2);
}

/* A few letters that stand for a hundred million. */
static void what_would_become_too_much_is_refused(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 }, json = { 0 };
	struct yaml_wrong wrong;

	buf_add_str(&text, "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol,lol]\n");
	for (int i = 1; i < 9; i++) {
		buf_printf(&text, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			buf_printf(&text, "%s*a%d", k ? "," : "", i - 1);
		buf_add_str(&text, "]\n");
	}
	assert_int_equal(yaml_json(text.data, text.len, &json, &wrong), -EINVAL);
	assert_string_equal(wrong.what, "aliases stand for too much");
	assert_true(json.len < 16 * YAML_JSON_MAX);
	buf_clear(&text);
	for (int i = 0; i <= YAML_DEPTH; i++)
		buf_add_str(&text, "[");
	assert_int_equal(yaml_json(text.data, text.len, &json, &wrong), -EINVAL);
	assert_string_equal(wrong.what, "this is nested too deep");
	buf_clear(&text);
	while (text.len <= YAML_TEXT_MAX)
		buf_add_str(&text, "# nothing\n");
	assert_int_equal(yaml_json(text.data, text.len, &json, &wrong), -EINVAL);
	buf_clear(&text);
	for (int i = 0; i < 300; i++)
		buf_printf(&text, "- &a%d x\n", i);
	assert_int_equal(yaml_json(text.data, text.len, &json, &wrong), -EINVAL);
	assert_string_equal(wrong.what, "there are too many anchors");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(collections_become_objects_and_arrays),
		cmocka_unit_test(of_nothing_comes_null),
		cmocka_unit_test(plain_scalars_have_the_types_of_the_core_schema),
		cmocka_unit_test(a_tag_makes_a_text_of_what_looks_otherwise),
		cmocka_unit_test(an_alias_says_again_what_its_anchor_says),
		cmocka_unit_test(what_is_no_yaml_is_told_with_its_place),
		cmocka_unit_test(what_would_become_too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
