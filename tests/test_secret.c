/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void what_looks_like_a_token_is_hidden(UNUSED void **state)
{
	static const char *const table[][2] = {
		{ "no \"hf_AbCdEfGhIj1234\" here", "no \"hf_...\" here" },
		{ "hf_aaaa", "hf_..." },
		{ "a hf_aaaa_bbbb, hf_cccccccccccc", "a hf_..., hf_..." },
		{ "hf_hf_aaaa", "hf_..." },
		{ "hf_aaa and hf_", "hf_aaa and hf_" },
		{ "/etc/hf-token", "/etc/hf-token" },
		{ "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		CLEANUP(buf_free) struct buf b = { 0 };

		buf_add_str(&b, table[i][0]);
		secret_hide(&b);
		assert_string_equal(buf_str(&b), table[i][1]);
		assert_int_equal(b.len, strlen(table[i][1]));
	}
}

static void nothing_hides_nothing(UNUSED void **state)
{
	struct buf none = { 0 };

	secret_hide(&none);
	assert_int_equal(none.len, 0);
}

static void a_path_begins_like_one(UNUSED void **state)
{
	assert_true(secret_is_path("/etc/token") && secret_is_path("./t") &&
		    secret_is_path("../t"));
	assert_true(secret_is_path(".") && secret_is_path(".."));
	assert_false(secret_is_path("token") || secret_is_path("") || secret_is_path("a/b") ||
		     secret_is_path(".hf"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_looks_like_a_token_is_hidden),
		cmocka_unit_test(nothing_hides_nothing),
		cmocka_unit_test(a_path_begins_like_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
