/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time. */
#include "daemon/fetch/origins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000

enum { READER, GUEST };

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct origins));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	origins_free(*state);
	free(*state);
	return 0;
}

/* The blob, as it lies in that commit. */
static struct source_blob of_commit(unsigned commit)
{
	struct source_blob what = { .path = "model.safetensors" };

	snprintf(what.repo.name, sizeof(what.repo.name), "org/name");
	snprintf(what.commit, sizeof(what.commit), "%040x", commit);
	return what;
}

static void add(struct origins *o, unsigned commit, bool guests, bool may_drop)
{
	const struct source_blob what = of_commit(commit);

	assert_int_equal(origins_add(o, &what, guests, may_drop, NOW), 0);
}

static struct origin *find(const struct origins *o, unsigned commit)
{
	const struct source_blob what = of_commit(commit);
	struct origin *at = o->first;

	while (at && strcmp(at->what.commit, what.commit) != 0)
		at = at->next;
	return at;
}

static unsigned count(const struct origins *o, bool guests)
{
	unsigned n = 0;

	for (const struct origin *at = o->first; at; at = at->next)
		n += at->guests == guests;
	return n;
}

/* Each has a turn, as the others have had theirs. */
static void assert_each_has_its_turn(const struct origins *o)
{
	const unsigned all = count(o, READER) + count(o, GUEST);
	uint64_t tried = 0;

	for (unsigned i = 0; i < all; i++) {
		struct origin *next = origins_next(o, tried, NOW);

		assert_non_null(next);
		assert_false(tried >> next->number & 1);
		tried |= UINT64_C(1) << next->number;
	}
	assert_null(origins_next(o, tried, NOW));
}

static void so_many_are_noted_of_readers_and_of_guests(void **state)
{
	for (unsigned i = 0; i < 5 * ORIGINS_MAX; i++) {
		add(*state, i, GUEST, false);
		add(*state, 1000 + i, READER, false);
	}
	assert_int_equal(count(*state, GUEST), ORIGINS_MAX);
	assert_int_equal(count(*state, READER), ORIGINS_MAX);
	assert_each_has_its_turn(*state);
}

static void what_a_reader_names_too_is_a_readers(void **state)
{
	add(*state, 1, READER, false);
	add(*state, 2, GUEST, false);
	add(*state, 3, GUEST, false);
	add(*state, 3, READER, false);
	assert_true(find(*state, 2)->guests);
	assert_false(find(*state, 3)->guests);
	assert_ptr_equal(origins_next(*state, 1, NOW), find(*state, 3));
	add(*state, 3, GUEST, false); /* and stays one */
	assert_false(find(*state, 3)->guests);
}

/* One blob of many commits: each is named by a member first, and then by somebody here. */
static void guests_places_that_readers_name_too_have_an_end(void **state)
{
	for (unsigned i = 0; i < 70; i++) {
		add(*state, i, GUEST, false);
		add(*state, i, READER, false);
	}
	assert_int_equal(count(*state, READER), ORIGINS_MAX);
	assert_int_equal(count(*state, GUEST), ORIGINS_MAX);
	assert_each_has_its_turn(*state);
}

static void a_guests_place_that_rests_makes_room_for_anothers(void **state)
{
	for (unsigned i = 0; i <= ORIGINS_MAX; i++)
		add(*state, i, i ? GUEST : READER, false);
	add(*state, 100, GUEST, true);
	assert_null(find(*state, 100)); /* none rests */
	origin_rest(find(*state, 3), NOW);
	add(*state, 100, GUEST, false);
	assert_null(find(*state, 100)); /* they are in use */
	add(*state, 100, GUEST, true);
	assert_non_null(find(*state, 100));
	assert_null(find(*state, 3));
	assert_each_has_its_turn(*state);
}

static void where_no_source_had_it_is_asked_last(void **state)
{
	add(*state, 1, READER, false);
	add(*state, 2, GUEST, false);
	assert_ptr_equal(origins_next(*state, 0, NOW), find(*state, 1));
	origin_rest(find(*state, 1), NOW);
	assert_ptr_equal(origins_next(*state, 0, NOW), find(*state, 2));
	assert_true(origins_fresh(*state, NOW));
	origin_rest(find(*state, 2), NOW);
	assert_ptr_equal(origins_next(*state, 0, NOW), find(*state, 1));
	assert_false(origins_fresh(*state, NOW));
	assert_true(origins_fresh(*state, NOW + ORIGINS_REST_MS));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(so_many_are_noted_of_readers_and_of_guests),
		STORY(what_a_reader_names_too_is_a_readers),
		STORY(guests_places_that_readers_name_too_have_an_end),
		STORY(a_guests_place_that_rests_makes_room_for_anothers),
		STORY(where_no_source_had_it_is_asked_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
