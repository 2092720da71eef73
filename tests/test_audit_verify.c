/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/file.h"
#include "tests/trail.h"

#define RECORDS 30

static int filled_setup(void **state)
{
	int r = trail_setup(state);

	if (r == 0)
		trail_fill(*state, RECORDS);
	return r;
}

static void expect(const struct trail *t, const char *problems)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct audit_verdict verdict = trail_verify(t, &got);

	assert_string_equal(buf_str(&got), problems);
	assert_int_equal(verdict.problems == 0, !*problems);
}

/* Where a record is: the line of a segment whose text has it. */
static unsigned find_line(const struct trail_lines *lines, const char *text)
{
	for (unsigned i = 0; i < lines->count; i++)
		if (strstr(lines->at[i], text))
			return i;
	fail_msg("no line has %s", text);
	return 0;
}

static void nobody_tampered(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	const struct trail *t = *state;
	struct audit_verdict verdict = trail_verify(t, &got);
	struct audit_mark mark;

	audit_chain_mark(t->chain, &mark);
	assert_string_equal(buf_str(&got), "");
	assert_true(verdict.segments > 3);
	assert_int_equal(verdict.first_seq, 1);
	assert_int_equal(verdict.last_seq, mark.seq);
	assert_int_equal(verdict.records, mark.seq);
	assert_string_equal(verdict.hash, mark.hash);
}

static void an_empty_trail_has_no_problem(void **state)
{
	expect(*state, "");
}

static void a_changed_record_is_found(void **state)
{
	struct trail_lines lines;
	struct trail *t = *state;
	unsigned at;

	trail_get(t, 2, &lines);
	at = find_line(&lines, "\"seq\":13,");
	*strstr(lines.at[at], "tag.create") = 'b';
	trail_put(t, 2, &lines);
	expect(t, "changed 13@2:3 ");
}

static void a_changed_time_or_hash_is_found(void **state)
{
	struct trail_lines lines;
	struct trail *t = *state;
	char *digit;

	trail_get(t, 2, &lines);
	digit = strstr(lines.at[2], "\"time\":\"") + 9;
	*digit = *digit == '1' ? '2' : '1';
	digit = strstr(lines.at[4], "\"hash\":\"") + 10;
	*digit = *digit == '1' ? '2' : '1';
	trail_put(t, 2, &lines);
	/* A changed hash leaves two that cannot be told apart. */
	expect(t, "changed 13@2:3 changed 15@2:5 changed 16@2:6 ");
}

static void a_removed_record_is_found(void **state)
{
	struct trail_lines lines;
	struct trail *t = *state;

	trail_get(t, 2, &lines);
	free(lines.at[3]);
	memmove(&lines.at[3], &lines.at[4], (lines.count - 4) * sizeof(lines.at[0]));
	lines.count--;
	trail_put(t, 2, &lines);
	expect(t, "missing 14@2:4 ");
}

static void two_swapped_records_are_found(void **state)
{
	struct trail_lines lines;
	struct trail *t = *state;
	char *line;

	trail_get(t, 2, &lines);
	line = lines.at[2];
	lines.at[2] = lines.at[3];
	lines.at[3] = line;
	trail_put(t, 2, &lines);
	expect(t, "missing 13@2:3 misplaced 13@2:4 ");
}

static void an_added_record_is_found(void **state)
{
	struct trail_lines lines;
	struct trail *t = *state;

	trail_get(t, 2, &lines);
	lines.at[lines.count++] = strdup(lines.at[2]);
	trail_put(t, 2, &lines);
	expect(t, "misplaced 13@2:11 ");
}

static void a_line_that_is_none_is_found(void **state)
{
	struct trail_lines lines;
	struct trail *t = *state;

	trail_get(t, 2, &lines);
	lines.at[2][0] = ' ';
	trail_put(t, 2, &lines);
	expect(t, "garbage 13@2:3 missing 13@2:4 ");
}

