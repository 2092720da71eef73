/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/client_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static char ten[] = "10.0.0.0/8", documentation[] = "2001:db8::/33", loopback[] = "127.0.0.1";
static char *const proxies[] = { ten, documentation, loopback };

static void expect(const char *peer, const char *field, const char *want)
{
	char got[CLIENT_ADDRESS_MAX];

	client_address(peer, field, proxies, ARRAY_LEN(proxies), got);
	assert_string_equal(got, want);
}

static void who_is_no_proxy_is_not_believed(void **state UNUSED)
{
	expect("192.0.2.1", "198.51.100.7", "192.0.2.1");
	expect("192.0.2.1", NULL, "192.0.2.1");
	expect("", "198.51.100.7", "");
}

static void a_proxy_says_for_whom_it_asks(void **state UNUSED)
{
	expect("127.0.0.1", "198.51.100.7", "198.51.100.7");
	expect("10.255.0.1", " 2001:DB9:0:0::1 ", "2001:db9::1");
	expect("10.1.2.3", "198.51.100.7:4711", "198.51.100.7");
	expect("10.1.2.3", "[2001:db9::1]:4711", "2001:db9::1");
	expect("10.1.2.3", NULL, "10.1.2.3");
}

static void what_stands_before_the_last_stranger_may_be_a_lie(void **state UNUSED)
{
	expect("127.0.0.1", "1.2.3.4, 198.51.100.7, 10.0.0.9", "198.51.100.7");
	expect("127.0.0.1", "1.2.3.4,198.51.100.7", "198.51.100.7");
	expect("127.0.0.1", "10.0.0.1, 10.0.0.2", "10.0.0.1");
}

static void what_is_no_address_ends_the_list(void **state UNUSED)
{
	expect("127.0.0.1", "1.2.3.4, unknown", "127.0.0.1");
	expect("127.0.0.1", "1.2.3.4, , 10.0.0.9", "10.0.0.9");
	expect("127.0.0.1", "", "127.0.0.1");
	expect("127.0.0.1", ",", "127.0.0.1");
	expect("127.0.0.1", "999.1.1.1", "127.0.0.1");
}

static void networks_end_where_their_bits_do(void **state UNUSED)
{
	assert_true(network_has("2001:db8:7fff::1", proxies, ARRAY_LEN(proxies)));
	assert_false(network_has("2001:db8:8000::1", proxies, ARRAY_LEN(proxies)));
	assert_true(network_has("::ffff:10.0.0.1", proxies, ARRAY_LEN(proxies)));
	assert_false(network_has("11.0.0.1", proxies, ARRAY_LEN(proxies)));
	assert_false(network_has("127.0.0.2", proxies, ARRAY_LEN(proxies)));
}

/* An address of the old kind is written in the new one's bits, but that is internal. */
static void networks_of_the_new_kind_have_no_address_of_the_old(void **state UNUSED)
{
	char *const new_ones[] = { (char[]){ "::/0" } }, *const old[] = { (char[]){ "0.0.0.0/0" } },
		    *const mapped[] = { (char[]){ "::ffff:0:0/96" } };

	assert_true(network_has("2001:db8::1", new_ones, 1));
	assert_false(network_has("192.0.2.1", new_ones, 1));
	assert_false(network_has("::ffff:192.0.2.1", new_ones, 1));
	assert_true(network_has("192.0.2.1", old, 1));
	assert_true(network_has("192.0.2.1", mapped, 1));
	assert_false(network_has("2001:db8::1", old, 1));
	assert_null(network_common("::/0", "10.0.0.0/8"));
	assert_null(network_common("10.0.0.0/8", "::/0"));
	assert_string_equal(network_common("::/0", "2001:db8::/32"), "2001:db8::/32");
	assert_string_equal(network_common("0.0.0.0/0", "10.0.0.0/8"), "10.0.0.0/8");
}

static void only_networks_are_networks(void **state UNUSED)
{
	static const char *const bad[] = { "",          "10.0.0.0/33", "10.0.0/8",
					   "x",         "10.0.0.0/8x", "::/129",
					   "10.0.0.0/", "10.0.0.0/-1", "10/8",
					   "0/0",       "10.1/16",     "10.0.0.1/8",
					   "::1/64",    "0.0.0.1/0",   "10.0.0.3/31" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_non_null(network_problem(bad[i]));
	assert_null(network_problem("0.0.0.0/0"));
	assert_null(network_problem("::/0"));
	assert_null(network_problem("192.0.2.1"));
	assert_null(network_problem("10.0.0.2/31"));
	assert_null(network_problem("10.0.0.1/32"));
	assert_null(network_problem("2001:db8::/33"));
}

static void of_the_new_kind_who_has_one_has_a_network(void **state UNUSED)
{
	static const char *const pairs[][2] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::" },
		{ "::ffff:1.2.3.4", "::ffff:1.2.3.4" },
		{ "::1", "::" },
		{ "any word", "any word" },
		{ "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		char got[CLIENT_ADDRESS_MAX];

		client_address_network(pairs[i][0], got);
		assert_string_equal(got, pairs[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_no_proxy_is_not_believed),
		cmocka_unit_test(a_proxy_says_for_whom_it_asks),
		cmocka_unit_test(what_stands_before_the_last_stranger_may_be_a_lie),
		cmocka_unit_test(what_is_no_address_ends_the_list),
		cmocka_unit_test(networks_end_where_their_bits_do),
		cmocka_unit_test(networks_of_the_new_kind_have_no_address_of_the_old),
		cmocka_unit_test(only_networks_are_networks),
		cmocka_unit_test(of_the_new_kind_who_has_one_has_a_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
