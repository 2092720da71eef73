/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void check_object(const char *shape, const char *json, const char *want)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_free) struct buf got = { 0 };

	assert_int_equal(jdoc_parse(json, strlen(json), &d), 0);
	ctl_print_object(shape, jdoc_root(d), &got);
	assert_string_equal(buf_str(&got), want);
}

static void check_list(const char *shape, const char *json, const char *want)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(ctl_grid_fini) struct ctl_grid g = { .shape = shape };

	assert_int_equal(jdoc_parse(json, strlen(json), &d), 0);
	for (size_t i = 0; i < jval_count(jdoc_root(d)); i++)
		ctl_grid_add(&g, jval_at(jdoc_root(d), i));
	ctl_grid_print(&g, &got);
	assert_string_equal(buf_str(&got), want);
}

static void an_object_is_lines_whose_values_stand_below_each_other(void **state)
{
	(void)state;
	check_object(
		"name full_name cache.used:size up:span",
		"{\"name\":\"a\",\"full_name\":\"B C\",\"cache\":{\"used\":1536},\"up\":90061}",
		"name        a\nfull name   B C\ncache used  1.50 KiB\nup          1 d 01:01:01\n");
}

static void what_is_null_or_absent_has_no_line(void **state)
{
	(void)state;
	check_object("a b c.d", "{\"b\":null,\"c\":3}", "");
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
	(void)state;
	check_list("name n:size on",
		   "[{\"name\":\"long name\",\"n\":5,\"on\":true},{\"name\":\"x\"}]",
		   "NAME       N    ON\nlong name  5 B  yes\nx          -    -\n");
	check_list("name fullName", "[{\"name\":\"\xc3\xa4\xc3\xb6\",\"fullName\":1}]",
		   "NAME  FULL NAME\n\xc3\xa4\xc3\xb6    1\n");
	check_list("name", "[]", "");
}

static void lists_in_a_cell_have_commas(void **state)
{
	(void)state;
	check_list("a b", "[{\"a\":[\"x\",\"y\"],\"b\":[]}]", "A     B\nx, y  -\n");
}

static void no_text_steers_a_terminal(void **state)
{
	(void)state;
	check_object("a", "{\"a\":\"x\\u001b[31m\\n\\u007fy\"}", "a  x?[31m??y\n");
}

static void sizes_have_three_digits(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = { { 0, "0 B" },
		     { 999, "999 B" },
		     { 1000, "0.98 KiB" },
		     { 15 << 10, "15.0 KiB" },
		     { 200 << 20, "200 MiB" },
		     { 1ULL << 40, "1.00 TiB" },
		     { UINT64_MAX, "16.0 EiB" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_free) struct buf got = { 0 };

		ctl_print_size(rows[i].bytes, &got);
		assert_string_equal(buf_str(&got), rows[i].text);
	}
}

static void a_bar_shows_share_rate_and_what_is_left(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 }, nothing = { 0 };

	(void)state;
	ctl_print_bar(50 << 20, 100 << 20, 10 << 20, 10, &got);
	assert_string_equal(buf_str(&got),
			    "[=====>    ]  50 %  50.0 MiB of 100 MiB  10.0 MiB/s  00:00:05");
	ctl_print_bar(0, 0, 0, 4, &nothing);
	assert_string_equal(buf_str(&nothing), "[>   ]   0 %  0 B of 0 B");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_is_lines_whose_values_stand_below_each_other),
		cmocka_unit_test(what_is_null_or_absent_has_no_line),
		cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
		cmocka_unit_test(lists_in_a_cell_have_commas),
		cmocka_unit_test(no_text_steers_a_terminal),
		cmocka_unit_test(sizes_have_three_digits),
		cmocka_unit_test(a_bar_shows_share_rate_and_what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
