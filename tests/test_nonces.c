/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time. */
#include "daemon/peer/nonces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW INT64_C(1700000000000)
#define WINDOW NONCES_WINDOW_MS
#define NODE 7
#define NODES 100

static int setup(void **state)
{
	struct nonces *n = malloc(sizeof(*n));

	if (!n)
		return -1;
	nonces_init(n, 0);
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	nonces_fini(*state);
	free(*state);
	return 0;
}

static void a_number_counts_once(void **state)
{
	assert_int_equal(nonces_hear(*state, 1, NODE, NOW, NOW), NONCE_NEW);
	assert_int_equal(nonces_hear(*state, 1, NODE, NOW, NOW), NONCE_SEEN);
	assert_int_equal(nonces_hear(*state, 2, NODE, NOW, NOW), NONCE_NEW);
}

/* Whenever it comes, and whatever its clock says: as long as its time could be accepted it is not a
 * second time, until it is too old. */
static void it_is_not_heard_again_as_long_as_it_could_be(void **state)
{
	uint64_t number = 0;

	for (int64_t ahead = -WINDOW; ahead <= WINDOW; ahead += 7500) {
		for (int64_t at = NOW; at < NOW + 2 * WINDOW; at += 11000) {
			int64_t sent = at + ahead, later = at;

			number++;
			assert_int_equal(nonces_hear(*state, number, NODE, sent, at), NONCE_NEW);
			for (; later <= sent + WINDOW; later += 3000)
				assert_int_equal(nonces_hear(*state, number, NODE, sent, later),
						 NONCE_SEEN);
			assert_int_equal(nonces_hear(*state, number, NODE, sent, later),
					 NONCE_STALE);
		}
	}
}

static void what_was_too_late_or_too_early_was_not_heard(void **state)
{
	assert_int_equal(nonces_hear(*state, 1, NODE, NOW, NOW + WINDOW + 1), NONCE_STALE);
	assert_int_equal(nonces_hear(*state, 1, NODE, NOW, NOW - WINDOW - 1), NONCE_STALE);
	assert_int_equal(nonces_hear(*state, 1, NODE, NOW, NOW + WINDOW), NONCE_NEW);
}

/* Two threads hear at nearly the same time: what one has forgotten the other does not hear. */
static void a_thread_that_comes_late_hears_nothing_twice(void **state)
{
	const int64_t at = NOW / WINDOW * WINDOW - 1;

	assert_int_equal(nonces_hear(*state, 1, NODE, at, at), NONCE_NEW);
	assert_int_equal(nonces_hear(*state, 1, NODE, at, at + WINDOW), NONCE_SEEN);
	assert_int_equal(nonces_hear(*state, 2, NODE, at + 1, at + WINDOW + 1), NONCE_NEW);
	assert_int_equal(nonces_hear(*state, 1, NODE, at, at + WINDOW), NONCE_STALE);
}

/* A clock that was hours ahead is put right: who asks is heard at once. */
static void a_clock_that_is_set_back_shuts_nobody_out(void **state)
{
	for (int64_t at = NOW + 7200 * 1000; at >= NOW; at -= 3600 * 1000) {
		assert_int_equal(nonces_hear(*state, 1, NODE, at, at), NONCE_NEW);
		assert_int_equal(nonces_hear(*state, 1, NODE, at, at), NONCE_SEEN);
	}
}

static void what_was_sent_before_the_begin_does_not_count(void **state)
{
	nonces_init(*state, NOW);
	assert_int_equal(nonces_hear(*state, 1, NODE, NOW - 1, NOW + 5), NONCE_STALE);
	assert_int_equal(nonces_hear(*state, 1, NODE, NOW, NOW + 5), NONCE_NEW);
	/* unless it was the clock that was wrong then */
	assert_int_equal(nonces_hear(*state, 2, NODE, NOW - 3600 * 1000, NOW - 3600 * 1000),
			 NONCE_NEW);
}

/* A number that is none of another's. */
static uint64_t hash(uint64_t i)
{
	return (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void so_many_are_remembered_and_more_have_to_wait(void **state)
{
	const int of_each = NONCES_MAX / NODES - NONCES_MAX / NODES / NODES;
	uint64_t i = 0;

	for (; i < (uint64_t)of_each * NODES; i++)
		assert_int_equal(
			nonces_hear(*state, hash(i), i % NODES, NOW + (i % 3 ? 20000 : 0), NOW + 1),
			NONCE_NEW);
	while (nonces_hear(*state, hash(i), i % NODES, NOW, NOW) == NONCE_NEW)
		i++;
	assert_in_range(i, NONCES_MAX - 2 * NONCES_MAX / NODES, NONCES_MAX);
	assert_int_equal(nonces_hear(*state, hash(i), i % NODES, NOW, NOW), NONCE_FULL);
	assert_int_equal(nonces_hear(*state, hash(0), 0, NOW, NOW), NONCE_SEEN);
	assert_int_equal(nonces_hear(*state, hash(i), 0, NOW - WINDOW - 1, NOW), NONCE_STALE);
	assert_int_equal(
		nonces_hear(*state, hash(i), i % NODES, NOW + 3 * WINDOW, NOW + 3 * WINDOW),
		NONCE_NEW);
}

/* As many as are free still: with one that asks much that is half of all. */
static void no_node_uses_up_the_room_of_all(void **state)
{
	uint64_t i = 0;

	for (; i < NONCES_MAX / 2; i++)
		assert_int_equal(nonces_hear(*state, hash(i), 1, NOW + (i % 3 ? 20000 : 0), NOW),
				 NONCE_NEW);
	assert_int_equal(nonces_hear(*state, hash(i), 1, NOW, NOW), NONCE_FULL);
	for (; i < NONCES_MAX * 3 / 4; i++)
		assert_int_equal(nonces_hear(*state, hash(i), 2, NOW, NOW), NONCE_NEW);
	assert_int_equal(nonces_hear(*state, hash(i), 2, NOW, NOW), NONCE_FULL);
	assert_int_equal(nonces_hear(*state, hash(i), 3, NOW, NOW), NONCE_NEW);
	assert_int_equal(nonces_hear(*state, hash(i + 1), 1, NOW + 3 * WINDOW, NOW + 3 * WINDOW),
			 NONCE_NEW);
}

/* Two nodes at 40 Gbit/s, a chunk a request: as much as a line gives while a file arrives. */
static void a_fast_line_is_no_repetition(void **state)
{
	const uint64_t a_second = 5000;

	for (uint64_t i = 0; i < 120 * a_second; i++) {
		int64_t at = NOW + (int64_t)(i * 1000 / a_second);

		assert_int_equal(nonces_hear(*state, hash(i), NODE, at, at), NONCE_NEW);
	}
}

static void a_number_that_hashes_to_nothing_counts_once_too(void **state)
{
	assert_int_equal(nonces_hear(*state, 0, NODE, NOW, NOW), NONCE_NEW);
	assert_int_equal(nonces_hear(*state, 0, NODE, NOW, NOW), NONCE_SEEN);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_number_counts_once),
		STORY(it_is_not_heard_again_as_long_as_it_could_be),
		STORY(what_was_too_late_or_too_early_was_not_heard),
		STORY(a_thread_that_comes_late_hears_nothing_twice),
		STORY(a_clock_that_is_set_back_shuts_nobody_out),
		STORY(what_was_sent_before_the_begin_does_not_count),
		STORY(so_many_are_remembered_and_more_have_to_wait),
		STORY(no_node_uses_up_the_room_of_all),
		STORY(a_fast_line_is_no_repetition),
		STORY(a_number_that_hashes_to_nothing_counts_once_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
