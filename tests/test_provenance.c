/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of who gave which chunk, and of what it must be. */
#include "daemon/peer/provenance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/cache/chunk.h"

#define BLOB "aaaaaaaabbbbbbbbccccccccddddddddaaaaaaaabbbbbbbbccccccccdddddddd"
#define SIZE (8 * CHUNK_BYTES + 1)
#define ONE "192.0.2.1:9980"
#define OTHER "192.0.2.2:9980"

static const uint8_t UNKNOWN[CHUNK_LIST_DIGEST];

static int set_up(void **state)
{
	return provenance_new(UINT64_C(1) << 20, (struct provenance **)state);
}

static int tear_down(void **state)
{
	provenance_free(*state);
	return 0;
}

static void assert_giver(void *e, uint32_t i, enum provenance_giver must, const char *address)
{
	char who[MEMBER_ADDRESS_MAX + 1];

	assert_int_equal(provenance_giver(e, BLOB, i, who), must);
	assert_string_equal(who, address);
}

static struct chunk_list *list_of(uint64_t size, uint8_t byte)
{
	struct chunk_list *l = chunk_list_new(size);

	assert_non_null(l);
	memset(l->digests, byte, l->count * sizeof(l->digests[0]));
	return l;
}

static void each_chunk_has_its_giver(void **state)
{
	provenance_note(*state, BLOB, SIZE, 0, 2, ONE);
	provenance_note(*state, BLOB, SIZE, 2, 4, OTHER);
	provenance_note(*state, BLOB, SIZE, 4, 100, NULL);
	assert_giver(*state, 1, PROVENANCE_MEMBER, ONE);
	assert_giver(*state, 2, PROVENANCE_MEMBER, OTHER);
	assert_giver(*state, 8, PROVENANCE_HUB, "");
	assert_giver(*state, 9, PROVENANCE_NOBODY, "");
}

static void what_members_gave_is_found_from_chunk_to_chunk(void **state)
{
	assert_int_equal(provenance_next_given(*state, BLOB, 0), UINT32_MAX);
	provenance_note(*state, BLOB, SIZE, 0, 100, NULL);
	assert_int_equal(provenance_next_given(*state, BLOB, 0), UINT32_MAX);
	provenance_note(*state, BLOB, SIZE, 2, 4, ONE);
	provenance_note(*state, BLOB, SIZE, 7, 8, OTHER);
	assert_int_equal(provenance_next_given(*state, BLOB, 0), 2);
	assert_int_equal(provenance_next_given(*state, BLOB, 3), 3);
	assert_int_equal(provenance_next_given(*state, BLOB, 4), 7);
	assert_int_equal(provenance_next_given(*state, BLOB, 8), UINT32_MAX);
	assert_int_equal(provenance_next_given(*state, BLOB, 100), UINT32_MAX);
}

static void what_is_not_remembered_is_nobodys(void **state)
{
	assert_giver(*state, 0, PROVENANCE_NOBODY, "");
	provenance_note(*state, BLOB, SIZE, 0, 1, ONE);
	provenance_forget(*state, BLOB);
	assert_giver(*state, 0, PROVENANCE_NOBODY, "");
}

static void what_is_left_to_hubs_takes_nothing_back_that_members_gave(void **state)
{
	provenance_note(*state, BLOB, SIZE, 3, 4, ONE);
	provenance_note(*state, BLOB, SIZE, 0, 9, NULL);
	assert_giver(*state, 3, PROVENANCE_MEMBER, ONE);
	assert_giver(*state, 4, PROVENANCE_HUB, "");
}

static void what_was_dropped_may_come_from_a_hub(void **state)
{
	provenance_note(*state, BLOB, SIZE, 3, 5, ONE);
	provenance_drop(*state, BLOB, 3, UNKNOWN, true);
	provenance_drop(*state, BLOB, 4, UNKNOWN, true);
	assert_giver(*state, 3, PROVENANCE_DROPPED, "");
	provenance_note(*state, BLOB, SIZE, 3, 4, NULL);
	provenance_note(*state, BLOB, SIZE, 4, 5, OTHER);
	assert_giver(*state, 3, PROVENANCE_HUB, "");
	assert_giver(*state, 4, PROVENANCE_MEMBER, OTHER);
}

