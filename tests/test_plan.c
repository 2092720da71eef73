/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/num.h"
#include "daemon/base/own.h"
#include "daemon/cache/chunk.h"

#define MIB CHUNK_BYTES
#define GIB (UINT64_C(1) << 30)
#define READ_BYTES (UINT64_C(128) << 10)
#define ROUNDS 20000

static const struct extents unknown;

static struct plan_want read_at(struct plan *p, uint64_t off, uint64_t len, uint64_t size)
{
	return plan_read(p, off, len, size, &unknown);
}

static bool is_nothing(struct plan_range r)
{
	return r.from >= r.to;
}

/* Reads [from, to) in order and returns what is asked for ahead of `to` after that. */
static uint64_t read_through(struct plan *p, uint64_t from, uint64_t to, uint64_t size,
			     const struct extents *tensors)
{
	uint64_t asked = from;

	for (uint64_t off = from; off < to; off += READ_BYTES) {
		struct plan_want w = plan_read(p, off, READ_BYTES, size, tensors);

		if (!is_nothing(w.ahead) && w.ahead.to > asked)
			asked = w.ahead.to;
	}
	return asked > to ? asked - to : 0;
}

static void a_first_read_wants_its_own_chunks_only(UNUSED void **state)
{
	struct plan p = { .came = GIB };
	struct plan_want w = read_at(&p, 5 * MIB + 3, 2 * MIB, GIB);

	assert_int_equal(w.need.from, 5 * MIB);
	assert_int_equal(w.need.to, 8 * MIB);
	assert_true(is_nothing(w.ahead));
	assert_true(is_nothing(w.sweep));
}

static void a_small_file_is_wanted_whole(UNUSED void **state)
{
	struct plan p = { .came = GIB };
	struct plan_want w = read_at(&p, 2 * MIB, 10, 3 * MIB + 5);

	assert_int_equal(w.need.from, 2 * MIB);
	assert_int_equal(w.need.to, 3 * MIB);
	assert_int_equal(w.ahead.from, 0);
	assert_int_equal(w.ahead.to, 3 * MIB + 5);
}

static void the_second_read_in_order_opens_a_window(UNUSED void **state)
{
	struct plan p = { .came = GIB };

	assert_in_range(read_through(&p, 0, 2 * READ_BYTES, GIB, &unknown), PLAN_WINDOW_MIN,
			PLAN_WINDOW_MIN + MIB);
}

static void the_window_grows_to_its_bound(UNUSED void **state)
{
	struct plan p = { .came = GIB };

	assert_in_range(read_through(&p, 0, 512 * MIB, GIB, &unknown), PLAN_WINDOW_MAX / 2 - MIB,
			PLAN_WINDOW_MAX + MIB);
}

static void no_byte_is_asked_for_ahead_twice(UNUSED void **state)
{
	struct plan p = { .came = GIB };
	uint64_t asked = 0;

	for (uint64_t off = 0; off < 512 * MIB; off += READ_BYTES) {
		struct plan_want w = read_at(&p, off, READ_BYTES, GIB);

		if (is_nothing(w.ahead))
			continue;
		assert_true(w.ahead.from >= asked);
		asked = w.ahead.to;
	}
}

/* How far a steady reader is ahead of itself where so many bytes came lately. */
static uint64_t ahead_at(uint64_t came)
{
	struct plan p = { .came = came };

	return read_through(&p, 0, 512 * MIB, GIB, &unknown);
}

static void on_a_slow_line_the_window_is_what_comes_in_time(UNUSED void **state)
{
	assert_in_range(ahead_at(500 * MIB), PLAN_WINDOW_MAX / 2 - MIB, PLAN_WINDOW_MAX + MIB);
	assert_in_range(ahead_at(15 * MIB), 14 * MIB, 31 * MIB);
	assert_in_range(ahead_at(1), PLAN_AHEAD_MIN / 2 - MIB, PLAN_AHEAD_MIN + MIB);
	assert_in_range(ahead_at(0), PLAN_AHEAD_MIN / 2 - MIB, PLAN_AHEAD_MIN + MIB);
}

