/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/clock.h"

#define SOON_MS 100
#define LONG_MS 20000

static const struct outbox_conf small = {
	.max_bytes = 10, .room_ms = SOON_MS, .hurry_bytes = 5, .flush_ms = LONG_MS
};

static int setup(void **state)
{
	struct outbox *o = calloc(1, sizeof(*o));

	if (!o)
		return -1;
	outbox_init(o, &small);
	*state = o;
	return 0;
}

static int teardown(void **state)
{
	outbox_fini(*state);
	free(*state);
	return 0;
}

/* What there is; as many ever were put in. */
static void takes(struct outbox *o, const char *want, uint64_t count)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	outbox_take(o, &got);
	assert_string_equal(buf_str(&got), want);
	assert_int_equal(outbox_count(o), count);
}

static void all_is_taken_at_once_in_its_order(void **state)
{
	assert_int_equal(outbox_put(*state, "a,", 2), 1);
	assert_int_equal(outbox_push(*state, "b,", 2), 2);
	assert_int_equal(outbox_bytes(*state), 4);
	takes(*state, "a,b,", 2);
	takes(*state, "", 2);
	assert_int_equal(outbox_put(*state, "c", 1), 3);
	takes(*state, "c", 3);
}

/* How long the writer waits, in vain for SOON_MS. */
static int64_t waits_ms(struct outbox *o)
{
	int64_t begin_ms = clock_ms();

	assert_true(outbox_wait(o, begin_ms + SOON_MS));
	return clock_ms() - begin_ms;
}

static void few_are_left_until_their_time_comes_and_many_are_not(void **state)
{
	outbox_put(*state, "a", 1);
	assert_true(waits_ms(*state) >= SOON_MS);
	outbox_put(*state, "many of them", 6);
	assert_true(waits_ms(*state) < SOON_MS);
}

static void a_nudge_and_a_hurry_end_one_wait_each(void **state)
{
	outbox_nudge(*state);
	assert_true(waits_ms(*state) < SOON_MS);
	outbox_hurry(*state);
	assert_true(waits_ms(*state) < SOON_MS);
	assert_true(waits_ms(*state) >= SOON_MS);
}

static void who_finds_no_room_waits_and_then_loses(void **state)
{
	assert_int_equal(outbox_put(*state, "eleven byte", 11), 1);
	assert_false(outbox_has_room(*state));
	assert_int_equal(outbox_put(*state, "x", 1), 0);
	assert_int_equal(outbox_lost(*state), 1);
	takes(*state, "eleven byte", 1);
	assert_int_equal(outbox_put(*state, "x", 1), 2);
	assert_int_equal(outbox_lost(*state), 1);
}

static void what_is_pushed_needs_no_room(void **state)
{
	outbox_put(*state, "eleven byte", 11);
	assert_int_equal(outbox_push(*state, "x", 1), 2);
	assert_int_equal(outbox_lost(*state), 0);
	takes(*state, "eleven bytex", 2);
}

static void what_could_not_be_made_is_lost(void **state)
{
	assert_int_equal(outbox_put(*state, NULL, 0), 0);
	assert_int_equal(outbox_push(*state, NULL, 0), 0);
	assert_int_equal(outbox_lost(*state), 2);
	takes(*state, "", 0);
}

static void with_a_writer_that_is_stuck_nobody_waits(void **state)
{
	int64_t begin_ms = clock_ms();

	outbox_stick(*state, true);
	for (unsigned i = 0; i < 100; i++)
		outbox_put(*state, "five.", 5);
	assert_int_equal(outbox_lost(*state), 97);
	assert_true(clock_ms() - begin_ms < LONG_MS);
	assert_true(waits_ms(*state) >= SOON_MS); /* nothing is to be taken */
	outbox_stick(*state, false);
	assert_true(waits_ms(*state) < SOON_MS);
	takes(*state, "five.five.five.", 3);
}

static void *take_one(void *arg)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	while (outbox_wait(arg, clock_ms() + LONG_MS) && !got.len)
		outbox_take(arg, &got);
	outbox_end(arg);
	return NULL;
}

static void who_waits_for_room_gets_it_when_all_was_taken(void **state)
{
	struct outbox *o = *state;
	pthread_t writer;

	o->conf.room_ms = LONG_MS;
	outbox_put(o, "eleven byte", 11);
	assert_int_equal(thread_start(&writer, "writer", take_one, o), 0);
	assert_int_equal(outbox_put(o, "x", 1), 2);
	assert_true(outbox_stop(o, clock_ms() + LONG_MS));
	pthread_join(writer, NULL);
	assert_false(outbox_wait(o, CLOCK_FOREVER));
	takes(o, "x", 2);
}

static void who_stops_it_waits_for_a_writer_that_hangs_no_longer_than_said(void **state)
{
	struct outbox *o = *state;
	int64_t begin_ms = clock_ms();

	assert_false(outbox_stop(o, begin_ms + SOON_MS));
	assert_true(clock_ms() - begin_ms >= SOON_MS);
	outbox_end(o);
	assert_true(outbox_stop(o, clock_ms() + LONG_MS));
	assert_true(clock_ms() - begin_ms < LONG_MS);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(all_is_taken_at_once_in_its_order),
		TEST(few_are_left_until_their_time_comes_and_many_are_not),
		TEST(a_nudge_and_a_hurry_end_one_wait_each),
		TEST(who_finds_no_room_waits_and_then_loses),
		TEST(what_is_pushed_needs_no_room),
		TEST(what_could_not_be_made_is_lost),
		TEST(with_a_writer_that_is_stuck_nobody_waits),
		TEST(who_waits_for_room_gets_it_when_all_was_taken),
		TEST(who_stops_it_waits_for_a_writer_that_hangs_no_longer_than_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
