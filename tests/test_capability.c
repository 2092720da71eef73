/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/capability.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define NOW 1700000000

static const uint8_t key[CAPABILITY_KEY] = "a key of the tests, 32 bytes...";
static const char *const upload[] = { "PUT", "models/ann/m", "1f", "10", NULL };

static const char *print(const char *const *what, int64_t expires_s, struct buf *text)
{
	buf_clear(text);
	assert_int_equal(capability_print(key, what, expires_s, text), 0);
	assert_true(text->len <= CAPABILITY_MAX);
	return text->data;
}

static void check_refused(const char *const *what, const char *text, int64_t now_s,
			  const char *sentence)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(capability_check(key, what, text, now_s, &why), -EACCES);
	assert_string_equal(buf_str(&why), sentence);
}

static const char stranger[] = "this link is not one that this hub gave";

/* Python's hmac, of the time as eight bytes and each text with its NUL. */
static void a_link_is_sealed_with_the_published_function(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	assert_string_equal(
		print(upload, NOW, &text),
		"1700000000.3bf036c1fc5086671e971e4b4ac18aa97fd4e7cbe872a738e92ca8379cabb6e8");
}

static void a_link_opens_until_its_time(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 }, why = { 0 };

	print(upload, NOW, &text);
	assert_int_equal(capability_check(key, upload, text.data, NOW - 60, &why), 0);
	assert_int_equal(capability_check(key, upload, text.data, NOW, &why), 0);
	check_refused(upload, text.data, NOW + 1, "this link has expired");
}

static void a_link_for_one_thing_is_none_for_another(UNUSED void **state)
{
	static const char *const others[][5] = {
		{ "POST", "models/ann/m", "1f", "10" },
		{ "PUT", "models/ann/n", "1f", "10" },
		{ "PUT", "models/ann/m", "2f", "10" },
		{ "PUT", "models/ann/m", "1f", "11" },
		{ "PUT", "models/ann/m", "1f" },
		{ "PUTmodels/ann/m", "1f", "10" },
		{ "PUT", "models/ann/m", "1f1", "0" },
		{ "PUT", "models/ann/m", "1f10", "" },
		{ NULL },
	};
	CLEANUP(buf_free) struct buf text = { 0 };

	print(upload, NOW, &text);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		check_refused(others[i], text.data, NOW, stranger);
}

static void a_link_of_another_key_opens_nothing(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	uint8_t other[CAPABILITY_KEY], third[CAPABILITY_KEY];

	assert_int_equal(capability_make_key(other), 0);
	assert_int_equal(capability_make_key(third), 0);
	assert_memory_not_equal(other, third, sizeof(other));
	assert_int_equal(capability_print(other, upload, NOW, &text), 0);
	check_refused(upload, text.data, NOW, stranger);
}

static void a_link_that_was_changed_anywhere_opens_nothing(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	size_t len;

	print(upload, NOW, &text);
	len = text.len;
	for (size_t i = 0; i < len; i++) {
		char was = text.data[i];

		text.data[i] = was == '1' ? '2' : '1';
		check_refused(upload, text.data, NOW - 60, stranger);
		text.data[i] = '\0';
		check_refused(upload, text.data, NOW - 60, stranger);
		text.data[i] = was;
	}
	buf_add(&text, "0", 1);
	check_refused(upload, text.data, NOW - 60, stranger);
}

/* Else somebody could keep a list of links that were used, and be passed by. */
static void there_is_one_way_to_write_a_link(UNUSED void **state)
{
	static const char *const ways[] = { "0%s", "+%s", " %s", "%s ", "\t%s" };
	CLEANUP(buf_free) struct buf text = { 0 }, other = { 0 };

	print(upload, NOW, &text);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		const char *at = strchr(ways[i], '%');

		buf_clear(&other);
		buf_add(&other, ways[i], (size_t)(at - ways[i]));
		buf_add_str(&other, text.data);
		buf_add_str(&other, at + 2);
		check_refused(upload, other.data, NOW, stranger);
	}
	for (char *c = strchr(text.data, '.'); *c; c++)
		if (*c >= 'a' && *c <= 'f')
			*c = (char)(*c - 'a' + 'A');
	check_refused(upload, text.data, NOW, stranger);
}

static void what_is_no_link_opens_nothing(UNUSED void **state)
{
	static const char *const texts[] = {
		"",     ".", "1700000000", "1700000000.", "-1.00", "99999999999999999999999999.00",
		"%s%n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		check_refused(upload, texts[i], NOW, stranger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_is_sealed_with_the_published_function),
		cmocka_unit_test(a_link_opens_until_its_time),
		cmocka_unit_test(a_link_for_one_thing_is_none_for_another),
		cmocka_unit_test(a_link_of_another_key_opens_nothing),
		cmocka_unit_test(a_link_that_was_changed_anywhere_opens_nothing),
		cmocka_unit_test(there_is_one_way_to_write_a_link),
		cmocka_unit_test(what_is_no_link_opens_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
