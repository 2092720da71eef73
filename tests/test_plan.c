/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "daemon/base/clock.h"
#include "daemon/base/own.h"
#include "daemon/chunk.h"

#define MIB CHUNK_BYTES
#define GIB (UINT64_C(1) << 30)
#define READ_BYTES (UINT64_C(128) << 10)
#define ROUNDS 20000

/* Bytes asked for ahead of what this read needs. */
static uint64_t ahead(const struct plan_want *w)
{
	return w->ahead_end - w->need_end;
}

/* Reads [from, to) in order and returns the last answer. */
static struct plan_want read_through(struct plan *p, uint64_t from, uint64_t to, uint64_t size)
{
	struct plan_want w = { 0 };

	for (uint64_t off = from; off < to; off += READ_BYTES)
		w = plan_read(p, off, READ_BYTES, size);
	return w;
}

static void a_first_read_wants_its_own_chunks_only(UNUSED void **state)
{
	struct plan p = { 0 };
	struct plan_want w = plan_read(&p, 5 * MIB + 3, 2 * MIB, GIB);

	assert_int_equal(w.need, 5 * MIB);
	assert_int_equal(w.need_end, 8 * MIB);
	assert_int_equal(w.ahead_end, 8 * MIB);
}

static void a_small_file_is_wanted_whole(UNUSED void **state)
{
	struct plan p = { 0 };
	struct plan_want w = plan_read(&p, 0, 10, 3 * MIB + 5);

	assert_int_equal(w.need_end, MIB);
	assert_int_equal(w.ahead_end, 3 * MIB + 5);
}

static void the_second_read_in_order_opens_a_window(UNUSED void **state)
{
	struct plan p = { 0 };
	struct plan_want w = read_through(&p, 0, 2 * READ_BYTES, GIB);

	assert_in_range(w.ahead_end, PLAN_WINDOW_MIN, PLAN_WINDOW_MIN + 2 * MIB);
}

static void the_window_grows_to_its_bound(UNUSED void **state)
{
	struct plan p = { 0 };
	struct plan_want w = read_through(&p, 0, 512 * MIB, GIB);

	assert_in_range(ahead(&w), PLAN_WINDOW_MAX / 2 - MIB, PLAN_WINDOW_MAX);
}

static void the_window_ends_with_the_file(UNUSED void **state)
{
	uint64_t size = 100 * MIB + 17;
	struct plan p = { 0 };
	struct plan_want w = read_through(&p, 0, 90 * MIB, size);

	assert_int_equal(w.ahead_end, size);
}

static void random_reads_open_no_window(UNUSED void **state)
{
	struct plan p = { 0 };

	for (uint64_t i = 0; i < 50; i++) {
		struct plan_want w = plan_read(&p, i * 37 % 50 * 20 * MIB, READ_BYTES, GIB);

		assert_int_equal(ahead(&w), 0);
	}
}

static void reads_out_of_order_stay_one_stream(UNUSED void **state)
{
	struct plan p = { 0 };
	struct plan_want w;

	for (uint64_t base = 0; base < 64 * MIB; base += 4 * READ_BYTES)
		for (int i = 3; i >= 0; i--)
			w = plan_read(&p, base + (uint64_t)i * READ_BYTES, READ_BYTES, GIB);
	assert_true(ahead(&w) >= PLAN_WINDOW_MIN);
	for (int i = 1; i < PLAN_STREAMS; i++)
		assert_int_equal(p.streams[i].used, 0);
}

static void interleaved_streams_have_a_window_each(UNUSED void **state)
{
	struct plan p = { 0 };
	struct plan_want w;

	for (uint64_t step = 0; step < 4; step++)
		for (uint64_t s = 0; s < PLAN_STREAMS; s++) {
			w = plan_read(&p, s * 100 * MIB + step * READ_BYTES, READ_BYTES, GIB);
			assert_int_equal(ahead(&w) > 0, step > 0);
		}
}

static void the_oldest_stream_makes_place(UNUSED void **state)
{
	struct plan p = { 0 };
	struct plan_want w;

	for (uint64_t s = 0; s < PLAN_STREAMS + 1; s++)
		plan_read(&p, s * 100 * MIB, READ_BYTES, GIB);
	w = plan_read(&p, READ_BYTES, READ_BYTES,
		      GIB); /* was forgotten, and drives out the second */
	assert_int_equal(ahead(&w), 0);
	w = plan_read(&p, 200 * MIB + READ_BYTES, READ_BYTES, GIB);
	assert_true(ahead(&w) > 0);
}

static void every_answer_is_sane(UNUSED void **state)
{
	unsigned seed = (unsigned)clock_ms();
	uint64_t size = 700 * MIB + 12345;
	struct plan p = { 0 };

	print_message("seed %u\n", seed);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t off = ((uint64_t)rand_r(&seed) << 15 | (unsigned)rand_r(&seed)) % size;
		uint64_t len = 1 + (unsigned)rand_r(&seed) % (2 * MIB);
		uint64_t end = off + len < size ? off + len : size;
		struct plan_want w = plan_read(&p, off, len, size);

		assert_int_equal(w.need, chunk_floor(off));
		assert_int_equal(w.need_end, chunk_ceil(end, size));
		assert_true(w.ahead_end >= w.need_end && w.ahead_end <= size);
		assert_true(w.ahead_end == size || w.ahead_end % MIB == 0);
		assert_true(ahead(&w) <= PLAN_WINDOW_MAX + PLAN_SKIP + PLAN_WINDOW_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_read_wants_its_own_chunks_only),
		cmocka_unit_test(a_small_file_is_wanted_whole),
		cmocka_unit_test(the_second_read_in_order_opens_a_window),
		cmocka_unit_test(the_window_grows_to_its_bound),
		cmocka_unit_test(the_window_ends_with_the_file),
		cmocka_unit_test(random_reads_open_no_window),
		cmocka_unit_test(reads_out_of_order_stay_one_stream),
		cmocka_unit_test(interleaved_streams_have_a_window_each),
		cmocka_unit_test(the_oldest_stream_makes_place),
		cmocka_unit_test(every_answer_is_sane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