static void runs_grow_with_the_window(UNUSED void **state)
{
	struct plan p = { .came = GIB };

	assert_int_equal(read_at(&p, 0, READ_BYTES, GIB).run_max, MIB);
	read_through(&p, READ_BYTES, 512 * MIB, GIB, &unknown);
	assert_int_equal(read_at(&p, 512 * MIB, READ_BYTES, GIB).run_max, PLAN_WINDOW_MAX / 8);
}

static void the_window_ends_with_the_file(UNUSED void **state)
{
	uint64_t size = 100 * MIB + 17;
	struct plan p = { .came = GIB };

	assert_int_equal(read_through(&p, 0, 90 * MIB, size, &unknown), size - 90 * MIB);
}

static void random_reads_open_no_window(UNUSED void **state)
{
	struct plan p = { .came = GIB };

	for (uint64_t i = 0; i < 50; i++)
		assert_true(is_nothing(read_at(&p, i * 37 % 50 * 20 * MIB, READ_BYTES, GIB).ahead));
}

static void reads_out_of_order_stay_one_stream(UNUSED void **state)
{
	struct plan p = { .came = GIB };

	for (uint64_t base = 0; base < 64 * MIB; base += 4 * READ_BYTES)
		for (int i = 3; i >= 0; i--)
			read_at(&p, base + (uint64_t)i * READ_BYTES, READ_BYTES, GIB);
	assert_true(p.streams[0].window > PLAN_WINDOW_MIN);
	for (int i = 1; i < PLAN_STREAMS; i++)
		assert_int_equal(p.streams[i].used, 0);
}

static void interleaved_streams_have_a_window_each(UNUSED void **state)
{
	struct plan p = { .came = GIB };

	for (uint64_t step = 0; step < 2; step++)
		for (uint64_t s = 0; s < PLAN_STREAMS; s++) {
			struct plan_want w =
				read_at(&p, s * 100 * MIB + step * READ_BYTES, READ_BYTES, GIB);

			assert_int_equal(!is_nothing(w.ahead), step > 0);
		}
}

static void the_oldest_stream_makes_place(UNUSED void **state)
{
	struct plan p = { .came = GIB };

	for (uint64_t s = 0; s < PLAN_STREAMS + 1; s++)
		read_at(&p, s * 100 * MIB, READ_BYTES, GIB);
	/* It was forgotten, and drives out the second. */
	assert_true(is_nothing(read_at(&p, READ_BYTES, READ_BYTES, GIB).ahead));
	assert_false(is_nothing(read_at(&p, 200 * MIB + READ_BYTES, READ_BYTES, GIB).ahead));
}

/* ---- random reads ---- */

static uint64_t sweep_after(struct plan *p, unsigned jumps)
{
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < jumps; i++) {
		struct plan_want w = read_at(p, i * 37 % 50 * 20 * MIB, 4096, GIB);

		if (!is_nothing(w.sweep))
			bytes += w.sweep.to - w.sweep.from;
	}
	return bytes;
}

static void few_random_reads_cost_little(UNUSED void **state)
{
	struct plan p = { .came = GIB };

	assert_int_equal(sweep_after(&p, 2), 0);
}

static void large_reads_out_of_order_are_not_random(UNUSED void **state)
{
	struct plan p = { .came = GIB };

	for (uint64_t i = 0; i < 50; i++)
		assert_true(is_nothing(read_at(&p, i * 37 % 50 * 20 * MIB, MIB, GIB).sweep));
}

static void many_random_reads_are_followed_by_all_of_the_file(UNUSED void **state)
{
	struct plan p = { .came = GIB };

	assert_in_range(sweep_after(&p, 12), 10 * PLAN_SWEEP, 10 * PLAN_SWEEP);
	p = (struct plan){ .came = GIB };
	for (int i = 0; i < 20; i++)
		sweep_after(&p, 50);
	assert_int_equal(p.swept, GIB);
}

/* ---- tensors ---- */

#define TENSORS 16
#define TENSOR (64 * MIB)

static struct extents sixteen_tensors(void)
{
	struct extents e = { 0 };

	for (uint64_t i = 0; i < TENSORS; i++)
		assert_int_equal(extents_add(&e, i * TENSOR, (i + 1) * TENSOR), 0);
	assert_true(extents_finish(&e, GIB));
	return e;
}

