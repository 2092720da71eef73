/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

/* More than any allocation; volatile, so that the compiler does not warn of what is meant. */
static volatile size_t huge = SIZE_MAX - 100;

static void appends_follow_each_other_and_end_in_nul(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(buf_add(&b, "ab\0cd", 5), 0);
	assert_int_equal(buf_add_str(&b, "ef"), 0);
	assert_int_equal(buf_printf(&b, "-%d-%s", 7, "x"), 0);
	assert_int_equal(b.len, 11);
	assert_memory_equal(b.data, "ab\0cdef-7-x", 12);
}

static void growth_keeps_every_byte(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	for (int i = 0; i < 10000; i++)
		assert_int_equal(buf_printf(&b, "%04d", i), 0);
	assert_int_equal(b.len, 40000);
	assert_memory_equal(b.data + 4 * 1234, "1234", 4);
	assert_string_equal(b.data + 4 * 9999, "9999");
	assert_true(b.cap > b.len);
}

static void an_unwritten_buffer_reads_as_an_empty_string(UNUSED void **state)
{
	struct buf b = { 0 };

	assert_string_equal(buf_str(&b), "");
	assert_null(b.data);
}

static void a_failed_append_leaves_the_content_and_is_remembered(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(buf_add_str(&b, "kept"), 0);
	assert_int_equal(buf_add(&b, "", huge), -ENOMEM);
	assert_int_equal(b.failed, -ENOMEM);
	assert_string_equal(buf_str(&b), "kept");
	assert_int_equal(b.len, 4);
}

static void nothing_follows_a_failed_append(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(buf_add(&b, "", huge), -ENOMEM);
	assert_int_equal(buf_add_str(&b, "x"), -ENOMEM);
	assert_int_equal(buf_printf(&b, "%d", 1), -ENOMEM);
	assert_int_equal(b.len, 0);
	assert_null(buf_take(&b));
}

static void clear_forgets_content_and_failure_but_keeps_memory(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	const char *memory;

	assert_int_equal(buf_add_str(&b, "old"), 0);
	memory = b.data;
	assert_int_equal(buf_add(&b, "", huge), -ENOMEM);
	buf_clear(&b);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_add_str(&b, "new"), 0);
	assert_string_equal(buf_str(&b), "new");
	assert_ptr_equal(b.data, memory);
}

static void take_moves_the_bytes_out(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	CLEANUP(freep) char *taken = NULL;

	assert_int_equal(buf_add_str(&b, "mine"), 0);
	taken = buf_take(&b);
	assert_string_equal(taken, "mine");
	assert_null(b.data);
	assert_int_equal(b.len, 0);
}

static void take_of_an_unwritten_buffer_is_a_string_too(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	CLEANUP(freep) char *taken = buf_take(&b);

	assert_string_equal(taken, "");
}

static void integers_are_little_endian(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(buf_add_u32(&b, 0x04030201), 0);
	assert_int_equal(buf_add_u64(&b, 0x0c0b0a0908070605), 0);
	assert_int_equal(b.len, 12);
	assert_memory_equal(b.data, "\1\2\3\4\5\6\7\10\11\12\13\14", 12);
}

static void digits_are_those_of_the_number(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	buf_add_digits(&b, 0);
	buf_add_str(&b, " ");
	buf_add_digits(&b, 1090);
	buf_add_str(&b, " ");
	buf_add_digits(&b, UINT64_MAX);
	assert_string_equal(buf_str(&b), "0 1090 18446744073709551615");
}

static void hex_goes_out_and_comes_back(UNUSED void **state)
{
	const uint8_t bytes[] = { 0x00, 0x7f, 0xff, 0xa5 };
	uint8_t back[4] = { 0 };
	char text[9];

	hex_print(bytes, 4, text);
	assert_string_equal(text, "007fffa5");
	assert_int_equal(hex_parse(text, 4, back), 0);
	assert_memory_equal(back, bytes, 4);
	assert_int_equal(hex_parse("007FFFa5", 4, back), 0);
	assert_memory_equal(back, bytes, 4);
}

static void hex_of_wrong_length_or_letters_is_refused(UNUSED void **state)
{
	uint8_t back[4];

	assert_int_equal(hex_parse("007fff", 4, back), -EINVAL);
	assert_int_equal(hex_parse("007fff0", 4, back), -EINVAL);
	assert_int_equal(hex_parse("007fffa50", 4, back), -EINVAL);
	assert_int_equal(hex_parse("007fffg5", 4, back), -EINVAL);
	assert_int_equal(hex_parse("", 4, back), -EINVAL);
}

static void only_exact_lower_case_is_hex(UNUSED void **state)
{
	assert_true(hex_is("0af9", 4));
	assert_true(hex_is("", 0));
	assert_false(hex_is("0AF9", 4));
	assert_false(hex_is("0af", 4));
	assert_false(hex_is("0af90", 4));
	assert_false(hex_is("0ag9", 4));
}

static void blanks_are_taken_off_the_end_alone(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	(void)state;
	buf_trim_end(&b);
	assert_int_equal(b.len, 0);
	buf_add_str(&b, " a b \t\r\n");
	buf_trim_end(&b);
	assert_string_equal(buf_str(&b), " a b");
	buf_clear(&b);
	buf_add_str(&b, " \n");
	buf_trim_end(&b);
	assert_string_equal(buf_str(&b), "");
}

static void room_behind_the_content_can_be_given_back(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct buf none = { 0 };

	(void)state;
	buf_fit(&none);
	assert_null(none.data);
	assert_int_equal(buf_reserve(&b, 100000), 0);
	assert_int_equal(buf_add_str(&b, "some"), 0);
	assert_true(b.cap > 100000); /* the twin: it stays by itself */
	buf_fit(&b);
	assert_int_equal(b.cap, 5);
	assert_string_equal(b.data, "some");
	assert_int_equal(buf_add_str(&b, " more"), 0);
	assert_string_equal(b.data, "some more");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blanks_are_taken_off_the_end_alone),
		cmocka_unit_test(appends_follow_each_other_and_end_in_nul),
		cmocka_unit_test(growth_keeps_every_byte),
		cmocka_unit_test(room_behind_the_content_can_be_given_back),
		cmocka_unit_test(an_unwritten_buffer_reads_as_an_empty_string),
		cmocka_unit_test(a_failed_append_leaves_the_content_and_is_remembered),
		cmocka_unit_test(nothing_follows_a_failed_append),
		cmocka_unit_test(clear_forgets_content_and_failure_but_keeps_memory),
		cmocka_unit_test(take_moves_the_bytes_out),
		cmocka_unit_test(take_of_an_unwritten_buffer_is_a_string_too),
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(digits_are_those_of_the_number),
		cmocka_unit_test(hex_goes_out_and_comes_back),
		cmocka_unit_test(hex_of_wrong_length_or_letters_is_refused),
		cmocka_unit_test(only_exact_lower_case_is_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
