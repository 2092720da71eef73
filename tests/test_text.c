/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/own.h"

static void an_end_is_all_of_it_or_the_last_letters(void **state UNUSED)
{
	assert_true(text_ends_with("a.gguf", ".gguf"));
	assert_true(text_ends_with(".gguf", ".gguf"));
	assert_true(text_ends_with("a", ""));
	assert_false(text_ends_with("gguf", ".gguf"));
	assert_false(text_ends_with("a.gguf.part", ".gguf"));
	assert_false(text_ends_with("a.GGUF", ".gguf"));
}

static void texts_are_in_the_order_of_their_bytes_the_shorter_first(void **state UNUSED)
{
	static const struct {
		const char *text;
		size_t len;
	} rising[] = { { "", 0 },    { "\0", 1 }, { "A", 1 }, { "a", 1 },
		       { "a\0", 2 }, { "ab", 2 }, { "b", 1 }, { "\xff", 1 } };

	for (size_t i = 0; i < ARRAY_LEN(rising); i++)
		for (size_t j = 0; j < ARRAY_LEN(rising); j++) {
			int c = text_order(rising[i].text, rising[i].len, rising[j].text,
					   rising[j].len);

			assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
		}
}

static void small_letters_are_those_of_ascii_alone(void **state UNUSED)
{
	char text[] = "Org/A-Z_[@`{\xc3\x84", to[sizeof(text)];

	text_copy_small(text, to);
	assert_string_equal(to, "org/a-z_[@`{\xc3\x84");
	text_copy_small(text, text);
	assert_string_equal(text, to);
	assert_int_equal(text_small('Q'), 'q');
	assert_int_equal(text_small('q'), 'q');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_all_of_it_or_the_last_letters),
		cmocka_unit_test(texts_are_in_the_order_of_their_bytes_the_shorter_first),
		cmocka_unit_test(small_letters_are_those_of_ascii_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
