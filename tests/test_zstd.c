/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/zstd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zstd.h>

#include "tests/packing.h"

static size_t unpack(const void *packed, size_t len, char *to, size_t room)
{
	return ZSTD_decompress(to, room, packed, len);
}

static const struct packing packing = { zstd_pack, unpack };

static void what_is_packed_comes_out_as_it_was(UNUSED void **state)
{
	packing_there_and_back(&packing);
}

static void nothing_is_packed_as_well(UNUSED void **state)
{
	packing_of_nothing(&packing);
}

static void the_same_bytes_are_packed_the_same(UNUSED void **state)
{
	packing_is_the_same_each_time(&packing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_comes_out_as_it_was),
		cmocka_unit_test(nothing_is_packed_as_well),
		cmocka_unit_test(the_same_bytes_are_packed_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
