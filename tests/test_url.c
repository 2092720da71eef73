/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/err.h"

static void test_encode(void **state)
{
	CLEANUP(buf_free) struct buf kept = { 0 };
	CLEANUP(buf_free) struct buf all = { 0 };

	(void)state;
	assert_int_equal(url_encode(&kept, "a/b c?d%e#~\xc3\xa9", 1), 0);
	assert_string_equal(buf_str(&kept), "a/b%20c%3Fd%25e%23~%C3%A9");
	assert_int_equal(url_encode(&all, "refs/pr/1", 0), 0);
	assert_string_equal(buf_str(&all), "refs%2Fpr%2F1");
}

static void assert_join(const char *base, const char *reference, const char *expected)
{
	CLEANUP(buf_free) struct buf joined = { 0 };

	assert_int_equal(url_join(base, reference, &joined), expected ? 0 : ERR_PROTO);
	assert_string_equal(buf_str(&joined), expected ? expected : "");
}

static void test_join(void **state)
{
	const char *base = "http://h:81/a/b?q=1";

	(void)state;
	assert_join(base, "https://Other/x?y=%2F&z", "https://Other/x?y=%2F&z");
	assert_join(base, "//other/x", "http://other/x");
	assert_join(base, "/x/y", "http://h:81/x/y");
	assert_join(base, "c?d", "http://h:81/a/c?d");
	assert_join(base, "../c", "http://h:81/c");
	assert_join(base, "/with space", "http://h:81/with%20space");
	assert_join(base, "/x#part", "http://h:81/x");
	assert_join(base, "", "http://h:81/a/b?q=1");
	assert_join(base, "?r", "http://h:81/a/b?r");
	assert_join(base, "./../../c/./d/..", "http://h:81/c/");
	assert_join(base, "/..", "http://h:81/");
	assert_join("http://u:p@h", "c", "http://u:p@h/c");
	assert_join(base, "http://h\\@evil/", NULL);
	assert_join(base, "//a@b@c/", NULL);
	assert_join(base, "mailto:x", NULL);
	assert_join("/a", "/b", NULL);
	assert_join(base, "ftp://h/x", NULL);
	assert_join(base, "file:///etc/passwd", NULL);
	assert_join(base, "http://", NULL);
}

static void a_host_is_a_name_or_an_address_and_perhaps_a_port(void **state)
{
	CLEANUP(buf_free) struct buf endless = { 0 };

	(void)state;
	assert_true(url_is_host("hub.example") && url_is_host("my_hub:8080"));
	assert_true(url_is_host("[2001:db8::1]:443") && url_is_host("192.0.2.1:"));
	assert_false(url_is_host("") || url_is_host(":80") || url_is_host("a:b") ||
		     url_is_host("a:1x") || url_is_host("[::1") || url_is_host("u@h"));
	buf_printf(&endless, "%0300d", 0);
	assert_false(url_is_host(buf_str(&endless)));
}

static void test_same_origin(void **state)
{
	(void)state;
	assert_true(url_same_origin("http://h/a", "http://H:80/b?c"));
	assert_true(url_same_origin("https://h:443", "https://h/"));
	assert_true(url_same_origin("https://u:p@h/", "https://h/"));
	assert_false(url_same_origin("http://h/", "https://h/"));
	assert_false(url_same_origin("http://h/", "http://h:81/"));
	assert_false(url_same_origin("http://h/", "http://h.evil/"));
	assert_false(url_same_origin("http://h/", "http://h@evil/"));
	assert_true(url_same_origin("http://[::1]:80/", "http://[::1]"));
	assert_false(url_same_origin("http://h/", "/relative"));
	/* Two readings are possible: no. */
	assert_false(url_same_origin("http://h/", "http://evil\\@h/"));
	assert_false(url_same_origin("http://h/", "http://evil@x@h/"));
	assert_false(url_same_origin("http://h/", "http://%68/"));
	assert_false(url_same_origin("http://h/", "http:h/"));
	assert_false(url_same_origin("http://h/", "http://h:80x/"));
	assert_false(url_same_origin("http://h/", "http://h :80/"));
	assert_false(url_same_origin("http://[::1/", "http://[::1/"));
}

static void assert_public(const char *url, const char *expected)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	assert_int_equal(url_public(url, &text), expected ? 0 : -EINVAL);
	assert_string_equal(buf_str(&text), expected ? expected : "");
}

static void test_public(void **state)
{
	(void)state;
	assert_public("https://huggingface.co/", "https://huggingface.co");
	assert_public("https://user:word@h:8443/mirror//?token=x#y", "https://h:8443/mirror");
	assert_public("ftp://h/", NULL);
	assert_public("huggingface.co", NULL);
	assert_public("", NULL);
}

static void test_decode(void **state)
{
	static const char *const table[][2] = {
		{ "", "" },           { "a%20b", "a b" },   { "%41%c3%A4%7e", "A\xc3\xa4~" },
		{ "%00%0", "%00%0" }, { "%zz%4", "%zz%4" }, { "%%41%", "%A%" },
		{ "%2541", "%41" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		char text[32];

		strcpy(text, table[i][0]);
		assert_int_equal(url_decode(text), strlen(table[i][1]));
		assert_string_equal(text, table[i][1]);
	}
}

static void test_target_path(void **state)
{
	static const char *const table[][2] = {
		{ "/v1/status", "/v1/status" },
		{ "http://h/v1/status", "/v1/status" },
		{ "HTTPS://h:1/", "/" },
		{ "http://h", "/" },
		{ "http:/h", "http:/h" },
		{ "ftp://h/x", "ftp://h/x" },
		{ "/http://h/x", "/http://h/x" },
		{ "*", "*" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		assert_string_equal(url_target_path(table[i][0]), table[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_join),
		cmocka_unit_test(a_host_is_a_name_or_an_address_and_perhaps_a_port),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_same_origin),
		cmocka_unit_test(test_public),
		cmocka_unit_test(test_target_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