/* Reads a part of each tensor in reads of 1 MiB; returns all that was asked for. */
static uint64_t read_parts(struct plan *p, const struct extents *e, unsigned count, uint64_t part)
{
	static bool asked[GIB / MIB];
	uint64_t bytes = 0;

	memset(asked, 0, sizeof(asked));
	for (uint64_t i = 0; i < count; i++)
		for (uint64_t off = 0; off < part; off += MIB) {
			struct plan_want w = plan_read(p, i * TENSOR + off, MIB, GIB, e);
			const struct plan_range all[] = { w.need, w.ahead, w.sweep };

			for (size_t k = 0; k < ARRAY_LEN(all); k++)
				for (uint64_t at = all[k].from; at < all[k].to; at += MIB)
					asked[at / MIB] = true;
		}
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		bytes += asked[i] ? MIB : 0;
	return bytes;
}

static void a_rank_that_takes_half_of_each_tensor_is_brought_little_more(UNUSED void **state)
{
	struct extents e = sixteen_tensors();
	struct plan p = { .came = GIB };
	uint64_t needed = TENSORS * TENSOR / 2;

	assert_true(read_parts(&p, &e, TENSORS, TENSOR / 2) <= needed * 13 / 10);
	assert_true(plan_has_gaps(&p));
	extents_fini(&e);
}

static void a_rank_that_takes_a_quarter_is_too(UNUSED void **state)
{
	struct extents e = sixteen_tensors();
	struct plan p = { .came = GIB };
	uint64_t needed = TENSORS * TENSOR / 4;

	assert_true(read_parts(&p, &e, TENSORS, TENSOR / 4) <= needed * 13 / 10);
	extents_fini(&e);
}

static void without_tensors_the_same_reader_is_brought_more(UNUSED void **state)
{
	struct plan p = { .came = GIB };
	uint64_t needed = TENSORS * TENSOR / 2;

	assert_true(read_parts(&p, &unknown, TENSORS, TENSOR / 2) > needed * 13 / 10);
}

static void who_reads_tensor_after_tensor_reads_the_file(UNUSED void **state)
{
	struct extents e = sixteen_tensors();
	struct plan p = { .came = GIB };

	assert_true(read_through(&p, 0, 512 * MIB, GIB, &e) >= PLAN_WINDOW_MAX / 2);
	assert_false(plan_has_gaps(&p));
	extents_fini(&e);
}

static void at_first_the_window_is_a_quarter_of_what_was_read(UNUSED void **state)
{
	struct extents e = sixteen_tensors();
	struct plan p = { .came = GIB };

	assert_true(read_through(&p, 0, 32 * MIB, GIB, &e) <= 9 * MIB);
	p = (struct plan){ .came = GIB };
	assert_true(read_through(&p, 0, 32 * MIB, GIB, &unknown) > 9 * MIB);
	extents_fini(&e);
}

static void nothing_of_the_next_tensor_is_brought_before_the_reader_goes_on(UNUSED void **state)
{
	struct extents e = sixteen_tensors();
	struct plan p = { .came = GIB };

	assert_int_equal(read_through(&p, 0, TENSOR - MIB, GIB, &e), MIB);
	assert_true(read_through(&p, TENSOR - MIB, TENSOR + 2 * PLAN_SKIP, GIB, &e) > 0);
	extents_fini(&e);
}

static void experts_left_out_are_not_brought(UNUSED void **state)
{
	struct extents e = sixteen_tensors();
	struct plan p = { .came = GIB };
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < TENSORS; i += 2)
		for (uint64_t off = i * TENSOR; off < (i + 1) * TENSOR; off += MIB) {
			struct plan_want w = plan_read(&p, off, MIB, GIB, &e);

			assert_true(w.ahead.to <= (i + 1) * TENSOR);
			bytes += MIB;
		}
	assert_int_equal(bytes, GIB / 2);
	extents_fini(&e);
}

