/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/upcoming.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/cache/chunk.h"
#include "tests/held_commit.h"

#define MIB CHUNK_BYTES
#define CAUSE 7
#define LONG_MS 60000

struct world {
	struct held_commit c;
	struct upcoming upcoming;
	uint64_t room; /* bytes that may be on their way at once */
};

static bool has_room(void *arg, uint64_t bytes)
{
	return bytes <= ((struct world *)arg)->room;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	held_commit_init(&w->c);
	w->room = UINT64_MAX;
	w->upcoming = (struct upcoming){ .fetch = w->c.fetch, .has_room = has_room, .arg = w };
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	upcoming_drop(&w->upcoming);
	held_commit_fini(&w->c);
	free(w);
	return 0;
}

static void add(struct world *w, const char *path, enum upcoming_part part, uint64_t cause)
{
	upcoming_add(&w->upcoming, w->c.snapshot, held_commit_node(&w->c, path), part, cause);
}

/* Moves on until there is nothing left to do. */
static bool ends(struct world *w)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;

	while (upcoming_step(&w->upcoming) && clock_ms() < deadline)
		clock_sleep_ms(1);
	return !upcoming_step(&w->upcoming) && w->upcoming.count == 0 && w->upcoming.open == 0 &&
	       held_commit_await_idle(&w->c);
}

static void parts_are_brought_and_no_more(void **state)
{
	struct world *w = *state;

	add(w, HELD_SHARD(1), UPCOMING_HEAD, CAUSE);
	add(w, "pytorch_model.bin", UPCOMING_TAIL, CAUSE);
	add(w, HELD_SHARD(2), UPCOMING_TAIL, CAUSE); /* two bytes are in a chunk of their own */
	add(w, "config.json", UPCOMING_HEAD, CAUSE);
	assert_true(ends(w));
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(1)), MIB);
	assert_int_equal(held_commit_given(&w->c, "pytorch_model.bin"), MIB);
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(2)), MIB + 2);
	assert_int_equal(held_commit_given(&w->c, "config.json"), 500);
}

static void a_whole_file_is_held_until_it_is_sealed(void **state)
{
	struct world *w = *state;

	add(w, HELD_SHARD(1), UPCOMING_WHOLE, CAUSE);
	assert_true(ends(w));
	assert_true(held_commit_await_sealed(&w->c, HELD_SHARD(1)));
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(1)), HELD_SHARD_MIB * MIB + 1);
	add(w, HELD_SHARD(1), UPCOMING_WHOLE, CAUSE); /* it is there */
	assert_true(ends(w));
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(1)), HELD_SHARD_MIB * MIB + 1);
}

static void wholes_of_one_cause_come_one_after_another(void **state)
{
	struct world *w = *state;

	held_commit_hold(&w->c, true);
	add(w, HELD_SHARD(1), UPCOMING_WHOLE, CAUSE);
	add(w, HELD_SHARD(2), UPCOMING_WHOLE, CAUSE);
	add(w, HELD_SHARD(3), UPCOMING_WHOLE, CAUSE + 1);
	assert_true(upcoming_step(&w->upcoming));
	assert_int_equal(w->upcoming.open, 2);
	held_commit_hold(&w->c, false);
	assert_true(ends(w));
	assert_true(held_commit_await_sealed(&w->c, HELD_SHARD(2)));
}

static void wholes_without_a_cause_come_at_once_but_not_all_of_them(void **state)
{
	struct world *w = *state;
	char path[40];

	held_commit_hold(&w->c, true);
	for (int i = 1; i <= 100; i++) {
		snprintf(path, sizeof(path), "data/%d.json", i);
		add(w, path, UPCOMING_WHOLE, 0);
	}
	assert_true(upcoming_step(&w->upcoming));
	assert_in_range(w->upcoming.open, 8, 32);
	held_commit_hold(&w->c, false);
	assert_true(ends(w));
	assert_true(held_commit_await_sealed(&w->c, "data/100.json"));
}

static void the_list_is_bounded_and_names_nothing_twice(void **state)
{
	struct world *w = *state;
	char path[40];

	add(w, "config.json", UPCOMING_HEAD, CAUSE);
	add(w, "config.json", UPCOMING_HEAD, CAUSE + 1);
	assert_int_equal(w->upcoming.count, 1);
	for (int i = 1; i <= HELD_SMALL_FILES; i++) {
		snprintf(path, sizeof(path), "data/%d.json", i);
		add(w, path, UPCOMING_HEAD, 0);
		add(w, path, UPCOMING_TAIL, 0);
	}
	assert_int_equal(w->upcoming.count, 512);
}

static void what_lost_its_cause_ends_at_once_or_later(void **state)
{
	struct world *w = *state;

	held_commit_hold(&w->c, true);
	add(w, HELD_SHARD(1), UPCOMING_WHOLE, CAUSE);
	add(w, HELD_SHARD(2), UPCOMING_WHOLE, CAUSE + 1);
	add(w, HELD_SHARD(3), UPCOMING_HEAD, CAUSE);
	assert_true(upcoming_step(&w->upcoming));
	assert_int_equal(w->upcoming.open, 3);
	upcoming_end(&w->upcoming, CAUSE, 0);
	upcoming_end(&w->upcoming, CAUSE + 1, LONG_MS);
	assert_true(upcoming_step(&w->upcoming));
	assert_int_equal(w->upcoming.open, 2); /* the head is not worth the trouble */
	upcoming_end(&w->upcoming, CAUSE + 1, 0);
	assert_true(upcoming_step(&w->upcoming));
	assert_int_equal(w->upcoming.open, 1);
	held_commit_hold(&w->c, false);
	assert_true(ends(w));
	assert_true(held_commit_is_quiet(&w->c));
	assert_true(held_commit_given(&w->c, HELD_SHARD(1)) <= 2 * MIB); /* it was on its way */
}

static void without_room_it_is_given_up(void **state)
{
	struct world *w = *state;

	w->room = 3 * MIB;
	add(w, HELD_SHARD(1), UPCOMING_WHOLE, CAUSE);
	add(w, HELD_SHARD(2), UPCOMING_HEAD, CAUSE);
	assert_true(ends(w));
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(1)), 0);
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(2)), MIB);
}

static void all_can_be_given_up_at_any_time(void **state)
{
	struct world *w = *state;

	held_commit_hold(&w->c, true);
	add(w, HELD_SHARD(1), UPCOMING_WHOLE, CAUSE);
	add(w, HELD_SHARD(2), UPCOMING_WHOLE, CAUSE);
	add(w, HELD_SHARD(3), UPCOMING_HEAD, CAUSE);
	assert_true(upcoming_step(&w->upcoming));
	upcoming_drop(&w->upcoming);
	assert_false(upcoming_step(&w->upcoming));
	assert_int_equal(w->upcoming.count + w->upcoming.open, 0);
	held_commit_hold(&w->c, false);
	assert_true(held_commit_is_quiet(&w->c));
	assert_int_equal(held_commit_given(&w->c, HELD_SHARD(2)), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parts_are_brought_and_no_more),
		TEST(a_whole_file_is_held_until_it_is_sealed),
		TEST(wholes_of_one_cause_come_one_after_another),
		TEST(wholes_without_a_cause_come_at_once_but_not_all_of_them),
		TEST(the_list_is_bounded_and_names_nothing_twice),
		TEST(what_lost_its_cause_ends_at_once_or_later),
		TEST(without_room_it_is_given_up),
		TEST(all_can_be_given_up_at_any_time),
	};

	log_set_level(LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, held_commit_make_files, held_commit_free_files);
}
