/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/asking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/cache/chunk.h"

#define MIB CHUNK_BYTES
#define NOW 1000000
#define LATER (NOW + ASKING_HANGS_MS + 1)
#define MEMBERS 0
#define HUB 1
#define OTHER_HUB 2

/* Two runs of a node that shares with others. Nothing here looks at their blob. */
struct world {
	struct schedule all;
	struct fill fill;
	struct run run, other;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	schedule_init(&w->all);
	w->all.waits_max = 8;
	w->fill.all = &w->all;
	w->run = w->other = (struct run){ .fill = &w->fill,
					  .end = 8 * MIB,
					  .began_ms = NOW,
					  .moved_ms = NOW,
					  .brought_ms = NOW };
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* ---- how much ---- */

static uint64_t ask_hub(struct run *run, uint64_t off)
{
	return asking_begin(run, off, HUB, true, NOW);
}

static void a_hub_is_asked_for_what_comes_soon(void **state)
{
	struct world *w = *state;
	struct run *run = &w->run;

	assert_int_equal(ask_hub(run, 100), RUN_NEAR); /* who knows how fast it is? */
	asking_end(run, RUN_NEAR, RUN_SOON_MS / 2);
	assert_int_equal(ask_hub(run, 100), 2 * RUN_NEAR);
	asking_end(run, 5, RUN_SOON_MS); /* tells nothing */
	assert_int_equal(ask_hub(run, RUN_NEAR), 3 * RUN_NEAR);
	asking_end(run, 2 * RUN_NEAR, RUN_SOON_MS / 8);
	assert_int_equal(ask_hub(run, 0), 8 * MIB); /* no more than the run */
	asking_end(run, RUN_NEAR, 100 * RUN_SOON_MS);
	asking_end(run, RUN_NEAR, 100 * RUN_SOON_MS); /* nobody was asked */
	assert_int_equal(w->all.soon, (9 * RUN_NEAR + RUN_NEAR / 100) / 2);
	w->all.soon = 5;
	assert_int_equal(ask_hub(run, 0), RUN_NEAR);
}

/* The twins. */
static void a_member_is_asked_for_all(void **state)
{
	struct world *w = *state;

	assert_int_equal(asking_begin(&w->run, 100, MEMBERS, false, NOW), 8 * MIB);
	asking_end(&w->run, 8 * MIB, 1);
	assert_int_equal(w->all.soon, 0);
}

static void who_shares_with_nobody_asks_a_hub_for_all(void **state)
{
	struct world *w = *state;

	w->all.waits_max = 0;
	assert_int_equal(ask_hub(&w->run, 100), 8 * MIB);
	assert_true(w->run.first_hand);
}

/* ---- whether it hangs ---- */

static void a_hub_that_gives_nothing_for_long_has_failed(void **state)
{
	struct world *w = *state;

	ask_hub(&w->run, 0);
	assert_false(asking_fails(&w->run, LATER - 1));
	assert_true(asking_fails(&w->run, LATER));
	asking_heard(&w->run, 100, LATER);
	assert_false(asking_fails(&w->run, LATER));
}

/* The others are its twins: on a full line the bytes of one run come long before another's. */
static void not_if_it_gives_another_run_bytes(void **state)
{
	struct world *w = *state;

	ask_hub(&w->run, 0);
	ask_hub(&w->other, 0);
	asking_heard(&w->other, 100, LATER - 1);
	assert_false(asking_fails(&w->run, LATER));
	assert_true(asking_fails(&w->run, LATER + ASKING_HANGS_MS));
}

static void what_another_hub_gives_says_nothing(void **state)
{
	struct world *w = *state;

	ask_hub(&w->run, 0);
	asking_begin(&w->other, 0, OTHER_HUB, true, NOW);
	asking_heard(&w->other, 100, LATER - 1);
	assert_true(asking_fails(&w->run, LATER));
}

static void nor_what_members_give(void **state)
{
	struct world *w = *state;

	ask_hub(&w->run, 0);
	asking_begin(&w->other, 0, MEMBERS, false, NOW);
	asking_heard(&w->other, 100, LATER - 1);
	assert_true(asking_fails(&w->run, LATER));
	assert_false(asking_fails(&w->other, LATER + ASKING_HANGS_MS));
}

static void who_waited_for_members_first_asks_a_hub_from_then_on(void **state)
{
	struct world *w = *state;

	asking_begin(&w->run, 0, MEMBERS, false, NOW);
	assert_false(asking_fails(&w->run, LATER));
	asking_begin(&w->run, 0, HUB, true, LATER);
	assert_false(asking_fails(&w->run, LATER + ASKING_HANGS_MS));
	assert_true(asking_fails(&w->run, LATER + ASKING_HANGS_MS + 1));
}

static void who_is_held_back_here_does_not_hang(void **state)
{
	struct world *w = *state;

	ask_hub(&w->run, 0);
	w->run.paused = true;
	assert_false(asking_fails(&w->run, LATER));
}

/* The twin of all: whatever is given to others, what has failed has. */
static void who_rests_has_failed_until_bytes_come(void **state)
{
	struct world *w = *state;

	ask_hub(&w->run, 0);
	w->run.failing = true;
	ask_hub(&w->other, 0);
	asking_heard(&w->other, 100, NOW);
	asking_heard(&w->run, 0, NOW);
	assert_true(asking_fails(&w->run, NOW));
	asking_heard(&w->run, 100, NOW);
	assert_false(asking_fails(&w->run, NOW));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_hub_is_asked_for_what_comes_soon),
		TEST(a_member_is_asked_for_all),
		TEST(who_shares_with_nobody_asks_a_hub_for_all),
		TEST(a_hub_that_gives_nothing_for_long_has_failed),
		TEST(not_if_it_gives_another_run_bytes),
		TEST(what_another_hub_gives_says_nothing),
		TEST(nor_what_members_give),
		TEST(who_waited_for_members_first_asks_a_hub_from_then_on),
		TEST(who_is_held_back_here_does_not_hang),
		TEST(who_rests_has_failed_until_bytes_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
