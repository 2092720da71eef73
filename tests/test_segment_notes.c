/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/segment_notes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BLOB UINT64_C(0x1234567890)
#define OF(index) ((struct segment){ BLOB, index })
#define GIVER UINT64_C(77)
#define NOW 1000000

static int setup(void **state)
{
	struct segment_notes *t = malloc(sizeof(*t));

	if (!t)
		return -1;
	segment_notes_init(t);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	segment_notes_fini(*state);
	free(*state);
	return 0;
}

static struct segment_note find(struct segment_notes *t, uint32_t segment, int64_t now_ms)
{
	struct segment_note ret;

	segment_notes_find(t, OF(segment), now_ms, &ret);
	return ret;
}

static void who_gave_a_segment_is_remembered(void **state)
{
	struct segment_note note;

	segment_notes_put(*state, OF(3), GIVER, NOW);
	assert_true(segment_notes_find(*state, OF(3), NOW + SEGMENT_NOTES_MS - 1, &note));
	assert_int_equal(note.giver, GIVER);
	/* The twins: another segment, another blob, another time. */
	assert_false(segment_notes_find(*state, OF(4), NOW, &note));
	assert_false(segment_notes_find(*state, ((struct segment){ BLOB + 1, 3 }), NOW, &note));
	assert_false(segment_notes_find(*state, OF(3), NOW + SEGMENT_NOTES_MS, &note));
	assert_int_equal(note.giver, 0);
}

static void asking_again_forgets_no_giver_and_keeps_it_for_longer(void **state)
{
	segment_notes_put(*state, OF(3), GIVER, NOW);
	segment_notes_put(*state, OF(3), 0, NOW + SEGMENT_NOTES_MS / 2);
	assert_int_equal(find(*state, 3, NOW + SEGMENT_NOTES_MS).giver, GIVER);
	segment_notes_put(*state, OF(3), GIVER + 1, NOW + SEGMENT_NOTES_MS);
	assert_int_equal(find(*state, 3, NOW + SEGMENT_NOTES_MS).giver, GIVER + 1);
}

/* Files whose keys are alike are wanted at once, and so are segments of one that lie far apart. */
static void what_has_its_place_beside_others_is_remembered_with_them(void **state)
{
	struct segment_note note;

	for (uint32_t i = 0; i < SEGMENT_NOTES_WAYS; i++) {
		const struct segment s = { BLOB + i / 2 * SEGMENT_NOTES_MAX,
					   3 + i % 2 * SEGMENT_NOTES_MAX };

		segment_notes_put(*state, s, GIVER + i, NOW + i);
		segment_notes_number(*state, s, 5 + i, NOW + i);
	}
	for (uint32_t i = 0; i < SEGMENT_NOTES_WAYS; i++) {
		const struct segment s = { BLOB + i / 2 * SEGMENT_NOTES_MAX,
					   3 + i % 2 * SEGMENT_NOTES_MAX };

		assert_true(segment_notes_find(*state, s, NOW + 100, &note));
		assert_int_equal(note.giver, GIVER + i);
		assert_int_equal(note.number, 5 + i);
	}
}

static void what_was_asked_for_longest_ago_makes_room(void **state)
{
	for (uint32_t i = 0; i <= SEGMENT_NOTES_WAYS; i++) {
		segment_notes_put(*state, OF(3 + i * SEGMENT_NOTES_MAX), GIVER + i, NOW + i);
		segment_notes_put(*state, OF(3), 0, NOW + i); /* this one is, all the time */
	}
	assert_int_equal(find(*state, 3, NOW).giver, GIVER);
	assert_int_equal(find(*state, 3 + SEGMENT_NOTES_MAX, NOW).giver, 0);
	for (uint32_t i = 2; i <= SEGMENT_NOTES_WAYS; i++)
		assert_int_equal(find(*state, 3 + i * SEGMENT_NOTES_MAX, NOW).giver, GIVER + i);
}

static uint64_t shard(uint64_t i)
{
	char etag[16];

	snprintf(etag, sizeof(etag), "%jx", (uintmax_t)i);
	return placement_key(etag);
}

/* Of a model whose shards are read at once: all that is under way. */
static void shards_do_not_throw_each_other_out(void **state)
{
	enum { SHARDS = 16, RUNS = 24 };
	unsigned lost = 0;

	for (uint64_t i = 0; i < SHARDS * RUNS; i++) {
		const struct segment s = { shard(i % SHARDS), (uint32_t)(i / SHARDS) };

		segment_notes_put(*state, s, GIVER, NOW);
	}
	for (uint64_t i = 0; i < SHARDS * RUNS; i++) {
		const struct segment s = { shard(i % SHARDS), (uint32_t)(i / SHARDS) };
		struct segment_note note;

		lost += !segment_notes_find(*state, s, NOW, &note);
	}
	assert_int_equal(lost, 0);
}

static void only_what_is_asked_for_has_a_number(void **state)
{
	segment_notes_number(*state, OF(3), 5, NOW);
	assert_int_equal(find(*state, 3, NOW).number, 0);
	segment_notes_put(*state, OF(3), 0, NOW);
	segment_notes_number(*state, OF(3), 5, NOW);
	assert_int_equal(find(*state, 3, NOW).number, 5);
}

