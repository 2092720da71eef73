/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/jwrite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "daemon/base/jdoc.h"

static void objects_and_arrays_nest_with_their_commas(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "a", "x");
	jwrite_array(&w, "b");
	jwrite_uint(&w, NULL, UINT64_MAX);
	jwrite_int(&w, NULL, -1);
	jwrite_object(&w, NULL);
	jwrite_object_end(&w);
	jwrite_array(&w, NULL);
	jwrite_array_end(&w);
	jwrite_array_end(&w);
	jwrite_number(&w, "c", 0.25);
	jwrite_bool(&w, "d", true);
	jwrite_null(&w, "e");
	jwrite_text(&w, "f", NULL);
	jwrite_number(&w, "g", NAN);
	jwrite_time(&w, "h", 1500);
	jwrite_object_end(&w);
	assert_string_equal(buf_str(&b),
			    "{\"a\":\"x\",\"b\":[18446744073709551615,-1,{},[]],\"c\":0.25,"
			    "\"d\":true,\"e\":null,\"f\":null,\"g\":null,"
			    "\"h\":\"1970-01-01T00:00:01.500Z\"}");
}

static void check_text(const char *text, const char *json)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct jwrite w = { .to = &b };

	jwrite_text(&w, NULL, text);
	assert_string_equal(buf_str(&b), json);
	assert_int_equal(jdoc_parse(buf_str(&b), b.len, &d), 0);
}

static void texts_are_escaped(UNUSED void **state)
{
	check_text("a\"b\\c\n\x01\x7f", "\"a\\\"b\\\\c\\u000a\\u0001\\u007f\"");
	check_text("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
		   "\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\"");
}

static void what_is_no_utf8_is_replaced(UNUSED void **state)
{
	check_text("a\xff", "\"a\xef\xbf\xbd\"");
	check_text("\xc3", "\"\xef\xbf\xbd\"");
	check_text("\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	check_text("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	check_text("\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	check_text("\xe0\x80\x80x", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_and_arrays_nest_with_their_commas),
		cmocka_unit_test(texts_are_escaped),
		cmocka_unit_test(what_is_no_utf8_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
