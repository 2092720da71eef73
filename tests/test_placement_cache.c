/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/placement_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/clock.h"

#define NODES 200
#define SMALL (4 * SEGMENT_BYTES)
#define LARGE (UINT64_C(4) << 40) /* takes a good part of a second to be placed */
#define WANTED 1
#define OTHER 2

struct house {
	struct members *members;
	const struct membership *now;
	struct placement_cache placement;
	atomic_bool begun, done;
};

static struct house *new_house(void)
{
	static struct house h;
	struct member_spec self = { "n000.example:9980", "", 1 }, list[NODES];

	for (unsigned i = 0; i < NODES; i++) {
		list[i] = self;
		snprintf(list[i].address, sizeof(list[i].address), "n%03u.example:9980", i);
	}
	memset(&h, 0, sizeof(h));
	assert_int_equal(members_new(&self, &h.members), 0);
	assert_int_equal(members_set(h.members, list, NODES), 0);
	placement_cache_init(&h.placement);
	h.now = members_now(h.members);
	return &h;
}

static void end(struct house *h)
{
	membership_unref(h->now);
	members_free(h->members);
	placement_cache_fini(&h->placement);
}

static void assert_as_placed(struct house *h, uint64_t blob, uint32_t segment)
{
	uint32_t told[PLACEMENT_OWNERS], placed[PLACEMENT_OWNERS];
	struct placement *p;

	assert_int_equal(
		placement_new(h->now->nodes, h->now->count, blob, segment_count(SMALL), &p), 0);
	assert_int_equal(placement_owners(p, segment, placed), PLACEMENT_OWNERS);
	assert_int_equal(placement_cache_owners(&h->placement, h->now,
						(struct segment){ blob, segment }, SMALL, told),
			 PLACEMENT_OWNERS);
	assert_memory_equal(told, placed, sizeof(told));
	placement_free(p);
}

static void owners_are_those_of_the_placement_however_often_one_asks(UNUSED void **state)
{
	struct house *h = new_house();

	for (uint64_t blob = 0; blob < PLACEMENT_CACHE_MAX + 10; blob++)
		for (unsigned again = 0; again < 2; again++)
			assert_as_placed(h, blob, 3);
	assert_as_placed(h, 0, 1); /* it had to go */
	end(h);
}

static void *place_large(void *arg)
{
	uint32_t owners[PLACEMENT_OWNERS];
	struct house *h = arg;

	h->begun = true;
	assert_int_equal(placement_cache_owners(&h->placement, h->now, (struct segment){ OTHER, 0 },
						LARGE, owners),
			 PLACEMENT_OWNERS);
	h->done = true;
	return NULL;
}

static void who_asks_for_what_is_known_waits_for_no_other_blob(UNUSED void **state)
{
	struct house *h = new_house();
	pthread_t thread;

	assert_as_placed(h, WANTED, 0);
	assert_int_equal(thread_start(&thread, "large", place_large, h), 0);
	while (!h->begun)
		clock_sleep_ms(1);
	clock_sleep_ms(20);
	assert_as_placed(h, WANTED, 0);
	assert_false(h->done);
	pthread_join(thread, NULL);
	assert_true(h->done);
	end(h);
}

static void two_who_ask_for_the_same_at_once_hear_the_same(UNUSED void **state)
{
	uint32_t one[PLACEMENT_OWNERS], two[PLACEMENT_OWNERS];
	struct house *h = new_house();
	pthread_t thread;

	assert_int_equal(thread_start(&thread, "large", place_large, h), 0);
	assert_int_equal(placement_cache_owners(&h->placement, h->now, (struct segment){ OTHER, 7 },
						LARGE, one),
			 PLACEMENT_OWNERS);
	pthread_join(thread, NULL);
	assert_int_equal(placement_cache_owners(&h->placement, h->now, (struct segment){ OTHER, 7 },
						LARGE, two),
			 PLACEMENT_OWNERS);
	assert_memory_equal(one, two, sizeof(one));
	assert_int_equal(h->placement.of[0].blob, OTHER);
	assert_int_equal(h->placement.of[1].used, 0); /* kept once */
	end(h);
}

static unsigned count_kept(const struct house *h)
{
	unsigned kept = 0;

	for (const struct placed *o = h->placement.of; o < h->placement.of + PLACEMENT_CACHE_MAX;
	     o++)
		kept += o->used > 0;
	return kept;
}

/* Of a model of so many files, each is worked out once, however they take turns. */
static void what_a_large_model_has_is_kept(UNUSED void **state)
{
	enum { SHARDS = 150 };
	const uint64_t size = UINT64_C(5) << 30;
	struct house *h = new_house();
	uint32_t owners[PLACEMENT_OWNERS];

	for (uint64_t blob = 0; blob < SHARDS; blob++)
		assert_int_equal(placement_cache_owners(&h->placement, h->now,
							(struct segment){ blob, 0 }, size, owners),
				 PLACEMENT_OWNERS);
	assert_int_equal(count_kept(h), SHARDS);
	assert_true(h->placement.bytes <= PLACEMENT_CACHE_BYTES);
	end(h);
}

/* The twin: files that are far too large, but the last one. */
static void what_takes_too_much_room_goes(UNUSED void **state)
{
	const uint64_t size = UINT64_C(1) << 40;
	struct house *h = new_house();
	uint32_t owners[PLACEMENT_OWNERS];

	for (uint64_t blob = 0; blob < 8; blob++)
		assert_int_equal(placement_cache_owners(&h->placement, h->now,
							(struct segment){ blob, 0 }, size, owners),
				 PLACEMENT_OWNERS);
	assert_in_range(count_kept(h), 1, 7);
	assert_true(h->placement.bytes <= PLACEMENT_CACHE_BYTES);
	assert_int_equal(h->placement.of[0].blob == 0, false);
	end(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owners_are_those_of_the_placement_however_often_one_asks),
		cmocka_unit_test(who_asks_for_what_is_known_waits_for_no_other_blob),
		cmocka_unit_test(two_who_ask_for_the_same_at_once_hear_the_same),
		cmocka_unit_test(what_a_large_model_has_is_kept),
		cmocka_unit_test(what_takes_too_much_room_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
