/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/jscan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/buf.h"
#include "daemon/base/jdoc.h"

/* "name=value;" of each member that is found. */
static void scan(const char *text, struct buf *ret)
{
	struct jscan_member m;

	buf_clear(ret);
	while (jscan_next(&text, &m))
		buf_printf(ret, "%.*s=%.*s;", (int)m.name_len, m.name, (int)m.value_len, m.value);
}

static void members_are_found_whatever_is_in_them(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	scan("{\"a\":1,\"b\":\"x,}\\\"]{\","
	     "\"c\":{\"d\":[1,{\"e\":\"}\"}],\"f\":{}},\"\":[],\"g\":null}",
	     &got);
	assert_string_equal(buf_str(&got),
			    "a=1;b=\"x,}\\\"]{\";c={\"d\":[1,{\"e\":\"}\"}],\"f\":{}};=[];g=null;");
	scan("{}", &got);
	assert_string_equal(buf_str(&got), "");
	scan("{\"q\\\"\":\"\\\\\"}", &got);
	assert_string_equal(buf_str(&got), "q\\\"=\"\\\\\";");
}

static void what_is_no_object_ends_the_scan(void **state UNUSED)
{
	static const char *const wrong[] = { "",
					     "[1]",
					     "1",
					     "\"a\"",
					     "{",
					     "{\"a\"",
					     "{\"a\":",
					     "{\"a\":}",
					     "{\"a\":\"x",
					     "{\"a\":[1}",
					     "{\"a\":{\"b\":\"",
					     "{\"a\":1",
					     "{\"a\\",
					     "{a:1}",
					     "{\"a\":\"x\\" };
	CLEANUP(buf_free) struct buf got = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		scan(wrong[i], &got);
		assert_string_equal(buf_str(&got), "");
	}
}

static void it_finds_what_the_parser_finds(void **state UNUSED)
{
	static const char text[] = "{\"tags\":[\"a\",\"b\\u007d\"],\"n\":-1.5e10,\"t\":true,"
				   "\"o\":{\"a\":{\"b\":[[[]]]}},\"s\":\"\\\\\\\"\"}";
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	CLEANUP(buf_free) struct buf printed = { 0 }, want = { 0 }, got = { 0 };
	const struct jval *v;
	const char *name = NULL;

	assert_int_equal(jdoc_parse(text, strlen(text), &doc), 0);
	assert_int_equal(jdoc_print(jdoc_root(doc), NULL, NULL, &printed), 0);
	while ((v = jval_next(jdoc_root(doc), &name))) {
		buf_printf(&want, "%s=", name);
		assert_int_equal(jdoc_print(v, NULL, NULL, &want), 0);
		buf_add_str(&want, ";");
	}
	scan(buf_str(&printed), &got);
	assert_string_equal(buf_str(&got), buf_str(&want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_found_whatever_is_in_them),
		cmocka_unit_test(what_is_no_object_ends_the_scan),
		cmocka_unit_test(it_finds_what_the_parser_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
