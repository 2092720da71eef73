/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_chain.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "tests/trail.h"

#define DAY_MS (24LL * 3600 * 1000)
#define SEGMENT_BYTES 2000

static void expect_sound(const struct trail *t)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	trail_verify(t, &got);
	assert_string_equal(buf_str(&got), "");
}

static struct audit_mark mark_of(const struct trail *t)
{
	struct audit_mark mark;

	audit_chain_mark(t->chain, &mark);
	return mark;
}

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static struct audit_mended reopen(struct trail *t)
{
	trail_close(t);
	return trail_open(t, SEGMENT_BYTES);
}

static void what_was_written_goes_on_after_a_restart(void **state)
{
	struct trail *t = *state;
	struct audit_mended mended;
	struct audit_mark before;

	trail_fill(t, 25);
	before = mark_of(t);
	mended = reopen(t);
	assert_int_equal(mended.cut + mended.missing + mended.changed + mended.no_head, 0);
	assert_string_equal(before.hash, mark_of(t).hash);
	trail_fill(t, 25);
	assert_int_equal(mark_of(t).seq, before.seq + 25 + mark_of(t).segment - before.segment);
	expect_sound(t);
}

static void segments_end_at_their_size_and_after_a_day(void **state)
{
	struct trail *t = *state;
	uint64_t bytes, before = audit_chain_segments(t->chain, &bytes);

	trail_fill(t, 3);
	assert_int_equal(audit_chain_segments(t->chain, &bytes), before);
	t->now_ms += DAY_MS;
	trail_fill(t, 1);
	assert_int_equal(audit_chain_segments(t->chain, &bytes), before + 1);
	/* A day without a record needs no segment. */
	assert_int_equal(audit_chain_flush(t->chain, t->now_ms + 2 * DAY_MS), 0);
	assert_int_equal(audit_chain_segments(t->chain, &bytes), before + 1);
	for (unsigned i = 1; i < mark_of(t).segment; i++)
		assert_true(size_of(trail_segment_path(t, i)) < SEGMENT_BYTES + 500);
	expect_sound(t);
}

/* What is added at once, as after a disk was slow, ends segments as what comes one by one. */
static void however_much_is_added_at_once_no_segment_is_too_long(void **state)
{
	static const char body[] = ",\"kind\":\"hub\"";
	struct trail *t = *state;

	for (unsigned added = 0; added < 100;) {
		int r = audit_chain_add(t->chain, t->now_ms, body, sizeof(body) - 1);

		assert_in_range(r, 0, 1);
		added += r == 0;
		if (r == 1)
			assert_int_equal(audit_chain_flush(t->chain, t->now_ms), 0);
	}
	assert_int_equal(audit_chain_flush(t->chain, t->now_ms), 0);
	assert_true(mark_of(t).segment > 5);
	for (unsigned i = 1; i < mark_of(t).segment; i++)
		assert_in_range(size_of(trail_segment_path(t, i)), SEGMENT_BYTES,
				SEGMENT_BYTES + 200);
	expect_sound(t);
}

static void two_cannot_write_it(void **state)
{
	struct trail *t = *state;
	struct audit_mended mended;
	struct audit_chain *second;

	assert_int_equal(audit_chain_open(audit_dir_open(t->dir.path), SEGMENT_BYTES, NULL,
					  t->now_ms, &second, &mended),
			 ERR_LOCKED);
}

/* ---- crashes ---- */

/* The crash leaves this behind the last record. */
static struct audit_mended crash_with(struct trail *t, const char *text)
{
	int fd = open(trail_segment_path(t, mark_of(t).segment), O_WRONLY | O_APPEND | O_CLOEXEC);

	trail_close(t);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return trail_open(t, SEGMENT_BYTES);
}

