/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/file.h"
#include "tests/trail.h"

#define RECORDS 60
#define ALL UINT64_MAX

static int filled_setup(void **state)
{
	int r = trail_setup(state);

	if (r == 0)
		trail_fill(*state, RECORDS);
	return r;
}

static struct audit_reader *reader_of(const struct trail *t, const struct audit_query *q,
				      const char *cursor)
{
	struct audit_reader *r;

	assert_int_equal(audit_reader_open(t->dir.path, q, cursor, &r), 0);
	return r;
}

/* Appends "user1 user2 ". */
static int note_user(void *arg, const struct audit_record *rec, const char *line, size_t len)
{
	assert_int_equal(line[len], '\n');
	if (rec->user)
		buf_printf(arg, "%s ", rec->user);
	return 0;
}

static int count_one(void *arg, const struct audit_record *rec UNUSED, const char *line UNUSED,
		     size_t len UNUSED)
{
	++*(unsigned *)arg;
	return 0;
}

static unsigned count(const struct trail *t, const struct audit_query *q)
{
	CLEANUP(audit_reader_freep) struct audit_reader *r = reader_of(t, q, NULL);
	unsigned n = 0;

	assert_int_equal(audit_reader_next(r, UINT_MAX, ALL, count_one, &n), 1);
	return n;
}

static void all_records_come_in_order(void **state)
{
	const struct audit_query all = { .kind = AUDIT_CHANGE };
	CLEANUP(audit_reader_freep) struct audit_reader *r = reader_of(*state, &all, NULL);
	CLEANUP(buf_free) struct buf got = { 0 }, want = { 0 };

	for (unsigned i = 1; i <= RECORDS; i++)
		buf_printf(&want, "user%u ", i);
	assert_int_equal(audit_reader_next(r, UINT_MAX, ALL, note_user, &got), 1);
	assert_string_equal(buf_str(&got), buf_str(&want));
}

static void only_what_is_asked_for_comes(void **state)
{
	const struct trail *t = *state;
	struct audit_begins begins = trail_begins(t);

	assert_int_equal(count(t, &(struct audit_query){ .user = "user7" }), 1);
	assert_int_equal(count(t, &(struct audit_query){ .user = "user" }), 0);
	assert_int_equal(count(t, &(struct audit_query){ .repo = "models/org/tiny" }), RECORDS);
	assert_int_equal(count(t, &(struct audit_query){ .repo = "models/org/other" }), 0);
	assert_int_equal(count(t, &(struct audit_query){ .kind = AUDIT_DOWNLOAD }), 0);
	assert_int_equal(count(t, &(struct audit_query){ .outcome = AUDIT_DONE }), RECORDS);
	assert_int_equal(count(t, &(struct audit_query){ .kind = AUDIT_CHANGE, .anonymous = true }),
			 0);
	assert_int_equal(
		count(t, &(struct audit_query){ .kind = AUDIT_SEGMENT, .anonymous = true }),
		begins.count);
	audit_begins_free(&begins);
}

static void times_have_a_first_and_an_end(void **state)
{
	struct audit_query q = { .kind = AUDIT_CHANGE };
	const struct trail *t = *state;

	q.from_ms = TRAIL_NOW_MS + 20 * 1000;
	assert_int_equal(count(t, &q), RECORDS - 19);
	q.to_ms = TRAIL_NOW_MS + 30 * 1000;
	assert_int_equal(count(t, &q), 10);
	q.from_ms = 0;
	assert_int_equal(count(t, &q), 29);
}

static void a_query_goes_on_where_it_ended(void **state)
{
	const struct audit_query q = { .kind = AUDIT_CHANGE };
	CLEANUP(buf_free) struct buf got = { 0 };
	char cursor[AUDIT_CURSOR_MAX] = "";
	unsigned pages = 0;
	int e = 0;

	for (; e == 0; pages++) {
		CLEANUP(audit_reader_freep)
		struct audit_reader *r = reader_of(*state, &q, cursor);

		e = audit_reader_next(r, 7, ALL, note_user, &got);
		audit_reader_cursor(r, cursor);
	}
	assert_int_equal(e, 1);
	assert_int_equal(pages, RECORDS / 7 + 1);
	assert_non_null(strstr(buf_str(&got), "user7 user8 user9 "));
	assert_non_null(strstr(buf_str(&got), "user59 user60 "));
	assert_null(strstr(strstr(buf_str(&got), "user7 ") + 1, "user7 "));
}

static void a_call_reads_no_more_than_it_may(void **state)
{
	const struct audit_query q = { .user = "user60" };
	CLEANUP(audit_reader_freep) struct audit_reader *r = reader_of(*state, &q, NULL);
	unsigned n = 0, calls = 0;

	while (audit_reader_next(r, UINT_MAX, 1000, count_one, &n) == 0)
		calls++;
	assert_int_equal(n, 1);
	assert_true(calls > 10);
}

