/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/fanout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdbool.h>

#define BLOB 7
#define SEGMENT 3
#define AT(blob, index) ((struct segment){ blob, index })
#define HOME 100
#define OWNER UINT64_MAX /* in the place of a giver */
#define NODES 400
#define THREADS 4
#define THREAD_GUESTS 200

static uint32_t number; /* that the last one was told */

static struct fanout *new_fanout(void)
{
	struct fanout *c;

	assert_int_equal(fanout_new(&c), 0);
	return c;
}

static uint64_t ask(struct fanout *c, uint64_t node, uint64_t zone, const uint64_t *failed,
		    unsigned failed_count, int64_t now_ms)
{
	const struct fanout_guest guest = { node, zone, failed, failed_count, false };
	uint64_t names[FANOUT_NAMES_MAX];

	return fanout_ask(c, AT(BLOB, SEGMENT), HOME, &guest, now_ms, names, &number) ? names[0]
										      : OWNER;
}

/* Node numbers are the order of arrival; who is sent to one has a higher one. */
static uint64_t come(struct fanout *c, uint64_t node)
{
	return ask(c, node, HOME, NULL, 0, 1000);
}

static unsigned copies_of(const uint64_t *givers, unsigned count, uint64_t giver)
{
	unsigned copies = 0;

	for (unsigned i = 1; i <= count; i++)
		copies += givers[i] == giver;
	return copies;
}

/* ---- who gives ---- */

static void nobody_gives_more_than_the_fanout(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t givers[NODES + 1];

	for (uint64_t i = 1; i <= NODES; i++)
		givers[i] = come(c, i);
	assert_int_equal(copies_of(givers, NODES, OWNER), FANOUT_WIDTH);
	for (uint64_t i = 1; i <= NODES; i++)
		assert_in_range(copies_of(givers, NODES, i), 0, FANOUT_WIDTH);
	fanout_free(c);
}

static void no_more_than_half_give_two_copies(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t givers[NODES + 1];
	unsigned two = 0;

	for (uint64_t i = 1; i <= NODES; i++)
		givers[i] = come(c, i);
	for (uint64_t i = 1; i <= NODES; i++)
		two += copies_of(givers, NODES, i) == 2;
	assert_in_range(two, NODES / 5, NODES / 2);
	fanout_free(c);
}

static unsigned depth_of(const uint64_t *givers, uint64_t node)
{
	unsigned depth = 1;

	for (; givers[node] != OWNER; node = givers[node])
		depth++;
	return depth;
}

static void nobody_is_far_from_the_owner(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t givers[NODES + 1];
	unsigned deepest = 0;

	for (uint64_t i = 1; i <= NODES; i++) {
		givers[i] = come(c, i);
		deepest = depth_of(givers, i) > deepest ? depth_of(givers, i) : deepest;
	}
	/* A chain would have NODES. */
	assert_in_range(deepest, 9, 45);
	fanout_free(c);
}

static void who_comes_first_to_all_segments_gives_little_more_than_he_gets(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t names[FANOUT_NAMES_MAX];
	unsigned copies[NODES + 1] = { 0 }, most = 0;

	for (uint32_t s = 0; s < 64; s++)
		for (uint64_t i = 1; i <= NODES; i++) {
			const struct fanout_guest guest = { i, HOME, NULL, 0, false };

			if (fanout_ask(c, AT(BLOB, s), HOME, &guest, 1000, names, &number))
				copies[names[0]]++;
		}
	for (unsigned i = 1; i <= NODES; i++)
		most = copies[i] > most ? copies[i] : most;
	assert_in_range(most, 64, 64 * 3 / 2);
	fanout_free(c);
}

static void who_asks_again_is_told_the_same(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t givers[NODES + 1];

	for (uint64_t i = 1; i <= NODES; i++)
		givers[i] = come(c, i);
	for (uint64_t i = 1; i <= NODES; i++)
		assert_true(come(c, i) == givers[i]);
	fanout_free(c);
}

static void a_copy_that_is_over_makes_room_for_another(UNUSED void **state)
{
	struct fanout *c = new_fanout();

	for (uint64_t i = 1; i <= FANOUT_WIDTH; i++)
		assert_true(come(c, i) == OWNER);
	for (uint64_t i = 0; i < NODES; i++)
		assert_true(come(c, 10 + i) != OWNER);
	assert_true(ask(c, 1000, HOME, NULL, 0, 1000 + FANOUT_COPY_MS - 1) != OWNER);
	fanout_free(c);
}

