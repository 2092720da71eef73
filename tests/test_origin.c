/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const struct origin *o, const char *want)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	assert_int_equal(origin_print(o, &got), 0);
	assert_string_equal(buf_str(&got), want);
}

#define EXPECT(want, ...) expect(&(struct origin){ __VA_ARGS__ }, want)

static void a_client_is_told_the_host_it_asked_for(void **state UNUSED)
{
	EXPECT("http://hub.example:8080", .host = "hub.example:8080");
	EXPECT("https://[2001:db8::1]:8443", .host = "[2001:db8::1]:8443", .secure = true);
	EXPECT("http://my_hub", .host = "my_hub");
	EXPECT("http://localhost", .host = NULL);
	EXPECT("https://public.example/hf", .public_url = "https://public.example/hf",
	       .host = "other", .proxied_host = "third", .proto = "http", .prefix = "/x");
}

static void a_proxy_says_how_it_was_reached(void **state UNUSED)
{
	EXPECT("https://hub.example/hf", .host = "10.0.0.1:8080", .proto = "https",
	       .proxied_host = "hub.example", .prefix = "/hf");
	EXPECT("http://hub.example", .host = "hub.example", .secure = true, .proto = "HTTP");
	EXPECT("http://10.0.0.1", .host = "10.0.0.1", .proto = "", .proxied_host = "",
	       .prefix = "");
}

static void what_the_nearest_proxy_wrote_counts(void **state UNUSED)
{
	EXPECT("https://hub.example/b", .host = "x", .proto = "http,https",
	       .proxied_host = "evil.example, hub.example", .prefix = "/a,\t/b");
}

static void what_is_not_well_formed_was_not_said(void **state UNUSED)
{
	static const char *const hosts[] = { "a b",      "a\"b",   "a/b",    "a@b",
					     "a?b",      "a<b>",   "a:port", "[::1",
					     "a:b:c",    "a,",     "::1",    ":80",
					     "a:123456", "a\r\nb", "a%0d",   "\xc3\xa4" };
	static const char *const prefixes[] = { "x", "/", "/x/", "/a b", "/a\"b", "/a>b", "/a\nb" };

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		EXPECT("http://asked", .host = "asked", .proxied_host = hosts[i]);
		EXPECT("http://localhost", .host = hosts[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		EXPECT("http://asked", .host = "asked", .prefix = prefixes[i]);
	EXPECT("http://asked", .host = "asked", .proto = "javascript");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_told_the_host_it_asked_for),
		cmocka_unit_test(a_proxy_says_how_it_was_reached),
		cmocka_unit_test(what_the_nearest_proxy_wrote_counts),
		cmocka_unit_test(what_is_not_well_formed_was_not_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
