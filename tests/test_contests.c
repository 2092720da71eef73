/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a hub's list that members contradict. */
#include "daemon/peer/contests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "tests/court.h"

#define REST_MS 1000 /* longer than it takes to look once more */

struct fixture {
	struct court *court;
	struct contests *contests;
	struct blob *blob; /* somebody has it open */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *court;

	assert_non_null(f);
	assert_int_equal(court_set_up(&court), 0);
	f->court = court;
	assert_int_equal(contests_new(&f->contests), 0);
	assert_int_equal(store_blob(f->court->cell.node.store, f->court->what.etag, COURT_SIZE,
				    false, &f->blob),
			 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *court = f->court;

	assert_true(contests_stop(f->contests));
	contests_free(f->contests);
	blob_unref(f->blob);
	assert_int_equal(court_tear_down(&court), 0);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	assert_int_equal(contests_start(f->contests, &f->court->conf, f->court->cell.node.store),
			 0);
}

/* A hub's list is as its bytes are, or is not, and is contested. */
static void contest(struct fixture *f, bool right)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(COURT_SIZE);

	for (uint32_t i = 0; i < COURT_CHUNKS; i++)
		cell_digest(right ? f->court->seed : COURT_OTHER, COURT_SIZE, i, l->digests[i]);
	evidence_learn(f->court->cell.evidence, f->court->what.etag, l, EVIDENCE_PUBLISHED);
	contests_add(f->contests, &f->court->what, COURT_WRONG);
}

static bool stands(struct fixture *f)
{
	uint8_t digest[CHUNK_LIST_DIGEST];

	return evidence_knows(f->court->cell.evidence, f->court->what.etag, 0, digest) ==
	       EVIDENCE_PUBLISHED;
}

/* This member, or a hub, gives the chunk in which it is contested. */
static void give(struct fixture *f, const char *member)
{
	cell_put(&f->court->cell, &f->court->what, COURT_WRONG, f->court->seed, member);
	clock_sleep_ms(2 * REST_MS);
}

static void a_list_that_the_hubs_bytes_contradict_is_forgotten_and_not_before(void **state)
{
	struct fixture *f = *state;

	start(f);
	contest(f, false);
	clock_sleep_ms(REST_MS);
	assert_true(stands(f)); /* the hub has not given it yet */
	give(f, f->court->giver->address);
	assert_true(stands(f)); /* nor has it now */
	evidence_take_back(f->court->cell.evidence, f->court->what.etag, COURT_WRONG);
	give(f, NULL);
	assert_false(stands(f));
}

static void a_list_that_they_bear_out_stands(void **state)
{
	struct fixture *f = *state;

	start(f);
	contest(f, true);
	give(f, NULL);
	assert_true(stands(f));
}

static void what_is_forgotten_is_not_compared(void **state)
{
	struct fixture *f = *state;

	start(f);
	contest(f, false);
	contests_forget(f->contests, f->court->what.etag);
	give(f, NULL);
	assert_true(stands(f));
	contests_add(f->contests, &f->court->what, COURT_WRONG);
	clock_sleep_ms(2 * REST_MS);
	assert_false(stands(f));
}

static void before_it_has_started_it_compares_nothing(void **state)
{
	struct fixture *f = *state;

	contest(f, false);
	start(f);
	give(f, NULL);
	assert_true(stands(f));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_list_that_the_hubs_bytes_contradict_is_forgotten_and_not_before),
		TEST(a_list_that_they_bear_out_stands),
		TEST(what_is_forgotten_is_not_compared),
		TEST(before_it_has_started_it_compares_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