static void segments_have_nothing_to_do_with_each_other(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	const struct fanout_guest guest = { 50, HOME, NULL, 0, false };
	uint64_t names[FANOUT_NAMES_MAX];

	for (uint64_t i = 1; i <= 20; i++)
		come(c, i);
	assert_int_equal(fanout_ask(c, AT(BLOB, SEGMENT + 1), HOME, &guest, 1000, names, &number),
			 0);
	assert_int_equal(fanout_ask(c, AT(BLOB + 1, SEGMENT), HOME, &guest, 1000, names, &number),
			 0);
	assert_int_not_equal(fanout_ask(c, AT(BLOB, SEGMENT), HOME, &guest, 1000, names, &number),
			     0);
	fanout_free(c);
}

/* ---- who fails ---- */

static void who_was_sent_in_vain_gets_another(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t first, second;

	for (uint64_t i = 1; i <= 20; i++)
		come(c, i);
	first = come(c, 30);
	second = ask(c, 30, HOME, &first, 1, 1000);
	assert_true(first != OWNER && second != OWNER && first != second);
	/* From then on that is his. */
	assert_true(come(c, 30) == second);
	fanout_free(c);
}

static void when_all_have_failed_the_owner_gives_it(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t failed[6];

	for (uint64_t i = 1; i <= 6; i++) {
		failed[i - 1] = i;
		come(c, i);
	}
	assert_true(ask(c, 30, HOME, failed, 5, 1000) == 6);
	assert_true(ask(c, 30, HOME, failed, 6, 1000) == OWNER);
	fanout_free(c);
}

static void two_strikes_and_nobody_is_sent_there(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t bad = 0, node = 1, names[FANOUT_NAMES_MAX];
	unsigned sent = 0;

	for (; node <= 3; node++)
		bad = come(c, node);
	assert_true(bad != OWNER);
	for (; node < 100; node++)
		if (come(c, node) == bad) {
			sent++;
			ask(c, node, HOME, &bad, 1, 1000);
		}
	/* The third came before anybody complained, and may again. */
	assert_in_range(sent, 0, 1);
	ask(c, 3, HOME, &bad, 1, 1000);
	for (; node < 300; node++) {
		const struct fanout_guest guest = { node, HOME, NULL, 0, false };
		unsigned count = fanout_ask(c, AT(BLOB, SEGMENT), HOME, &guest,
					    1000 + (int64_t)node * FANOUT_COPY_MS / 100, names,
					    &number);

		for (unsigned i = 0; sent && i < count; i++)
			assert_true(names[i] != bad);
	}
	fanout_free(c);
}

/* How many of the third and the fourth node are named still after so many others said of everybody
 * they were sent to that they were sent in vain. */
static unsigned named_after(uint64_t accusers)
{
	struct fanout *c = new_fanout();
	uint64_t giver[2], names[FANOUT_NAMES_MAX];
	const struct fanout_guest guest = { 99, HOME, NULL, 0, false };
	unsigned count, named = 0;

	for (uint64_t node = 1; node <= 4; node++)
		come(c, node);
	for (uint64_t i = 0; i < accusers; i++)
		giver[i] = come(c, 10 + i);
	for (unsigned turn = 0; turn < 20; turn++)
		for (uint64_t i = 0; i < accusers; i++)
			if (giver[i] != OWNER)
				giver[i] = ask(c, 10 + i, HOME, &giver[i], 1, 1000);
	count = fanout_ask(c, AT(BLOB, SEGMENT), HOME, &guest, 1000, names, &number);
	for (unsigned i = 0; i < count; i++)
		named += names[i] == 3 || names[i] == 4;
	fanout_free(c);
	return named;
}

/* Who only looks for somebody besides has his giver still: it is not named again, nor struck. */
static void who_looks_strikes_nobody(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	struct fanout_guest guest = { .zone = HOME, .failed_count = 1, .looks = true };
	uint64_t names[FANOUT_NAMES_MAX], giver[7];

	for (uint64_t i = 1; i < 7; i++)
		giver[i] = ask(c, i, HOME, NULL, 0, 1000);
	assert_true(giver[3] != OWNER);
	for (guest.node = 3; guest.node < 7; guest.node++) {
		unsigned count;

		guest.failed = &giver[guest.node];
		count = fanout_ask(c, AT(BLOB, SEGMENT), HOME, &guest, 1000, names, &number);
		for (unsigned i = 0; i < count; i++)
			assert_true(names[i] != giver[guest.node]);
		assert_true(ask(c, guest.node, HOME, NULL, 0, 1000) == giver[guest.node]);
	}
	fanout_free(c);
}

static void one_guest_alone_strikes_nobody_out(UNUSED void **state)
{
	assert_int_equal(named_after(0), 2);
	assert_int_equal(named_after(1), 2);
	assert_in_range(named_after(2), 0, 1);
}