static void another_size_is_another_blob(void **state)
{
	provenance_note(*state, BLOB, SIZE, 0, 1, ONE);
	provenance_note(*state, BLOB, SIZE - 1, 1, 2, ONE);
	assert_giver(*state, 0, PROVENANCE_NOBODY, "");
	assert_giver(*state, 1, PROVENANCE_MEMBER, ONE);
}

static void a_blob_is_remembered_by_what_was_noted_of_it(void **state)
{
	assert_false(provenance_has(*state, BLOB, SIZE));
	provenance_note(*state, BLOB, SIZE, 0, 1, ONE);
	assert_true(provenance_has(*state, BLOB, SIZE));
	assert_false(provenance_has(*state, BLOB, SIZE - 1));
	provenance_forget(*state, BLOB);
	assert_false(provenance_has(*state, BLOB, SIZE));
}

static void a_digest_that_is_learned_is_known(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = list_of(SIZE, 7);
	uint8_t digest[CHUNK_LIST_DIGEST];

	assert_int_equal(provenance_knows(*state, BLOB, 0, digest), PROVENANCE_UNKNOWN);
	provenance_learn(*state, BLOB, l, PROVENANCE_PUBLISHED);
	assert_int_equal(provenance_knows(*state, BLOB, 8, digest), PROVENANCE_PUBLISHED);
	assert_memory_equal(digest, l->digests[8], sizeof(digest));
	assert_int_equal(provenance_knows(*state, BLOB, 9, digest), PROVENANCE_UNKNOWN);
}

static void what_a_second_list_does_not_know_stands(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *first = list_of(SIZE, 7);
	CLEANUP(chunk_list_freep) struct chunk_list *second = list_of(SIZE, 0);
	uint8_t digest[CHUNK_LIST_DIGEST];

	memset(second->digests[1], 9, sizeof(digest));
	provenance_learn(*state, BLOB, first, PROVENANCE_WITNESSED);
	provenance_learn(*state, BLOB, second, PROVENANCE_WITNESSED);
	assert_int_equal(provenance_knows(*state, BLOB, 0, digest), PROVENANCE_WITNESSED);
	assert_int_equal(digest[0], 7);
	assert_int_equal(provenance_knows(*state, BLOB, 1, digest), PROVENANCE_WITNESSED);
	assert_int_equal(digest[0], 9);
}

static void what_is_found_out_changes_nothing_that_is_published(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *published = list_of(SIZE, 7);
	CLEANUP(chunk_list_freep) struct chunk_list *found = list_of(SIZE, 9);
	uint8_t digest[CHUNK_LIST_DIGEST];

	provenance_learn(*state, BLOB, found, PROVENANCE_WITNESSED);
	provenance_learn(*state, BLOB, published, PROVENANCE_PUBLISHED);
	assert_int_equal(provenance_knows(*state, BLOB, 0, digest), PROVENANCE_PUBLISHED);
	assert_int_equal(digest[0], 7);
	provenance_learn(*state, BLOB, found, PROVENANCE_WITNESSED);
	assert_int_equal(provenance_knows(*state, BLOB, 0, digest), PROVENANCE_PUBLISHED);
	assert_int_equal(digest[0], 7);
}

static void when_it_is_full_the_oldest_is_forgotten_and_the_used_stays(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = list_of(1000 * CHUNK_BYTES, 7);
	char etag[DIGEST_HEX_MAX + 1];
	uint8_t digest[CHUNK_LIST_DIGEST];

	provenance_note(*state, BLOB, SIZE, 0, 1, ONE);
	for (int i = 0; i < 100; i++) { /* 3.4 MB in all */
		snprintf(etag, sizeof(etag), "%064d", i);
		provenance_learn(*state, etag, l, PROVENANCE_WITNESSED);
		if (i < 50)
			provenance_note(*state, BLOB, SIZE, 0, 1, ONE);
		if (i == 49)
			assert_giver(*state, 0, PROVENANCE_MEMBER, ONE);
	}
	assert_giver(*state, 0, PROVENANCE_NOBODY, "");
	assert_int_equal(provenance_knows(*state, etag, 0, digest), PROVENANCE_WITNESSED);
	snprintf(etag, sizeof(etag), "%064d", 60);
	assert_int_equal(provenance_knows(*state, etag, 0, digest), PROVENANCE_UNKNOWN);
}

