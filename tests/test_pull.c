/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/pull.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"
#include "tests/workdir.h"

#define MIB CHUNK_BYTES
#define CHUNKS 600
#define SIZE (CHUNKS * MIB - 500)
#define ETAG "00112233445566778899aabbccddeeff00112233"
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
	if (pull_join_locked(&w->pulls, &w->what, false, blob, &w->pull) < 0)
		return -1;
	blob_unref(blob);
	*state = w;
	return 0;
}

/* Ends what is active, as the stream threads would. */
static void end_all(struct world *w)
{
	struct waitlist settled = { 0 };

	while (w->pull->fill.runs)
		pull_end_run_locked(w->pull->fill.runs, ERR_CANCELED, &settled);
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

static void want(struct world *w, uint64_t from, uint64_t to)
{
	assert_int_equal(fill_demand(&w->pull->fill, from, to, RUN_BYTES_MAX, clock_ms()), 0);
}

static struct run *start_next(struct world *w)
{
	return schedule_next(&w->pulls.schedule, clock_ms());
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

static void carry_all(struct world *w)
{
	struct waitlist settled = { 0 };
	struct run *run;

	while ((run = start_next(w))) {
		carry_to(w, run, run->end);
		pull_end_run_locked(run, 0, &settled);
	}
}

/* ---- joining ---- */

static void who_comes_when_it_is_expelled_does_not_join(void **state)
{
	struct world *w = *state;
	struct pull *p = NULL;

	w->pull->expelled = ERR_SIZE;
	assert_int_equal(pull_join_locked(&w->pulls, &w->what, false, w->pull->blob, &p), ERR_SIZE);
	assert_null(p);
	assert_int_equal(w->pull->readers, 1);
	/* The twin. */
	w->pull->expelled = 0;
	assert_int_equal(pull_join_locked(&w->pulls, &w->what, false, w->pull->blob, &p), 0);
	assert_ptr_equal(p, w->pull);
	pull_leave_locked(p);
}

/* ---- readers ---- */

static bool has(struct world *w, uint64_t off, uint64_t len)
{
	return pull_ready_locked(w->pull, NULL, off, len) == len;
}

static void the_last_reader_takes_back_what_is_wanted(void **state)
{
	struct blob *blob = blob_ref(((struct world *)*state)->pull->blob);
	struct world *w = *state;
	struct pull *again;
	struct run *run;

	want(w, 0, 30 * MIB);
	run = start_next(w);
	carry_to(w, run, 2 * MIB + 5);
	assert_int_equal(pull_join_locked(&w->pulls, &w->what, false, blob, &again), 0);
	blob_unref(blob);
	assert_ptr_equal(again, w->pull);
	pull_leave_locked(again);
	assert_int_equal(w->pull->fill.want_count, 1); /* one reader is left */
	pull_leave_locked(w->pull);
	assert_int_equal(w->pull->fill.want_count, 0);
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

	want(w, 0, 4 * MIB);
	run = start_next(w);
	park(w, &early, MIB + 10, 100);
	park(w, &late, MIB + 10, 200);
	assert_false(has(w, 0, 1));
	carry_to(w, run, MIB + 110);
	assert_true(has(w, MIB + 10, 100));
	assert_false(has(w, MIB + 10, 101));
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

	want(w, 0, 4 * MIB);
	want(w, 60 * MIB, 61 * MIB);
	run = start_next(w);
	carry_to(w, run, MIB + 110);
	park(w, &had, 0, 100);
	park(w, &partly, MIB + 10, 2 * MIB);
	park(w, &other, 60 * MIB, 5);
	pull_end_run_locked(run, ERR_CUT, &settled);
	assert_ptr_equal(settled.first, &partly.waiter);
	assert_ptr_equal(settled.last, &partly.waiter);
	assert_int_equal(partly.waiter.result, ERR_CUT);
	assert_false(has(w, MIB + 10, 5)); /* that chunk was not finished */
	waitlist_del(&had.waiter);
	waitlist_del(&other.waiter);
	parked_fini(&had);
	parked_fini(&partly);
	parked_fini(&other);
}

/* What a run is told of a wrong place is no answer to who named another one meanwhile. */
static int what_who_waits_hears(struct world *w, const char *also)
{
	struct source_blob other = w->what;
	struct waitlist settled = { 0 };
	struct parked p;
	struct run *run;
	int result;

	want(w, 0, MIB);
	run = start_next(w);
	park(w, &p, 0, 5);
	origin_rest(w->pull->origins.first, clock_ms());
	other.path = also;
	assert_int_equal(pull_add_origin_locked(w->pull, &other, true), 0);
	pull_end_run_locked(run, ERR_CHANGED, &settled);
	assert_ptr_equal(settled.first, &p.waiter);
	result = p.waiter.result;
	parked_fini(&p);
	return result;
}

static void who_named_another_place_too_late_for_a_run_asks_again(void **state)
{
	assert_int_equal(what_who_waits_hears(*state, "elsewhere"), 0);
}

static void who_named_the_same_place_hears_what_is_wrong_with_it(void **state)
{
	assert_int_equal(what_who_waits_hears(*state, "f"), ERR_CHANGED);
}

static void when_distrusted_nothing_is_served_before_the_seal(void **state)
{
	struct world *w = *state;

	want(w, 0, SIZE);
	carry_all(w);
	assert_true(has(w, 0, SIZE));
	w->pull->verified_only = true;
	assert_false(has(w, 0, 1));
	blob_seal(w->pull->blob);
	assert_true(has(w, 0, SIZE));
}

static void who_fetches_for_others_is_shown_what_is_not_verified_unless_it_was_wrong(void **state)
{
	const struct waiter guest = { .only = MIB }, reader = { .only = 0 };
	struct world *w = *state;

	want(w, 0, SIZE);
	carry_all(w);
	w->pull->verified_only = true;
	assert_int_equal(pull_ready_locked(w->pull, &guest, 0, MIB), MIB);
	assert_int_equal(pull_ready_locked(w->pull, &reader, 0, MIB), 0);
	w->pull->distrust.strikes = 1;
	assert_int_equal(pull_ready_locked(w->pull, &guest, 0, MIB), 0);
}

/* The digest may be found wrong while the last stream is still hanging up. */
static void a_drop_under_a_finished_run_does_not_lose_what_is_waited_for(void **state)
{
	struct waitlist settled = { 0 };
	struct world *w = *state;
	struct parked p;
	struct run *run;

	want(w, 0, 2 * MIB);
	run = start_next(w);
	carry_to(w, run, run->end);
	park(w, &p, 0, 5);
	w->pull->verified_only = true;
	assert_int_equal(blob_drop(w->pull->blob), 0);
	assert_int_equal(pull_want_all_locked(w->pull), 0);
	pull_end_run_locked(run, 0, &settled);
	carry_all(w);
	assert_int_equal(blob_present_bytes(w->pull->blob), SIZE);
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

	want(w, 0, 2 * MIB);
	run = start_next(w);
	park(w, &p, 0, 5);
	w->pull->verified_only = true;
	assert_int_equal(pull_want_all_locked(w->pull), 0);
	run->pos = run->end;
	pull_end_run_locked(run, 0, &settled);
	carry_all(w);
	assert_int_equal(blob_present_bytes(w->pull->blob), SIZE);
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

static void while_readers_wait_for_bytes_the_digest_stays_behind(void **state)
{
	struct world *w = *state;
	struct run *run;

	want(w, 0, SIZE);
	run = start_next(w);
	run->moved_ms = clock_ms();
	carry_to(w, run, run->end);
	pull_hash_kick_locked(w->pull);
	assert_null(w->pulls.hash_first);
	end_all(w);
	pull_hash_kick_locked(w->pull);
	assert_ptr_equal(w->pulls.hash_first, w->pull);
}

static void the_digest_stays_behind_only_so_far(void **state)
{
	uint32_t most = PULL_UNHASHED_MAX / MIB;
	struct world *w = *state;
	struct run *run;

	want(w, SIZE - MIB, SIZE);
	run = start_next(w);
	for (uint32_t i = 0; i < most - 1; i++)
		assert_int_equal(blob_put_chunk(w->pull->blob, i, 1), 0);
	run->moved_ms = clock_ms();
	pull_hash_kick_locked(w->pull);
	assert_null(w->pulls.hash_first);
	assert_int_equal(blob_put_chunk(w->pull->blob, most - 1, 1), 0);
	pull_hash_kick_locked(w->pull);
	assert_ptr_equal(w->pulls.hash_first, w->pull);
}

/* So many bytes of both together, or their pages would have to come from the disk again. */
static void of_two_blobs_each_stays_behind_half_as_far(void **state)
{
	struct source_blob other = ((struct world *)*state)->what;
	uint32_t most = PULL_UNHASHED_MAX / MIB / 2;
	struct waitlist settled = { 0 };
	struct world *w = *state;
	struct blob *blob;
	struct pull *p;
	struct run *run;

	memcpy(other.etag, "ffeeddccbbaa99887766554433221100ffeeddcc", sizeof(ETAG));
	assert_int_equal(store_blob(w->store, other.etag, SIZE, false, &blob), 0);
	assert_int_equal(pull_join_locked(&w->pulls, &other, false, blob, &p), 0);
	blob_unref(blob);
	want(w, SIZE - MIB, SIZE);
	assert_int_equal(fill_demand(&p->fill, 0, MIB, MIB, clock_ms()), 0);
	while ((run = start_next(w)))
		run->moved_ms = clock_ms();
	for (uint32_t i = 0; i < most - 1; i++)
		assert_int_equal(blob_put_chunk(w->pull->blob, i, 1), 0);
	pull_hash_kick_locked(w->pull);
	assert_null(w->pulls.hash_first);
	assert_int_equal(blob_put_chunk(w->pull->blob, most - 1, 1), 0);
	pull_hash_kick_locked(w->pull);
	assert_ptr_equal(w->pulls.hash_first, w->pull);
	pull_leave_locked(p);
	while (p->fill.runs)
		pull_end_run_locked(p->fill.runs, ERR_CANCELED, &settled);
	assert_ptr_equal(pull_if_idle_locked(p), p);
	pull_free(p);
}

/* Others go on being brought, and read. */
static void who_waits_for_the_verdict_does_not_wait_for_readers(void **state)
{
	struct world *w = *state;
	struct parked p;
	struct run *run;

	want(w, 0, SIZE);
	run = start_next(w);
	run->moved_ms = clock_ms();
	carry_to(w, run, 4 * MIB);
	park(w, &p, 0, SIZE);
	pull_hash_kick_locked(w->pull);
	assert_null(w->pulls.hash_first); /* twin: who waits for bytes waits for these alone */
	p.waiter.verdict = true;
	pull_hash_kick_locked(w->pull);
	assert_ptr_equal(w->pulls.hash_first, w->pull);
	waitlist_del(&p.waiter);
}

static void who_gets_only_verified_bytes_waits_for_the_digest(void **state)
{
	struct world *w = *state;
	struct run *run;

	w->pull->verified_only = true;
	want(w, 0, SIZE);
	run = start_next(w);
	run->moved_ms = clock_ms();
	carry_to(w, run, run->end);
	pull_hash_kick_locked(w->pull);
	assert_ptr_equal(w->pulls.hash_first, w->pull);
}

/* ---- a disk that takes nothing ---- */

static void a_run_the_disk_refused_lets_its_waiters_call_again(void **state)
{
	struct waitlist settled = { 0 };
	struct world *w = *state;
	struct parked p;

	want(w, 0, 4 * MIB);
	park(w, &p, MIB, 5);
	pull_end_run_locked(start_next(w), -ENOSPC, &settled);
	assert_ptr_equal(settled.first, &p.waiter);
	assert_int_equal(p.waiter.result, 0);
	assert_true(w->pull->unkept_until_ms > clock_ms());
	parked_fini(&p);
}

static void verified_bytes_cannot_be_had_past_the_disk(void **state)
{
	struct waitlist settled = { 0 };
	struct world *w = *state;
	struct parked p;

	w->pull->verified_only = true;
	want(w, 0, 4 * MIB);
	park(w, &p, MIB, 5);
	pull_end_run_locked(start_next(w), -ENOSPC, &settled);
	assert_int_equal(p.waiter.result, -ENOSPC);
	assert_int_equal(w->pull->unkept_until_ms, 0);
	parked_fini(&p);
}

static void a_direct_run_hands_its_bytes_to_one_waiter(void **state)
{
	struct waitlist settled = { 0 };
	struct world *w = *state;
	struct parked other, mine;
	struct run *run;

	park(w, &other, 7, 6);
	park(w, &mine, 7, 5);
	assert_int_equal(fill_direct(&w->pull->fill, 7, 5), 0);
	run = start_next(w);
	assert_true(run->direct);
	run->bytes = strdup("hello");
	pull_end_run_locked(run, 0, &settled);
	assert_ptr_equal(settled.first, &mine.waiter);
	assert_ptr_equal(settled.last, &mine.waiter);
	assert_memory_equal(mine.waiter.held, "hello", 5);
	free(mine.waiter.held);
	waitlist_del(&other.waiter);
	parked_fini(&other);
	parked_fini(&mine);
}

static void a_direct_run_nobody_waits_for_any_more_ends_quietly(void **state)
{
	struct waitlist settled = { 0 };
	struct world *w = *state;
	struct run *run;

	assert_int_equal(fill_direct(&w->pull->fill, 7, 5), 0);
	assert_int_equal(fill_direct(&w->pull->fill, 8, 5), 0);
	run = start_next(w);
	run->bytes = strdup("hello");
	pull_end_run_locked(run, 0, &settled);
	assert_null(settled.first); /* the other goes with its reader */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_comes_when_it_is_expelled_does_not_join),
		TEST(the_last_reader_takes_back_what_is_wanted),
		TEST(bytes_of_an_unfinished_chunk_count),
		TEST(a_failed_run_fails_those_who_needed_it),
		TEST(who_named_another_place_too_late_for_a_run_asks_again),
		TEST(who_named_the_same_place_hears_what_is_wrong_with_it),
		TEST(when_distrusted_nothing_is_served_before_the_seal),
		TEST(who_fetches_for_others_is_shown_what_is_not_verified_unless_it_was_wrong),
		TEST(a_drop_under_a_finished_run_does_not_lose_what_is_waited_for),
		TEST(a_drop_under_an_unpublished_run_does_not_either),
		TEST(a_pull_is_hashed_as_its_first_bytes_come),
		TEST(while_readers_wait_for_bytes_the_digest_stays_behind),
		TEST(the_digest_stays_behind_only_so_far),
		TEST(of_two_blobs_each_stays_behind_half_as_far),
		TEST(who_waits_for_the_verdict_does_not_wait_for_readers),
		TEST(who_gets_only_verified_bytes_waits_for_the_digest),
		TEST(a_run_the_disk_refused_lets_its_waiters_call_again),
		TEST(verified_bytes_cannot_be_had_past_the_disk),
		TEST(a_direct_run_hands_its_bytes_to_one_waiter),
		TEST(a_direct_run_nobody_waits_for_any_more_ends_quietly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
