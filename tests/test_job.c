/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define THREADS 2
#define WAIT_MS 5000

/* What a test's job does. */
struct script {
	atomic_uint *freed;
	atomic_uint turns;
	int results[4]; /* of each turn; the last one for all that follow */
	atomic_bool hold;
	bool until_over;  /* works until it is canceled */
	const char *note; /* what it knows of its failure */
};

static int play(struct job *j, void *arg)
{
	struct script *s = arg;
	unsigned turn = atomic_fetch_add(&s->turns, 1);
	struct job_progress p = { .files_done = turn + 1, .files_total = 4, .bytes_done = 100 };

	job_tell(j, &p);
	while (atomic_load(&s->hold) && !job_is_over(j))
		clock_sleep_ms(1);
	while (s->until_over)
		if (job_sleep(j, 1000) < 0)
			return ERR_CANCELED;
	if (s->note)
		err_note(s->results[0], "%s", s->note);
	return s->results[turn < 4 ? turn : 3];
}

static void count_free(void *arg)
{
	struct script *s = arg;

	atomic_fetch_add(s->freed, 1);
}

static int setup(void **state)
{
	return jobs_new(THREADS, (struct jobs **)state);
}

static int teardown(void **state)
{
	jobs_stop(*state);
	jobs_free(*state);
	return 0;
}

static uint64_t begin(struct jobs *all, const char *what, struct script *s)
{
	static atomic_uint nobody_counts;
	uint64_t id = 0;

	if (!s->freed)
		s->freed = &nobody_counts;
	assert_int_equal(jobs_start(all, JOB_PULL, what, play, s, count_free, &id), 0);
	return id;
}

static struct job_progress await_end(struct jobs *all, uint64_t id)
{
	int64_t deadline = clock_ms() + WAIT_MS;
	struct job_progress p = { .state = JOB_RUNNING };

	while (p.state == JOB_RUNNING && clock_ms() < deadline) {
		assert_int_equal(jobs_get(all, id, &p), 0);
		clock_sleep_ms(1);
	}
	return p;
}

static void a_job_runs_tells_and_ends(void **state)
{
	atomic_uint freed = 0;
	struct script s = { .freed = &freed };
	struct job_progress p = await_end(*state, begin(*state, "models/a/b@main", &s));

	assert_int_equal(p.state, JOB_DONE);
	assert_int_equal(p.error, 0);
	assert_string_equal(p.why, "");
	assert_int_equal(p.files_done, 1);
	assert_int_equal(p.bytes_done, 100);
	assert_string_equal(p.what, "models/a/b@main");
	assert_true(p.started_ms > 0 && p.ended_ms >= p.started_ms);
	assert_int_equal(freed, 1);
}

static void a_failed_job_says_why(void **state)
{
	struct script s = { .results = { ERR_NOREPO } };
	struct job_progress p = await_end(*state, begin(*state, "x", &s));

	assert_int_equal(p.state, JOB_FAILED);
	assert_int_equal(p.error, ERR_NOREPO);
	assert_string_equal(p.why, err_text(ERR_NOREPO));
}

static void a_failure_may_carry_a_sentence(void **state)
{
	struct script s = { .results = { -ENOSPC }, .note = "it takes 2 GiB of 1 GiB" };
	struct script mute = { .results = { -ENOSPC, -ENOSPC, -ENOSPC, -ENOSPC } };
	struct job_progress p = await_end(*state, begin(*state, "x", &s));

	assert_non_null(strstr(p.why, "No space left on device (it takes 2 GiB of 1 GiB)"));
	/* The next one on that thread has not said it. */
	for (int i = 0; i < 2 * THREADS; i++) {
		p = await_end(*state, begin(*state, "y", &mute));
		assert_string_equal(p.why, "No space left on device");
	}
}

static void a_job_that_asks_for_it_runs_again(void **state)
{
	struct script s = { .results = { 20, 20, 0 } };
	int64_t begun = clock_ms();
	struct job_progress p = await_end(*state, begin(*state, "x", &s));

	assert_int_equal(p.state, JOB_DONE);
	assert_int_equal(atomic_load(&s.turns), 3);
	assert_true(clock_ms() - begun >= 40);
}

static void jobs_that_wait_for_their_time_hold_no_thread(void **state)
{
	struct script later[THREADS + 1] = { 0 }, soon = { 0 };
	static const char *const names[] = { "1", "2", "3" };

	for (int i = 0; i <= THREADS; i++) {
		later[i].results[0] = WAIT_MS * 10;
		begin(*state, names[i], &later[i]);
	}
	assert_int_equal(await_end(*state, begin(*state, "soon", &soon)).state, JOB_DONE);
	jobs_stop(*state);
}

