/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/fair_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdatomic.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define SOON_MS 30000
#define NOT_YET 1000
#define QUESTIONS 8

/* Its first bytes are as many as go out in advance. */
#define RATE 1000000
#define FIRST 300000

struct question {
	struct turn turn;
	atomic_int r; /* what it heard, or NOT_YET */
	unsigned at;  /* how many had heard something before */
};

static struct fair_queue *queue;
static _Atomic uint64_t rate;
static atomic_uint heard;
static struct question questions[QUESTIONS];

static uint64_t rate_now(UNUSED void *arg)
{
	return rate;
}

static void take(struct turn *turn, int r)
{
	struct question *q = container_of(turn, struct question, turn);

	q->at = heard++;
	q->r = r;
}

static int begin(UNUSED void **state)
{
	rate = RATE;
	heard = 0;
	return fair_queue_start(rate_now, NULL, &queue);
}

static int end(UNUSED void **state)
{
	fair_queue_close(queue);
	fair_queue_free(queue);
	return 0;
}

/* Somebody asks for that many bytes from off on, and waits for so long. */
static struct question *come(unsigned i, uint64_t guest, uint64_t off, uint64_t bytes,
			     int64_t wait_ms)
{
	struct question *q = &questions[i];

	q->r = NOT_YET;
	q->turn = (struct turn){
		.guest = guest,
		.off = off,
		.bytes = bytes,
		.until_ms = clock_ms() + wait_ms,
		.take = take,
	};
	fair_queue_wait(queue, &q->turn);
	return q;
}

static int hear(struct question *q)
{
	int64_t end_ms = clock_ms() + SOON_MS;

	while (q->r == NOT_YET && clock_ms() < end_ms)
		clock_sleep_ms(1);
	return q->r;
}

static void without_a_limit_nobody_waits(UNUSED void **state)
{
	rate = 0;
	for (unsigned i = 0; i < QUESTIONS; i++)
		assert_int_equal(come(i, 1, 0, 100000000, 0)->r, 0);
	assert_false(fair_queue_is_short(queue));
}

static void who_comes_when_as_much_goes_out_as_may_waits_for_his_turn(UNUSED void **state)
{
	int64_t begun_ms = clock_ms();
	struct question *second;

	assert_int_equal(fair_queue_quiet_ms(queue), -1);
	assert_int_equal(come(0, 1, 0, FIRST, 0)->r, 0);
	assert_true(fair_queue_is_short(queue));
	second = come(1, 1, 0, FIRST, SOON_MS);
	assert_int_equal(second->r, NOT_YET);
	assert_int_equal(hear(second), 0);
	assert_in_range(clock_ms() - begun_ms, 99, SOON_MS);
	assert_in_range(fair_queue_quiet_ms(queue), 0, SOON_MS);
}

static void who_has_no_time_is_told_so(UNUSED void **state)
{
	come(0, 1, 0, 1000 * RATE, 0);
	assert_int_equal(hear(come(1, 1, 0, FIRST, 50)), ERR_TIMEOUT);
	assert_int_equal(hear(come(2, 1, 0, FIRST, 0)), ERR_TIMEOUT);
}

/* One guest asks for much, then another one for little. */
static void guests_take_turns(UNUSED void **state)
{
	struct question *other;

	come(0, 1, 0, FIRST, 0);
	for (unsigned i = 1; i < QUESTIONS - 1; i++)
		come(i, 1, i, RATE / 20, SOON_MS);
	other = come(QUESTIONS - 1, 2, 100, RATE / 20, SOON_MS);
	assert_int_equal(hear(other), 0);
	assert_int_equal(other->at, 1);
	assert_int_equal(hear(&questions[QUESTIONS - 2]), 0);
}

/* All are of one guest. */
static void the_nearest_and_who_came_first_take_turns(UNUSED void **state)
{
	come(0, 1, 0, FIRST, 0);
	come(1, 1, 50, RATE / 20, SOON_MS);
	come(2, 1, 60, RATE / 20, SOON_MS);
	come(3, 1, 20, RATE / 20, SOON_MS);
	come(4, 1, 10, RATE / 20, SOON_MS);
	for (unsigned i = 1; i < 5; i++)
		assert_int_equal(hear(&questions[i]), 0);
	assert_int_equal(questions[1].at, 1);
	assert_int_equal(questions[4].at, 2);
	assert_int_equal(questions[2].at, 3);
	assert_int_equal(questions[3].at, 4);
}

/* The twin: nobody seems to wait for either. */
static void whom_somebody_waits_for_comes_first(UNUSED void **state)
{
	for (unsigned patient = 0; patient < 2; patient++) {
		unsigned from = 4 * patient;
		struct question *one = &questions[from + 1], *two;

		come(from, 1, 0, (1 + patient) * FIRST, SOON_MS);
		assert_int_equal(hear(&questions[from]), 0);
		*one = (struct question){ .r = NOT_YET };
		one->turn = (struct turn){
			.guest = 1,
			.bytes = RATE / 20,
			.patient = !patient,
			.until_ms = clock_ms() + SOON_MS,
			.take = take,
		};
		fair_queue_wait(queue, &one->turn);
		two = come(from + 2, 1, 10, RATE / 20, SOON_MS);
		assert_int_equal(hear(one) + hear(two), 0);
		assert_int_equal(one->at < two->at, patient);
	}
}

static void who_waits_when_it_ends_is_told_so(UNUSED void **state)
{
	come(0, 1, 0, 1000 * RATE, 0);
	come(1, 1, 0, FIRST, SOON_MS);
	assert_int_equal(questions[1].r, NOT_YET);
	fair_queue_close(queue);
	assert_int_equal(hear(&questions[1]), ERR_STOPPING);
	assert_int_equal(come(2, 1, 0, FIRST, SOON_MS)->r, ERR_STOPPING);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(without_a_limit_nobody_waits),
		STORY(who_comes_when_as_much_goes_out_as_may_waits_for_his_turn),
		STORY(who_has_no_time_is_told_so),
		STORY(guests_take_turns),
		STORY(the_nearest_and_who_came_first_take_turns),
		STORY(whom_somebody_waits_for_comes_first),
		STORY(who_waits_when_it_ends_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