/* Addresses of nodes change, and a process lives for months. */
static void names_that_gave_nothing_that_is_there_make_room(void **state)
{
	char address[MEMBER_ADDRESS_MAX + 1];

	provenance_note(*state, BLOB, SIZE, 0, 1, ONE);
	for (unsigned i = 0; i < 50000; i++) {
		snprintf(address, sizeof(address), "192.0.2.1:%u", 1000 + i);
		provenance_note(*state, BLOB, SIZE, 1, 2, address);
	}
	assert_giver(*state, 0, PROVENANCE_MEMBER, ONE);
	assert_giver(*state, 1, PROVENANCE_MEMBER, address);
}

/* The twin: each has given a chunk that is there. */
static void of_too_many_names_the_last_are_not_remembered(void **state)
{
	enum { NAMES = 16384, MORE = 10 };
	const uint64_t size = (NAMES + MORE) * CHUNK_BYTES;
	char address[MEMBER_ADDRESS_MAX + 1], who[MEMBER_ADDRESS_MAX + 1];

	for (unsigned i = 0; i < NAMES + MORE; i++) {
		snprintf(address, sizeof(address), "192.0.2.1:%u", 1000 + i);
		provenance_note(*state, BLOB, size, i, i + 1, address);
	}
	assert_int_equal(provenance_giver(*state, BLOB, NAMES + MORE - 1, who), PROVENANCE_NOBODY);
	assert_giver(*state, 0, PROVENANCE_MEMBER, "192.0.2.1:1000");
}

static void what_was_dropped_is_remembered_even_of_a_blob_that_is_forgotten(void **state)
{
	provenance_note(*state, BLOB, SIZE, 0, 2, ONE);
	provenance_drop(*state, BLOB, 1, UNKNOWN, true);
	provenance_note(*state, BLOB, SIZE, 1, 2, OTHER);
	provenance_forget(*state, BLOB);
	assert_true(provenance_dropped(*state, BLOB, 1));
	assert_false(provenance_dropped(*state, BLOB, 0));
}

static void what_was_wrong_once_is_known_again_and_nothing_else(void **state)
{
	const uint8_t wrong[CHUNK_LIST_DIGEST] = { 1 }, other[CHUNK_LIST_DIGEST] = { 2 };

	provenance_note(*state, BLOB, SIZE, 0, 2, ONE);
	assert_false(provenance_was_wrong(*state, BLOB, 1, wrong));
	provenance_drop(*state, BLOB, 1, wrong, true);
	assert_true(provenance_was_wrong(*state, BLOB, 1, wrong));
	assert_false(provenance_was_wrong(*state, BLOB, 1, other));
	assert_false(provenance_was_wrong(*state, BLOB, 0, wrong));
	provenance_drop(*state, BLOB, 1, other, true);
	assert_true(provenance_was_wrong(*state, BLOB, 1, wrong));
}

static void what_nobody_stood_by_is_not_proven_wrong(void **state)
{
	const uint8_t was[CHUNK_LIST_DIGEST] = { 1 };

	provenance_drop(*state, BLOB, 1, was, false);
	assert_true(provenance_dropped(*state, BLOB, 1));
	assert_false(provenance_was_wrong(*state, BLOB, 1, was));
}

static void what_is_dropped_and_is_back_was_never_other(void **state)
{
	const uint8_t was[CHUNK_LIST_DIGEST] = { 1 }, other[CHUNK_LIST_DIGEST] = { 2 };

	assert_false(provenance_was_other(*state, BLOB, 1, was));
	provenance_drop(*state, BLOB, 1, was, false);
	assert_false(provenance_was_other(*state, BLOB, 1, was));
	assert_true(provenance_was_other(*state, BLOB, 1, other));
}

/* So many chunks of others were dropped since chunk 1 of the blob was, which is otherwise now. */
static void drop_others(void *e, const char *etag, unsigned count)
{
	const uint8_t was[CHUNK_LIST_DIGEST] = { 1 };

	provenance_drop(e, BLOB, 1, was, true);
	for (unsigned i = 0; i < count; i++)
		provenance_drop(e, etag, i, was, true);
}

