/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/chunkmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <sys/mman.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/cache/chunk.h"

#define SIZE (2 * CHUNK_BYTES + 100) /* three chunks, the last a short one */

static int new_map(void **state)
{
	static int fd;

	fd = memfd_create("map", MFD_CLOEXEC);
	*state = &fd;
	return fd < 0 ? -1 : chunkmap_make(fd, SIZE);
}

static int drop_map(void **state)
{
	close(*(int *)*state);
	return 0;
}

static void a_new_map_has_nothing(void **state)
{
	uint64_t sums[3] = { 1, 1, 1 };
	int fd = *(int *)*state;

	assert_int_equal(chunkmap_load(fd, SIZE, sums), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sums[i], 0);
	assert_int_equal(chunkmap_present(fd, SIZE), 0);
}

static void what_was_put_is_there(void **state)
{
	uint64_t sums[3];
	int fd = *(int *)*state;

	assert_int_equal(chunkmap_put(fd, 0, 0x0102030405060708), 0);
	assert_int_equal(chunkmap_put(fd, 2, 7), 0);
	assert_int_equal(chunkmap_load(fd, SIZE, sums), 0);
	assert_int_equal(sums[0], 0x0102030405060708);
	assert_int_equal(sums[1], 0);
	assert_int_equal(sums[2], 7);
	assert_int_equal(chunkmap_present(fd, SIZE), CHUNK_BYTES + 100);
}

static void its_bytes_are_those_of_the_format(void **state)
{
	static const unsigned char want[32] = { 'M', 'F', 'S', 'M', 'A', 'P', '1', 0,    0, 0, 0x10,
						0,   0,   0,   0,   0,   100, 0,   0x20, 0, 0, 0,
						0,   0,   8,   7,   6,   5,   4,   3,    2, 1 };
	unsigned char got[32];
	int fd = *(int *)*state;

	assert_int_equal(chunkmap_put(fd, 0, 0x0102030405060708), 0);
	assert_int_equal(file_pread(fd, got, sizeof(got), 0), 0);
	assert_memory_equal(got, want, sizeof(want));
}

static void a_map_of_another_file_is_none(void **state)
{
	uint64_t sums[3];
	int fd = *(int *)*state;

	assert_int_equal(chunkmap_put(fd, 0, 1), 0);
	assert_int_equal(chunkmap_load(fd, SIZE - 1, sums), ERR_CORRUPT);
	assert_int_equal(chunkmap_present(fd, SIZE - 1), 0);
}

static void a_damaged_or_short_map_is_none(void **state)
{
	uint64_t sums[3];
	int fd = *(int *)*state;

	assert_int_equal(ftruncate(fd, 40), 0);
	assert_int_equal(chunkmap_load(fd, SIZE, sums), ERR_CORRUPT);
	assert_int_equal(chunkmap_make(fd, SIZE), 0);
	assert_int_equal(file_pwrite(fd, "X", 1, 3), 0);
	assert_int_equal(chunkmap_load(fd, SIZE, sums), ERR_CORRUPT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, new_map, drop_map)
	const struct CMUnitTest tests[] = {
		TEST(a_new_map_has_nothing),
		TEST(what_was_put_is_there),
		TEST(its_bytes_are_those_of_the_format),
		TEST(a_map_of_another_file_is_none),
		TEST(a_damaged_or_short_map_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
