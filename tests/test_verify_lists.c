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

struct fixture {
	struct verifying *v;
	struct verify_lists *checked;
	struct blob *blob; /* somebody has it open */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *v;

	assert_non_null(f);
	assert_int_equal(verifying_set_up(&v), 0);
	f->v = v;
	assert_int_equal(verify_lists_new(&f->checked), 0);
	assert_int_equal(
		store_blob(f->v->cell.node.store, f->v->what.etag, VERIFYING_SIZE, false, &f->blob),
		0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *v = f->v;

	assert_true(verify_lists_stop(f->checked));
	verify_lists_free(f->checked);
	blob_unref(f->blob);
	assert_int_equal(verifying_tear_down(&v), 0);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	assert_int_equal(verify_lists_start(f->checked, &f->v->conf, f->v->cell.node.store), 0);
}

/* A hub's list is as its bytes are, or is not, and is contested. */
static void contradict(struct fixture *f, bool right)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(VERIFYING_SIZE);

	for (uint32_t i = 0; i < VERIFYING_CHUNKS; i++)
		cell_digest(right ? f->v->seed : VERIFYING_OTHER, VERIFYING_SIZE, i, l->digests[i]);
	provenance_learn(f->v->cell.provenance, f->v->what.etag, l, PROVENANCE_PUBLISHED);
	verify_lists_add(f->checked, &f->v->what, VERIFYING_WRONG);
}

static bool stands(struct fixture *f)
{
	uint8_t digest[CHUNK_LIST_DIGEST];

	return provenance_knows(f->v->cell.provenance, f->v->what.etag, 0, digest) ==
	       PROVENANCE_PUBLISHED;
}

/* This member, or a hub, gives the chunk in which it is contested. */
static void give(struct fixture *f, const char *member)
{
	cell_put(&f->v->cell, &f->v->what, VERIFYING_WRONG, f->v->seed, member);
	clock_sleep_ms(2 * REST_MS);
}

static void a_list_that_the_hubs_bytes_contradict_is_forgotten_and_not_before(void **state)
{
	struct fixture *f = *state;

	start(f);
	contradict(f, false);
	clock_sleep_ms(REST_MS);
	assert_true(stands(f)); /* the hub has not given it yet */
	give(f, f->v->giver->address);
	assert_true(stands(f)); /* nor has it now */
	provenance_take_back(f->v->cell.provenance, f->v->what.etag, VERIFYING_WRONG);
	give(f, NULL);
	assert_false(stands(f));
}

static void a_list_that_they_bear_out_stands(void **state)
{
	struct fixture *f = *state;

	start(f);
	contradict(f, true);
	give(f, NULL);
	assert_true(stands(f));
}

static void what_is_forgotten_is_not_compared(void **state)
{
	struct fixture *f = *state;

	start(f);
	contradict(f, false);
	verify_lists_forget(f->checked, f->v->what.etag);
	give(f, NULL);
	assert_true(stands(f));
	verify_lists_add(f->checked, &f->v->what, VERIFYING_WRONG);
	clock_sleep_ms(2 * REST_MS);
	assert_false(stands(f));
}

static void before_it_has_started_it_compares_nothing(void **state)
{
	struct fixture *f = *state;

	contradict(f, false);
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