static void what_is_no_cursor_is_refused(void **state)
{
	static const char *const bad[] = { "x", "1", "1-", "1-2x", "-1-2", "1-2-3" };
	const struct audit_query q = { 0 };
	const struct trail *t = *state;
	struct audit_reader *r;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(audit_reader_open(t->dir.path, &q, bad[i], &r), -EINVAL);
}

/* Into the middle of a line, or behind the end: what follows is found all the same. */
static void a_cursor_that_lies_does_no_harm(void **state)
{
	static const char *const lies[] = { "1-5", "1-99999999", "77-0", "0-0" };
	const struct audit_query q = { .kind = AUDIT_CHANGE };

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		CLEANUP(audit_reader_freep)
		struct audit_reader *r = reader_of(*state, &q, lies[i]);
		unsigned n = 0;

		assert_int_equal(audit_reader_next(r, UINT_MAX, ALL, count_one, &n), 1);
		assert_true(n <= RECORDS);
	}
}

static void the_last_records_are_found_from_the_end(void **state)
{
	const struct audit_query q = { .kind = AUDIT_CHANGE };
	struct trail *t = *state;
	static const unsigned counts[] = { 0, 1, 5, 25, RECORDS, RECORDS + 5 };

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		CLEANUP(audit_reader_freep) struct audit_reader *r = reader_of(t, &q, NULL);
		unsigned n = 0;

		assert_int_equal(audit_reader_last(r, counts[i]), 0);
		assert_int_equal(audit_reader_next(r, UINT_MAX, ALL, count_one, &n), 1);
		assert_int_equal(n, counts[i] < RECORDS ? counts[i] : RECORDS);
	}
}

static void a_reader_follows_the_trail_through_its_segments(void **state)
{
	const struct audit_query q = { .kind = AUDIT_CHANGE };
	CLEANUP(audit_reader_freep) struct audit_reader *r = reader_of(*state, &q, NULL);
	struct trail *t = *state;
	unsigned n = 0;

	assert_int_equal(audit_reader_last(r, 0), 0);
	for (unsigned i = 1; i <= 30; i++) {
		trail_add(t, "later");
		assert_int_equal(audit_reader_next(r, UINT_MAX, ALL, count_one, &n), 1);
		assert_int_equal(n, i);
	}
}

static void a_line_that_is_not_whole_is_waited_for(void **state)
{
	const struct audit_query q = { .kind = AUDIT_CHANGE };
	CLEANUP(audit_reader_freep) struct audit_reader *r = reader_of(*state, &q, NULL);
	CLEANUP(buf_free) struct buf all = { 0 }, got = { 0 };
	struct trail *t = *state;
	struct audit_mark mark;
	const char *path;
	int fd;

	audit_chain_mark(t->chain, &mark);
	path = trail_segment_path(t, mark.segment);
	assert_int_equal(file_read_all(AT_FDCWD, path, 1 << 20, &all), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)all.len - 10), 0);
	assert_int_equal(audit_reader_next(r, UINT_MAX, ALL, note_user, &got), 1);
	assert_null(strstr(buf_str(&got), "user60"));
	assert_int_equal(file_pwrite(fd, all.data, all.len, 0), 0);
	close(fd);
	assert_int_equal(audit_reader_next(r, UINT_MAX, ALL, note_user, &got), 1);
	assert_non_null(strstr(buf_str(&got), "user59 user60 "));
}

static void retention_does_not_stop_who_reads(void **state)
{
	const struct audit_query q = { .kind = AUDIT_CHANGE };
	CLEANUP(audit_reader_freep) struct audit_reader *r = reader_of(*state, &q, NULL);
	CLEANUP(buf_free) struct buf got = { 0 };
	struct trail *t = *state;

	assert_int_equal(audit_reader_next(r, 2, ALL, note_user, &got), 0);
	assert_int_equal(audit_chain_retain(t->chain, t->now_ms - 20 * 1000, t->now_ms), 0);
	assert_int_equal(audit_reader_next(r, UINT_MAX, ALL, note_user, &got), 1);
	assert_ptr_equal(strstr(buf_str(&got), "user1 user2 "), buf_str(&got));
	assert_non_null(strstr(buf_str(&got), "user59 user60 "));
	assert_null(strstr(buf_str(&got), "user20 "));
}

static void what_does_not_exist_has_no_records(void **state)
{
	const struct audit_query q = { 0 };
	struct trail t = { .dir.path = "/nonexistent" };

	(void)state;
	assert_int_equal(count(&t, &q), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, filled_setup, trail_teardown)
	const struct CMUnitTest tests[] = {
		TEST(all_records_come_in_order),
		TEST(only_what_is_asked_for_comes),
		TEST(times_have_a_first_and_an_end),
		TEST(a_query_goes_on_where_it_ended),
		TEST(a_call_reads_no_more_than_it_may),
		TEST(what_is_no_cursor_is_refused),
		TEST(a_cursor_that_lies_does_no_harm),
		TEST(the_last_records_are_found_from_the_end),
		TEST(a_reader_follows_the_trail_through_its_segments),
		TEST(a_line_that_is_not_whole_is_waited_for),
		TEST(retention_does_not_stop_who_reads),
		cmocka_unit_test(what_does_not_exist_has_no_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
