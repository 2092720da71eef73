/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit.h"

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
#include <sys/wait.h>

#include "admin/audit/audit_files.h"
#include "admin/audit/audit_witness.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "tests/hub_db.h"
#include "tests/trail.h"

#define MIB (1 << 20)

struct world {
	struct trail trail; /* for its directory */
	struct audit_conf conf;
	struct audit *audit;
};

static const struct audit_record change = {
	.kind = AUDIT_CHANGE, .act = "tag.create", .user = "ann", .outcome = AUDIT_DONE
};
static const struct audit_record file = { .kind = AUDIT_DOWNLOAD,
					  .user = "ann",
					  .file = "w.bin",
					  .has_bytes = true,
					  .size = 100,
					  .status = 200 };

static void start(struct world *w)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(audit_open(&w->conf, &w->audit, &why), 0);
}

static void end(struct audit *a)
{
	assert_true(audit_stop(a, clock_ms() + 10000));
	audit_free(a);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	workdir_init(&w->trail.dir);
	w->conf = (struct audit_conf){ .dir = w->trail.dir.path, .segment_bytes = MIB };
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	end(w->audit);
	workdir_fini(&w->trail.dir);
	free(w);
	return 0;
}

/* The trail is sound; how many of its lines have the text. */
static unsigned count(struct world *w, const char *text)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct audit_begins begins = trail_begins(&w->trail);
	unsigned n = 0;

	trail_verify(&w->trail, &got);
	assert_string_equal(buf_str(&got), "");
	for (size_t i = 0; i < begins.count; i++) {
		CLEANUP(audit_lines_close) struct audit_lines lines = { .fd = -1 };
		CLEANUP(closep) int dirfd = audit_dir_open(w->trail.dir.path);
		const char *line;
		size_t len;

		assert_int_equal(audit_lines_open(dirfd, begins.at[i].number, 0, &lines), 0);
		while (audit_lines_next(&lines, &line, &len) == 1)
			n += memmem(line, len, text, strlen(text)) != NULL;
	}
	audit_begins_free(&begins);
	return n;
}

static unsigned count_after_stop(struct world *w, const char *text)
{
	end(w->audit);
	w->audit = NULL;
	return count(w, text);
}

static void start_and_stop_are_records(void **state)
{
	assert_int_equal(count_after_stop(*state, "\"act\":\"start\""), 1);
	assert_int_equal(count(*state, "\"act\":\"stop\""), 1);
}

static void what_was_committed_is_on_disk(void **state)
{
	struct world *w = *state;

	for (unsigned i = 1; i <= 20; i++) {
		assert_int_equal(audit_commit(w->audit, &change, NULL), 0);
		assert_int_equal(count(w, "tag.create"), i);
	}
}

static void who_parks_is_woken_when_it_is_durable(void **state)
{
	struct world *w = *state;
	struct parked p;

	parked_init(&p, 5000);
	assert_int_equal(audit_commit(w->audit, &change, &p.waiter), PARKED);
	assert_int_equal(parked_wait(&p), 0);
	assert_int_equal(count(w, "tag.create"), 1);
	parked_fini(&p);
}

static void *commit_many(void *arg)
{
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(audit_commit(arg, &change, NULL), 0);
	return NULL;
}

