/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/frontmatter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void check_found(const char *text, const char *wanted)
{
	const char *at = NULL;
	size_t len = 0;

	assert_true(frontmatter_find(text, strlen(text), &at, &len));
	assert_int_equal(len, strlen(wanted));
	assert_memory_equal(at, wanted, len);
}

/* What re.search of REGEX_YAML_BLOCK gives as its second group. */
static void it_is_found_where_clients_find_it(UNUSED void **state)
{
	check_found("---\nlicense: mit\n---\n# Model", "license: mit");
	check_found("---\nlicense: mit\n---", "license: mit");
	check_found("---\r\na: b\r\nc: d\r\n---\r\ntext", "a: b\r\nc: d");
	check_found("\n \t\n---\na: b\n---\n", "a: b");
	check_found("---\n\n\na: b\n\n\n---\n", "a: b");
	check_found("---\na: b\n---oops\n---\n", "a: b\n---oops");
	check_found("---\na: b\n ---\n---\nc\n---\n", "a: b\n ---");
	check_found("---\n\n---\n", "");
	check_found("---\n\n\n---\n", "");
	check_found("---\n\n---\na: b\n---\n", "---\na: b");
}

static void without_its_two_fences_there_is_none(UNUSED void **state)
{
	static const char *const texts[] = {
		"",
		"# Model",
		"---",
		"---\n",
		"---\n---\n",
		"----\na: b\n---\n",
		"---\na: b\n",
		"---\na: b\n---oops",
		"x\n---\na: b\n---\n",
		"--- \na: b\n---\n",
		"---\na: b\n--- \n",
		"---\na: b ---\n",
		"---\na: b\n---\rx",
	};
	const char *at;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_false(frontmatter_find(texts[i], strlen(texts[i]), &at, &len));
}

static void check_json(const char *text, int r, const char *json, const char *why)
{
	CLEANUP(buf_free) struct buf got = { 0 }, sentence = { 0 };

	assert_int_equal(frontmatter_json(text, strlen(text), &got, &sentence), r);
	if (r == 0)
		assert_string_equal(buf_str(&got), json);
	assert_string_equal(buf_str(&sentence), why);
}

static void what_it_says_becomes_an_object(UNUSED void **state)
{
	check_json("---\nlicense: mit\ntags: [a]\n---\n# M", 0,
		   "{\"license\":\"mit\",\"tags\":[\"a\"]}", "");
	check_json("---\n{}\n---\n", 0, "{}", "");
	check_json("# M", -ENOENT, "", "");
}

static void what_is_no_object_is_refused_in_the_hubs_words(UNUSED void **state)
{
	check_json("---\n- a\n---\n", -EINVAL, "", "\"value\" must be of type object");
	check_json("---\nhello\n---\n", -EINVAL, "",
		   "The YAML metadata of your README.md is invalid.");
	check_json("---\n\n---\n", -EINVAL, "", "The YAML metadata of your README.md is invalid.");
}

static void a_mistake_is_shown_where_it_is(UNUSED void **state)
{
	check_json("---\na: 1\nb: 2\nc: 3\nd: 4\n  e: 5\nf: 6\ng: 7\nh: 8\n---\n", -EINVAL, "",
		   "Invalid YAML in README.md: mapping values are not allowed in this context "
		   "(5:4)\n"
		   "\n 2 | b: 2"
		   "\n 3 | c: 3"
		   "\n 4 | d: 4"
		   "\n 5 |   e: 5"
		   "\n--------^"
		   "\n 6 | f: 6"
		   "\n 7 | g: 7");
	check_json("---\na: [\n---\n", -EINVAL, "",
		   "Invalid YAML in README.md: did not find expected node content while parsing a "
		   "flow node (2:1)\n"
		   "\n 1 | a: ["
		   "\n 2 | "
		   "\n-----^");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_found_where_clients_find_it),
		cmocka_unit_test(without_its_two_fences_there_is_none),
		cmocka_unit_test(what_it_says_becomes_an_object),
		cmocka_unit_test(what_is_no_object_is_refused_in_the_hubs_words),
		cmocka_unit_test(a_mistake_is_shown_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
