/* SPDX-License-Identifier: Apache-2.0 */
/* Who is banned for a wrong chunk that was found when it came, and who only passed it on. */
#include "daemon/peer/verify_givers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "tests/verifying.h"

static void start(struct verifying *v)
{
	assert_int_equal(verify_givers_start(v->givers, &v->conf, v->cell.node.http), 0);
}

/* The giver gave a chunk that is wrong: it is told of so often. */
static void tell(struct verifying *v, int times)
{
	uint8_t gave[CHUNK_LIST_DIGEST];
	const struct source_refused r = { &v->what, VERIFYING_WRONG, v->giver->address, gave,
					  true };

	cell_digest(VERIFYING_OTHER, VERIFYING_SIZE, VERIFYING_WRONG, gave);
	for (int i = 0; i < times; i++)
		verify_givers_add(v->givers, &r);
}

static void await_answers(struct verifying *v)
{
	int64_t until_ms = clock_ms() + 5000;

	while (!v->giver->asked[FAKE_HOLDER] && clock_ms() < until_ms)
		clock_sleep_ms(10);
	clock_sleep_ms(500);
}

static void ask_giver(struct verifying *v)
{
	start(v);
	tell(v, 1);
	await_answers(v);
}

static void who_holds_other_bytes_than_it_gave_is_banned(void **state)
{
	struct verifying *v = *state;

	verifying_say(v, v->giver, FAKE_HOLDER, v->seed);
	ask_giver(v);
	verifying_assert_banned(v, v->giver);
}

/* The twin: it was given that itself, before it knew of the list. */
static void who_holds_what_it_gave_is_not(void **state)
{
	struct verifying *v = *state;

	verifying_say(v, v->giver, FAKE_HOLDER, VERIFYING_OTHER);
	ask_giver(v);
	verifying_assert_banned(v, NULL);
}

static void who_has_dropped_what_it_gave_is_not_either(void **state)
{
	struct verifying *v = *state;

	verifying_say(v, v->giver, FAKE_VOUCHER, v->seed);
	ask_giver(v);
	verifying_assert_banned(v, NULL);
}

static void who_vouches_for_what_it_gave_is_banned(void **state)
{
	struct verifying *v = *state;

	verifying_say(v, v->giver, FAKE_HOLDER, VERIFYING_OTHER);
	verifying_say(v, v->giver, FAKE_VOUCHER, VERIFYING_OTHER);
	ask_giver(v);
	verifying_assert_banned(v, v->giver);
}

/* Its disk may be broken: what it verified is not what it has now. */
static void who_holds_what_it_gave_and_vouches_for_something_else_is_banned(void **state)
{
	struct verifying *v = *state;

	verifying_say(v, v->giver, FAKE_HOLDER, VERIFYING_OTHER);
	verifying_say(v, v->giver, FAKE_VOUCHER, v->seed);
	ask_giver(v);
	verifying_assert_banned(v, NULL); /* it may just have had it anew, */
	clock_sleep_ms(2000);
	verifying_assert_banned(v, v->giver); /* but has not */
}

static void who_gives_much_that_is_wrong_is_asked_once_at_a_time(void **state)
{
	struct verifying *v = *state;

	verifying_say(v, v->giver, FAKE_HOLDER, v->seed);
	start(v);
	tell(v, 20);
	await_answers(v);
	assert_in_range(v->giver->asked[FAKE_HOLDER], 1, 2);
}

static void before_it_has_started_nobody_is_asked(void **state)
{
	struct verifying *v = *state;

	tell(v, 1);
	start(v);
	clock_sleep_ms(500);
	assert_int_equal(v->giver->asked[FAKE_HOLDER], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, verifying_set_up, verifying_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_holds_other_bytes_than_it_gave_is_banned),
		TEST(who_holds_what_it_gave_is_not),
		TEST(who_has_dropped_what_it_gave_is_not_either),
		TEST(who_vouches_for_what_it_gave_is_banned),
		TEST(who_holds_what_it_gave_and_vouches_for_something_else_is_banned),
		TEST(who_gives_much_that_is_wrong_is_asked_once_at_a_time),
		TEST(before_it_has_started_nobody_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
