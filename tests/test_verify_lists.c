/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a hub's list that members contradict. */
#include "daemon/peer/verify_lists.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "tests/verifying.h"

#define REST_MS 1000 /* longer than it takes to look once more */

static void start(struct verifying *v)
{
	assert_int_equal(
		store_blob(v->cell.node.store, v->what.etag, VERIFYING_SIZE, false, &v->open), 0);
	assert_int_equal(verify_lists_start(v->list_checks, &v->conf, v->cell.node.store), 0);
}

/* A hub's list is as its bytes are, or is not, and is contested. */
static void contradict(struct verifying *v, bool right)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(VERIFYING_SIZE);

	for (uint32_t i = 0; i < VERIFYING_CHUNKS; i++)
		cell_digest(right ? v->seed : VERIFYING_OTHER, VERIFYING_SIZE, i, l->digests[i]);
	provenance_learn(v->cell.provenance, v->what.etag, l, PROVENANCE_PUBLISHED);
	verify_lists_add(v->list_checks, &v->what, VERIFYING_WRONG);
}

static bool stands(struct verifying *v)
{
	uint8_t digest[CHUNK_LIST_DIGEST];

	return provenance_knows(v->cell.provenance, v->what.etag, 0, digest) ==
	       PROVENANCE_PUBLISHED;
}

/* This member, or a hub, gives the chunk in which it is contested. */
static void give(struct verifying *v, const char *member)
{
	cell_put(&v->cell, &v->what, VERIFYING_WRONG, v->seed, member);
	clock_sleep_ms(2 * REST_MS);
}

static void a_list_that_the_hubs_bytes_contradict_is_forgotten_and_not_before(void **state)
{
	struct verifying *v = *state;

	start(v);
	contradict(v, false);
	clock_sleep_ms(REST_MS);
	assert_true(stands(v)); /* the hub has not given it yet */
	give(v, v->giver->address);
	assert_true(stands(v)); /* nor has it now */
	provenance_take_back(v->cell.provenance, v->what.etag, VERIFYING_WRONG);
	give(v, NULL);
	assert_false(stands(v));
}

static void a_list_that_they_bear_out_stands(void **state)
{
	struct verifying *v = *state;

	start(v);
	contradict(v, true);
	give(v, NULL);
	assert_true(stands(v));
}

static void what_is_forgotten_is_not_compared(void **state)
{
	struct verifying *v = *state;

	start(v);
	contradict(v, false);
	verify_lists_forget(v->list_checks, v->what.etag);
	give(v, NULL);
	assert_true(stands(v));
	verify_lists_add(v->list_checks, &v->what, VERIFYING_WRONG);
	clock_sleep_ms(2 * REST_MS);
	assert_false(stands(v));
}

static void before_it_has_started_it_compares_nothing(void **state)
{
	struct verifying *v = *state;

	contradict(v, false);
	start(v);
	give(v, NULL);
	assert_true(stands(v));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, verifying_set_up, verifying_tear_down)

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