static void names_to_fall_back_on_came_before(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t names[FANOUT_NAMES_MAX];

	for (uint64_t i = 1; i <= NODES; i++) {
		const struct fanout_guest guest = { i, HOME, NULL, 0, false };
		unsigned count =
			fanout_ask(c, AT(BLOB, SEGMENT), HOME, &guest, 1000, names, &number);

		for (unsigned k = 0; k < count; k++) {
			assert_in_range(names[k], 1, i - 1);
			for (unsigned j = 0; j < k; j++)
				assert_true(names[j] != names[k]);
		}
		assert_int_equal(count, i <= FANOUT_WIDTH          ? 0
					: i - 1 < FANOUT_NAMES_MAX ? i - 1
								   : FANOUT_NAMES_MAX);
	}
	fanout_free(c);
}

/* ---- nobody waits for one who waits for him ---- */

static void whatever_happens_all_are_sent_to_earlier_ones(UNUSED void **state)
{
	srand(1);
	for (unsigned life = 0; life < 300; life++) {
		struct fanout *c = new_fanout();
		uint64_t order[NODES] = { 0 }, known = 0, names[FANOUT_NAMES_MAX], failed[4];
		int64_t now = 1000;

		for (unsigned step = 0; step < 300; step++) {
			uint64_t node = 1 + (uint64_t)(rand() % 60);
			struct fanout_guest guest = { node, HOME + node % 3, failed, 0, false };
			unsigned count;

			order[node] = order[node] ? order[node] : ++known;
			while (guest.failed_count < (unsigned)rand() % 5)
				failed[guest.failed_count++] = 1 + (uint64_t)(rand() % 60);
			now += rand() % 500;
			count = fanout_ask(c, AT(BLOB, SEGMENT), HOME, &guest, now, names, &number);
			assert_in_range(count, 0, FANOUT_NAMES_MAX);
			for (unsigned i = 0; i < count; i++)
				assert_in_range(order[names[i]], 1, order[node] - 1);
		}
		fanout_free(c);
	}
}

static void who_is_named_has_a_lower_number(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t names[FANOUT_NAMES_MAX];
	uint32_t numbers[NODES + 1];

	for (uint64_t i = 1; i <= NODES; i++) {
		const struct fanout_guest guest = { i, HOME, NULL, 0, false };
		unsigned count =
			fanout_ask(c, AT(BLOB, SEGMENT), HOME, &guest, 1000, names, &number);

		numbers[i] = number;
		assert_int_not_equal(number, 0);
		for (unsigned k = 0; k < count; k++)
			assert_true(numbers[names[k]] < number);
	}
	come(c, 7);
	assert_int_equal(number, numbers[7]);
	fanout_free(c);
}

/* ---- zones ---- */

/* How many are sent to another zone, the owner's copies counted. */
static unsigned crossings(unsigned zones)
{
	struct fanout *c = new_fanout();
	unsigned far = 0;

	for (uint64_t i = 1; i <= NODES; i++) {
		uint64_t zone = HOME + i % zones, giver = ask(c, i, zone, NULL, 0, 1000);

		far += zone != (giver == OWNER ? HOME : HOME + giver % zones);
	}
	fanout_free(c);
	return far;
}

static void neighbours_hang_together(UNUSED void **state)
{
	assert_int_equal(crossings(1), 0);
	for (unsigned zones = 2; zones <= 8; zones++)
		assert_in_range(crossings(zones), zones - 1, 2 * zones);
}

static void where_no_neighbour_is_left_others_give(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t failed = 5;

	for (uint64_t i = 1; i <= 4; i++)
		come(c, i);
	ask(c, 5, HOME + 1, NULL, 0, 1000);
	assert_true(ask(c, 6, HOME + 1, NULL, 0, 1000) == 5);
	assert_in_range(ask(c, 6, HOME + 1, &failed, 1, 1000), 1, 4);
	fanout_free(c);
}

/* ---- memory ---- */

static void what_nobody_asked_for_long_begins_anew(UNUSED void **state)
{
	struct fanout *c = new_fanout();

	for (uint64_t i = 1; i <= 10; i++)
		come(c, i);
	assert_true(ask(c, 10, HOME, NULL, 0, 1000 + FANOUT_IDLE_MS) != OWNER);
	assert_true(ask(c, 10, HOME, NULL, 0, 1001 + 2 * FANOUT_IDLE_MS) == OWNER);
	fanout_free(c);
}

