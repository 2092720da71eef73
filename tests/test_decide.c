/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define NODES 40
#define BLOB 7
#define SEGMENTS 500
#define NOW 100000
#define GUEST 99

/* One node that is asked. */
struct house {
	struct members *members;
	struct placement_cache placement;
	struct segment_notes notes;
	struct decide_here here;
	uint32_t number; /* that the guest was told last */
};

static struct house *new_house(void)
{
	static struct house h;
	struct member_spec self = { "n00.example:9980", "", 1 }, list[NODES];

	for (unsigned i = 0; i < NODES; i++) {
		list[i] = self;
		snprintf(list[i].address, sizeof(list[i].address), "n%02u.example:9980", i);
	}
	assert_int_equal(members_new(&self, &h.members), 0);
	assert_int_equal(members_set(h.members, list, NODES), 0);
	placement_cache_init(&h.placement);
	segment_notes_init(&h.notes);
	h.here = (struct decide_here){ members_now(h.members), &h.placement, &h.notes, NULL };
	return &h;
}

static void end(struct house *h)
{
	membership_unref(h->here.members);
	members_free(h->members);
	placement_cache_fini(&h->placement);
	segment_notes_fini(&h->notes);
}

/* Of those who ask for a segment, the last: how many others it is sent to. The guests are members,
 * and this node is none of them. */
static unsigned send(const struct decide_here *here, const struct decide_ask *like, unsigned guests,
		     uint32_t names[static FANOUT_NAMES_MAX], uint32_t *ret_number)
{
	struct decide_here mine = *here;
	struct decide_ask ask = *like;
	unsigned count = 0;

	assert_int_equal(fanout_new(&mine.fanout), 0);
	for (unsigned i = 1; i <= guests; i++) {
		ask.guest = here->members->nodes[(here->members->self + i) % NODES].key;
		count = decide_others(&mine, &ask, NOW, names, ret_number);
	}
	fanout_free(mine.fanout);
	return count;
}

/* A node gives a segment to the first two, if it is the one that arranges who gets it. */
static bool arranges(const struct decide_here *here, const struct decide_ask *ask)
{
	uint32_t names[FANOUT_NAMES_MAX];
	uint32_t number;

	return send(here, ask, FANOUT_WIDTH + 1, names, &number);
}

/* A segment that is this node's to arrange, or is not. */
static struct decide_ask ask_of(const struct house *h, bool own)
{
	struct decide_ask ask = { .segment.blob = BLOB, .size = SEGMENTS * SEGMENT_BYTES };

	while (arranges(&h->here, &ask) != own)
		ask.segment.index++;
	ask.guest = GUEST;
	ask.bring = true;
	return ask;
}

static const struct decide_held all = { .present = true }, nothing = { .full = false };

static enum decision decide(struct house *h, const struct decide_ask *ask,
			    const struct decide_held *held, bool late)
{
	return decide_bytes(&h->here, ask, held, late, NOW, &h->number);
}

/* ---- who is asked ---- */

static void what_is_there_is_given(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, false);

	assert_int_equal(decide(h, &ask, &all, false), DECIDE_GIVE);
	ask.bring = false;
	assert_int_equal(decide(h, &ask, &all, true), DECIDE_GIVE);
	end(h);
}

static void what_may_be_wrong_is_not(UNUSED void **state)
{
	const struct decide_held doubtful = { .present = true, .hidden = true };
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);

	assert_int_equal(decide(h, &ask, &doubtful, false), DECIDE_NOT_HERE);
	assert_int_equal(decide(h, &ask, &all, false), DECIDE_GIVE);
	end(h);
}

static void what_is_not_is_brought_by_its_owner(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);

	assert_int_equal(decide(h, &ask, &nothing, false), DECIDE_WAIT);
	assert_int_equal(decide(h, &ask, &nothing, true), DECIDE_COMING);
	ask.bring = false;
	assert_int_equal(decide(h, &ask, &nothing, true), DECIDE_NOT_HERE);
	ask = ask_of(h, false);
	assert_int_equal(decide(h, &ask, &nothing, false), DECIDE_NOT_HERE);
	end(h);
}

