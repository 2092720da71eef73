/* SPDX-License-Identifier: Apache-2.0 */
/* Who may have a segment, and where its placement is kept. */
#include "daemon/peer/likely_holders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/peer/placement_cache.h"

#define NODES 20
#define AT(index) ((struct segment){ 7, index })
#define SIZE (UINT64_C(100) * SEGMENT_BYTES)
#define BLOBS (PLACEMENT_CACHE_MAX + 10)

struct world {
	struct members *members;
	struct placement_cache placement;
};

static void node_name(unsigned i, struct member_spec *ret)
{
	*ret = (struct member_spec){ .weight = 1 };
	snprintf(ret->address, sizeof(ret->address), "10.0.0.%u:9980", i);
}

/* Nodes 1 ... count, of which this is the first. */
static void set_members(struct world *w, unsigned count)
{
	struct member_spec list[NODES];

	for (unsigned i = 0; i < count; i++)
		node_name(i + 1, &list[i]);
	assert_int_equal(members_set(w->members, list, count), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct member_spec self;

	node_name(1, &self);
	if (!w || members_new(&self, &w->members) < 0)
		return -1;
	placement_cache_init(&w->placement);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	placement_cache_fini(&w->placement);
	members_free(w->members);
	free(w);
	return 0;
}

static void others_are_sought_by_how_well_they_fit(void **state)
{
	struct world *w = *state;
	const struct membership *ms;
	uint32_t *list;

	set_members(w, NODES);
	ms = members_now(w->members);
	assert_int_equal(likely_holders_list(ms, AT(3), NODES, &list), NODES - 1);
	for (unsigned i = 0; i < NODES - 1; i++) {
		assert_int_not_equal(list[i], ms->self);
		if (i)
			assert_true(placement_score(&ms->nodes[list[i - 1]], AT(3)) >
				    placement_score(&ms->nodes[list[i]], AT(3)));
	}
	free(list);
	membership_unref(ms);
}

static void no_more_are_sought_than_wanted(void **state)
{
	struct world *w = *state;
	const struct membership *ms;
	uint32_t *list;

	set_members(w, NODES);
	ms = members_now(w->members);
	assert_int_equal(likely_holders_list(ms, AT(3), LIKELY_HOLDERS_FIRST, &list),
			 LIKELY_HOLDERS_FIRST);
	free(list);
	membership_unref(ms);
}

static void who_is_alone_has_nobody_to_ask(void **state)
{
	struct world *w = *state;
	const struct membership *ms = members_now(w->members);
	uint32_t *list;

	assert_int_equal(likely_holders_list(ms, AT(3), NODES, &list), 0);
	free(list);
	membership_unref(ms);
}

/* Where this node is the best, whoever would be it without this node is asked first. */
static void who_joined_asks_first_who_had_it_before(void **state)
{
	struct world *w = *state;
	const struct membership *ms;
	unsigned own = 0;

	set_members(w, NODES);
	ms = members_now(w->members);
	for (uint32_t s = 0; s < 100; s++) {
		const struct placement_node *self = &ms->nodes[ms->self];
		uint32_t *list;

		assert_int_equal(likely_holders_list(ms, AT(s), 1, &list), 1);
		own += placement_score(self, AT(s)) > placement_score(&ms->nodes[list[0]], AT(s));
		for (uint32_t i = 0; i < ms->count; i++)
			assert_true(i == ms->self ||
				    placement_score(&ms->nodes[i], AT(s)) <=
					    placement_score(&ms->nodes[list[0]], AT(s)));
		free(list);
	}
	assert_in_range(own, 1, 20);
	membership_unref(ms);
}

static void what_is_kept_is_what_placement_says(void **state)
{
	struct world *w = *state;
	const struct membership *ms;

	set_members(w, NODES);
	ms = members_now(w->members);
	for (int again = 0; again < 2; again++)
		for (uint64_t blob = 0; blob < BLOBS; blob++) {
			uint32_t is[PLACEMENT_OWNERS], want[PLACEMENT_OWNERS];
			struct placement *p;

			assert_int_equal(
				placement_new(ms->nodes, ms->count, blob, segment_count(SIZE), &p),
				0);
			assert_int_equal(placement_owners(p, 5, want), PLACEMENT_OWNERS);
			assert_int_equal(placement_cache_owners(&w->placement, ms,
								(struct segment){ blob, 5 }, SIZE,
								is),
					 PLACEMENT_OWNERS);
			assert_memory_equal(is, want, sizeof(is));
			placement_free(p);
		}
	membership_unref(ms);
}

static void another_list_of_members_is_placed_anew(void **state)
{
	struct world *w = *state;
	const struct segment one = { 1, 5 };
	const struct membership *many, *few;
	uint32_t owners[PLACEMENT_OWNERS];

	set_members(w, NODES);
	many = members_now(w->members);
	assert_int_equal(placement_cache_owners(&w->placement, many, one, SIZE, owners),
			 PLACEMENT_OWNERS);
	set_members(w, 2);
	few = members_now(w->members);
	assert_int_equal(placement_cache_owners(&w->placement, few, one, SIZE, owners), 2);
	for (unsigned i = 0; i < 2; i++)
		assert_true(owners[i] < 2);
	membership_unref(few);
	membership_unref(many);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(others_are_sought_by_how_well_they_fit),
		TEST(no_more_are_sought_than_wanted),
		TEST(who_is_alone_has_nobody_to_ask),
		TEST(who_joined_asks_first_who_had_it_before),
		TEST(what_is_kept_is_what_placement_says),
		TEST(another_list_of_members_is_placed_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
