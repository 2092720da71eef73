/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/xdr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct xdr_in over(const struct buf *b)
{
	return (struct xdr_in){ .at = (const uint8_t *)b->data, .left = b->len };
}

static void what_is_put_is_read_again(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct xdr_in in;
	const uint8_t *bytes;
	size_t len;

	(void)state;
	xdr_put_u32(&b, 0x01020304);
	xdr_put_u64(&b, UINT64_C(0x0102030405060708));
	xdr_put_text(&b, "hello");
	xdr_put_opaque(&b, "", 0);
	xdr_put_u32(&b, 1);
	assert_int_equal(b.len, 4 + 8 + 4 + 8 + 4 + 4);
	assert_memory_equal(b.data, "\1\2\3\4\1\2\3\4\5\6\7\10\0\0\0\5hello\0\0\0", 24);
	in = over(&b);
	assert_int_equal(xdr_u32(&in), 0x01020304);
	assert_int_equal(xdr_u64(&in), UINT64_C(0x0102030405060708));
	bytes = xdr_opaque(&in, 5, &len);
	assert_int_equal(len, 5);
	assert_memory_equal(bytes, "hello", 5);
	assert_non_null(xdr_opaque(&in, 0, &len));
	assert_true(xdr_bool(&in));
	assert_false(in.bad);
	assert_int_equal(in.left, 0);
}

static void nothing_is_read_beyond_the_end(void **state)
{
	static const uint8_t three[] = { 0, 0, 1 };
	struct xdr_in in = { .at = three, .left = sizeof(three) };

	(void)state;
	assert_int_equal(xdr_u32(&in), 0);
	assert_true(in.bad);
	assert_int_equal(in.left, sizeof(three));
	assert_null(xdr_fixed(&in, 0));
}

static void a_length_must_fit(void **state)
{
	static const uint8_t longer[] = { 0, 0, 0, 5, 'a', 'b', 'c', 'd' };
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 'a', 'b', 'c', 'd' };
	struct xdr_in in = { .at = longer, .left = sizeof(longer) };
	size_t len;

	(void)state;
	assert_null(xdr_opaque(&in, 100, &len));
	assert_int_equal(len, 0);
	in = (struct xdr_in){ .at = huge, .left = sizeof(huge) };
	assert_null(xdr_opaque(&in, SIZE_MAX, &len));
	in = (struct xdr_in){ .at = longer, .left = sizeof(longer) };
	assert_null(xdr_opaque(&in, 4, &len));
	assert_true(in.bad);
}

static void a_boolean_is_0_or_1(void **state)
{
	static const uint8_t two[] = { 0, 0, 0, 2 };
	struct xdr_in in = { .at = two, .left = sizeof(two) };

	(void)state;
	assert_false(xdr_bool(&in));
	assert_true(in.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_read_again),
		cmocka_unit_test(nothing_is_read_beyond_the_end),
		cmocka_unit_test(a_length_must_fit),
		cmocka_unit_test(a_boolean_is_0_or_1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