static void records_cut_off_at_the_end_are_found(void **state)
{
	struct trail_lines lines;
	struct trail *t = *state;
	struct audit_mark mark;
	char want[64];

	audit_chain_mark(t->chain, &mark);
	trail_get(t, mark.segment, &lines);
	free(lines.at[--lines.count]);
	trail_put(t, mark.segment, &lines);
	snprintf(want, sizeof(want), "cut %ju@%ju:0 ", (uintmax_t)mark.seq,
		 (uintmax_t)mark.segment);
	expect(t, want);
}

static void a_half_record_at_the_end_is_found(void **state)
{
	struct trail *t = *state;
	struct audit_mark mark;
	char want[64];
	off_t size;
	int fd;

	audit_chain_mark(t->chain, &mark);
	fd = open(trail_segment_path(t, mark.segment), O_RDWR | O_CLOEXEC);
	size = lseek(fd, 0, SEEK_END);
	assert_int_equal(ftruncate(fd, size - 20), 0);
	close(fd);
	snprintf(want, sizeof(want), "cut %ju@%ju:0 ", (uintmax_t)mark.seq,
		 (uintmax_t)mark.segment);
	expect(t, want);
}

static void a_segment_that_is_gone_is_found(void **state)
{
	struct trail *t = *state;

	assert_int_equal(unlink(trail_segment_path(t, 2)), 0);
	expect(t, "missing 11@3:1 ");
}

static void the_first_and_the_last_segment_that_are_gone_are_found(void **state)
{
	struct trail *t = *state;
	struct audit_mark mark;
	char want[96];

	audit_chain_mark(t->chain, &mark);
	assert_int_equal(unlink(trail_segment_path(t, 1)), 0);
	assert_int_equal(unlink(trail_segment_path(t, mark.segment)), 0);
	snprintf(want, sizeof(want), "missing 1@2:1 cut 31@%ju:0 ", (uintmax_t)mark.segment - 1);
	expect(t, want);
}

static void two_swapped_segments_are_found(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	char first[256], second[256], aside[256];
	struct trail *t = *state;

	strcpy(first, trail_segment_path(t, 1));
	strcpy(second, trail_segment_path(t, 2));
	strcpy(aside, trail_path(t, "aside"));
	assert_int_equal(rename(first, aside), 0);
	assert_int_equal(rename(second, first), 0);
	assert_int_equal(rename(aside, second), 0);
	assert_true(trail_verify(t, &got).problems >= 3);
	assert_ptr_equal(strstr(buf_str(&got), "missing 1@1:1 misplaced 11@1:1 "), buf_str(&got));
	assert_non_null(strstr(buf_str(&got), "misplaced 1@2:1 "));
}

static void a_trail_without_its_head_is_found(void **state)
{
	struct trail *t = *state;
	struct audit_mark mark;
	char want[64];

	audit_chain_mark(t->chain, &mark);
	assert_int_equal(unlink(trail_path(t, AUDIT_HEAD_FILE)), 0);
	snprintf(want, sizeof(want), "cut %ju@%ju:0 ", (uintmax_t)mark.seq,
		 (uintmax_t)mark.segment);
	expect(t, want);
}

static void an_end_that_is_gone_with_its_head_is_found_by_a_witness(void **state)
{
	struct trail *t = *state;
	struct audit_mark mark;
	char want[64];

	audit_chain_mark(t->chain, &mark);
	trail_cut(t);
	expect(t, "");
	t->witness = &mark;
	snprintf(want, sizeof(want), "cut %ju@%ju:0 ", (uintmax_t)mark.seq,
		 (uintmax_t)mark.segment);
	expect(t, want);
}

/* All that follows from a record was made anew, and holds together. */
static void a_trail_that_was_written_anew_is_found_by_a_witness(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct trail *t = *state;
	struct audit_verdict verdict;
	struct audit_mark mark;

	audit_chain_mark(t->chain, &mark);
	t->witness = &mark;
	verdict = trail_verify(t, &got);
	assert_string_equal(buf_str(&got), "");
	assert_int_equal(verdict.witness_seq, mark.seq);
	trail_close(t);
	workdir_fini(&t->dir);
	workdir_init(&t->dir);
	assert_int_equal(file_mkdirs(trail_path(t, "")), 0);
	t->witness = NULL;
	trail_open(t, 2000);
	trail_fill(t, RECORDS + 1);
	expect(t, "");
	t->witness = &mark;
	assert_int_equal(trail_verify(t, &got).problems, 1);
	assert_ptr_equal(strstr(buf_str(&got), "changed 3"), buf_str(&got));
}