static void of_a_blob_of_which_drops_are_forgotten_nobody_can_tell_what_it_was(void **state)
{
	const uint8_t is[CHUNK_LIST_DIGEST] = { 2 };

	drop_others(*state, "others", 300);
	assert_false(provenance_dropped(*state, BLOB, 1));
	assert_true(provenance_was_other(*state, BLOB, 1, is));
	assert_true(provenance_was_other(*state, BLOB, 2, is));
	assert_false(provenance_was_other(*state, "another", 1, is));
}

/* The twin. */
static void what_is_dropped_again_and_again_makes_nothing_forgotten(void **state)
{
	const uint8_t is[CHUNK_LIST_DIGEST] = { 2 };

	for (int i = 0; i < 10; i++)
		drop_others(*state, "others", 200);
	assert_true(provenance_was_other(*state, BLOB, 1, is));
	assert_false(provenance_was_other(*state, BLOB, 2, is));
}

static void of_what_is_whole_only_drops_of_what_was_wrong_are_remembered(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *right = list_of(SIZE, 7);
	const uint8_t wrong[CHUNK_LIST_DIGEST] = { 1 };

	provenance_drop(*state, BLOB, 1, right->digests[1], true);
	provenance_drop(*state, BLOB, 2, wrong, true);
	provenance_confirm(*state, BLOB, right);
	assert_false(provenance_dropped(*state, BLOB, 1));
	assert_true(provenance_was_wrong(*state, BLOB, 2, wrong));
}

static void assert_former(void *e, uint32_t i, const struct chunk_list *was)
{
	uint8_t digest[CHUNK_LIST_DIGEST];

	assert_int_equal(provenance_former(e, BLOB, i, digest), was != NULL);
	if (was)
		assert_memory_equal(digest, was->digests[i], sizeof(digest));
}

static void of_what_was_dropped_whole_it_is_known_what_it_was_and_nothing_else(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *was = list_of(SIZE, 7);
	uint8_t digest[CHUNK_LIST_DIGEST];

	provenance_note(*state, BLOB, SIZE, 0, 9, ONE);
	provenance_learn(*state, BLOB, was, PROVENANCE_BELIEVED);
	assert_former(*state, 1, NULL);
	provenance_drop_all(*state, BLOB, was);
	assert_giver(*state, 1, PROVENANCE_NOBODY, "");
	assert_int_equal(provenance_knows(*state, BLOB, 1, digest), PROVENANCE_UNKNOWN);
	assert_former(*state, 1, was);
	assert_false(provenance_dropped(*state, BLOB, 1)); /* nobody says that it was wrong */
	assert_false(provenance_was_other(*state, BLOB, 1, was->digests[1]));
	was->digests[1][0]++;
	assert_true(provenance_was_other(*state, BLOB, 1, was->digests[1]));
	provenance_drop_all(*state, BLOB, NULL);
	assert_former(*state, 1, NULL);
	assert_false(provenance_has(*state, BLOB, SIZE));
}

static void what_was_dropped_whole_twice_was_both(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *first = list_of(SIZE, 7);
	CLEANUP(chunk_list_freep) struct chunk_list *second = list_of(SIZE, 7);

	second->digests[1][0]++;
	provenance_drop_all(*state, BLOB, first);
	provenance_drop_all(*state, BLOB, second);
	assert_former(*state, 1, second);
	assert_true(provenance_was_other(*state, BLOB, 1, second->digests[1]));
	assert_false(provenance_was_other(*state, BLOB, 2, second->digests[2]));
}

static void once_it_is_whole_what_else_it_was_is_proven_wrong(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *was = list_of(SIZE, 7);
	CLEANUP(chunk_list_freep) struct chunk_list *right = list_of(SIZE, 7);

	right->digests[1][0]++;
	provenance_drop_all(*state, BLOB, was);
	provenance_confirm(*state, BLOB, right);
	provenance_forget(*state, BLOB);
	assert_true(provenance_was_wrong(*state, BLOB, 1, was->digests[1]));
	assert_true(provenance_was_other(*state, BLOB, 1, right->digests[1]));
	assert_false(provenance_dropped(*state, BLOB, 2));
}