static void the_same_job_is_not_started_twice(void **state)
{
	atomic_uint freed = 0;
	struct script one = { .hold = true }, two = { .freed = &freed }, three = { 0 };
	uint64_t id = begin(*state, "x", &one);

	assert_int_equal(begin(*state, "x", &two), id);
	assert_int_equal(freed, 1);
	assert_int_equal(atomic_load(&two.turns), 0);
	assert_int_not_equal(begin(*state, "y", &three), id);
	atomic_store(&one.hold, false);
	assert_int_equal(await_end(*state, id).state, JOB_DONE);
}

static void a_canceled_job_ends_soon(void **state)
{
	struct script s = { .until_over = true }, waits = { .results = { WAIT_MS * 10 } };
	uint64_t id = begin(*state, "x", &s), due = begin(*state, "y", &waits);
	int64_t begun = clock_ms();

	assert_int_equal(jobs_cancel(*state, id), 0);
	jobs_cancel_named(*state, JOB_PULL, "y");
	assert_int_equal(await_end(*state, id).state, JOB_CANCELED);
	assert_int_equal(await_end(*state, due).state, JOB_CANCELED);
	assert_int_equal(await_end(*state, id).error, ERR_CANCELED);
	assert_true(clock_ms() - begun < WAIT_MS / 2);
	assert_int_equal(jobs_cancel(*state, id), -ENOENT);
	assert_int_equal(jobs_cancel(*state, 4711), -ENOENT);
}

static int note_id(void *arg, const struct job_progress *p)
{
	uint64_t *last = arg;

	assert_true(p->id > *last);
	*last = p->id;
	return 0;
}

static void ended_jobs_are_remembered_for_a_while(void **state)
{
	struct script s = { 0 };
	struct job_progress p;
	uint64_t first = begin(*state, "x", &s), last = first, seen = 0;

	await_end(*state, first);
	assert_int_equal(jobs_get(*state, first, &p), 0);
	for (int i = 0; i < JOBS_ENDED_MAX + 1; i++) {
		last = begin(*state, "x", &s);
		await_end(*state, last);
	}
	assert_int_equal(jobs_get(*state, first, &p), -ENOENT);
	assert_int_equal(jobs_each(*state, note_id, &seen), 0);
	assert_int_equal(seen, last);
}

static int vanish(struct job *j, void *arg)
{
	job_vanish(j);
	return play(j, arg);
}

static void a_job_that_another_goes_on_with_was_never_there(void **state)
{
	int64_t deadline = clock_ms() + WAIT_MS;
	atomic_uint freed = 0;
	struct script s = { .freed = &freed };
	struct job_progress p;
	uint64_t id, seen = 0;

	assert_int_equal(jobs_start(*state, JOB_PULL, "x", vanish, &s, count_free, &id), 0);
	while (jobs_get(*state, id, &p) == 0 && clock_ms() < deadline)
		clock_sleep_ms(1);
	assert_int_equal(jobs_get(*state, id, &p), -ENOENT);
	assert_int_equal(jobs_each(*state, note_id, &seen), 0);
	assert_int_equal(seen, 0);
	assert_int_equal(freed, 1);
}

/* Whoever waits for one can tell that from a job somebody canceled. */
static int each_ended_with_all(void *arg UNUSED, const struct job_progress *p)
{
	assert_int_equal(p->state, JOB_CANCELED);
	assert_int_equal(p->error, ERR_STOPPING);
	assert_string_equal(p->why, err_text(ERR_STOPPING));
	return 0;
}

static void stopping_ends_all_jobs(void **state)
{
	atomic_uint freed = 0;
	struct script s[4] = { 0 };
	static const char *const names[] = { "1", "2", "3", "4" };
	uint64_t id = 0;

	for (int i = 0; i < 4; i++) {
		s[i].freed = &freed;
		s[i].until_over = true;
		begin(*state, names[i], &s[i]);
	}
	jobs_stop(*state);
	assert_int_equal(freed, 4);
	assert_int_equal(jobs_each(*state, each_ended_with_all, NULL), 0);
	assert_int_equal(jobs_start(*state, JOB_PULL, "late", play, &s[0], count_free, &id),
			 ERR_STOPPING);
	assert_int_equal(freed, 5);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_job_runs_tells_and_ends),
		TEST(a_failed_job_says_why),
		TEST(a_failure_may_carry_a_sentence),
		TEST(a_job_that_asks_for_it_runs_again),
		TEST(jobs_that_wait_for_their_time_hold_no_thread),
		TEST(the_same_job_is_not_started_twice),
		TEST(a_canceled_job_ends_soon),
		TEST(ended_jobs_are_remembered_for_a_while),
		TEST(a_job_that_another_goes_on_with_was_never_there),
		TEST(stopping_ends_all_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
