/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "daemon/base/own.h"

static void the_clock_never_steps_back_and_moves_with_sleep(UNUSED void **state)
{
	int64_t before = clock_ms();

	assert_true(clock_ms() >= before);
	clock_sleep_ms(30);
	assert_true(clock_ms() >= before + 30);
}

static void no_time_to_sleep_returns_at_once(UNUSED void **state)
{
	int64_t before = clock_ms();

	clock_sleep_ms(0);
	clock_sleep_ms(-5000);
	assert_true(clock_ms() < before + 1000);
}

static void wall_time_is_the_systems(UNUSED void **state)
{
	int64_t now = time(NULL);

	assert_true(clock_wall_s() >= now);
	assert_true(clock_wall_s() <= now + 2);
}

static void utc_dates_are_understood(UNUSED void **state)
{
	assert_int_equal(clock_parse_iso("1970-01-01T00:00:00Z"), 0);
	assert_int_equal(clock_parse_iso("2024-01-02T03:04:05.000Z"), 1704164645);
	assert_int_equal(clock_parse_iso("2024-01-02T03:04:05Z"), 1704164645);
	assert_int_equal(clock_parse_iso("2024-01-02T03:04:05.123456+00:00"), 1704164645);
	assert_int_equal(clock_parse_iso("2024-02-29T23:59:60Z"), 1709251200);
}

static void dates_are_printed_as_they_are_understood(UNUSED void **state)
{
	char text[CLOCK_ISO_MAX];

	clock_print_iso(INT64_C(1704164645006), text);
	assert_string_equal(text, "2024-01-02T03:04:05.006Z");
	assert_int_equal(clock_parse_iso(text), 1704164645);
	clock_print_iso(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
	clock_print_iso(INT64_C(253402300799999), text);
	assert_string_equal(text, "9999-12-31T23:59:59.999Z");
	clock_print_iso(-1, text); /* nothing is that old */
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

static void other_texts_are_no_dates(UNUSED void **state)
{
	static const char *const bad[] = {
		"",
		"2024-01-02",
		"2024-01-02T03:04:05",
		"2024-01-02T03:04:05.Z",
		"2024-01-02T03:04:05Zx",
		"2024-01-02T03:04:05+01:00",
		"2024-1-02T03:04:05Z",
		"2024-13-02T03:04:05Z",
		"2024-00-02T03:04:05Z",
		"2023-02-29T03:04:05Z",
		"2024-04-31T03:04:60Z",
		"2024-01-00T03:04:05Z",
		"2024-01-02T24:04:05Z",
		"2024-01-02T03:60:05Z",
		"2024-01-02T03:04:61Z",
		" 2024-01-02T03:04:05Z",
		"1969-12-31T23:59:59Z",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(clock_parse_iso(bad[i]), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clock_never_steps_back_and_moves_with_sleep),
		cmocka_unit_test(no_time_to_sleep_returns_at_once),
		cmocka_unit_test(wall_time_is_the_systems),
		cmocka_unit_test(utc_dates_are_understood),
		cmocka_unit_test(dates_are_printed_as_they_are_understood),
		cmocka_unit_test(other_texts_are_no_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