static void each_chunk_is_known_as_well_as_it_is(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *seen = list_of(SIZE, 0);
	CLEANUP(chunk_list_freep) struct chunk_list *said = list_of(SIZE, 9);
	uint8_t digest[CHUNK_LIST_DIGEST];

	memset(seen->digests[1], 7, sizeof(digest));
	provenance_learn(*state, BLOB, seen, PROVENANCE_WITNESSED);
	provenance_learn(*state, BLOB, said, PROVENANCE_BELIEVED);
	assert_int_equal(provenance_knows(*state, BLOB, 0, digest), PROVENANCE_BELIEVED);
	assert_int_equal(provenance_knows(*state, BLOB, 1, digest), PROVENANCE_WITNESSED);
	assert_int_equal(digest[0], 7);
	provenance_learn(*state, BLOB, said, PROVENANCE_PUBLISHED);
	assert_int_equal(provenance_knows(*state, BLOB, 1, digest), PROVENANCE_PUBLISHED);
	assert_int_equal(digest[0], 9);
}

static void a_part_is_whole_when_each_of_its_chunks_has_a_giver(void **state)
{
	assert_false(provenance_whole(*state, BLOB, 0, 2));
	provenance_note(*state, BLOB, SIZE, 0, 1, ONE);
	assert_false(provenance_whole(*state, BLOB, 0, 2));
	provenance_note(*state, BLOB, SIZE, 1, 2, NULL);
	assert_true(provenance_whole(*state, BLOB, 0, 2));
	provenance_drop(*state, BLOB, 0, UNKNOWN, true);
	assert_false(provenance_whole(*state, BLOB, 0, 2));
	assert_false(provenance_whole(*state, BLOB, 1, 100));
}

static void what_hubs_say_can_be_contradicted_and_is_unlearned(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = list_of(SIZE, 1);
	uint8_t digest[CHUNK_LIST_DIGEST];

	assert_int_equal(provenance_contradicts(*state, BLOB, l), -1);
	provenance_learn(*state, BLOB, l, PROVENANCE_PUBLISHED);
	assert_int_equal(provenance_contradicts(*state, BLOB, l), -1);
	l->digests[5][0]++;
	assert_int_equal(provenance_contradicts(*state, BLOB, l), 5);
	provenance_unlearn(*state, BLOB);
	assert_int_equal(provenance_contradicts(*state, BLOB, l), -1);
	assert_int_equal(provenance_knows(*state, BLOB, 5, digest), PROVENANCE_UNKNOWN);
}

static void what_this_node_found_out_is_no_hubs_word(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = list_of(SIZE, 1);

	provenance_learn(*state, BLOB, l, PROVENANCE_WITNESSED);
	l->digests[5][0]++;
	assert_int_equal(provenance_contradicts(*state, BLOB, l), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_chunk_has_its_giver, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_members_gave_is_found_from_chunk_to_chunk,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_remembered_is_nobodys, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_left_to_hubs_takes_nothing_back_that_members_gave, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(what_was_dropped_may_come_from_a_hub, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(another_size_is_another_blob, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_blob_is_remembered_by_what_was_noted_of_it,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_digest_that_is_learned_is_known, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_a_second_list_does_not_know_stands, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_is_found_out_changes_nothing_that_is_published,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			when_it_is_full_the_oldest_is_forgotten_and_the_used_stays, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(names_that_gave_nothing_that_is_there_make_room,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(of_too_many_names_the_last_are_not_remembered,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_was_dropped_is_remembered_even_of_a_blob_that_is_forgotten, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(what_was_wrong_once_is_known_again_and_nothing_else,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_nobody_stood_by_is_not_proven_wrong, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			of_a_blob_of_which_drops_are_forgotten_nobody_can_tell_what_it_was, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_dropped_again_and_again_makes_nothing_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_dropped_and_is_back_was_never_other, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			of_what_is_whole_only_drops_of_what_was_wrong_are_remembered, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			of_what_was_dropped_whole_it_is_known_what_it_was_and_nothing_else, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(what_was_dropped_whole_twice_was_both, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(once_it_is_whole_what_else_it_was_is_proven_wrong,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_chunk_is_known_as_well_as_it_is, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_part_is_whole_when_each_of_its_chunks_has_a_giver,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_hubs_say_can_be_contradicted_and_is_unlearned,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_this_node_found_out_is_no_hubs_word, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
