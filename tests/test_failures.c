/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/failures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/own.h"

static void the_last_failure_of_a_blob_is_remembered(UNUSED void **state)
{
	static struct failures all;
	struct failure f;

	failures_init(&all);
	assert_false(failures_get(&all, "aa", &f));
	err_note(ERR_UPSTREAM, "Connection refused");
	failures_note(&all, "aa", "http://hub", ERR_UPSTREAM);
	failures_note(&all, "bb", "", ERR_DIGEST);
	assert_true(failures_get(&all, "aa", &f));
	assert_string_equal(f.source, "http://hub");
	assert_string_equal(f.text, "the hub cannot be reached (Connection refused)");
	assert_in_range(f.at_s, clock_wall_s() - 5, clock_wall_s());
	failures_note(&all, "aa", "http://other", ERR_TIMEOUT);
	assert_true(failures_get(&all, "aa", &f));
	assert_string_equal(f.text, err_text(ERR_TIMEOUT));
	assert_true(failures_get(&all, "bb", &f));
	assert_false(failures_get(&all, "cc", &f));
	failures_fini(&all);
}

static void the_oldest_makes_room(UNUSED void **state)
{
	static struct failures all;
	struct failure f;
	char etag[16];

	failures_init(&all);
	for (int i = 0; i < 2 * FAILURES_KEPT + 1; i++) {
		snprintf(etag, sizeof(etag), "%d", i);
		failures_note(&all, etag, "", ERR_CUT);
	}
	snprintf(etag, sizeof(etag), "%d", FAILURES_KEPT);
	assert_false(failures_get(&all, etag, &f));
	snprintf(etag, sizeof(etag), "%d", FAILURES_KEPT + 1);
	assert_true(failures_get(&all, etag, &f));
	failures_fini(&all);
}

/* A transfer that is tried again and again is one that fails, not many. */
static void one_blob_takes_one_place(UNUSED void **state)
{
	static struct failures all;
	struct failure f;

	failures_init(&all);
	failures_note(&all, "quiet", "", ERR_DIGEST);
	for (int i = 0; i < 2 * FAILURES_KEPT; i++)
		failures_note(&all, "loud", "", i % 2 ? ERR_TIMEOUT : ERR_CUT);
	assert_true(failures_get(&all, "quiet", &f));
	assert_true(failures_get(&all, "loud", &f));
	assert_string_equal(f.text, err_text(ERR_TIMEOUT));
	failures_fini(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_failure_of_a_blob_is_remembered),
		cmocka_unit_test(the_oldest_makes_room),
		cmocka_unit_test(one_blob_takes_one_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
