/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/own.h"

static const int all[] = {
#define X(name, value, errno_, http, code, text) name,
	ERR_LIST(X)
#undef X
};

static void a_row_answers_fuse_http_and_people(UNUSED void **state)
{
	assert_int_equal(err_errno(ERR_NOREPO), ENOENT);
	assert_int_equal(err_http(ERR_NOREPO), 404);
	assert_non_null(strstr(err_text(ERR_NOREPO), "no such repository"));
}

static void every_row_is_complete_and_its_value_its_own(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_int_equal(all[i], -5001 - (int)i);
		assert_true(err_errno(all[i]) > 0);
		assert_in_range(err_http(all[i]), 300, 599);
		assert_true(strlen(err_text(all[i])) > 0);
		/* It stands within sentences. */
		assert_false(strchr(".:!?", err_text(all[i])[strlen(err_text(all[i])) - 1]));
	}
}

static void an_errno_keeps_its_meaning(UNUSED void **state)
{
	assert_int_equal(err_errno(-ENOSPC), ENOSPC);
	assert_int_equal(err_http(-ENOSPC), 507);
	assert_int_equal(err_http(-ENOENT), 404);
	assert_int_equal(err_http(-EACCES), 403);
	assert_int_equal(err_http(-EINVAL), 400);
	assert_int_equal(err_http(-EIO), 500);
	assert_string_equal(err_text(-ENOENT), "No such file or directory");
}

static void an_unknown_code_is_an_io_error(UNUSED void **state)
{
	assert_int_equal(err_errno(-4999), EIO);
	assert_int_equal(err_errno(-9999), EIO);
	assert_int_equal(err_http(-9999), 500);
	assert_string_equal(err_text(-9999), "unknown error -9999");
}

static void a_hub_code_finds_its_row(UNUSED void **state)
{
	assert_int_equal(err_from_hub_code("RepoNotFound"), ERR_NOREPO);
	assert_int_equal(err_from_hub_code("GatedRepo"), ERR_GATED);
}

static void a_strange_or_empty_hub_code_finds_none(UNUSED void **state)
{
	assert_int_equal(err_from_hub_code("repoNotFound"), 0);
	assert_int_equal(err_from_hub_code(""), 0);
}

static void a_note_is_about_the_failure_it_was_made_for(UNUSED void **state)
{
	assert_string_equal(err_noted(ERR_UPSTREAM), "");
	err_note(ERR_UPSTREAM, "port %d", 80);
	assert_string_equal(err_noted(ERR_UPSTREAM), "port 80");
	assert_string_equal(err_noted(ERR_TLS), "");
	assert_string_equal(err_noted(0), "");
	err_note(ERR_TLS, "who are you");
	assert_string_equal(err_noted(ERR_UPSTREAM), "");
	assert_string_equal(err_noted(ERR_TLS), "who are you");
}

static void a_note_is_of_no_later_operation(UNUSED void **state)
{
	err_note(ERR_UPSTREAM, "port %d", 80);
	err_forget_note();
	assert_string_equal(err_noted(ERR_UPSTREAM), "");
	assert_string_equal(err_noted(0), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_answers_fuse_http_and_people),
		cmocka_unit_test(every_row_is_complete_and_its_value_its_own),
		cmocka_unit_test(an_errno_keeps_its_meaning),
		cmocka_unit_test(an_unknown_code_is_an_io_error),
		cmocka_unit_test(a_hub_code_finds_its_row),
		cmocka_unit_test(a_note_is_about_the_failure_it_was_made_for),
		cmocka_unit_test(a_note_is_of_no_later_operation),
		cmocka_unit_test(a_strange_or_empty_hub_code_finds_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