/* How many guests of a segment were known before one more came, which it does. */
static unsigned known(struct fanout *c, uint32_t segment)
{
	const struct fanout_guest guest = { 999999, HOME, NULL, 0, false };
	uint64_t names[FANOUT_NAMES_MAX];

	fanout_ask(c, AT(BLOB, segment), HOME, &guest, 1000, names, &number);
	return number - 1;
}

static void the_segments_asked_for_longest_ago_are_forgotten(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	const struct fanout_guest guest = { 1, HOME, NULL, 0, false };
	uint64_t names[FANOUT_NAMES_MAX];

	for (uint32_t i = 0; i < FANOUT_SEGMENTS_MAX; i++)
		assert_int_equal(fanout_ask(c, AT(BLOB, i), HOME, &guest, 1000, names, &number), 0);
	for (uint32_t i = 0; i < 2; i++)
		fanout_ask(c, AT(BLOB, FANOUT_SEGMENTS_MAX + i), HOME, &guest, 1000, names,
			   &number);
	assert_int_equal(known(c, FANOUT_SEGMENTS_MAX + 1), 1);
	assert_int_equal(known(c, FANOUT_SEGMENTS_MAX / 2), 1);
	assert_int_equal(known(c, 0), 0);
	fanout_free(c);
}

static void so_many_guests_are_remembered_and_no_more(UNUSED void **state)
{
	struct fanout *c = new_fanout();
	uint64_t names[FANOUT_NAMES_MAX];

	for (uint32_t s = 0; s < 3; s++)
		for (uint64_t i = 1; i <= FANOUT_GUESTS_MAX / 2; i++) {
			const struct fanout_guest guest = { i, HOME, NULL, 0, false };

			fanout_ask(c, AT(BLOB, s), HOME, &guest, 1000, names, &number);
		}
	assert_int_not_equal(known(c, 2), 0);
	assert_int_equal(known(c, 0), 0);
	fanout_free(c);
}

struct party {
	struct fanout *fanout;
	uint64_t first;
	uint32_t numbers[THREAD_GUESTS];
};

static void *come_together(void *arg)
{
	struct party *p = arg;

	for (unsigned i = 0; i < THREAD_GUESTS; i++) {
		const struct fanout_guest guest = { p->first + i, HOME, NULL, 0, false };
		uint64_t names[FANOUT_NAMES_MAX];

		fanout_ask(p->fanout, AT(BLOB, SEGMENT), HOME, &guest, 1000, names, &p->numbers[i]);
	}
	return NULL;
}

static void guests_that_come_at_once_have_a_place_each(void **state)
{
	bool taken[THREADS * THREAD_GUESTS + 1] = { false };
	struct party parties[THREADS];
	pthread_t threads[THREADS];
	struct fanout *c = new_fanout();

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		parties[i] = (struct party){ .fanout = c, .first = 1 + i * THREAD_GUESTS };
		assert_int_equal(pthread_create(&threads[i], NULL, come_together, &parties[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < THREADS * THREAD_GUESTS; i++) {
		uint32_t place = parties[i / THREAD_GUESTS].numbers[i % THREAD_GUESTS];

		assert_in_range(place, 1, THREADS * THREAD_GUESTS);
		assert_false(taken[place]);
		taken[place] = true;
	}
	fanout_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_gives_more_than_the_fanout),
		cmocka_unit_test(no_more_than_half_give_two_copies),
		cmocka_unit_test(nobody_is_far_from_the_owner),
		cmocka_unit_test(who_comes_first_to_all_segments_gives_little_more_than_he_gets),
		cmocka_unit_test(who_asks_again_is_told_the_same),
		cmocka_unit_test(a_copy_that_is_over_makes_room_for_another),
		cmocka_unit_test(segments_have_nothing_to_do_with_each_other),
		cmocka_unit_test(who_was_sent_in_vain_gets_another),
		cmocka_unit_test(when_all_have_failed_the_owner_gives_it),
		cmocka_unit_test(two_strikes_and_nobody_is_sent_there),
		cmocka_unit_test(who_looks_strikes_nobody),
		cmocka_unit_test(one_guest_alone_strikes_nobody_out),
		cmocka_unit_test(names_to_fall_back_on_came_before),
		cmocka_unit_test(whatever_happens_all_are_sent_to_earlier_ones),
		cmocka_unit_test(who_is_named_has_a_lower_number),
		cmocka_unit_test(neighbours_hang_together),
		cmocka_unit_test(where_no_neighbour_is_left_others_give),
		cmocka_unit_test(what_nobody_asked_for_long_begins_anew),
		cmocka_unit_test(the_segments_asked_for_longest_ago_are_forgotten),
		cmocka_unit_test(so_many_guests_are_remembered_and_no_more),
		cmocka_unit_test(guests_that_come_at_once_have_a_place_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