static void what_the_disk_does_not_take_is_not_brought(UNUSED void **state)
{
	const struct decide_held full = { .full = true };
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);

	assert_int_equal(decide(h, &ask, &full, false), DECIDE_FULL);
	ask.bring = false;
	assert_int_equal(decide(h, &ask, &full, false), DECIDE_NOT_HERE);
	end(h);
}

static void what_is_wanted_here_is_shared(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, false);

	segment_notes_put(&h->notes, ask.segment, 0, NOW);
	assert_int_equal(decide(h, &ask, &nothing, false), DECIDE_WAIT);
	segment_notes_put(&h->notes, ask.segment, GUEST, NOW);
	assert_int_equal(decide(h, &ask, &nothing, false), DECIDE_NOT_HERE);
	end(h);
}

static void only_one_of_a_higher_number_may_wait(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);

	segment_notes_put(&h->notes, ask.segment, 0, NOW);
	segment_notes_number(&h->notes, ask.segment, 5, NOW);
	for (uint32_t number = 1; number < 10; number++) {
		bool late = number % 2;

		ask.number = number;
		assert_int_equal(decide(h, &ask, &nothing, late), number <= 5 ? DECIDE_NOT_HERE
								  : late      ? DECIDE_COMING
									      : DECIDE_WAIT);
		assert_int_equal(decide(h, &ask, &all, late), DECIDE_GIVE);
		assert_int_equal(h->number, 6);
	}
	ask.number = 0;
	assert_int_equal(decide(h, &ask, &nothing, false), DECIDE_WAIT);
	end(h);
}

static void that_upstream_fails_is_said_for_a_moment(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);

	segment_notes_put(&h->notes, ask.segment, 0, NOW - SEGMENT_NOTES_FAILED_MS);
	segment_notes_failed(&h->notes, ask.segment, ask.origin, NOW - SEGMENT_NOTES_FAILED_MS);
	assert_int_equal(decide(h, &ask, &nothing, true), DECIDE_COMING);
	segment_notes_failed(&h->notes, ask.segment, ask.origin, NOW - SEGMENT_NOTES_FAILED_MS + 1);
	assert_int_equal(decide(h, &ask, &nothing, true), DECIDE_FAILED);
	assert_int_equal(decide(h, &ask, &all, true), DECIDE_GIVE);
	ask.origin++; /* who names another one is not to suffer from that */
	assert_int_equal(decide(h, &ask, &nothing, true), DECIDE_COMING);
	end(h);
}

/* It may be over before: who waits here hears of it at once. */
static void while_upstream_fails_guests_wait_and_are_told_so_then(UNUSED void **state)
{
	const struct decide_held failing = { .failing = true };
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);

	assert_int_equal(decide(h, &ask, &failing, false), DECIDE_WAIT);
	assert_int_equal(decide(h, &ask, &failing, true), DECIDE_FAILED);
	assert_int_equal(decide(h, &ask, &nothing, true), DECIDE_COMING);
	ask.bring = false;
	assert_int_equal(decide(h, &ask, &failing, true), DECIDE_NOT_HERE);
	end(h);
}

static unsigned arranged_by(struct house *h, const struct decide_ask *ask)
{
	struct membership ms = *h->here.members;
	const struct decide_here here = { &ms, &h->placement, &h->notes, NULL };
	unsigned count = 0;

	for (ms.self = 0; ms.self < ms.count; ms.self++)
		count += arranges(&here, ask);
	return count;
}

static void those_near_a_segment_arrange_who_gives_it(UNUSED void **state)
{
	struct decide_ask ask = { .segment.blob = BLOB, .size = SEGMENTS * SEGMENT_BYTES };
	struct house *h = new_house();

	for (; ask.segment.index < 50; ask.segment.index++)
		assert_in_range(arranged_by(h, &ask), 16, 16 + PLACEMENT_OWNERS);
	end(h);
}

static void who_was_sent_here_is_sent_nowhere_else(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);

	assert_true(arranges(&h->here, &ask));
	ask.number = 1;
	assert_false(arranges(&h->here, &ask));
	end(h);
}

static void a_small_segment_is_given_to_everybody(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);

	ask.size = segment_start(ask.segment.index) + 65536;
	assert_false(arranges(&h->here, &ask));
	ask.size++;
	assert_true(arranges(&h->here, &ask));
	end(h);
}

