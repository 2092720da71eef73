/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/terms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void a_term_is_a_line_in_small_letters(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(term_add(&b, TERM_TAG, "License:MIT", 11), 0);
	assert_int_equal(term_add(&b, TERM_AUTHOR, "Ann-and-bob", 3), 0);
	assert_int_equal(term_add(&b, TERM_WORD, "\xc3\x84hnlich", 8), 0);
	assert_string_equal(buf_str(&b), "tlicense:mit\naann\nw\xc3\x84hnlich\n");
}

static void what_cannot_be_a_line_is_no_term(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	char text[TERM_MAX + 1];

	memset(text, 'x', sizeof(text));
	assert_int_equal(term_add(&b, TERM_TAG, "", 0), 0);
	assert_int_equal(term_add(&b, TERM_TAG, "a\nb", 3), 0);
	assert_int_equal(term_add(&b, TERM_TAG, "a\0b", 3), 0);
	assert_int_equal(term_add(&b, TERM_TAG, text, TERM_MAX + 1), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(term_add(&b, TERM_TAG, text, TERM_MAX), 0);
	assert_int_equal(b.len, 1 + TERM_MAX + 1);
}

static void a_name_has_a_piece_for_each_of_its_bytes_but_two(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(term_add_pieces(&b, "ab"), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(term_add_pieces(&b, "A/gpt"), 0);
	assert_string_equal(buf_str(&b), "na/g\nn/gp\nngpt\n");
}

static void words_are_runs_of_letters_and_digits(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	const char *text = "A Large-model, of 7B; gro\xc3\x9f!x";

	assert_int_equal(term_add_words(&b, text, strlen(text)), 0);
	assert_string_equal(buf_str(&b), "wlarge\nwmodel\nwof\nw7b\nwgro\xc3\x9f\n");
	buf_clear(&b);
	assert_int_equal(term_add_words(&b, "one", 2), 0);
	assert_string_equal(buf_str(&b), "won\n");
}

static void a_text_has_only_so_many_words(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf text = { 0 }, b = { 0 };

	for (int i = 0; i < TERM_WORDS_MAX; i++)
		buf_printf(&text, "w%d x ", i); /* the x is no word, and counts for none */
	assert_int_equal(term_add_words(&b, buf_str(&text), text.len), 0);
	assert_non_null(strstr(buf_str(&b), "\nww255\n"));
	buf_printf(&text, "more");
	buf_clear(&b);
	assert_int_equal(term_add_words(&b, buf_str(&text), text.len), 0);
	assert_null(strstr(buf_str(&b), "more"));
}

static void a_count_of_parameters_has_so_many_binary_digits(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	assert_int_equal(term_digits_of(-1), 0);
	assert_int_equal(term_digits_of(0.5), 0);
	assert_int_equal(term_digits_of(1), 1);
	assert_int_equal(term_digits_of(255), 8);
	assert_int_equal(term_digits_of(256), 9);
	assert_int_equal(term_digits_of(1e300), 64);
	assert_int_equal(term_add_parameters(&b, -1), 0); /* nobody says how many */
	assert_int_equal(b.len, 0);
	assert_int_equal(term_add_parameters(&b, 0), 0);
	assert_int_equal(term_add_parameters(&b, 7e9), 0);
	assert_string_equal(buf_str(&b), "m00\nm33\n");
}

static void sorted_each_line_is_there_once(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 }, none = { 0 };

	buf_add_str(&b, "tb\ntab\nta\ntb\naann\nta\n");
	assert_int_equal(terms_sort(&b), 0);
	assert_string_equal(buf_str(&b), "aann\nta\ntab\ntb\n");
	assert_int_equal(terms_sort(&none), 0);
	assert_int_equal(none.len, 0);
}

static int tell(void *arg, const char *term, size_t len, bool added)
{
	return buf_printf(arg, "%c%.*s ", added ? '+' : '-', (int)len, term);
}

static int stop(void *arg, const char *term, size_t len, bool added)
{
	tell(arg, term, len, added);
	return 7;
}

static void two_sorted_texts_differ_in_what_one_of_them_has(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	assert_int_equal(terms_compare("ta\ntb\ntd\n", "ta\ntab\ntc\ntd\n", tell, &got), 0);
	assert_string_equal(buf_str(&got), "+tab -tb +tc ");
	buf_clear(&got);
	assert_int_equal(terms_compare("ta\ntb\n", "ta\ntb\n", tell, &got), 0);
	assert_int_equal(got.len, 0);
	assert_int_equal(terms_compare("", "ta\ntb\n", tell, &got), 0);
	assert_int_equal(terms_compare("ta\ntb\n", "", tell, &got), 0);
	assert_string_equal(buf_str(&got), "+ta +tb -ta -tb ");
	buf_clear(&got);
	assert_int_equal(terms_compare("ta\n", "tb\n", stop, &got), 7);
	assert_string_equal(buf_str(&got), "-ta ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_term_is_a_line_in_small_letters),
		cmocka_unit_test(what_cannot_be_a_line_is_no_term),
		cmocka_unit_test(a_name_has_a_piece_for_each_of_its_bytes_but_two),
		cmocka_unit_test(words_are_runs_of_letters_and_digits),
		cmocka_unit_test(a_text_has_only_so_many_words),
		cmocka_unit_test(a_count_of_parameters_has_so_many_binary_digits),
		cmocka_unit_test(sorted_each_line_is_there_once),
		cmocka_unit_test(two_sorted_texts_differ_in_what_one_of_them_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
