/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "daemon/cache/chunk.h"
#include "daemon/fetch/asking.h"
#include "tests/workdir.h"

#define MIB CHUNK_BYTES
#define CHUNKS 100
#define SIZE (CHUNKS * MIB - 500)
#define ETAG_A "00112233445566778899aabbccddeeff00112233"
#define ETAG_B "11112233445566778899aabbccddeeff00112233"
#define ROUNDS 3000
#define NOW 1000000

/* Two files of the same size, and a clock that stands. */
struct world {
	struct workdir dir;
	struct store *store;
	struct schedule all;
	struct fill a, b;
};

static int setup(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct world *w = calloc(1, sizeof(*w));
	struct blob *a, *b;

	if (!w)
		return -1;
	workdir_init(&w->dir);
	schedule_init(&w->all);
	if (store_open(w->dir.path, "me", &w->store, &why) < 0 ||
	    store_blob(w->store, ETAG_A, SIZE, false, &a) < 0 ||
	    store_blob(w->store, ETAG_B, SIZE, false, &b) < 0)
		return -1;
	fill_init(&w->a, &w->all, a);
	fill_init(&w->b, &w->all, b);
	*state = w;
	return 0;
}

static void end_all(struct fill *f)
{
	fill_give_up(f);
	while (f->runs)
		run_free(f->runs);
}