static void those_who_commit_together_wait_for_one_flush(void **state)
{
	struct world *w = *state;
	pthread_t threads[8];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(thread_start(&threads[i], "commit", commit_many, w->audit), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(count(w, "tag.create"), 400);
}

static void what_is_noted_is_on_disk_soon(void **state)
{
	struct world *w = *state;
	int64_t until_ms = clock_ms() + 5000;

	audit_note(w->audit, &change);
	while (count(w, "tag.create") == 0 && clock_ms() < until_ms)
		clock_sleep_ms(20);
	assert_int_equal(count(w, "tag.create"), 1);
}

static void no_segment_is_longer_than(struct world *w, uint64_t bytes)
{
	struct audit_begins begins = trail_begins(&w->trail);

	assert_true(begins.count > 1);
	for (size_t i = 0; i < begins.count; i++)
		assert_true(begins.at[i].bytes <= bytes);
	audit_begins_free(&begins);
}

static void a_flood_of_notes_waits_and_loses_none(void **state)
{
	char note[AUDIT_TEXT_MAX + 1] = "";
	struct audit_record large = change;
	struct world *w = *state;

	memset(note, 'n', AUDIT_TEXT_MAX);
	large.note = note;
	for (unsigned i = 0; i < 30000; i++)
		audit_note(w->audit, &large);
	assert_int_equal(count_after_stop(w, "tag.create"), 30000);
	no_segment_is_longer_than(w, MIB + 1000);
}

static void a_download_is_told_when_it_is_whole(void **state)
{
	const struct audit_span first = { 0, 60 }, rest = { 60, 100 };
	struct world *w = *state;
	struct audit_stats stats;

	audit_download_begin(w->audit, &file);
	audit_download_end(w->audit, &file, &first, 1, 60, false);
	audit_stats(w->audit, &stats);
	assert_int_equal(stats.open, 1);
	audit_download_begin(w->audit, &file);
	audit_download_end(w->audit, &file, &rest, 1, 40, false);
	audit_stats(w->audit, &stats);
	assert_int_equal(stats.open, 0);
	assert_int_equal(count_after_stop(w, "\"bytes\":100,\"size\":100,\"requests\":2"), 1);
}

static void what_is_open_is_told_at_the_stop(void **state)
{
	const struct audit_span first = { 0, 60 };
	struct world *w = *state;

	audit_download_begin(w->audit, &file);
	audit_download_end(w->audit, &file, &first, 1, 60, false);
	assert_int_equal(count_after_stop(w, "\"bytes\":60,\"size\":100,\"requests\":1"), 1);
}

static void refusals_in_floods_are_two_records(void **state)
{
	const struct audit_record refusal = { .kind = AUDIT_SIGNIN, .outcome = AUDIT_REFUSED };
	struct world *w = *state;

	for (unsigned i = 0; i < 10000; i++)
		audit_refusal(w->audit, &refusal);
	assert_int_equal(count_after_stop(w, "\"kind\":\"signin\""), 2);
	assert_int_equal(count(w, "\"requests\":9999"), 1);
}

static void no_trail_records_nothing(void **state UNUSED)
{
	struct audit_stats stats;
	struct audit_mark mark;

	audit_note(NULL, &change);
	assert_int_equal(audit_commit(NULL, &change, NULL), 0);
	assert_int_equal(audit_may_change(NULL), 0);
	assert_int_equal(audit_may_read(NULL), 0);
	audit_download_begin(NULL, &file);
	audit_download_end(NULL, &file, NULL, 0, 0, false);
	audit_refusal(NULL, &change);
	audit_stats(NULL, &stats);
	assert_int_equal(stats.records, 0);
	audit_mark(NULL, &mark);
	assert_int_equal(mark.seq, 0);
	end(NULL);
}

/* ---- a disk that takes no more ---- */

static void limit_files(rlim_t bytes, struct rlimit *old)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, old), 0);
	limit = *old;
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void wait_until_written(struct world *w)
{
	int64_t until_ms = clock_ms() + 5000;

	while (audit_may_change(w->audit) < 0 && clock_ms() < until_ms)
		clock_sleep_ms(20);
	assert_int_equal(audit_may_change(w->audit), 0);
}