static void what_the_kernel_reads_ahead_brings_no_more_of_the_next_tensor(UNUSED void **state)
{
	struct extents e = sixteen_tensors();
	struct plan p = { .came = GIB };

	for (uint64_t i = 0; i < TENSORS - 1; i += 3) {
		uint64_t end = (i + 1) * TENSOR;

		for (uint64_t off = i * TENSOR; off < end + PLAN_SKIP; off += MIB)
			assert_true(plan_read(&p, off, MIB, GIB, &e).ahead.to <=
				    max_u64(off + MIB, end));
	}
	/* The twin: the reader goes on. */
	p = (struct plan){ .came = GIB };
	assert_true(read_through(&p, 0, TENSOR + 2 * PLAN_SKIP, GIB, &e) > MIB);
	extents_fini(&e);
}

static void random_reads_in_a_tensor_bring_that_tensor(UNUSED void **state)
{
	struct extents e = sixteen_tensors();
	struct plan p = { .came = GIB };
	uint64_t from = GIB, to = 0;

	for (uint64_t i = 0; i < 200; i++) {
		uint64_t off = TENSOR + i * 23 % 64 * MIB;
		struct plan_want w = plan_read(&p, off, 4096, GIB, &e);

		if (is_nothing(w.sweep))
			continue;
		from = w.sweep.from < from ? w.sweep.from : from;
		to = w.sweep.to > to ? w.sweep.to : to;
	}
	assert_int_equal(from, TENSOR);
	assert_int_equal(to, 2 * TENSOR);
	extents_fini(&e);
}

/* ---- anything ---- */

static void every_answer_is_sane(UNUSED void **state)
{
	unsigned seed = (unsigned)clock_ms();
	uint64_t size = 700 * MIB + 12345;
	struct plan p = { .came = GIB };

	print_message("seed %u\n", seed);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t off = ((uint64_t)rand_r(&seed) << 15 | (unsigned)rand_r(&seed)) % size;
		uint64_t len = 1 + (unsigned)rand_r(&seed) % (2 * MIB);
		uint64_t end = off + len < size ? off + len : size;
		struct plan_want w = read_at(&p, off, len, size);

		assert_int_equal(w.need.from, chunk_floor(off));
		assert_int_equal(w.need.to, chunk_ceil(end, size));
		assert_true(w.ahead.to <= size && w.sweep.to <= size);
		assert_true(w.ahead.to == size || w.ahead.to % MIB == 0);
		assert_true(w.sweep.to == size || w.sweep.to % MIB == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_read_wants_its_own_chunks_only),
		cmocka_unit_test(a_small_file_is_wanted_whole),
		cmocka_unit_test(the_second_read_in_order_opens_a_window),
		cmocka_unit_test(the_window_grows_to_its_bound),
		cmocka_unit_test(on_a_slow_line_the_window_is_what_comes_in_time),
		cmocka_unit_test(no_byte_is_asked_for_ahead_twice),
		cmocka_unit_test(runs_grow_with_the_window),
		cmocka_unit_test(the_window_ends_with_the_file),
		cmocka_unit_test(random_reads_open_no_window),
		cmocka_unit_test(reads_out_of_order_stay_one_stream),
		cmocka_unit_test(interleaved_streams_have_a_window_each),
		cmocka_unit_test(the_oldest_stream_makes_place),
		cmocka_unit_test(few_random_reads_cost_little),
		cmocka_unit_test(large_reads_out_of_order_are_not_random),
		cmocka_unit_test(many_random_reads_are_followed_by_all_of_the_file),
		cmocka_unit_test(a_rank_that_takes_half_of_each_tensor_is_brought_little_more),
		cmocka_unit_test(a_rank_that_takes_a_quarter_is_too),
		cmocka_unit_test(without_tensors_the_same_reader_is_brought_more),
		cmocka_unit_test(who_reads_tensor_after_tensor_reads_the_file),
		cmocka_unit_test(at_first_the_window_is_a_quarter_of_what_was_read),
		cmocka_unit_test(nothing_of_the_next_tensor_is_brought_before_the_reader_goes_on),
		cmocka_unit_test(experts_left_out_are_not_brought),
		cmocka_unit_test(what_the_kernel_reads_ahead_brings_no_more_of_the_next_tensor),
		cmocka_unit_test(random_reads_in_a_tensor_bring_that_tensor),
		cmocka_unit_test(every_answer_is_sane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
