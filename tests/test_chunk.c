/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/chunk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/own.h"

#define MIB CHUNK_BYTES
#define TIB (UINT64_C(1) << 40)

static void a_file_has_as_many_chunks_as_it_needs(UNUSED void **state)
{
	assert_int_equal(chunk_count(0), 0);
	assert_int_equal(chunk_count(1), 1);
	assert_int_equal(chunk_count(MIB), 1);
	assert_int_equal(chunk_count(MIB + 1), 2);
	assert_int_equal(chunk_count(TIB), 1 << 20);
}

static void a_byte_lies_in_the_chunk_around_it(UNUSED void **state)
{
	assert_int_equal(chunk_of(0), 0);
	assert_int_equal(chunk_of(MIB - 1), 0);
	assert_int_equal(chunk_of(MIB), 1);
	assert_int_equal(chunk_of(TIB - 1), (1 << 20) - 1);
}

static void the_last_chunk_ends_with_the_file(UNUSED void **state)
{
	uint64_t size = 2 * MIB + 7;

	assert_int_equal(chunk_start(2), 2 * MIB);
	assert_int_equal(chunk_end(0, size), MIB);
	assert_int_equal(chunk_end(1, size), 2 * MIB);
	assert_int_equal(chunk_end(2, size), size);
	assert_true(chunk_start(1 << 22) == 4 * TIB);
}

static void borders_are_found_below_and_above(UNUSED void **state)
{
	assert_int_equal(chunk_floor(0), 0);
	assert_int_equal(chunk_floor(MIB - 1), 0);
	assert_int_equal(chunk_floor(MIB), MIB);
	assert_int_equal(chunk_ceil(0, 10 * MIB), 0);
	assert_int_equal(chunk_ceil(1, 10 * MIB), MIB);
	assert_int_equal(chunk_ceil(MIB, 10 * MIB), MIB);
	assert_int_equal(chunk_ceil(MIB + 1, MIB + 5), MIB + 5);
}

static void chunks_cover_a_file_without_gaps(UNUSED void **state)
{
	static const uint64_t sizes[] = { 1, MIB - 1, MIB, MIB + 1, 5 * MIB, 5 * MIB + 4095 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t at = 0;

		for (uint32_t c = 0; c < chunk_count(sizes[i]); c++) {
			assert_int_equal(chunk_start(c), at);
			assert_int_equal(chunk_of(at), c);
			at = chunk_end(c, sizes[i]);
			assert_int_equal(chunk_of(at - 1), c);
		}
		assert_int_equal(at, sizes[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_has_as_many_chunks_as_it_needs),
		cmocka_unit_test(a_byte_lies_in_the_chunk_around_it),
		cmocka_unit_test(the_last_chunk_ends_with_the_file),
		cmocka_unit_test(borders_are_found_below_and_above),
		cmocka_unit_test(chunks_cover_a_file_without_gaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
