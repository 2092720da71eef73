/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of chunks that were dropped. */
#include "daemon/peer/drops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/cache/chunk.h"

#define ETAG "00112233"
#define CHUNKS (DROPS_AT_ONCE_MAX + 1)

static const uint8_t one[CHUNK_LIST_DIGEST] = { 1 }, other[CHUNK_LIST_DIGEST] = { 2 };

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct drops));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void a_drop_is_known_by_its_chunk_and_what_that_was(void **state)
{
	struct drops *d = *state;

	drops_note(d, ETAG, 3, one, false);
	assert_true(drops_has(d, ETAG, 3));
	assert_false(drops_has(d, ETAG, 4));
	assert_false(drops_has(d, "44556677", 3));
	assert_true(drops_has_other(d, ETAG, 3, other));
	assert_false(drops_has_other(d, ETAG, 3, one));
	assert_false(drops_has_wrong(d, ETAG, 3, one)); /* nobody has proven it */
	drops_note(d, ETAG, 3, one, true);
	assert_true(drops_has_wrong(d, ETAG, 3, one));
	assert_false(drops_has_wrong(d, ETAG, 3, other));
}

static void drop_others(struct drops *d, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		drops_note(d, "44556677", i, other, false);
}

static void of_too_many_it_is_known_whose_were_forgotten(void **state)
{
	struct drops *d = *state;

	drops_note(d, ETAG, 3, one, true);
	drop_others(d, DROPS_MAX - 1);
	assert_true(drops_has(d, ETAG, 3));
	assert_false(drops_is_lost(d, ETAG));
	drop_others(d, DROPS_MAX); /* one more than before */
	assert_false(drops_has(d, ETAG, 3));
	assert_true(drops_is_lost(d, ETAG));
	assert_false(drops_is_lost(d, "44556677"));
}

/* So many chunks, all of which were that. */
static struct chunk_list *list_of(const uint8_t *is, uint32_t count)
{
	struct chunk_list *l = chunk_list_new(count * CHUNK_BYTES);

	assert_non_null(l);
	for (uint32_t i = 0; i < count; i++)
		memcpy(l->digests[i], is, CHUNK_LIST_DIGEST);
	return l;
}

/* How many chunks of a blob are remembered whose first ones were not as they must be. */
static uint32_t noted(struct drops *d, uint32_t unlike)
{
	struct chunk_list *was = list_of(one, CHUNKS), *must = list_of(one, CHUNKS);
	uint32_t count = 0;

	for (uint32_t i = 0; i < unlike; i++)
		memcpy(must->digests[i], other, CHUNK_LIST_DIGEST);
	drops_note_unlike(d, ETAG, was, must, true);
	for (uint32_t i = 0; i < CHUNKS; i++)
		count += drops_has_wrong(d, ETAG, i, one);
	chunk_list_free(was);
	chunk_list_free(must);
	return count;
}

static void of_a_whole_blob_what_is_otherwise_is_noted(void **state)
{
	assert_int_equal(noted(*state, 5), 5);
	assert_false(drops_is_lost(*state, ETAG));
}

static void but_no_blob_has_all_places(void **state)
{
	assert_int_equal(noted(*state, CHUNKS), DROPS_AT_ONCE_MAX);
	assert_true(drops_is_lost(*state, ETAG));
}

static void what_was_right_is_forgotten_and_nothing_else(void **state)
{
	struct chunk_list *right = list_of(one, CHUNKS);
	struct drops *d = *state;

	drops_note(d, ETAG, 0, one, false);
	drops_note(d, ETAG, 1, other, false);
	drops_forget_right(d, ETAG, right);
	assert_false(drops_has(d, ETAG, 0));
	assert_true(drops_has(d, ETAG, 1));
	chunk_list_free(right);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_drop_is_known_by_its_chunk_and_what_that_was),
		TEST(of_too_many_it_is_known_whose_were_forgotten),
		TEST(of_a_whole_blob_what_is_otherwise_is_noted),
		TEST(but_no_blob_has_all_places),
		TEST(what_was_right_is_forgotten_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
