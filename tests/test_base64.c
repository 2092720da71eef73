/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/buf.h"

static int read_in(const char *text, size_t piece, struct buf *ret)
{
	size_t len = strlen(text), count;
	struct base64 b = { 0 };
	uint8_t bytes[64];

	buf_clear(ret);
	for (size_t at = 0; at < len; at += piece) {
		size_t n = piece < len - at ? piece : len - at;
		int r = base64_take(&b, text + at, n, bytes, &count);

		if (r < 0)
			return r;
		assert_true(count <= BASE64_BYTES(n));
		buf_add(ret, bytes, count);
	}
	return base64_end(&b);
}

/* RFC 4648, 10, and one of all bits. */
static void digits_become_bytes_in_whatever_pieces_they_come(UNUSED void **state)
{
	static const char *const all[][2] = {
		{ "", "" },
		{ "Zg==", "f" },
		{ "Zm8=", "fo" },
		{ "Zm9v", "foo" },
		{ "Zm9vYg==", "foob" },
		{ "Zm9vYmE=", "fooba" },
		{ "Zm9vYmFy", "foobar" },
		{ "+/+/", "\xfb\xff\xbf" },
	};
	CLEANUP(buf_free) struct buf bytes = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		for (size_t piece = 1; piece < 10; piece++) {
			assert_int_equal(read_in(all[i][0], piece, &bytes), 0);
			assert_string_equal(buf_str(&bytes), all[i][1]);
		}
}

static void what_is_no_base64_is_refused(UNUSED void **state)
{
	static const char *const bad[] = {
		"Z",     "Zg",       "Zg=",   "Zm8",    "=",        "==",      "Z===",
		"====",  "Zg==Zg==", "Zg==A", "Zg=A",   "Zh==",     "Zm9=",    "Zm9v\n",
		" Zm9v", "Zm-_",     "Zm9v=", "Zm9v==", "Zm9v====", "Zm9\xff",
	};
	CLEANUP(buf_free) struct buf bytes = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		for (size_t piece = 1; piece < 10; piece++)
			assert_int_equal(read_in(bad[i], piece, &bytes), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digits_become_bytes_in_whatever_pieces_they_come),
		cmocka_unit_test(what_is_no_base64_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