/* At each byte of a write that was never finished. */
static void a_torn_record_is_cut_off_and_nothing_else(void **state)
{
	struct trail *t = *state;
	struct audit_mark before;
	struct audit_mended mended;
	char line[400], torn[400];
	char prev[AUDIT_HASH_HEX + 1];
	CLEANUP(buf_free) struct buf next = { 0 };

	trail_fill(t, 5);
	before = mark_of(t);
	memcpy(prev, before.hash, sizeof(prev));
	assert_int_equal(
		audit_record_line(before.seq + 1, t->now_ms, ",\"kind\":\"hub\"", 13, prev, &next),
		0);
	snprintf(line, sizeof(line), "%s", buf_str(&next));
	for (size_t len = 1; len < strlen(line); len++) {
		snprintf(torn, sizeof(torn), "%.*s", (int)len, line);
		mended = crash_with(t, torn);
		assert_int_equal(mended.cut, len);
		assert_int_equal(mended.missing, 0);
		assert_int_equal(mark_of(t).seq, before.seq);
	}
	trail_add(t, "later");
	expect_sound(t);
}

/* A power cut may leave the second half of a write, and zeros in the place of the first. */
static void what_does_not_follow_behind_the_head_is_cut_off(void **state)
{
	struct trail *t = *state;
	struct audit_mark before;
	struct audit_mended mended;

	trail_fill(t, 5);
	before = mark_of(t);
	mended = crash_with(t, "garbage\n{\"seq\":9}\n");
	assert_int_equal(mended.cut, 18);
	assert_int_equal(mark_of(t).seq, before.seq);
	trail_add(t, "later");
	expect_sound(t);
}

/* The lines are durable before the head is. */
static void whole_records_behind_the_head_stay(void **state)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	struct trail *t = *state;
	struct audit_mark before;
	struct audit_mended mended;

	trail_fill(t, 3);
	assert_int_equal(
		file_read_all(AT_FDCWD, trail_path(t, AUDIT_HEAD_FILE), AUDIT_MARK_BYTES, &head),
		0);
	trail_fill(t, 2);
	before = mark_of(t);
	assert_int_equal(
		file_replace(AT_FDCWD, trail_path(t, AUDIT_HEAD_FILE), head.data, head.len, 0600),
		0);
	mended = reopen(t);
	assert_int_equal(mended.cut + mended.missing, 0);
	assert_int_equal(mark_of(t).seq, before.seq);
	expect_sound(t);
}