static void who_is_sent_away_has_a_higher_number_than_whom_it_is_sent_to(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);
	uint32_t names[FANOUT_NAMES_MAX];
	uint32_t number;

	segment_notes_put(&h->notes, ask.segment, 0, NOW);
	segment_notes_number(&h->notes, ask.segment, 10, NOW);
	assert_true(send(&h->here, &ask, 3, names, &number));
	assert_int_equal(number, 13);
	assert_true(send(&h->here, &ask, 4, names, &number));
	assert_int_equal(number, 14);
	end(h);
}

/* Who is third is sent to one of the first two, and with it whoever came between. */
static void who_is_named_is_told_by_its_index_and_never_the_guest_itself(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);
	uint32_t names[FANOUT_NAMES_MAX], number;
	uint32_t self = h->here.members->self;
	unsigned count = send(&h->here, &ask, 5, names, &number);

	assert_in_range(count, 1, FANOUT_NAMES_MAX);
	for (unsigned i = 0; i < count; i++)
		assert_in_range((names[i] + NODES - self) % NODES, 1, 4);
	end(h);
}

/* All that a list that has changed has left of a crowd may be nobody. */
static void who_is_no_member_any_more_is_not_named(UNUSED void **state)
{
	struct house *h = new_house();
	struct decide_ask ask = ask_of(h, true);
	struct decide_here here = h->here;
	uint32_t names[FANOUT_NAMES_MAX];
	uint32_t number;

	assert_int_equal(fanout_new(&here.fanout), 0);
	for (ask.guest = 1; ask.guest <= 10; ask.guest++)
		assert_int_equal(decide_others(&here, &ask, NOW, names, &number), 0);
	fanout_free(here.fanout);
	end(h);
}

static void those_in_a_ring_tell_each_other_nothing_new(UNUSED void **state)
{
	const struct segment segment = { BLOB, 3 };
	static struct segment_notes one, two;

	segment_notes_init(&one);
	segment_notes_init(&two);
	segment_notes_put(&one, segment, 0, NOW);
	segment_notes_put(&two, segment, 0, NOW);
	assert_int_equal(decide_quiet_ms(&two, segment, 0, NOW), -1);
	assert_int_equal(decide_quiet_ms(&two, segment, NOW - 30, NOW), 30);
	segment_notes_moved(&one, segment, NOW, NOW);
	assert_int_equal(decide_quiet_ms(&one, segment, NOW - 30, NOW), 0);
	assert_int_equal(decide_quiet_ms(&one, segment, NOW + 5, NOW), 0);
	for (int64_t now = NOW + 500; now < NOW + 10000; now += 500) {
		segment_notes_moved(&two, segment, now - decide_quiet_ms(&one, segment, 0, now),
				    now);
		segment_notes_moved(&one, segment, now - decide_quiet_ms(&two, segment, 0, now),
				    now);
		assert_int_equal(decide_quiet_ms(&one, segment, 0, now), now - NOW);
	}
	segment_notes_fini(&one);
	segment_notes_fini(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_there_is_given),
		cmocka_unit_test(what_may_be_wrong_is_not),
		cmocka_unit_test(what_is_not_is_brought_by_its_owner),
		cmocka_unit_test(what_the_disk_does_not_take_is_not_brought),
		cmocka_unit_test(what_is_wanted_here_is_shared),
		cmocka_unit_test(only_one_of_a_higher_number_may_wait),
		cmocka_unit_test(that_upstream_fails_is_said_for_a_moment),
		cmocka_unit_test(while_upstream_fails_guests_wait_and_are_told_so_then),
		cmocka_unit_test(those_near_a_segment_arrange_who_gives_it),
		cmocka_unit_test(who_was_sent_here_is_sent_nowhere_else),
		cmocka_unit_test(a_small_segment_is_given_to_everybody),
		cmocka_unit_test(who_is_sent_away_has_a_higher_number_than_whom_it_is_sent_to),
		cmocka_unit_test(who_is_named_is_told_by_its_index_and_never_the_guest_itself),
		cmocka_unit_test(who_is_no_member_any_more_is_not_named),
		cmocka_unit_test(those_in_a_ring_tell_each_other_nothing_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
