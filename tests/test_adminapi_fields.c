/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/err.h"

static const struct api_field inner_fields[] = {
	{ .name = "what", .kind = API_TEXT, .needed = true, .min = 1, .max = 8 },
	{ 0 },
};
static const struct api_shape inner = { "Inner", inner_fields };
static const struct api_field fields[] = {
	{ .name = "name", .kind = API_TEXT, .needed = true, .min = 1, .max = 4 },
	{ .name = "role", .kind = API_WORD, .words = "read|write" },
	{ .name = "on", .kind = API_BOOL },
	{ .name = "days", .kind = API_COUNT, .min = 1, .max = 10 },
	{ .name = "at", .kind = API_TIME },
	{ .name = "list", .kind = API_LIST, .max = 2, .of = &inner },
	{ .name = "texts", .kind = API_LIST, .max = 2 },
	{ 0 },
};
static const struct api_shape shape = { "Thing", fields };

/* field NULL: it is right; else it is refused for that one, with these words. */
static void check(const char *json, const char *field, const char *words)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_free) struct buf at = { 0 }, why = { 0 };
	int r;

	assert_int_equal(jdoc_parse(json, strlen(json), &d), 0);
	r = api_check_object(&shape, jdoc_root(d), &at, &why);
	assert_int_equal(r, field ? ERR_CONF : 0);
	assert_string_equal(buf_str(&at), field ? field : "");
	if (words && !strstr(buf_str(&why), words))
		fail_msg("%s: \"%s\" is not in \"%s\"", json, words, buf_str(&why));
}

static void what_the_table_allows_is_right(void **state)
{
	(void)state;
	check("{\"name\":\"a\"}", NULL, NULL);
	check("{\"name\":\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\",\"days\":5.0}", NULL, NULL);
	check("{\"name\":\"a\",\"role\":\"write\",\"on\":false,\"days\":10,"
	      "\"at\":\"2026-11-21T19:00:00.5Z\",\"list\":[{\"what\":\"x\"}],"
	      "\"texts\":[\"x\",\"y\"]}",
	      NULL, NULL);
}

static void what_it_does_not_is_refused_and_the_place_is_named(void **state)
{
	(void)state;
	check("{}", "name", "is missing");
	check("{\"name\":null}", "name", "must be a text");
	check("{\"name\":5}", "name", "must be a text");
	check("{\"name\":\"\"}", "name", "is empty");
	check("{\"name\":\"  \"}", "name", "nothing but blanks");
	check("{\"name\":\" a \"}", NULL, NULL);
	check("{\"name\":\"abcde\"}", "name", "longer than 4");
	check("{\"name\":\"a\\nb\"}", "name", "control character");
	check("{\"name\":\"a\",\"x\":1}", "x", "not known here; there is \"name\", \"role\"");
	check("{\"name\":\"a\",\"role\":\"all\"}", "role", "read|write");
	check("{\"name\":\"a\",\"on\":\"yes\"}", "on", "true or false");
	check("{\"name\":\"a\",\"days\":0}", "days", "from 1 to 10");
	check("{\"name\":\"a\",\"days\":11}", "days", "from 1 to 10");
	check("{\"name\":\"a\",\"days\":1.5}", "days", "whole number");
	check("{\"name\":\"a\",\"at\":\"yesterday\"}", "at", "UTC");
	check("{\"name\":\"a\",\"list\":{}}", "list", "must be a list");
	check("{\"name\":\"a\",\"list\":[{\"what\":\"x\"},{\"what\":\"x\"},{\"what\":\"x\"}]}",
	      "list", "0 to 2 items");
	check("{\"name\":\"a\",\"list\":[{\"what\":\"\"}]}", "what", "is empty");
	check("{\"name\":\"a\",\"list\":[7]}", "list", "JSON object");
	check("{\"name\":\"a\",\"texts\":[\"x\",7]}", "texts", "list of texts");
	check("{\"name\":\"a\",\"texts\":[\"\"]}", "texts", "is empty");
	check("{\"name\":\"a\",\"texts\":[\"a\\tb\"]}", "texts", "control character");
	check("{\"name\":\"a\",\"texts\":[\"x\",\"y\",\"z\"]}", "texts", "0 to 2 items");
	check("[]", "", "JSON object");
}

static void a_field_of_a_query_is_checked_alike(void **state)
{
	static const struct {
		unsigned field;
		const char *text;
		int r;
	} rows[] = { { 3, "5", 0 },
		     { 3, "", ERR_CONF },
		     { 3, "5x", ERR_CONF },
		     { 3, "99", ERR_CONF },
		     { 1, "read", 0 },
		     { 1, "rea", ERR_CONF },
		     { 1, "read|write", ERR_CONF },
		     { 0, "abcd", 0 },
		     { 0, "abcde", ERR_CONF } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_free) struct buf why = { 0 };

		assert_int_equal(api_check_text(&fields[rows[i].field], rows[i].text, &why),
				 rows[i].r);
	}
}

static void others_are_told_the_same(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct jwrite w = { .to = &got };

	(void)state;
	api_write_shape(&inner, NULL, false, &w);
	assert_string_equal(buf_str(&got),
			    "{\"type\":\"object\",\"properties\":{\"what\":{\"type\":\"string\","
			    "\"minLength\":1,\"maxLength\":8,"
			    "\"pattern\":\"^[^\\\\u0000-\\\\u001f\\\\u007f]*"
			    "[^\\\\u0000-\\\\u0020\\\\u007f][^\\\\u0000-\\\\u001f\\\\u007f]*$\"}},"
			    "\"required\":[\"what\"],\"additionalProperties\":false}");
	buf_clear(&got);
	w.more = false;
	api_write_field(&fields[1], NULL, &w);
	assert_string_equal(buf_str(&got), "{\"type\":\"string\",\"enum\":[\"read\",\"write\"]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_table_allows_is_right),
		cmocka_unit_test(what_it_does_not_is_refused_and_the_place_is_named),
		cmocka_unit_test(a_field_of_a_query_is_checked_alike),
		cmocka_unit_test(others_are_told_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