static void a_segment_that_had_just_been_made_is_made_again(void **state)
{
	struct trail *t = *state;
	uint64_t next = mark_of(t).segment + 1;
	int fd = open(trail_segment_path(t, next), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct audit_mended mended;

	assert_int_equal(write(fd, "{\"seq\":", 7), 7);
	close(fd);
	mended = reopen(t);
	assert_int_equal(mended.cut, 7);
	assert_int_equal(access(trail_segment_path(t, next), F_OK), -1);
	trail_fill(t, 30);
	expect_sound(t);
}

static void what_was_durable_and_is_gone_leaves_a_gap(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct trail *t = *state;
	struct audit_mended mended;
	struct trail_lines lines;

	trail_fill(t, 5);
	trail_close(t);
	trail_get(t, 1, &lines);
	free(lines.at[--lines.count]);
	free(lines.at[--lines.count]);
	trail_put(t, 1, &lines);
	mended = trail_open(t, SEGMENT_BYTES);
	assert_int_equal(mended.missing, 2);
	trail_add(t, "later");
	assert_int_equal(trail_verify(t, &got).problems, 1);
	assert_string_equal(buf_str(&got), "missing 5@1:5 ");
}

static void a_last_segment_that_is_gone_leaves_a_gap(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct trail *t = *state;
	struct audit_mark before;
	char want[64];

	trail_fill(t, 25);
	before = mark_of(t);
	trail_close(t);
	assert_int_equal(unlink(trail_segment_path(t, before.segment)), 0);
	assert_true(trail_open(t, SEGMENT_BYTES).missing > 0);
	trail_add(t, "later");
	trail_verify(t, &got);
	snprintf(want, sizeof(want), "missing 21@%ju:1 ", (uintmax_t)before.segment + 1);
	assert_string_equal(buf_str(&got), want);
}

/* Who takes the end of the trail, and its head, would have to take the witness as well. */
static void an_end_that_is_gone_with_its_head_leaves_a_gap_if_somebody_bears_witness(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct trail *t = *state;
	struct audit_mark before;

	trail_fill(t, 5);
	before = mark_of(t);
	trail_close(t);
	trail_cut(t);
	assert_int_equal(trail_open(t, SEGMENT_BYTES).missing, 0); /* nobody does */
	trail_close(t);
	t->witness = &before;
	assert_int_equal(trail_open(t, SEGMENT_BYTES).missing, 1);
	trail_add(t, "later");
	t->witness = NULL;
	trail_verify(t, &got);
	assert_string_equal(buf_str(&got), "missing 6@1:6 ");
}

/* Whoever knows how chains anew what follows a change, and the head with it. */
static void what_was_chained_anew_leaves_a_gap_if_somebody_bears_witness(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct trail *t = *state;
	struct audit_mark before;

	trail_fill(t, 5);
	before = mark_of(t);
	trail_close(t);
	trail_forge(t, "user3", "user7");
	assert_int_equal(trail_open(t, SEGMENT_BYTES).changed, 0); /* nobody does */
	trail_close(t);
	t->witness = &before;
	assert_int_equal(trail_open(t, SEGMENT_BYTES).changed, before.seq);
	trail_add(t, "later");
	before = mark_of(t); /* of what was forged, too */
	assert_int_equal(reopen(t).changed, 0);
	trail_verify(t, &got);
	assert_string_equal(buf_str(&got), "missing 7@1:7 ");
}

static void put_anchor(const struct trail *t, const struct audit_mark *anchor)
{
	char text[AUDIT_MARK_BYTES + 1];

	audit_mark_print(anchor, text);
	assert_int_equal(file_replace(AT_FDCWD, trail_path(t, AUDIT_ANCHOR_FILE), text,
				      AUDIT_MARK_BYTES, 0600),
			 0);
}

static void a_retention_that_never_was_drops_no_witness(void **state)
{
	struct audit_mark anchor = { .segment = 1 }, before;
	struct trail *t = *state;
	struct audit_begins begins;

	trail_fill(t, 3);
	before = mark_of(t);
	trail_fill(t, 20);
	begins = trail_begins(t);
	anchor.seq = begins.at[1].seq - 1;
	memcpy(anchor.hash, begins.at[1].prev, sizeof(anchor.hash));
	audit_begins_free(&begins);
	put_anchor(t, &anchor);
	t->witness = &anchor;
	assert_int_equal(reopen(t).changed, 0); /* the last that was dropped stands there */
	t->witness = &before;
	assert_int_equal(reopen(t).changed, before.seq);
}

static void a_witness_of_what_is_there_changes_nothing(void **state)
{
	struct trail *t = *state;
	struct audit_mark before;
	struct audit_mended mended;

	trail_fill(t, 3);
	before = mark_of(t);
	t->witness = &before;
	trail_fill(t, 3);
	mended = reopen(t);
	assert_int_equal(mended.cut + mended.missing + mended.changed + mended.no_head, 0);
	expect_sound(t);
}

static void a_damaged_record_stays_for_those_who_verify(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct trail *t = *state;
	struct audit_mended mended;
	struct trail_lines lines;

	trail_fill(t, 5);
	trail_close(t);
	trail_get(t, 1, &lines);
	*strstr(lines.at[2], "tag.create") = 'b';
	trail_put(t, 1, &lines);
	mended = trail_open(t, SEGMENT_BYTES);
	assert_int_equal(mended.cut + mended.missing, 0);
	trail_add(t, "later");
	trail_verify(t, &got);
	assert_string_equal(buf_str(&got), "changed 3@1:3 ");
}

/* ---- a disk that takes no more ---- */

static int flush_one(struct trail *t)
{
	static const char body[] = ",\"kind\":\"hub\"";
	int r = audit_chain_add(t->chain, t->now_ms, body, sizeof(body) - 1);

	if (r == 1) { /* killed between the last record of a segment and the next segment */
		assert_int_equal(audit_chain_flush(t->chain, t->now_ms), 0);
		r = audit_chain_add(t->chain, t->now_ms, body, sizeof(body) - 1);
	}
	assert_int_equal(r, 0);
	return audit_chain_flush(t->chain, t->now_ms);
}

/* A limit on files is a full disk whose last write is a short one. */
static void what_could_not_be_written_is_written_later(void **state)
{
	struct rlimit old, limit;
	struct trail *t = *state;
	struct audit_mark before;

	trail_fill(t, 2);
	before = mark_of(t);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = (rlim_t)size_of(trail_segment_path(t, 1)) + 50;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(flush_one(t), -EFBIG);
	assert_int_equal(flush_one(t), -EFBIG);
	assert_int_equal(mark_of(t).seq, before.seq);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(audit_chain_flush(t->chain, t->now_ms), 0);
	assert_int_equal(audit_chain_reserve(t->chain), 0);
	assert_int_equal(mark_of(t).seq, before.seq + 2);
	expect_sound(t);
}

/* The segment is full, and the disk as well: here descriptors are what there is no more of. */
static void without_room_for_a_segment_what_was_begun_is_recorded_in_the_last(void **state)
{
	struct rlimit old, limit;
	struct trail *t = *state;
	struct audit_mark before;

	trail_fill(t, 2);
	before = mark_of(t);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = old;
	limit.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(flush_one(t), 0);
	assert_int_equal(audit_chain_reserve(t->chain), -EMFILE); /* nothing new may be begun */
	assert_int_equal(mark_of(t).segment, before.segment);
	assert_int_equal(mark_of(t).seq, before.seq + 30);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(flush_one(t), 0);
	assert_int_equal(audit_chain_reserve(t->chain), 0);
	assert_int_equal(mark_of(t).segment, before.segment + 1);
	expect_sound(t);
}

/* The kill is at any moment: a child writes until it comes. */
static void whoever_is_killed_loses_nothing_that_was_durable(void **state)
{
	struct trail *t = *state;

	trail_close(t);
	for (unsigned round = 0; round < 20; round++) {
		int durable[2], status;
		uint64_t told = 0, last = 0;
		pid_t child;

		assert_int_equal(pipe(durable), 0);
		child = fork();
		if (child == 0) {
			trail_open(t, SEGMENT_BYTES);
			for (;;) {
				flush_one(t);
				told = mark_of(t).seq;
				if (write(durable[1], &told, sizeof(told)) < 0)
					_exit(1);
			}
		}
		close(durable[1]);
		for (unsigned i = 0; i <= round * 3; i++)
			assert_int_equal(read(durable[0], &last, sizeof(last)), sizeof(last));
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		while (read(durable[0], &told, sizeof(told)) == sizeof(told))
			last = told;
		close(durable[0]);
		assert_int_equal(trail_open(t, SEGMENT_BYTES).missing, 0);
		assert_true(mark_of(t).seq >= last);
		expect_sound(t);
		trail_close(t);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, trail_setup, trail_teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_goes_on_after_a_restart),
		TEST(segments_end_at_their_size_and_after_a_day),
		TEST(however_much_is_added_at_once_no_segment_is_too_long),
		TEST(two_cannot_write_it),
		TEST(a_torn_record_is_cut_off_and_nothing_else),
		TEST(what_does_not_follow_behind_the_head_is_cut_off),
		TEST(whole_records_behind_the_head_stay),
		TEST(a_segment_that_had_just_been_made_is_made_again),
		TEST(what_was_durable_and_is_gone_leaves_a_gap),
		TEST(a_last_segment_that_is_gone_leaves_a_gap),
		TEST(an_end_that_is_gone_with_its_head_leaves_a_gap_if_somebody_bears_witness),
		TEST(what_was_chained_anew_leaves_a_gap_if_somebody_bears_witness),
		TEST(a_retention_that_never_was_drops_no_witness),
		TEST(a_witness_of_what_is_there_changes_nothing),
		TEST(a_damaged_record_stays_for_those_who_verify),
		TEST(what_could_not_be_written_is_written_later),
		TEST(without_room_for_a_segment_what_was_begun_is_recorded_in_the_last),
		TEST(whoever_is_killed_loses_nothing_that_was_durable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
