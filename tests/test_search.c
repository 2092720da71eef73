/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>

/* The terms of a query, a blank behind each. */
static void check_terms(const char *query, enum repo_type type, const char *want)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct search s;

	assert_int_equal(search_read(query, type, &s, &why), 0);
	assert_false(s.unanswerable);
	for (size_t i = 0; i < s.terms.len; i++)
		if (s.terms.data[i] == '\n')
			s.terms.data[i] = ' ';
	assert_string_equal(buf_str(&s.terms), want);
	search_fini(&s);
}

static void fields_of_the_query_become_terms(void **state UNUSED)
{
	check_terms("", REPO_MODEL, "");
	check_terms("filter=A,b&filter=license%3Amit", REPO_MODEL, "ta tb tlicense:mit ");
	check_terms("pipeline_tag=Fill-Mask&library=x&author=Org", REPO_MODEL,
		    "tx pfill-mask aorg ");
	check_terms("trained_dataset=o/d&license=mit", REPO_MODEL, "tdataset:o/d tlicense:mit ");
	check_terms("trained_dataset=dataset%3Ao/d", REPO_MODEL, "tdataset:o/d ");
	check_terms("language=en", REPO_MODEL, "ten ");
	check_terms("language=en&language=language%3Ade", REPO_DATASET,
		    "tlanguage:en tlanguage:de ");
	check_terms("gated=True", REPO_MODEL, "g1 ");
	check_terms("gated=false", REPO_MODEL, "g0 ");
	check_terms("apps=ollama", REPO_MODEL, "tgguf ");
	check_terms("filter=&author=", REPO_MODEL, "");
}

static void what_nobody_tells_is_answered_by_nothing(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf why = { 0 }, query = { 0 };
	struct search s;

	buf_add_str(&query, "filter=");
	for (int i = 0; i <= TERM_MAX; i++)
		buf_add_str(&query, "x");
	for (size_t i = 0; i < 4; i++) {
		const char *const queries[] = { "inference=warm", "inference_provider=all",
						"apps=abacus", buf_str(&query) };

		assert_int_equal(search_read(queries[i], REPO_MODEL, &s, &why), 0);
		assert_true(s.unanswerable);
		search_fini(&s);
	}
}

static void a_page_begins_behind_the_last_row_of_the_one_before(void **state UNUSED)
{
	static const double numbers[] = { 1e20, 0.1, -1, 1700000000 };
	struct catalogue_entry last = { .id = { REPO_MODEL, "org/a-b" } };
	CLEANUP(buf_free) struct buf why = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		CLEANUP(buf_free) struct buf query = { 0 };
		struct search s;

		buf_add_str(&query, "sort=downloads&cursor=");
		last.numbers[CATALOGUE_DOWNLOADS] = numbers[i];
		assert_int_equal(search_read("sort=downloads", REPO_MODEL, &s, &why), 0);
		assert_string_equal(search_query(&s).after_name, "");
		assert_int_equal(search_cursor(&s, &last, &query), 0);
		search_fini(&s);
		assert_int_equal(search_read(buf_str(&query), REPO_MODEL, &s, &why), 0);
		assert_true(search_query(&s).after_number == numbers[i]);
		assert_string_equal(search_query(&s).after_name, "org/a-b");
		search_fini(&s);
	}
}

static void counts_of_parameters_have_units(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct search s;

	assert_int_equal(search_read("num_parameters=min:6B,max:1.5t", REPO_MODEL, &s, &why), 0);
	assert_true(s.parameters_min == 6e9 && s.parameters_max == 1.5e12);
	search_fini(&s);
	assert_int_equal(search_read("num_parameters=max%3A500k", REPO_MODEL, &s, &why), 0);
	assert_true(s.parameters_min == 0 && s.parameters_max == 5e5);
	search_fini(&s);
	assert_int_equal(search_read("num_parameters=min:6%20B", REPO_MODEL, &s, &why), 0);
	assert_true(s.parameters_min == 6);
	search_fini(&s);
	assert_int_equal(search_read("", REPO_MODEL, &s, &why), 0);
	assert_true(s.parameters_min == -1);
	search_fini(&s);
}

static void what_nobody_sorts_by_is_refused(void **state UNUSED)
{
	static const char *const known[] = { "id", "likes", "lastModified", "trendingScore", "" };
	CLEANUP(buf_free) struct buf why = { 0 }, query = { 0 };
	struct search s;

	assert_int_equal(search_read("sort=size", REPO_MODEL, &s, &why), -EINVAL);
	assert_string_equal(buf_str(&why), "Invalid sort: size");
	search_fini(&s);
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		buf_clear(&query);
		buf_printf(&query, "sort=%s", known[i]);
		assert_int_equal(search_read(buf_str(&query), REPO_MODEL, &s, &why), 0);
		search_fini(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_of_the_query_become_terms),
		cmocka_unit_test(what_nobody_tells_is_answered_by_nothing),
		cmocka_unit_test(a_page_begins_behind_the_last_row_of_the_one_before),
		cmocka_unit_test(counts_of_parameters_have_units),
		cmocka_unit_test(what_nobody_sorts_by_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
