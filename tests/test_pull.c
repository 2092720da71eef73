/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pull.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/chunk.h"
#include "tests/workdir.h"

#define MIB CHUNK_BYTES
#define CHUNKS 100
#define SIZE (CHUNKS * MIB - 500)
#define ETAG "00112233445566778899aabbccddeeff00112233"
#define ROUNDS 3000
#define MINUTE_MS 60000

/* One pull with one reader; the lock is held during a test, as nothing here takes it. */
struct world {
	struct workdir dir;
	struct store *store;
	struct pulls pulls;
	struct source_blob what;
	struct pull *pull;
};

static int setup(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct world *w = calloc(1, sizeof(*w));
	struct blob *blob;

	if (!w)
		return -1;
	workdir_init(&w->dir);
	pulls_init(&w->pulls);
	w->what = (struct source_blob){ .path = "f", .file = { .size = SIZE }, .etag = ETAG };
	if (store_open(w->dir.path, "me", &w->store, &why) < 0 ||
	    store_blob(w->store, ETAG, SIZE, false, &blob) < 0)
		return -1;
	lock_take(&w->pulls.lock);
	if (pull_join_locked(&w->pulls, &w->what, blob, &w->pull) < 0)
		return -1;
	blob_unref(blob);
	*state = w;
	return 0;
}

/* Ends what is active, as the stream threads would. */
static void end_all(struct world *w)
{
	struct waitlist settled = { 0 };
	struct run *next;

	for (struct run *run = w->pull->runs; run; run = next) {
		next = run->next;
		if (run->state == RUN_ACTIVE)
			run_end_locked(run, ERR_CANCELED, &settled);
	}
}