static void a_change_that_cannot_be_recorded_is_no_success(void **state)
{
	struct world *w = *state;
	struct audit_stats stats;
	struct rlimit old;
	struct parked p;

	assert_int_equal(audit_commit(w->audit, &change, NULL), 0);
	limit_files(100, &old);
	assert_int_equal(audit_commit(w->audit, &change, NULL), -EFBIG);
	parked_init(&p, 5000);
	assert_int_equal(audit_commit(w->audit, &change, &p.waiter), PARKED);
	assert_int_equal(parked_wait(&p), -EFBIG);
	parked_fini(&p);
	assert_true(audit_may_change(w->audit) < 0);
	assert_int_equal(audit_may_read(w->audit), 0);
	audit_stats(w->audit, &stats);
	assert_int_equal(stats.failed, -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	wait_until_written(w);
	assert_int_equal(audit_commit(w->audit, &change, NULL), 0);
	/* The changes were made: their records came when the disk took them. */
	assert_int_equal(count_after_stop(w, "tag.create"), 4);
}

static void with_strict_reads_are_refused_too(void **state)
{
	struct world *w = *state;
	struct rlimit old;

	end(w->audit);
	w->conf.strict = true;
	start(w);
	assert_int_equal(audit_may_read(w->audit), 0);
	limit_files(100, &old);
	assert_int_equal(audit_commit(w->audit, &change, NULL), -EFBIG);
	assert_true(audit_may_read(w->audit) < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	wait_until_written(w);
	assert_int_equal(audit_may_read(w->audit), 0);
}

static void what_there_was_no_room_for_is_counted_and_the_count_recorded(void **state)
{
	char note[AUDIT_TEXT_MAX + 1] = "", want[64];
	struct audit_record large = change;
	struct world *w = *state;
	struct audit_stats stats;
	struct rlimit old;

	memset(note, 'n', AUDIT_TEXT_MAX);
	large.note = note;
	limit_files(100, &old);
	assert_int_equal(audit_commit(w->audit, &change, NULL), -EFBIG);
	for (unsigned i = 0; i < 20000; i++)
		audit_note(w->audit, &large);
	audit_stats(w->audit, &stats);
	assert_true(stats.lost > 0 && stats.lost < 20000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	wait_until_written(w);
	snprintf(want, sizeof(want), "\"act\":\"lost\",\"requests\":%ju", (uintmax_t)stats.lost);
	assert_int_equal(count_after_stop(w, "tag.create"), 20001 - stats.lost);
	assert_int_equal(count(w, want), 1);
}

static void downloads_that_cannot_be_recorded_end_all_the_same(void **state)
{
	const struct audit_span all = { 0, 100 };
	char name[AUDIT_TEXT_MAX + 1] = "";
	struct audit_record other = file;
	struct world *w = *state;
	struct audit_stats stats;
	struct rlimit old;

	memset(name, 'n', AUDIT_TEXT_MAX);
	other.agent = other.note = name;
	limit_files(100, &old);
	assert_int_equal(audit_commit(w->audit, &change, NULL), -EFBIG);
	for (unsigned i = 0; i < 10000; i++) {
		audit_download_begin(w->audit, &other);
		audit_download_end(w->audit, &other, &all, 1, 100, false);
	}
	audit_stats(w->audit, &stats);
	assert_int_equal(stats.open, 0);
	assert_true(stats.lost > 0 && stats.lost < 10000);
	assert_true(stats.queued < 5 * MIB);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	wait_until_written(w);
	assert_int_equal(count_after_stop(w, "\"kind\":\"download\""), 10000 - stats.lost);
}

/* As the next start finds it, which counts the records of before. */
static void restart(struct world *w)
{
	end(w->audit);
	start(w);
}

static void what_a_full_disk_has_not_taken_at_the_stop_is_counted_by_the_next_start(void **state)
{
	struct world *w = *state;
	struct rlimit old;

	assert_int_equal(audit_commit(w->audit, &change, NULL), 0); /* and the start */
	limit_files(100, &old);
	assert_int_equal(audit_commit(w->audit, &change, NULL), -EFBIG);
	audit_note(w->audit, &change);
	audit_note(w->audit, &change);
	end(w->audit);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	start(w);
	restart(w); /* once is enough */
	/* Three changes, and the stop. */
	assert_int_equal(count_after_stop(w, "\"act\":\"lost\",\"requests\":4"), 1);
	assert_int_equal(count(w, "\"act\":\"lost\""), 1);
	assert_int_equal(count(w, "tag.create"), 1);
	start(w);
}

static void what_was_taken_before_the_stop_is_not_counted(void **state)
{
	struct world *w = *state;
	struct rlimit old;

	limit_files(100, &old);
	assert_int_equal(audit_commit(w->audit, &change, NULL), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	restart(w);
	assert_int_equal(count_after_stop(w, "\"act\":\"lost\""), 0);
	assert_int_equal(count(w, "tag.create"), 1);
	start(w);
}

/* ---- who takes its end ---- */

static unsigned problems(const struct world *w, struct db *db)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct audit_mark witness;
	struct trail trail = w->trail;

	assert_int_equal(audit_witness_get(db, &witness), 0);
	trail.witness = &witness;
	return (unsigned)trail_verify(&trail, &got).problems;
}

static void the_metadata_bear_witness_of_what_was_there_at_the_stop(void **state)
{
	struct world *w = *state;
	struct hub_db *h;

	assert_int_equal(hub_db_setup((void **)&h), 0);
	w->conf.db = h->db;
	restart(w);
	assert_int_equal(audit_commit(w->audit, &change, NULL), 0);
	end(w->audit);
	w->audit = NULL;
	assert_int_equal(problems(w, h->db), 0);
	trail_cut(&w->trail);
	assert_int_equal(count(w, "\"act\":\"stop\""), 1); /* the chain alone does not tell */
	assert_int_equal(problems(w, h->db), 1);
	start(w);
	end(w->audit);
	w->audit = NULL;
	assert_int_equal(problems(w, h->db), 1);
	hub_db_teardown((void **)&h);
}

/* ---- a kill ---- */

static void a_kill_loses_nothing_that_was_committed(void **state)
{
	struct world *w = *state;

	end(w->audit);
	for (unsigned round = 0; round < 5; round++) {
		unsigned done = 0, told;
		int pipes[2], status;
		pid_t child;

		assert_int_equal(pipe(pipes), 0);
		child = fork();
		if (child == 0) {
			start(w);
			for (;; done++) {
				if (write(pipes[1], &done, sizeof(done)) < 0 ||
				    audit_commit(w->audit, &change, NULL) < 0)
					_exit(1);
			}
		}
		close(pipes[1]);
		for (unsigned i = 0; i < 10 + round; i++)
			assert_int_equal(read(pipes[0], &done, sizeof(done)), sizeof(done));
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		while (read(pipes[0], &told, sizeof(told)) == sizeof(told))
			done = told;
		close(pipes[0]);
		start(w);
		assert_int_equal(audit_commit(w->audit, &file, NULL), 0);
		assert_true(count_after_stop(w, "tag.create") >= done);
		workdir_fini(&w->trail.dir);
		workdir_init(&w->trail.dir);
	}
	start(w);
}

/* ---- retention ---- */

static void old_segments_go_and_the_rest_stays_provable(void **state)
{
	struct world *w = *state;
	struct audit_stats stats;

	end(w->audit);
	/* Years ago. */
	w->trail.now_ms = TRAIL_NOW_MS - INT64_C(100000000000);
	trail_open(&w->trail, 2000);
	trail_fill(&w->trail, 30);
	trail_close(&w->trail);
	w->conf.keep_s = 86400;
	start(w);
	assert_int_equal(audit_commit(w->audit, &change, NULL), 0);
	assert_int_equal(audit_commit(w->audit, &change, NULL), 0);
	audit_stats(w->audit, &stats);
	assert_int_equal(count_after_stop(w, "user1\""), 0);
	assert_int_equal(count(w, AUDIT_RETENTION), 1);
	assert_true(stats.segments <= 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(start_and_stop_are_records),
		TEST(what_was_committed_is_on_disk),
		TEST(who_parks_is_woken_when_it_is_durable),
		TEST(those_who_commit_together_wait_for_one_flush),
		TEST(what_is_noted_is_on_disk_soon),
		TEST(a_flood_of_notes_waits_and_loses_none),
		TEST(a_download_is_told_when_it_is_whole),
		TEST(what_is_open_is_told_at_the_stop),
		TEST(refusals_in_floods_are_two_records),
		cmocka_unit_test(no_trail_records_nothing),
		TEST(a_change_that_cannot_be_recorded_is_no_success),
		TEST(with_strict_reads_are_refused_too),
		TEST(what_there_was_no_room_for_is_counted_and_the_count_recorded),
		TEST(downloads_that_cannot_be_recorded_end_all_the_same),
		TEST(what_a_full_disk_has_not_taken_at_the_stop_is_counted_by_the_next_start),
		TEST(what_was_taken_before_the_stop_is_not_counted),
		TEST(the_metadata_bear_witness_of_what_was_there_at_the_stop),
		TEST(a_kill_loses_nothing_that_was_committed),
		TEST(old_segments_go_and_the_rest_stays_provable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