/* ---- retention ---- */

static void drop_first_two(struct trail *t)
{
	struct audit_begins begins = trail_begins(t);
	int64_t before_ms;

	before_ms = begins.at[2].time_ms + 1;
	audit_begins_free(&begins);
	assert_int_equal(audit_chain_retain(t->chain, before_ms, t->now_ms), 0);
	assert_int_equal(access(trail_segment_path(t, 2), F_OK), -1);
	assert_int_equal(access(trail_segment_path(t, 3), F_OK), 0);
}

static void what_retention_dropped_is_proven(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct trail *t = *state;
	struct audit_verdict verdict;

	drop_first_two(t);
	verdict = trail_verify(t, &got);
	assert_string_equal(buf_str(&got), "");
	assert_int_equal(verdict.dropped_seq, 20);
	assert_int_equal(verdict.first_seq, 21);
	trail_close(t);
	trail_open(t, 2000);
	trail_add(t, "later");
	expect(t, "");
}

static void segments_that_went_without_retention_are_found(void **state)
{
	struct trail *t = *state;

	drop_first_two(t);
	assert_int_equal(unlink(trail_segment_path(t, 3)), 0);
	expect(t, "missing 21@4:1 ");
}

static void an_anchor_that_nobody_recorded_is_found(void **state)
{
	char text[AUDIT_MARK_BYTES + 1];
	struct trail *t = *state;
	struct audit_begins begins = trail_begins(t);
	struct audit_mark anchor = { .segment = 1 };

	anchor.seq = begins.at[1].seq - 1;
	memcpy(anchor.hash, begins.at[1].prev, sizeof(anchor.hash));
	audit_begins_free(&begins);
	audit_mark_print(&anchor, text);
	assert_int_equal(unlink(trail_segment_path(t, 1)), 0);
	assert_int_equal(file_replace(AT_FDCWD, trail_path(t, AUDIT_ANCHOR_FILE), text,
				      AUDIT_MARK_BYTES, 0600),
			 0);
	expect(t, "anchor 10@4:0 ");
}

static void a_crash_between_anchor_and_removal_is_mended(void **state)
{
	struct trail_lines lines;
	struct trail *t = *state;

	trail_get(t, 2, &lines);
	drop_first_two(t);
	trail_put(t, 2, &lines);
	expect(t, "");
	trail_close(t);
	trail_open(t, 2000);
	assert_int_equal(access(trail_segment_path(t, 2), F_OK), -1);
	expect(t, "");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, filled_setup, trail_teardown)
	const struct CMUnitTest tests[] = {
		TEST(nobody_tampered),
		cmocka_unit_test_setup_teardown(an_empty_trail_has_no_problem, trail_setup,
						trail_teardown),
		TEST(a_changed_record_is_found),
		TEST(a_changed_time_or_hash_is_found),
		TEST(a_removed_record_is_found),
		TEST(two_swapped_records_are_found),
		TEST(an_added_record_is_found),
		TEST(a_line_that_is_none_is_found),
		TEST(records_cut_off_at_the_end_are_found),
		TEST(a_half_record_at_the_end_is_found),
		TEST(a_segment_that_is_gone_is_found),
		TEST(the_first_and_the_last_segment_that_are_gone_are_found),
		TEST(two_swapped_segments_are_found),
		TEST(a_trail_without_its_head_is_found),
		TEST(an_end_that_is_gone_with_its_head_is_found_by_a_witness),
		TEST(a_trail_that_was_written_anew_is_found_by_a_witness),
		TEST(what_retention_dropped_is_proven),
		TEST(segments_that_went_without_retention_are_found),
		TEST(an_anchor_that_nobody_recorded_is_found),
		TEST(a_crash_between_anchor_and_removal_is_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