static int teardown(void **state)
{
	struct world *w = *state;
	struct pull *idle;

	pull_leave_locked(w->pull);
	end_all(w);
	w->pull->hash_queued = w->pull->verified_only = false;
	idle = pull_if_idle_locked(w->pull);
	assert_ptr_equal(idle, w->pull);
	lock_drop(&w->pulls.lock);
	pull_free(idle);
	pulls_fini(&w->pulls);
	store_close(w->store);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

static struct run *run_of(const struct world *w, uint64_t off)
{
	for (struct run *run = w->pull->runs; run; run = run->next)
		if (off >= run->start && off < run->end)
			return run;
	return NULL;
}

static uint64_t end_of(const struct world *w, uint64_t off)
{
	const struct run *run = run_of(w, off);

	return run ? run->end : 0;
}

static unsigned run_count(const struct world *w)
{
	unsigned n = 0;

	for (struct run *run = w->pull->runs; run; run = run->next)
		n++;
	return n;
}

static unsigned times_queued(const struct run_queue *q, const struct run *run)
{
	unsigned n = 0;

	for (const struct run *at = q->first; at; at = at->qnext)
		n += at == run;
	return n;
}

/* What a run that has come to its end brought may have been dropped, and be on its way again. */
static bool is_over(const struct run *run)
{
	return run->pos == run->end;
}

/* The invariants of pull.h. */
static void check(const struct world *w)
{
	for (const struct run *a = w->pull->runs; a; a = a->next) {
		unsigned demand = times_queued(&w->pulls.demand, a);
		unsigned ahead = times_queued(&w->pulls.ahead, a);

		assert_int_equal(a->start % MIB, 0);
		assert_true(a->end % MIB == 0 || a->end == SIZE);
		assert_true(a->start < a->end && a->end <= SIZE);
		assert_true(a->pos >= a->start && a->pos <= a->end);
		assert_int_equal(demand + ahead, a->state == RUN_QUEUED);
		assert_true(a->state != RUN_QUEUED || demand == a->demand);
		for (const struct run *b = a->next; b; b = b->next)
			assert_true(is_over(a) || is_over(b) || a->end <= b->start ||
				    b->end <= a->start);
	}
}

/* True if every byte of [from, to) is there or will come. */
static bool is_covered(const struct world *w, uint64_t from, uint64_t to)
{
	for (uint64_t off = from; off < to; off += MIB)
		if (!run_of(w, off) && !blob_has(w->pull->blob, chunk_of(off)))
			return false;
	return true;
}

static void want(struct world *w, uint64_t from, uint64_t to, bool demand)
{
	assert_int_equal(pull_want_locked(w->pull, from, demand ? to : from, to), 0);
	check(w);
	assert_true(is_covered(w, from, to));
}

/* What a stream thread does when bytes up to `pos` have come. */
static void carry_to(struct world *w, struct run *run, uint64_t pos)
{
	while (chunk_end(chunk_of(run->pos), SIZE) <= pos && run->pos < run->end) {
		assert_int_equal(blob_put_chunk(w->pull->blob, chunk_of(run->pos), 1), 0);
		run->pos = chunk_end(chunk_of(run->pos), SIZE);
	}
	run->pos = pos;
}

static struct run *start_next(struct world *w)
{
	struct run *run = run_next_locked(&w->pulls);

	check(w);
	return run;
}

static uint64_t start_of_next(struct world *w)
{
	const struct run *run = start_next(w);

	return run ? run->start : UINT64_MAX;
}

static void carry_all(struct world *w)
{
	struct waitlist settled = { 0 };
	struct run *run;

	while ((run = start_next(w))) {
		carry_to(w, run, run->end);
		run_end_locked(run, 0, &settled);
	}
}

/* ---- runs ---- */

static void what_is_wanted_becomes_runs_of_bounded_length(void **state)
{
	struct world *w = *state;

	want(w, 0, SIZE, true);
	assert_int_equal(run_count(w), 4); /* 32 + 32 + 32 + 4 */
	assert_int_equal(end_of(w, 0), RUN_BYTES_MAX);
	assert_int_equal(end_of(w, SIZE - 1), SIZE);
	want(w, 0, SIZE, true);
	assert_int_equal(run_count(w), 4);
}

static void present_chunks_are_not_wanted_again(void **state)
{
	struct world *w = *state;

	assert_int_equal(blob_put_chunk(w->pull->blob, 3, 1), 0);
	assert_int_equal(blob_put_chunk(w->pull->blob, 4, 1), 0);
	want(w, 0, 8 * MIB, true);
	assert_int_equal(run_count(w), 2);
	assert_null(run_of(w, 3 * MIB));
	assert_int_equal(end_of(w, 0), 3 * MIB);
	assert_int_equal(end_of(w, 5 * MIB), 8 * MIB);
}

static void demand_comes_before_ahead(void **state)
{
	struct world *w = *state;

	want(w, 0, 8 * MIB, false);
	want(w, 50 * MIB, 51 * MIB, true);
	assert_int_equal(start_of_next(w), 50 * MIB);
	assert_int_equal(start_of_next(w), 0);
	assert_null(start_next(w));
}

static void a_queued_run_is_promoted(void **state)
{
	struct world *w = *state;

	want(w, 0, 8 * MIB, false);
	want(w, 20 * MIB, 28 * MIB, false);
	want(w, 20 * MIB, 21 * MIB, true);
	assert_int_equal(run_count(w), 2);
	assert_ptr_equal(w->pulls.demand.first, run_of(w, 20 * MIB));
	assert_int_equal(start_of_next(w), 20 * MIB);
}

static void a_queued_run_is_cut_once_where_it_is_wanted(void **state)
{
	struct world *w = *state;

	want(w, 0, 30 * MIB, false);
	want(w, 10 * MIB, 14 * MIB, true);
	assert_int_equal(run_count(w), 2);
	assert_int_equal(end_of(w, 0), 10 * MIB);
	assert_int_equal(end_of(w, 10 * MIB), 30 * MIB);
	assert_int_equal(start_of_next(w), 10 * MIB);
}

static void an_active_run_gives_away_what_is_far(void **state)
{
	struct world *w = *state;
	struct run *run;

	want(w, 0, 30 * MIB, true);
	run = start_next(w);
	carry_to(w, run, MIB + 100);
	want(w, 4 * MIB, 5 * MIB, true); /* near: it will come */
	assert_int_equal(run_count(w), 1);
	want(w, 20 * MIB, 22 * MIB, true);
	assert_int_equal(run_count(w), 2);
	assert_int_equal(run->end, 20 * MIB);
	assert_int_equal(start_of_next(w), 20 * MIB);
}

static void few_runs_ahead_are_active_at_once(void **state)
{
	struct waitlist settled = { 0 };
	struct world *w = *state;
	struct run *first;

	for (uint64_t i = 0; i < PULL_AHEAD_MAX + 2; i++)
		want(w, 10 * i * MIB, (10 * i + 1) * MIB, false);
	first = start_next(w);
	for (int i = 1; i < PULL_AHEAD_MAX; i++)
		assert_non_null(start_next(w));
	assert_null(start_next(w));
	want(w, 9 * MIB, 10 * MIB, true); /* demand may always */
	assert_non_null(start_next(w));
	carry_to(w, first, first->end);
	run_end_locked(first, 0, &settled);
	assert_non_null(start_next(w));
	assert_null(start_next(w));
}

static void the_last_reader_takes_back_what_is_queued(void **state)
{
	struct blob *blob = blob_ref(((struct world *)*state)->pull->blob);
	struct world *w = *state;
	struct pull *again;
	struct run *run;

	want(w, 0, 30 * MIB, true);
	want(w, 50 * MIB, 80 * MIB, false);
	run = start_next(w);
	carry_to(w, run, 2 * MIB + 5);
	assert_int_equal(pull_join_locked(&w->pulls, &w->what, blob, &again), 0);
	blob_unref(blob);
	assert_ptr_equal(again, w->pull);
	pull_leave_locked(again);
	assert_int_equal(run_count(w), 2); /* one reader is left */
	pull_leave_locked(w->pull);
	check(w);
	assert_int_equal(run_count(w), 1);
	assert_int_equal(run->end, 4 * MIB); /* a chunk further than it has told */
	assert_null(pull_if_idle_locked(w->pull));
	assert_null(start_next(w));
	w->pull->readers++; /* for the teardown */
}

/* ---- waiters ---- */

static void park(struct world *w, struct parked *p, uint64_t off, uint64_t len)
{
	parked_init(p, MINUTE_MS);
	p->waiter.off = off;
	p->waiter.len = len;
	waitlist_add(&w->pull->waiters, &p->waiter);
}

static void bytes_of_an_unfinished_chunk_count(void **state)
{
	struct waitlist settled = { 0 };
	struct world *w = *state;
	struct parked early, late;
	struct run *run;

	want(w, 0, 4 * MIB, true);
	run = start_next(w);
	park(w, &early, MIB + 10, 100);
	park(w, &late, MIB + 10, 200);
	assert_false(pull_has_locked(w->pull, 0, 1));
	carry_to(w, run, MIB + 110);
	assert_true(pull_has_locked(w->pull, MIB + 10, 100));
	assert_false(pull_has_locked(w->pull, MIB + 10, 101));
	pull_settle_ready_locked(w->pull, &settled);
	assert_ptr_equal(settled.first, &early.waiter);
	assert_ptr_equal(settled.last, &early.waiter);
	assert_int_equal(early.waiter.result, 0);
	waitlist_del(&late.waiter);
	parked_fini(&early);
	parked_fini(&late);
}

static void a_failed_run_fails_those_who_needed_it(void **state)
{
	struct waitlist settled = { 0 };
	struct world *w = *state;
	struct parked had, partly, other;
	struct run *run;

	want(w, 0, 4 * MIB, true);
	want(w, 60 * MIB, 61 * MIB, true);
	run = start_next(w);
	carry_to(w, run, MIB + 110);
	park(w, &had, 0, 100);
	park(w, &partly, MIB + 10, 2 * MIB);
	park(w, &other, 60 * MIB, 5);
	run_end_locked(run, ERR_CUT, &settled);
	assert_ptr_equal(settled.first, &partly.waiter);
	assert_ptr_equal(settled.last, &partly.waiter);
	assert_int_equal(partly.waiter.result, ERR_CUT);
	assert_false(pull_has_locked(w->pull, MIB + 10, 5)); /* that chunk was not finished */
	waitlist_del(&had.waiter);
	waitlist_del(&other.waiter);
	parked_fini(&had);
	parked_fini(&partly);
	parked_fini(&other);
}

static void when_distrusted_nothing_is_served_before_the_seal(void **state)
{
	struct world *w = *state;

	want(w, 0, SIZE, true);
	carry_all(w);
	assert_true(pull_has_locked(w->pull, 0, SIZE));
	w->pull->verified_only = true;
	assert_false(pull_has_locked(w->pull, 0, 1));
	blob_seal(w->pull->blob);
	assert_true(pull_has_locked(w->pull, 0, SIZE));
}

/* The digest may be found wrong while the last stream is still hanging up. */
static void a_drop_under_a_finished_run_does_not_lose_what_is_waited_for(void **state)
{
	struct waitlist settled = { 0 };
	struct world *w = *state;
	struct parked p;
	struct run *run;

	want(w, 0, 2 * MIB, true);
	run = start_next(w);
	carry_to(w, run, run->end);
	park(w, &p, 0, 5);
	w->pull->verified_only = true;
	assert_int_equal(blob_drop(w->pull->blob), 0);
	assert_int_equal(pull_want_locked(w->pull, 0, SIZE, SIZE), 0);
	run_end_locked(run, 0, &settled);
	check(w);
	assert_true(is_covered(w, 0, SIZE));
	waitlist_del(&p.waiter);
	parked_fini(&p);
}

/* Still another: the run's end was not published yet when the bytes were dropped. */
static void a_drop_under_an_unpublished_run_does_not_either(void **state)
{
	struct waitlist settled = { 0 };
	struct world *w = *state;
	struct parked p;
	struct run *run;

	want(w, 0, 2 * MIB, true);
	run = start_next(w);
	park(w, &p, 0, 5);
	w->pull->verified_only = true;
	assert_int_equal(pull_want_locked(w->pull, 0, SIZE, SIZE), 0);
	run->pos = run->end;
	run_end_locked(run, 0, &settled);
	check(w);
	assert_true(is_covered(w, 0, SIZE));
	waitlist_del(&p.waiter);
	parked_fini(&p);
}

static void a_pull_is_hashed_as_its_first_bytes_come(void **state)
{
	struct world *w = *state;

	pull_hash_kick_locked(w->pull);
	assert_null(w->pulls.hash_first);
	assert_int_equal(blob_put_chunk(w->pull->blob, 1, 1), 0);
	pull_hash_kick_locked(w->pull);
	assert_null(w->pulls.hash_first);
	assert_int_equal(blob_put_chunk(w->pull->blob, 0, 1), 0);
	pull_hash_kick_locked(w->pull);
	assert_ptr_equal(w->pulls.hash_first, w->pull);
	pull_hash_kick_locked(w->pull);
	assert_null(w->pull->hash_next);
}

/* ---- anything in any order ---- */

static struct run *any_active(const struct world *w, unsigned pick)
{
	struct run *run;
	unsigned n = 0;

	for (run = w->pull->runs; run; run = run->next)
		n += run->state == RUN_ACTIVE;
	if (n == 0)
		return NULL;
	pick %= n;
	for (run = w->pull->runs;; run = run->next)
		if (run->state == RUN_ACTIVE && pick-- == 0)
			return run;
}

static void move_on(struct world *w, unsigned *seed)
{
	struct run *run = any_active(w, (unsigned)rand_r(seed));
	struct waitlist settled = { 0 };

	if (!run)
		return;
	if (run->pos < run->end)
		carry_to(w, run, run->pos + 1 + (unsigned)rand_r(seed) % (run->end - run->pos));
	if (rand_r(seed) % 8 == 0)
		run_end_locked(run, ERR_CUT, &settled);
	else if (run->pos == run->end)
		run_end_locked(run, 0, &settled);
}

static void leave_and_join(struct world *w)
{
	struct blob *blob = blob_ref(w->pull->blob);
	struct pull *again;

	pull_leave_locked(w->pull);
	check(w);
	assert_int_equal(pull_join_locked(&w->pulls, &w->what, blob, &again), 0);
	blob_unref(blob);
	assert_ptr_equal(again, w->pull);
}

static void runs_never_overlap_whatever_happens(void **state)
{
	unsigned seed = (unsigned)clock_ms();
	struct world *w = *state;

	print_message("seed %u\n", seed);
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t from = (unsigned)rand_r(&seed) % CHUNKS;
		uint32_t to = from + 1 + (unsigned)rand_r(&seed) % 40;
		int what = rand_r(&seed) % 100;

		if (what < 40)
			want(w, chunk_start(from), chunk_end(to < CHUNKS ? to : CHUNKS - 1, SIZE),
			     what < 25);
		else if (what < 60)
			start_next(w);
		else if (what < 95)
			move_on(w, &seed);
		else if (what < 97)
			leave_and_join(w);
		else if (!any_active(w, 0))
			assert_int_equal(blob_drop(w->pull->blob), 0);
		check(w);
	}
	end_all(w);
	want(w, 0, SIZE, true);
	carry_all(w);
	assert_int_equal(blob_present_bytes(w->pull->blob), SIZE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_wanted_becomes_runs_of_bounded_length),
		TEST(present_chunks_are_not_wanted_again),
		TEST(demand_comes_before_ahead),
		TEST(a_queued_run_is_promoted),
		TEST(a_queued_run_is_cut_once_where_it_is_wanted),
		TEST(an_active_run_gives_away_what_is_far),
		TEST(few_runs_ahead_are_active_at_once),
		TEST(the_last_reader_takes_back_what_is_queued),
		TEST(bytes_of_an_unfinished_chunk_count),
		TEST(a_failed_run_fails_those_who_needed_it),
		TEST(when_distrusted_nothing_is_served_before_the_seal),
		TEST(a_drop_under_a_finished_run_does_not_lose_what_is_waited_for),
		TEST(a_drop_under_an_unpublished_run_does_not_either),
		TEST(a_pull_is_hashed_as_its_first_bytes_come),
		TEST(runs_never_overlap_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