static void no_number_is_so_high_that_the_next_one_is_low(void **state)
{
	segment_notes_put(*state, OF(3), 0, NOW);
	segment_notes_number(*state, OF(3), UINT32_MAX, NOW);
	assert_true(find(*state, 3, NOW).number + 1 > find(*state, 3, NOW).number);
	assert_int_equal(find(*state, 3, NOW).number, SEGMENT_NOTES_NUMBER_MAX);
	/* The twin. */
	segment_notes_number(*state, OF(3), SEGMENT_NOTES_NUMBER_MAX - 1, NOW);
	assert_int_equal(find(*state, 3, NOW).number, SEGMENT_NOTES_NUMBER_MAX - 1);
}

static void that_upstream_fails_is_believed_for_a_moment(void **state)
{
	struct segment_note note;

	segment_notes_put(*state, OF(3), 0, NOW);
	note = find(*state, 3, NOW);
	assert_false(segment_note_has_failed(&note, 7, NOW));
	segment_notes_failed(*state, OF(3), 7, NOW);
	note = find(*state, 3, NOW);
	assert_true(segment_note_has_failed(&note, 7, NOW + SEGMENT_NOTES_FAILED_MS - 1));
	assert_false(segment_note_has_failed(&note, 7, NOW + SEGMENT_NOTES_FAILED_MS));
	assert_false(segment_note_has_failed(&note, 8, NOW)); /* another place may be right */
	segment_notes_put(*state, OF(3), 0, NOW);
	note = find(*state, 3, NOW);
	assert_true(segment_note_has_failed(&note, 7, NOW));
	segment_notes_put(*state, OF(3), 1, NOW); /* bytes come */
	note = find(*state, 3, NOW);
	assert_false(segment_note_has_failed(&note, 7, NOW));
	segment_notes_failed(*state, OF(3), 7, NOW);
	segment_notes_well(*state, OF(3), NOW);
	note = find(*state, 3, NOW);
	assert_false(segment_note_has_failed(&note, 7, NOW));
}

static void the_same_bytes_in_vain_again_are_sought_further(void **state)
{
	int64_t now_ms = NOW;

	segment_notes_put(*state, OF(3), 0, NOW);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(segment_notes_seek(*state, OF(3), 100, 7, now_ms), i);
		/* Less and less often. */
		now_ms += SEGMENT_NOTES_AGAIN_MS * i;
		if (i)
			assert_int_equal(segment_notes_seek(*state, OF(3), 100, 7, now_ms - 1), -1);
	}
	/* For another place, or after a while, from the beginning. */
	segment_notes_number(*state, OF(3), 0, now_ms);
	assert_int_equal(segment_notes_seek(*state, OF(3), 100, 8, now_ms), -1);
	assert_int_equal(segment_notes_seek(*state, OF(3), 100, 8, now_ms), 1);
	now_ms += SEGMENT_NOTES_VAIN_MS;
	assert_int_equal(segment_notes_seek(*state, OF(3), 100, 7, now_ms), 0);
}

static void other_bytes_of_a_segment_nobody_had_are_not_sought_at_once(void **state)
{
	segment_notes_put(*state, OF(3), 0, NOW);
	assert_int_equal(segment_notes_seek(*state, OF(3), 100, 7, NOW), 0);
	segment_notes_number(*state, OF(3), 0, NOW);
	assert_int_equal(segment_notes_seek(*state, OF(3), 200, 7, NOW), -1);
	assert_int_equal(segment_notes_seek(*state, OF(3), 300, 7, NOW + SEGMENT_NOTES_VAIN_MS), 0);
}

/* The twin: it is not known yet that nobody has them, or somebody had. */
static void other_bytes_of_a_segment_are_sought_until_one_is_missed(void **state)
{
	segment_notes_put(*state, OF(3), 0, NOW);
	for (uint64_t pos = 100; pos < 500; pos += 100)
		assert_int_equal(segment_notes_seek(*state, OF(3), pos, 7, NOW), 0);
	segment_notes_number(*state, OF(3), 3, NOW);
	assert_int_equal(segment_notes_seek(*state, OF(3), 500, 7, NOW), 0);
}

static void who_gave_what_was_wrong_is_forgotten_and_nothing_else(void **state)
{
	segment_notes_put(*state, OF(3), 7, NOW);
	segment_notes_number(*state, OF(3), 5, NOW);
	segment_notes_failed(*state, OF(3), 7, NOW);
	segment_notes_forget(*state, OF(3).blob + 1);
	assert_int_equal(find(*state, 3, NOW).giver, 7);
	segment_notes_forget(*state, OF(3).blob);
	assert_int_equal(find(*state, 3, NOW).giver, 0);
	assert_int_equal(find(*state, 3, NOW).number, 5);
	assert_int_equal(find(*state, 3, NOW).failed_ms, NOW);
	assert_true(segment_notes_find(*state, OF(3), NOW, &(struct segment_note){ 0 }));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_gave_a_segment_is_remembered),
		TEST(asking_again_forgets_no_giver_and_keeps_it_for_longer),
		TEST(what_has_its_place_beside_others_is_remembered_with_them),
		TEST(what_was_asked_for_longest_ago_makes_room),
		TEST(shards_do_not_throw_each_other_out),
		TEST(only_what_is_asked_for_has_a_number),
		TEST(no_number_is_so_high_that_the_next_one_is_low),
		TEST(that_upstream_fails_is_believed_for_a_moment),
		TEST(the_same_bytes_in_vain_again_are_sought_further),
		TEST(other_bytes_of_a_segment_nobody_had_are_not_sought_at_once),
		TEST(other_bytes_of_a_segment_are_sought_until_one_is_missed),
		TEST(who_gave_what_was_wrong_is_forgotten_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
