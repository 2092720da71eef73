/* SPDX-License-Identifier: Apache-2.0 */
/* Who is banned for a wrong chunk that was found when it came, and who only passed it on. */
#include "daemon/peer/confront.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "tests/court.h"

struct fixture {
	struct court *court;
	struct confront *confront;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *court;

	assert_non_null(f);
	assert_int_equal(court_set_up(&court), 0);
	f->court = court;
	assert_int_equal(confront_new(&f->confront), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *court = f->court;

	assert_true(confront_stop(f->confront));
	confront_free(f->confront);
	assert_int_equal(court_tear_down(&court), 0);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	assert_int_equal(confront_start(f->confront, &f->court->conf, f->court->cell.node.http), 0);
}

/* The giver gave a chunk that is wrong: it is told of so often. */
static void tell(struct fixture *f, int times)
{
	uint8_t gave[CHUNK_LIST_DIGEST];
	const struct source_refused r = { &f->court->what, COURT_WRONG, f->court->giver->address,
					  gave, true };

	cell_digest(COURT_OTHER, COURT_SIZE, COURT_WRONG, gave);
	for (int i = 0; i < times; i++)
		confront_add(f->confront, &r);
}

static void await_answers(struct fixture *f)
{
	int64_t until_ms = clock_ms() + 5000;

	while (!f->court->giver->asked[FAKE_HOLDER] && clock_ms() < until_ms)
		clock_sleep_ms(10);
	clock_sleep_ms(500);
}

static void confront(struct fixture *f)
{
	start(f);
	tell(f, 1);
	await_answers(f);
}

static void who_holds_other_bytes_than_it_gave_is_banned(void **state)
{
	struct fixture *f = *state;

	court_say(f->court, f->court->giver, FAKE_HOLDER, f->court->seed);
	confront(f);
	court_assert_banned(f->court, f->court->giver);
}

/* The twin: it was given that itself, before it knew of the list. */
static void who_holds_what_it_gave_is_not(void **state)
{
	struct fixture *f = *state;

	court_say(f->court, f->court->giver, FAKE_HOLDER, COURT_OTHER);
	confront(f);
	court_assert_banned(f->court, NULL);
}

static void who_has_dropped_what_it_gave_is_not_either(void **state)
{
	struct fixture *f = *state;

	court_say(f->court, f->court->giver, FAKE_VOUCHER, f->court->seed);
	confront(f);
	court_assert_banned(f->court, NULL);
}

static void who_vouches_for_what_it_gave_is_banned(void **state)
{
	struct fixture *f = *state;

	court_say(f->court, f->court->giver, FAKE_HOLDER, COURT_OTHER);
	court_say(f->court, f->court->giver, FAKE_VOUCHER, COURT_OTHER);
	confront(f);
	court_assert_banned(f->court, f->court->giver);
}

/* Its disk may be broken: what it verified is not what it has now. */
static void who_holds_what_it_gave_and_vouches_for_something_else_is_banned(void **state)
{
	struct fixture *f = *state;

	court_say(f->court, f->court->giver, FAKE_HOLDER, COURT_OTHER);
	court_say(f->court, f->court->giver, FAKE_VOUCHER, f->court->seed);
	confront(f);
	court_assert_banned(f->court, NULL); /* it may just have had it anew, */
	clock_sleep_ms(2000);
	court_assert_banned(f->court, f->court->giver); /* but has not */
}

static void who_gives_much_that_is_wrong_is_asked_once_at_a_time(void **state)
{
	struct fixture *f = *state;

	court_say(f->court, f->court->giver, FAKE_HOLDER, f->court->seed);
	start(f);
	tell(f, 20);
	await_answers(f);
	assert_in_range(f->court->giver->asked[FAKE_HOLDER], 1, 2);
}

static void before_it_has_started_nobody_is_asked(void **state)
{
	struct fixture *f = *state;

	tell(f, 1);
	start(f);
	clock_sleep_ms(500);
	assert_int_equal(f->court->giver->asked[FAKE_HOLDER], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
