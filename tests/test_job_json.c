/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/job_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/err.h"

static int read_text(const char *json, struct job_progress *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	assert_int_equal(jdoc_parse(json, strlen(json), &d), 0);
	return job_read(jdoc_root(d), ret);
}

static void what_is_written_is_read_again(void **state)
{
	struct job_progress p = { .id = 7,
				  .kind = JOB_SHARE,
				  .state = JOB_FAILED,
				  .waits = true,
				  .what = "models/a/b@main",
				  .files_done = 1,
				  .files_total = 2,
				  .bytes_done = UINT64_C(1) << 40,
				  .bytes_total = UINT64_C(1) << 41,
				  .error = ERR_DIGEST,
				  .why = "wrong bytes" },
			    got;
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };

	(void)state;
	job_write(&p, &w);
	assert_non_null(strstr(buf_str(&b), "\"kind\":\"share\""));
	assert_int_equal(read_text(buf_str(&b), &got), 0);
	assert_int_equal(got.id, 7);
	assert_int_equal(got.state, JOB_FAILED);
	assert_true(got.waits);
	assert_int_equal(got.files_done, 1);
	assert_int_equal(got.files_total, 2);
	assert_int_equal(got.bytes_done, p.bytes_done);
	assert_int_equal(got.bytes_total, p.bytes_total);
	assert_int_equal(got.error, ERR_SERVER);
	assert_string_equal(got.why, "wrong bytes");
}

static void who_says_nothing_of_an_error_has_none(void **state)
{
	struct job_progress got;

	(void)state;
	assert_int_equal(read_text("{\"id\":1,\"state\":\"running\",\"error\":null}", &got), 0);
	assert_int_equal(got.state, JOB_RUNNING);
	assert_false(got.waits);
	assert_int_equal(got.error, 0);
	assert_string_equal(got.why, "");
	assert_int_equal(got.bytes_total, 0);
}

static void what_is_no_job_is_refused(void **state)
{
	static const char *const wrong[] = {
		"{}",
		"[]",
		"5",
		"{\"id\":1}",
		"{\"id\":0,\"state\":\"done\"}",
		"{\"id\":1,\"state\":\"asleep\"}",
		"{\"id\":\"1\",\"state\":\"done\"}",
		"{\"id\":-1,\"state\":\"done\"}",
	};
	struct job_progress got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(read_text(wrong[i], &got), -EINVAL);
	assert_int_equal(read_text("{\"id\":1,\"state\":\"done\",\"bytes_done\":-5}", &got), 0);
	assert_int_equal(got.bytes_done, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(who_says_nothing_of_an_error_has_none),
		cmocka_unit_test(what_is_no_job_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
