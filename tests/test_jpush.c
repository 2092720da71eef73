/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/jpush.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/buf.h"

static int note(void *arg, enum jpush_event event, const char *data, size_t len)
{
	static const char marks[] = { '{', '[', '/', '.', 0, '"', '=' };
	struct buf *all = arg;

	if (marks[event])
		buf_add(all, &marks[event], 1);
	return buf_add(all, data, len);
}

/* What was told of a text that comes in pieces; 0 or -EINVAL. */
static int read_in(const char *text, size_t piece, struct buf *ret)
{
	size_t len = strlen(text);
	struct jpush p;

	buf_clear(ret);
	jpush_begin(&p, note, ret);
	for (size_t at = 0; at < len; at += piece) {
		int r = jpush_take(&p, text + at, piece < len - at ? piece : len - at);

		if (r < 0)
			return r;
	}
	return jpush_end(&p);
}

static void check_told(const char *text, const char *wanted)
{
	CLEANUP(buf_free) struct buf told = { 0 };

	for (size_t piece = 1; piece <= strlen(text); piece++) {
		assert_int_equal(read_in(text, piece, &told), 0);
		assert_string_equal(buf_str(&told), wanted);
	}
}

static void a_text_is_told_as_it_comes(UNUSED void **state)
{
	check_told("{\"a\": [1, \"two\", null, {}], \"b\":true}", "{.a[=1two\"=null{//.b=true/");
	check_told(" [ ] ", "[/");
	check_told("\"x\"", "x\"");
	check_told("-0.5e+10", "=-0.5e+10");
	check_told("{\"\":\"\"}", "{.\"/");
}

static void escapes_become_what_they_mean(UNUSED void **state)
{
	check_told("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t\"");
	check_told("\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\uFFFF\"",
		   "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf\"");
	check_told("{\"\\u00e9\":1}", "{.\xc3\xa9=1/");
	check_told("\"\xc3\xa9\xf0\x9f\x98\x80\"", "\xc3\xa9\xf0\x9f\x98\x80\"");
}

static void what_is_no_json_is_refused(UNUSED void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"[",
		"]",
		"}",
		"[}",
		"{]",
		"[1,]",
		"{\"a\":1,}",
		"{\"a\"}",
		"{\"a\":}",
		"{a:1}",
		"{1:1}",
		"[1 2]",
		"1 2",
		"{} {}",
		"nul",
		"nulll",
		"True",
		"01",
		"1.",
		".5",
		"+1",
		"1e",
		"-",
		"0x1",
		"\"",
		"\"\\",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\u12g4\"",
		"\"\\u0000\"",
		"\"\\ud800\"",
		"\"\\ud800\\n\"",
		"\"\\ud800\\ud800\"",
		"\"\\udc00\"",
		"\"\n\"",
		"\"\x01\"",
		"\"\xff\"",
		"\"\xc3\"",
		"\"\xc3\\n\"",
		"\"\xc0\x80\"",
		"\"\xed\xa0\x80\"",
		"\"\xf5\x80\x80\x80\"",
		"\"\xe0\x80\x80\"",
		"'a'",
		"[1,,2]",
		",",
	};
	CLEANUP(buf_free) struct buf told = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		for (size_t piece = 1; piece < 4; piece++)
			assert_int_equal(read_in(bad[i], piece, &told), -EINVAL);
}

static void what_is_too_deep_or_too_long_is_refused(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 }, told = { 0 };

	for (int i = 0; i < JPUSH_DEPTH; i++)
		buf_add_str(&text, "[");
	for (int i = 0; i < JPUSH_DEPTH; i++)
		buf_add_str(&text, "]");
	assert_int_equal(read_in(text.data, 7, &told), 0);
	buf_clear(&text);
	for (int i = 0; i <= JPUSH_DEPTH; i++)
		buf_add_str(&text, "[");
	for (int i = 0; i <= JPUSH_DEPTH; i++)
		buf_add_str(&text, "]");
	assert_int_equal(read_in(text.data, 7, &told), -EINVAL);
	buf_clear(&text);
	buf_add_str(&text, "{\"");
	for (int i = 0; i < JPUSH_WORD; i++)
		buf_add_str(&text, "a");
	buf_add_str(&text, "\":1}");
	assert_int_equal(read_in(text.data, 7, &told), -EINVAL);
}

static int refuse(void *arg UNUSED, enum jpush_event event, const char *data UNUSED,
		  size_t len UNUSED)
{
	return event == JPUSH_TEXT ? -ENOSPC : 0;
}

static void who_is_told_may_end_it(UNUSED void **state)
{
	struct jpush p;

	jpush_begin(&p, refuse, NULL);
	assert_int_equal(jpush_take(&p, "[1,", 3), 0);
	assert_int_equal(jpush_take(&p, "\"a\"]", 4), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_told_as_it_comes),
		cmocka_unit_test(escapes_become_what_they_mean),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(what_is_too_deep_or_too_long_is_refused),
		cmocka_unit_test(who_is_told_may_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