static int teardown(void **state)
{
	struct world *w = *state;

	end_all(&w->a);
	end_all(&w->b);
	for (int u = 0; u < URGENCY_COUNT; u++)
		assert_null(w->all.wants[u].first);
	assert_null(w->all.direct);
	assert_null(w->all.busy);
	blob_unref(w->a.blob);
	blob_unref(w->b.blob);
	store_close(w->store);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

static void want(struct fill *f, uint64_t from, uint64_t to, enum urgency u)
{
	if (u == URGENCY_DEMAND)
		assert_int_equal(fill_demand(f, from, to, RUN_BYTES_MAX, NOW), 0);
	else
		assert_int_equal(fill_want(f, from, to, u, RUN_BYTES_MAX), 0);
}

static struct run *next(struct world *w)
{
	return schedule_next(&w->all, NOW);
}

/* The next run is this one. */
static struct run *next_is(struct world *w, const struct fill *f, uint64_t start, uint64_t end)
{
	struct run *run = next(w);

	assert_non_null(run);
	assert_ptr_equal(run->fill, f);
	assert_int_equal(run->start, start);
	assert_int_equal(run->end, end);
	return run;
}

/* What a carrier does when bytes up to `pos` have come. */
static void carry_to(struct run *run, uint64_t pos)
{
	struct blob *blob = run->fill->blob;

	while (run->pos < run->end && chunk_end(chunk_of(run->pos), SIZE) <= pos) {
		assert_int_equal(blob_put_chunk(blob, chunk_of(run->pos), 1), 0);
		run->pos = chunk_end(chunk_of(run->pos), SIZE);
	}
	run->pos = pos;
}

static void carry_all(struct world *w)
{
	struct run *run;

	while ((run = next(w))) {
		carry_to(run, run->end);
		run_free(run);
	}
}

/* ---- from wants to runs ---- */

static void what_is_wanted_becomes_runs_of_bounded_length(void **state)
{
	struct world *w = *state;

	want(&w->a, 5, SIZE, URGENCY_DEMAND);
	next_is(w, &w->a, 0, RUN_BYTES_MAX);
	next_is(w, &w->a, RUN_BYTES_MAX, 2 * RUN_BYTES_MAX);
	want(&w->b, 95 * MIB, SIZE, URGENCY_DEMAND);
	next_is(w, &w->b, 95 * MIB, SIZE);
}

static void no_run_goes_over_a_border(void **state)
{
	struct world *w = *state;

	w->all.border = 16 * MIB;
	want(&w->a, 12 * MIB, 34 * MIB, URGENCY_DEMAND);
	next_is(w, &w->a, 12 * MIB, 16 * MIB);
	next_is(w, &w->a, 16 * MIB, 24 * MIB);
	next_is(w, &w->a, 24 * MIB, 32 * MIB);
	next_is(w, &w->a, 32 * MIB, 34 * MIB);
}

static void without_borders_runs_are_as_long_as_they_may_be(void **state)
{
	struct world *w = *state;

	want(&w->a, 12 * MIB, 34 * MIB, URGENCY_DEMAND);
	next_is(w, &w->a, 12 * MIB, 20 * MIB);
	next_is(w, &w->a, 20 * MIB, 28 * MIB);
	next_is(w, &w->a, 28 * MIB, 34 * MIB);
}

static void the_wanter_says_how_long_a_run_is(void **state)
{
	struct world *w = *state;

	assert_int_equal(fill_want(&w->a, 0, SIZE, URGENCY_AHEAD, 2 * MIB), 0);
	next_is(w, &w->a, 0, 2 * MIB);
	assert_int_equal(fill_want(&w->b, 0, SIZE, URGENCY_AHEAD, 0), 0);
	next_is(w, &w->b, 0, RUN_BYTES_MIN);
}

static void present_chunks_are_not_brought_again(void **state)
{
	struct world *w = *state;

	assert_int_equal(blob_put_chunk(w->a.blob, 0, 1), 0);
	assert_int_equal(blob_put_chunk(w->a.blob, 3, 1), 0);
	assert_int_equal(blob_put_chunk(w->a.blob, 4, 1), 0);
	want(&w->a, 0, 8 * MIB, URGENCY_DEMAND);
	next_is(w, &w->a, 1 * MIB, 3 * MIB);
	next_is(w, &w->a, 5 * MIB, 8 * MIB);
	assert_null(next(w));
}

static void what_is_on_its_way_is_not_asked_for_twice(void **state)
{
	struct world *w = *state;

	want(&w->a, 0, 8 * MIB, URGENCY_AHEAD);
	next_is(w, &w->a, 0, 8 * MIB);
	want(&w->a, 2 * MIB, 10 * MIB, URGENCY_AHEAD);
	want(&w->a, 3 * MIB, 4 * MIB, URGENCY_DEMAND);
	next_is(w, &w->a, 8 * MIB, 10 * MIB);
	assert_null(next(w));
	assert_int_equal(w->a.want_count, 0);
}

/* A run from 0 to 8 MiB that brought bytes up to `pos` within so many ms. */
static struct run *run_of_age(struct world *w, uint64_t pos, int64_t took_ms)
{
	struct run *run;

	want(&w->a, 0, 8 * MIB, URGENCY_AHEAD);
	run = schedule_next(&w->all, NOW - took_ms);
	assert_int_equal(run->end, 8 * MIB);
	carry_to(run, pos);
	return run;
}

static void a_slow_run_far_before_wanted_bytes_gives_them_away(void **state)
{
	struct world *w = *state;
	struct run *run = run_of_age(w, MIB + 100, 1000);

	want(&w->a, 3 * MIB, 4 * MIB, URGENCY_DEMAND); /* near: it will bring them */
	assert_null(next(w));
	want(&w->a, 5 * MIB, 6 * MIB, URGENCY_DEMAND);
	assert_int_equal(run->end, 5 * MIB);
	next_is(w, &w->a, 5 * MIB, 6 * MIB);
	next_is(w, &w->a, 6 * MIB, 8 * MIB);
	assert_null(next(w));
}

static void a_fast_run_keeps_them(void **state)
{
	struct world *w = *state;
	struct run *run = run_of_age(w, 4 * MIB, 1000);

	want(&w->a, 7 * MIB, 8 * MIB, URGENCY_DEMAND); /* 750 ms away */
	assert_int_equal(run->end, 8 * MIB);
}

static void a_young_run_has_time_to_show_how_fast_it_is(void **state)
{
	struct world *w = *state;
	struct run *run;

	want(&w->a, 0, 8 * MIB, URGENCY_AHEAD);
	run = next_is(w, &w->a, 0, 8 * MIB);
	want(&w->a, 6 * MIB, 7 * MIB, URGENCY_DEMAND);
	assert_int_equal(run->end, 8 * MIB);
	assert_int_equal(fill_demand(&w->a, 6 * MIB, 7 * MIB, MIB, NOW + RUN_YOUNG_MS), 0);
	assert_int_equal(run->end, 6 * MIB);
}

/* A young run of a node that shares, which a hub was asked to bring up to `asked`. */
static struct run *run_from_hub(struct world *w, uint64_t asked)
{
	struct run *run = run_of_age(w, 0, RUN_YOUNG_MS);

	w->all.waits_max = 8;
	w->all.soon = asked;
	assert_int_equal(asking_begin(run, 0, 0, true, NOW), asked);
	return run;
}

static void what_a_hub_was_asked_for_has_the_time_to_come(void **state)
{
	struct world *w = *state;
	struct run *run = run_from_hub(w, 8 * MIB);

	want(&w->a, 5 * MIB, 6 * MIB, URGENCY_DEMAND);
	assert_int_equal(run->end, 8 * MIB);
	assert_int_equal(fill_demand(&w->a, 5 * MIB, 6 * MIB, MIB, NOW + RUN_YOUNG_MS), 0);
	assert_int_equal(run->end, 5 * MIB);
}

static void what_it_was_not_is_given_away_at_once(void **state)
{
	struct world *w = *state;
	struct run *run = run_from_hub(w, 3 * MIB);

	want(&w->a, 5 * MIB, 6 * MIB, URGENCY_DEMAND);
	assert_int_equal(run->end, 5 * MIB);
	next_is(w, &w->a, 5 * MIB, 6 * MIB);
}

static void and_so_is_what_it_was_asked_for_before(void **state)
{
	struct world *w = *state;
	struct run *run = run_from_hub(w, 8 * MIB);

	asking_end(run, 100, RUN_YOUNG_MS);
	want(&w->a, 5 * MIB, 6 * MIB, URGENCY_DEMAND);
	assert_int_equal(run->end, 5 * MIB);
}

static void who_waits_for_what_comes_makes_it_urgent(void **state)
{
	struct world *w = *state;
	struct run *run;

	want(&w->a, 0, 8 * MIB, URGENCY_BACKGROUND);
	run = next_is(w, &w->a, 0, 8 * MIB);
	want(&w->a, MIB, 2 * MIB, URGENCY_PREFETCH); /* the twin: nobody waits */
	assert_int_equal(run_urgency(run), URGENCY_BACKGROUND);
	assert_int_equal(schedule_moving(&w->all, URGENCY_DEMAND, NOW), 0);
	want(&w->a, MIB, 2 * MIB, URGENCY_DEMAND);
	assert_int_equal(run_urgency(run), URGENCY_DEMAND);
	assert_int_equal(schedule_moving(&w->all, URGENCY_DEMAND, NOW), 1);
	carry_to(run, 2 * MIB);
	assert_int_equal(run_urgency(run), URGENCY_BACKGROUND);
	want(&w->a, 6 * MIB, 7 * MIB, URGENCY_DEMAND); /* for itself alone */
	assert_int_equal(fill_demand(&w->a, 6 * MIB, 7 * MIB, MIB, NOW + RUN_SOON_MS), 0);
	assert_int_equal(run->end, 6 * MIB);
	next_is(w, &w->a, 6 * MIB, 7 * MIB);
	assert_int_equal(next_is(w, &w->a, 7 * MIB, 8 * MIB)->urgency, URGENCY_BACKGROUND);
}

static void two_who_wait_far_apart_get_a_run_each(void **state)
{
	struct world *w = *state;

	want(&w->a, 0, 8 * MIB, URGENCY_DEMAND);
	want(&w->a, 5 * MIB, 6 * MIB, URGENCY_DEMAND);
	want(&w->a, 1 * MIB, 2 * MIB, URGENCY_DEMAND); /* goes with the first */
	next_is(w, &w->a, 0, 8 * MIB);
	assert_null(next(w));
	end_all(&w->a);
	want(&w->a, 5 * MIB, 6 * MIB, URGENCY_DEMAND);
	want(&w->a, 0, 8 * MIB, URGENCY_DEMAND);
	next_is(w, &w->a, 0, 8 * MIB);
}

static void bytes_of_an_unfinished_chunk_are_in_the_file(void **state)
{
	struct world *w = *state;
	struct run *run;

	want(&w->a, 0, 4 * MIB, URGENCY_DEMAND);
	run = next(w);
	assert_int_equal(fill_until(&w->a, 0), 0);
	carry_to(run, MIB + 110);
	assert_int_equal(fill_until(&w->a, 0), MIB);
	assert_int_equal(fill_until(&w->a, MIB + 5), MIB + 110);
	assert_int_equal(fill_until(&w->a, MIB + 110), MIB + 110);
}

/* ---- turns ---- */

static void the_urgent_come_first(void **state)
{
	struct world *w = *state;

	want(&w->a, 60 * MIB, 61 * MIB, URGENCY_BACKGROUND);
	want(&w->a, 40 * MIB, 41 * MIB, URGENCY_PREFETCH);
	want(&w->a, 20 * MIB, 21 * MIB, URGENCY_AHEAD);
	want(&w->a, 0, MIB, URGENCY_DEMAND);
	next_is(w, &w->a, 0, MIB);
	next_is(w, &w->a, 20 * MIB, 21 * MIB);
	next_is(w, &w->a, 40 * MIB, 41 * MIB);
	next_is(w, &w->a, 60 * MIB, 61 * MIB);
}

static void files_take_turns(void **state)
{
	struct world *w = *state;

	want(&w->a, 0, SIZE, URGENCY_AHEAD);
	want(&w->b, 0, SIZE, URGENCY_AHEAD);
	next_is(w, &w->a, 0, RUN_BYTES_MAX);
	next_is(w, &w->b, 0, RUN_BYTES_MAX);
	next_is(w, &w->a, RUN_BYTES_MAX, 2 * RUN_BYTES_MAX);
	next_is(w, &w->b, RUN_BYTES_MAX, 2 * RUN_BYTES_MAX);
}

static void no_more_run_ahead_than_the_pace_allows(void **state)
{
	struct world *w = *state;
	struct run *first;

	want(&w->a, 0, SIZE, URGENCY_AHEAD);
	first = next(w);
	for (int i = 1; i < PACE_START; i++)
		assert_non_null(next(w));
	assert_null(next(w));
	want(&w->b, 0, MIB, URGENCY_PREFETCH);
	assert_null(next(w));
	want(&w->b, 9 * MIB, 10 * MIB, URGENCY_DEMAND); /* who waits is not held back */
	assert_non_null(next(w));
	assert_null(next(w));
	run_free(first);
	w->all.pace.limit++;
	assert_non_null(next(w));
}

static void those_who_prefetch_do_not_hold_up_readers(void **state)
{
	struct world *w = *state;

	want(&w->a, 0, SIZE, URGENCY_BACKGROUND);
	while (next(w))
		continue;
	want(&w->b, 0, MIB, URGENCY_AHEAD);
	next_is(w, &w->b, 0, MIB);
}

static void a_stalled_run_holds_up_no_other(void **state)
{
	struct world *w = *state;

	w->all.pace.limit = 1;
	want(&w->a, 0, SIZE, URGENCY_AHEAD);
	assert_non_null(next(w));
	assert_null(next(w));
	assert_non_null(schedule_next(&w->all, NOW + RUN_STALL_MS));
	assert_null(schedule_next(&w->all, NOW + RUN_STALL_MS));
}

static void a_run_that_is_held_back_is_not_stalled(void **state)
{
	struct world *w = *state;

	w->all.pace.limit = 1;
	want(&w->a, 0, SIZE, URGENCY_AHEAD);
	next(w)->paused = true;
	assert_null(schedule_next(&w->all, NOW + RUN_STALL_MS));
}

static void a_run_that_rests_leaves_its_place_to_others(void **state)
{
	struct world *w = *state;

	w->all.pace.limit = 1;
	want(&w->a, 0, SIZE, URGENCY_AHEAD);
	next(w)->resting = true;
	assert_non_null(next(w));
	assert_null(next(w));
}

static void what_others_have_coming_keeps_back_what_nobody_waits_for(void **state)
{
	struct world *w = *state;

	w->all.pace.limit = 1;
	want(&w->b, 0, SIZE, URGENCY_AHEAD);
	next(w)->waiting = true;
	assert_null(next(w));
}

/* As many as may run, of which one hears that its bytes are coming, or does not. */
static struct run *one_more(struct world *w, bool waiting)
{
	struct run *run = NULL;

	for (uint64_t i = 0; i <= PACE_MAX; i++)
		want(&w->a, 3 * i * MIB, (3 * i + 1) * MIB, URGENCY_DEMAND);
	for (int i = 0; i < PACE_MAX; i++)
		run = next(w);
	run->waiting = waiting;
	return next(w);
}

static void what_others_have_coming_keeps_back_nobody_who_waits(void **state)
{
	assert_non_null(one_more(*state, true));
}

static void what_comes_keeps_back_those_who_are_too_many(void **state)
{
	assert_null(one_more(*state, false));
}

static void some_places_are_kept_for_guests_and_hubs(void **state)
{
	struct world *w = *state;
	struct run *own;

	w->all.waits_max = 1;
	want(&w->a, 0, MIB, URGENCY_DEMAND);
	want(&w->b, 0, MIB, URGENCY_DEMAND);
	own = next(w);
	assert_null(next(w));
	assert_int_equal(fill_demand_for_guest(&w->b, 9 * MIB, 10 * MIB, MIB, NOW), 0);
	next_is(w, &w->b, 9 * MIB, 10 * MIB);
	assert_null(next(w));
	own->first_hand = true;
	next_is(w, &w->b, 0, MIB);
}

static void a_run_that_is_one_too_many_gives_its_bytes_back(void **state)
{
	struct world *w = *state;
	struct run *first, *second;

	want(&w->a, 0, 16 * MIB, URGENCY_DEMAND);
	first = next_is(w, &w->a, 0, 8 * MIB);
	second = next_is(w, &w->a, 8 * MIB, 16 * MIB);
	carry_to(first, MIB + 5);
	w->all.pace.limit = 1;
	assert_false(run_yield(first, NOW)); /* half a chunk would be lost */
	assert_true(run_yield(second, NOW));
	assert_int_equal(second->end, 8 * MIB);
	run_free(second);
	assert_false(run_yield(first, NOW));
	w->all.pace.limit = 2;
	next_is(w, &w->a, 8 * MIB, 16 * MIB);
}

static void after_a_refusal_even_those_who_wait_are_few(void **state)
{
	struct world *w = *state;

	pace_refused(&w->all.pace, 4, -1, NOW); /* leaves two */
	want(&w->b, 0, SIZE, URGENCY_AHEAD);
	assert_non_null(next(w));
	assert_null(next(w)); /* one place is left for those who wait */
	for (uint64_t i = 0; i < 5; i++)
		want(&w->a, 20 * i * MIB, (20 * i + 1) * MIB, URGENCY_DEMAND);
	assert_ptr_equal(next(w)->fill, &w->a);
	assert_null(next(w));
	assert_non_null(schedule_next(&w->all, NOW + PACE_CAREFUL_MS));
}

static void runs_past_the_cache_are_bounded(void **state)
{
	struct world *w = *state;

	for (uint64_t i = 0; i <= RUN_DIRECT_MAX; i++)
		assert_int_equal(fill_direct(&w->a, 7 * i, 5), 0);
	for (int i = 0; i < RUN_DIRECT_MAX; i++)
		assert_true(next(w)->direct);
	assert_null(next(w));
	run_free(w->a.runs);
	assert_int_equal(next(w)->start, 7 * RUN_DIRECT_MAX);
	assert_null(next(w));
}

/* ---- giving up ---- */

static void what_nobody_needs_is_taken_back(void **state)
{
	struct world *w = *state;
	struct run *run;

	want(&w->a, 0, 30 * MIB, URGENCY_DEMAND);
	want(&w->a, 50 * MIB, 80 * MIB, URGENCY_AHEAD);
	want(&w->b, 50 * MIB, 51 * MIB, URGENCY_AHEAD);
	assert_int_equal(fill_direct(&w->a, 1, 2), 0);
	w->all.direct_count = RUN_DIRECT_MAX; /* so that it stays queued */
	run = next(w);
	w->all.direct_count = 0;
	carry_to(run, 2 * MIB + 5);
	fill_unwant_ahead(&w->a);
	assert_int_equal(w->a.want_count, 1);
	fill_leave(&w->a, NOW);
	assert_int_equal(w->a.want_count, 0);
	assert_null(w->all.direct);
	assert_int_equal(run->end, 4 * MIB);
	next_is(w, &w->b, 50 * MIB, 51 * MIB);
	assert_null(next(w));
}

/* Its twin is the story before: of a node that shares with nobody the run ends a chunk further. */
static void what_a_hub_was_asked_for_comes_though_nobody_needs_it(void **state)
{
	struct world *w = *state;
	struct run *run = run_from_hub(w, 5 * MIB);

	carry_to(run, MIB);
	fill_leave(&w->a, NOW);
	assert_int_equal(run->end, 5 * MIB);
	asking_end(run, 2 * MIB, RUN_YOUNG_MS);
	fill_leave(&w->a, NOW);
	assert_int_equal(run->end, 2 * MIB);
}

/* So far a run ends that has brought a MiB in so many ms and that nobody needs any more, of a node
 * that shares with nobody; the hub is being asked, or was. */
static uint64_t end_when_left(struct world *w, int64_t took_ms, bool asked)
{
	struct run *run = run_of_age(w, 0, took_ms);

	assert_int_equal(asking_begin(run, 0, 0, true, NOW), 8 * MIB);
	carry_to(run, MIB);
	if (!asked)
		asking_end(run, MIB, took_ms);
	fill_leave(&w->a, NOW);
	return run->end;
}

static void what_comes_soon_comes_though_nobody_needs_it(void **state)
{
	assert_int_equal(end_when_left(*state, 10, true), 8 * MIB);
}

static void on_a_slow_line_no_more_than_in_a_second(void **state)
{
	assert_int_equal(end_when_left(*state, 250, true), 5 * MIB);
}

static void and_not_what_nobody_is_asked_for(void **state)
{
	assert_int_equal(end_when_left(*state, 10, false), 2 * MIB);
}

/* The twin of both: there is no place for what comes soon either. */
static void what_is_given_up_ends_a_chunk_further(void **state)
{
	struct world *w = *state;
	struct run *run = run_of_age(w, 0, 10);

	assert_int_equal(asking_begin(run, 0, 0, true, NOW), 8 * MIB);
	carry_to(run, MIB);
	fill_give_up(&w->a);
	assert_int_equal(run->end, 2 * MIB);
}

static void even_if_a_hub_was_asked_for_more(void **state)
{
	struct world *w = *state;
	struct run *run = run_from_hub(w, 5 * MIB);

	carry_to(run, MIB);
	fill_give_up(&w->a);
	assert_int_equal(run->end, 2 * MIB);
}

/* ---- anything in any order ---- */

static void check_runs(const struct fill *f)
{
	unsigned count = 0;

	for (const struct run *a = f->runs; a; a = a->next, count++) {
		assert_int_equal(a->start % MIB, 0);
		assert_true(a->end % MIB == 0 || a->end == SIZE);
		assert_true(a->start < a->end && a->end <= SIZE);
		assert_true(a->pos >= a->start && a->pos <= a->end);
		for (const struct run *b = a->next; b; b = b->next)
			assert_true(a->pos == a->end || b->pos == b->end || a->end <= b->start ||
				    b->end <= a->start);
	}
	assert_int_equal(count, f->run_count);
}

static void move_on(struct fill *f, unsigned *seed)
{
	struct run *run = f->runs;

	if (!run)
		return;
	if (run->pos < run->end)
		carry_to(run, run->pos + 1 + (unsigned)rand_r(seed) % (run->end - run->pos));
	if (run->pos == run->end || rand_r(seed) % 8 == 0)
		run_free(run);
}

static void do_something(struct world *w, struct fill *f, unsigned *seed)
{
	uint32_t from = (unsigned)rand_r(seed) % CHUNKS;
	uint32_t to = from + (unsigned)rand_r(seed) % 40;
	int what = rand_r(seed) % 100;

	if (what < 40)
		want(f, chunk_start(from), chunk_end(to < CHUNKS ? to : CHUNKS - 1, SIZE),
		     (unsigned)rand_r(seed) % URGENCY_COUNT);
	else if (what < 65)
		next(w);
	else if (what < 97)
		move_on(f, seed);
	else if (what < 98)
		fill_leave(f, NOW);
	else if (!f->runs)
		assert_int_equal(blob_drop(f->blob), 0);
}

static void runs_never_overlap_whatever_happens(void **state)
{
	unsigned seed = (unsigned)clock_ms();
	struct world *w = *state;

	print_message("seed %u\n", seed);
	for (int i = 0; i < ROUNDS; i++) {
		do_something(w, rand_r(&seed) % 2 ? &w->a : &w->b, &seed);
		check_runs(&w->a);
		check_runs(&w->b);
	}
	end_all(&w->a);
	end_all(&w->b);
	want(&w->a, 0, SIZE, URGENCY_BACKGROUND);
	carry_all(w);
	assert_int_equal(blob_present_bytes(w->a.blob), SIZE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_wanted_becomes_runs_of_bounded_length),
		TEST(no_run_goes_over_a_border),
		TEST(without_borders_runs_are_as_long_as_they_may_be),
		TEST(the_wanter_says_how_long_a_run_is),
		TEST(present_chunks_are_not_brought_again),
		TEST(what_is_on_its_way_is_not_asked_for_twice),
		TEST(a_slow_run_far_before_wanted_bytes_gives_them_away),
		TEST(a_fast_run_keeps_them),
		TEST(a_young_run_has_time_to_show_how_fast_it_is),
		TEST(what_a_hub_was_asked_for_has_the_time_to_come),
		TEST(what_it_was_not_is_given_away_at_once),
		TEST(and_so_is_what_it_was_asked_for_before),
		TEST(who_waits_for_what_comes_makes_it_urgent),
		TEST(two_who_wait_far_apart_get_a_run_each),
		TEST(bytes_of_an_unfinished_chunk_are_in_the_file),
		TEST(the_urgent_come_first),
		TEST(files_take_turns),
		TEST(no_more_run_ahead_than_the_pace_allows),
		TEST(those_who_prefetch_do_not_hold_up_readers),
		TEST(a_stalled_run_holds_up_no_other),
		TEST(a_run_that_is_held_back_is_not_stalled),
		TEST(a_run_that_rests_leaves_its_place_to_others),
		TEST(what_others_have_coming_keeps_back_what_nobody_waits_for),
		TEST(what_others_have_coming_keeps_back_nobody_who_waits),
		TEST(what_comes_keeps_back_those_who_are_too_many),
		TEST(some_places_are_kept_for_guests_and_hubs),
		TEST(a_run_that_is_one_too_many_gives_its_bytes_back),
		TEST(after_a_refusal_even_those_who_wait_are_few),
		TEST(runs_past_the_cache_are_bounded),
		TEST(what_nobody_needs_is_taken_back),
		TEST(what_a_hub_was_asked_for_comes_though_nobody_needs_it),
		TEST(what_comes_soon_comes_though_nobody_needs_it),
		TEST(on_a_slow_line_no_more_than_in_a_second),
		TEST(and_not_what_nobody_is_asked_for),
		TEST(what_is_given_up_ends_a_chunk_further),
		TEST(even_if_a_hub_was_asked_for_more),
		TEST(runs_never_overlap_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
