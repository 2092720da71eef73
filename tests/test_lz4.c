/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/lz4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <lz4frame.h>
#include <string.h>

#define SIZE 100000

static char text[SIZE], packed[SIZE + 1000], out[SIZE + 1];
static size_t packed_len;

static int set_up(void **state)
{
	struct lz4 *z = NULL;

	for (unsigned i = 0; i < SIZE; i++)
		text[i] = (char)(i / 100);
	packed_len = LZ4F_compressFrame(packed, sizeof(packed), text, SIZE, NULL);
	assert_false(LZ4F_isError(packed_len));
	assert_int_equal(lz4_new(&z), 0);
	*state = z;
	return 0;
}

static int tear_down(void **state)
{
	lz4_free(*state);
	return 0;
}

static void a_frame_is_unpacked_again_and_again(void **state)
{
	for (int i = 0; i < 3; i++) {
		memset(out, 0, sizeof(out));
		assert_int_equal(lz4_unpack(*state, packed, packed_len, out, SIZE), 0);
		assert_memory_equal(out, text, SIZE);
	}
}

static void one_of_another_size_is_none(void **state)
{
	out[SIZE - 1] = 'x';
	assert_int_equal(lz4_unpack(*state, packed, packed_len, out, SIZE - 1), -EBADMSG);
	assert_int_equal(out[SIZE - 1], 'x');
	assert_int_equal(lz4_unpack(*state, packed, packed_len, out, SIZE + 1), -EBADMSG);
	assert_int_equal(lz4_unpack(*state, packed, packed_len, out, SIZE), 0);
}

static void what_is_cut_or_goes_on_is_none(void **state)
{
	assert_int_equal(lz4_unpack(*state, packed, packed_len - 1, out, SIZE), -EBADMSG);
	assert_int_equal(lz4_unpack(*state, packed, packed_len + 1, out, SIZE), -EBADMSG);
	assert_int_equal(lz4_unpack(*state, packed, 0, out, SIZE), -EBADMSG);
	assert_int_equal(lz4_unpack(*state, text, 1000, out, SIZE), -EBADMSG);
	assert_int_equal(lz4_unpack(*state, packed, packed_len, out, SIZE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_unpacked_again_and_again),
		cmocka_unit_test(one_of_another_size_is_none),
		cmocka_unit_test(what_is_cut_or_goes_on_is_none),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
