/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/member_spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/err.h"

static const char *read_address(const char *text)
{
	static char address[MEMBER_ADDRESS_MAX + 1];

	return member_address_read(text, strlen(text), address) ? address : NULL;
}

static void an_address_is_written_in_one_way(UNUSED void **state)
{
	char longest[MEMBER_ADDRESS_MAX + 1];

	assert_string_equal(read_address("192.0.2.1:9980"), "192.0.2.1:9980");
	assert_string_equal(read_address("Node-1.Example:09980"), "node-1.example:9980");
	assert_string_equal(read_address("[2001:DB8:0:0::1]:1"), "[2001:db8::1]:1");
	assert_string_equal(read_address("n1:65535"), "n1:65535");
	assert_string_equal(read_address("0x7f000001.example:1"), "0x7f000001.example:1");
	assert_string_equal(read_address("0xnode:1"), "0xnode:1");
	memset(longest, 'a', sizeof(longest));
	memcpy(longest + sizeof(longest) - 3, ":1", 3);
	assert_string_equal(read_address(longest), longest);
}

static void what_is_no_address_is_not_taken_for_one(UNUSED void **state)
{
	static const char *const wrong[] = {
		"",
		"a",
		"a:",
		":1",
		"a:0",
		"a:65536",
		"a:1x",
		"a b:1",
		"a/b:1",
		"a@b:1",
		"256.0.0.1:1",
		"1.2.3:1",
		"010.0.0.1:1",
		"2001::1:1",
		"[2001:db8::1:1",
		"[::1%lo]:1",
		"[1.2.3.4]:1",
		"-a:1",
		"a..b:1",
		".a:1",
		"a.:1",
		"[]:1",
		"\xc3\xa4:1",
		"12:1",
		"0.0.0.0:1",
		"[::]:1",
		"[::ffff:192.0.2.1]:1",
		"0x7f000001:1",
		"0x7f.1:1",
	};
	char too_long[MEMBER_ADDRESS_MAX + 2];

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_null(read_address(wrong[i]));
	memset(too_long, 'a', sizeof(too_long));
	memcpy(too_long + sizeof(too_long) - 3, ":1", 3);
	assert_null(read_address(too_long));
	assert_false(member_address_read("a:1\0b", 5, too_long));
}

static int parse(const char *text, struct member_spec **ret, size_t *ret_count, struct buf *why)
{
	*ret = NULL;
	*ret_count = 0;
	return member_list_parse(text, strlen(text), ret, ret_count, why);
}

static void a_list_has_weights_zones_and_comments(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct member_spec *list;
	size_t count;

	assert_int_equal(parse("# all of them\n"
			       "\n"
			       "  A:1 weight=100 zone=rack-1\r\n"
			       "[::1]:2\tzone=b.c_D # this one\n"
			       "   \n"
			       "c:3 weight=7",
			       &list, &count, &why),
			 0);
	assert_int_equal(count, 3);
	assert_string_equal(list[0].address, "a:1");
	assert_int_equal(list[0].weight, 100);
	assert_string_equal(list[0].zone, "rack-1");
	assert_string_equal(list[1].address, "[::1]:2");
	assert_int_equal(list[1].weight, 1);
	assert_string_equal(list[1].zone, "b.c_D");
	assert_string_equal(list[2].zone, "");
	assert_int_equal(list[2].weight, 7);
	free(list);
	assert_int_equal(parse("", &list, &count, &why), 0);
	assert_int_equal(count, 0);
	free(list);
}

static void what_is_written_is_read_again(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct member_spec s[] = { { "a:1", "rack-1", 3 }, { "[::1]:2", "", 1 } };
	CLEANUP(buf_free) struct buf text = { 0 };
	struct member_spec *list;
	size_t count;

	member_spec_write(&s[0], &text);
	member_spec_write(&s[1], &text);
	assert_int_equal(parse(buf_str(&text), &list, &count, &why), 0);
	assert_int_equal(count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(list[i].address, s[i].address);
		assert_string_equal(list[i].zone, s[i].zone);
		assert_int_equal(list[i].weight, s[i].weight);
	}
	free(list);
}

static void a_wrong_line_is_named(UNUSED void **state)
{
	static const char *const wrong[][2] = {
		{ "a:1\nb\n", "line 2: \"b\" is no address" },
		{ "a:1 b:1", "line 1: \"b:1\" means nothing" },
		{ "a:1 weight=0", "line 1: a weight is" },
		{ "a:1 weight=101", "line 1: a weight is" },
		{ "a:1 weight=99999999999", "line 1: a weight is" },
		{ "a:1 weight=", "line 1: a weight is" },
		{ "a:1 weight=-1", "line 1: a weight is" },
		{ "\n\na:1 zone=", "line 3: a zone is" },
		{ "a:1 zone=a\"b", "line 1: a zone is" },
		{ "a:1 zone=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "line 1: a zone is" },
	};
	CLEANUP(buf_free) struct buf why = { 0 };
	struct member_spec *list;
	size_t count;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		buf_clear(&why);
		assert_int_equal(parse(wrong[i][0], &list, &count, &why), ERR_CONF);
		assert_ptr_equal(strstr(buf_str(&why), wrong[i][1]), buf_str(&why));
		assert_null(list);
	}
	buf_clear(&why);
	assert_int_equal(member_list_parse("a:1\n\0\0\0", 7, &list, &count, &why), ERR_CONF);
}

static void a_list_has_an_end(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	CLEANUP(buf_free) struct buf text = { 0 };
	struct member_spec *list;
	size_t count;

	for (int i = 0; i < MEMBERS_MAX; i++)
		buf_printf(&text, "n%d:1\n", i);
	assert_int_equal(parse(buf_str(&text), &list, &count, &why), 0);
	assert_int_equal(count, MEMBERS_MAX);
	free(list);
	buf_add_str(&text, "# fine still\none-more:1");
	assert_int_equal(parse(buf_str(&text), &list, &count, &why), ERR_CONF);
	assert_string_equal(buf_str(&why), "line 10002: there are more than 10000 members");
}

static void a_zone_is_called_by_letters_digits_and_three_signs(UNUSED void **state)
{
	static const char longest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"; /* one too many */

	assert_true(member_zone_valid("Rack-7_b.c", 10));
	assert_true(member_zone_valid(longest, MEMBER_ZONE_MAX));
	assert_false(member_zone_valid(longest, MEMBER_ZONE_MAX + 1));
	assert_false(member_zone_valid("", 0));
	assert_false(member_zone_valid("a b", 3));
	assert_false(member_zone_valid("a\0b", 3));
	assert_false(member_zone_valid("a,b", 3));
}

static void what_is_no_address_has_a_name_all_the_same(UNUSED void **state)
{
	char name[MEMBER_ADDRESS_MAX + 1];

	member_address_name("[2001:DB8:0::1]:9980", name);
	assert_string_equal(name, "[2001:db8::1]:9980");
	member_address_name("No Address", name);
	assert_string_equal(name, "no address");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_written_in_one_way),
		cmocka_unit_test(what_is_no_address_is_not_taken_for_one),
		cmocka_unit_test(a_list_has_weights_zones_and_comments),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(a_wrong_line_is_named),
		cmocka_unit_test(a_list_has_an_end),
		cmocka_unit_test(a_zone_is_called_by_letters_digits_and_three_signs),
		cmocka_unit_test(what_is_no_address_has_a_name_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
