/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "tests/workdir.h"

static const struct access_entry plain = {
	.address = "192.0.2.1",
	.user = "ann",
	.time_s = 1795287634,
	.method = "GET",
	.target = "/org/tiny/resolve/main/w.bin",
	.status = 200,
	.bytes = 77,
	.agent = "agent/1",
	.request_id = "id-1",
	.took_us = 1234567,
};

static void expect(const struct access_entry *e, const char *want)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	access_line(e, &got);
	assert_string_equal(buf_str(&got), want);
}

static void a_line_is_what_web_servers_write(void **state UNUSED)
{
	const struct access_entry nobody = { .status = 0 };

	expect(&plain, "192.0.2.1 - ann [21/Nov/2026:19:00:34 +0000] "
		       "\"GET /org/tiny/resolve/main/w.bin HTTP/1.1\" 200 77 \"-\" \"agent/1\" "
		       "\"id-1\" 1.234567\n");
	expect(&nobody, "- - - [01/Jan/1970:00:00:00 +0000] \"- - HTTP/1.1\" 0 0 \"-\" \"-\" "
			"\"-\" 0.000000\n");
}

static void what_the_client_calls_it_stands_before_our_number(void **state UNUSED)
{
	const struct access_entry named = { .request_id = "id-1", .given_id = "mine" };
	CLEANUP(buf_free) struct buf got = { 0 };

	access_line(&named, &got);
	assert_non_null(strstr(buf_str(&got), " \"mine;id-1\" "));
}

static void nothing_a_client_sends_ends_the_line_or_its_quotes(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct access_entry e = plain;

	e.agent = "a\"b\\c\nd\xff";
	access_line(&e, &got);
	assert_non_null(strstr(buf_str(&got), " \"a\\x22b\\x5cc\\x0ad\\xff\" "));
}

static void only_what_can_be_no_secret_is_shown_of_a_query(void **state UNUSED)
{
	static const struct {
		const char *target, *want;
	} cases[] = {
		{ "/api/models?search=bert&limit=5", "/api/models?search=bert&limit=5" },
		{ "/a?X-Amz-Signature=0123&token=hf_x&limit=5",
		  "/a?X-Amz-Signature=-&token=-&limit=5" },
		{ "/a?searching=x&sear=y", "/a?searching=-&sear=-" },
		{ "/a?hf_secretwithoutname", "/a?" },
		{ "/a?expand[]=x&=y&&z=", "/a?expand[]=x&=-&&z=-" },
		{ "/a?", "/a?" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_free) struct buf got = { 0 }, want = { 0 };
		struct access_entry e = plain;

		e.target = cases[i].target;
		access_line(&e, &got);
		buf_printf(&want, " \"GET %s HTTP/1.1\" ", cases[i].want);
		if (!strstr(buf_str(&got), buf_str(&want)))
			fail_msg("%s is not %s", buf_str(&got), buf_str(&want));
	}
}

/* ---- the log ---- */

static char path[2][128];

static struct access *open_log(void **state)
{
	const struct workdir *dir = *state;
	CLEANUP(buf_free) struct buf why = { 0 };
	struct access *a;

	snprintf(path[0], sizeof(path[0]), "%s/access.log", dir->path);
	snprintf(path[1], sizeof(path[1]), "%s/access.log.1", dir->path);
	assert_int_equal(access_open(path[0], &a, &why), 0);
	return a;
}

static void close_log(struct access *a)
{
	assert_true(access_stop(a, clock_ms() + 10000));
	access_free(a);
}

static unsigned lines_of(const char *file)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	unsigned n = 0;

	assert_int_equal(file_read_all(AT_FDCWD, file, 1 << 24, &text), 0);
	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == '\n';
	return n;
}

static void all_lines_are_written(void **state)
{
	struct access *a = open_log(state);

	for (unsigned i = 0; i < 50000; i++)
		access_note(a, &plain);
	close_log(a);
	assert_int_equal(lines_of(path[0]), 50000);
}

static void a_line_is_written_soon(void **state)
{
	struct access *a = open_log(state);
	int64_t until_ms = clock_ms() + 5000;

	access_note(a, &plain);
	while (lines_of(path[0]) == 0 && clock_ms() < until_ms)
		clock_sleep_ms(20);
	assert_int_equal(lines_of(path[0]), 1);
	close_log(a);
}

static void a_log_that_was_moved_away_is_begun_anew(void **state)
{
	struct access *a = open_log(state);
	int64_t until_ms = clock_ms() + 5000;

	access_note(a, &plain);
	while (lines_of(path[0]) == 0 && clock_ms() < until_ms)
		clock_sleep_ms(20);
	assert_int_equal(rename(path[0], path[1]), 0);
	access_reopen(a);
	access_note(a, &plain);
	access_note(a, &plain);
	close_log(a);
	assert_int_equal(lines_of(path[1]), 1);
	assert_int_equal(lines_of(path[0]), 2);
}

/* A pipe that nobody reads is as a disk that hangs. */
static void a_log_that_hangs_is_not_waited_for(void **state)
{
	const struct workdir *dir = *state;
	CLEANUP(buf_free) struct buf why = { 0 };
	CLEANUP(closep) int end = -1;
	struct access *a;
	char all[4096];

	snprintf(path[0], sizeof(path[0]), "%s/pipe", dir->path);
	assert_int_equal(mkfifo(path[0], 0600), 0);
	end = open(path[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(access_open(path[0], &a, &why), 0);
	for (unsigned i = 0; i < 2000; i++)
		access_note(a, &plain);
	assert_false(access_stop(a, clock_ms() + 100));
	while (!access_stop(a, clock_ms() + 10))
		while (read(end, all, sizeof(all)) > 0)
			;
	access_free(a);
}

static void a_log_that_cannot_be_opened_is_a_sentence(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct access *a;

	assert_true(access_open("/nonexistent/log", &a, &why) < 0);
	assert_non_null(strstr(buf_str(&why), "/nonexistent/log"));
}

static void no_log_logs_nothing(void **state UNUSED)
{
	access_note(NULL, &plain);
	access_reopen(NULL);
	close_log(NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, workdir_setup, workdir_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_what_web_servers_write),
		cmocka_unit_test(what_the_client_calls_it_stands_before_our_number),
		cmocka_unit_test(nothing_a_client_sends_ends_the_line_or_its_quotes),
		cmocka_unit_test(only_what_can_be_no_secret_is_shown_of_a_query),
		TEST(all_lines_are_written),
		TEST(a_line_is_written_soon),
		TEST(a_log_that_was_moved_away_is_begun_anew),
		TEST(a_log_that_hangs_is_not_waited_for),
		cmocka_unit_test(a_log_that_cannot_be_opened_is_a_sentence),
		cmocka_unit_test(no_log_logs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
