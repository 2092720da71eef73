/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/xet/rebuild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/err.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define TERM(hash, from, to, bytes) \
	"{\"hash\":\"" hash "\",\"unpacked_length\":" #bytes ",\"range\":{\"start\":" #from \
	",\"end\":" #to "}}"
#define V1(from, to, first, last) \
	"{\"range\":{\"start\":" #from ",\"end\":" #to "},\"url\":\"http://cas/x\"," \
	"\"url_range\":{\"start\":" #first ",\"end\":" #last "}}"
#define V2(from, to, first, last) \
	"{\"chunks\":{\"start\":" #from ",\"end\":" #to "},\"bytes\":{\"start\":" #first \
	",\"end\":" #last "}}"
#define PLAN(skip, terms, rest) \
	"{\"offset_into_first_range\":" #skip ",\"terms\":[" terms "]," rest "}"
#define FIRST(terms, of_a) PLAN(10, terms, "\"fetch_info\":{\"" A "\":[" of_a "]}")

static int parse(const char *text, uint64_t len, struct rebuild *ret)
{
	return rebuild_parse(text, strlen(text), len, ret);
}

static void assert_refused(const char *text)
{
	struct rebuild b = { 0 };

	assert_int_equal(parse(text, 90, &b), ERR_PROTO);
	assert_null(b.doc);
}

static void test_both_versions_say_the_same(void **state UNUSED)
{
	static const char *const texts[] = {
		PLAN(10, TERM(A, 1, 3, 50) "," TERM(B, 0, 1, 20) "," TERM(A, 5, 6, 40),
		     "\"fetch_info\":{\"" A "\":[" V1(1, 3, 100, 165) "," V1(
			     5, 6, 300, 347) "],\"" B "\":[" V1(0, 1, 0, 27) "]}"),
		PLAN(10, TERM(A, 1, 3, 50) "," TERM(B, 0, 1, 20) "," TERM(A, 5, 6, 40),
		     "\"xorbs\":{\"" A
		     "\":[{\"url\":\"http://cas/x\",\"ranges\":[" V2(1, 3, 100, 165) "," V2(
			     5, 6, 300, 347) "]}],\"" B "\":[{\"url\":\"http://cas/x\","
					     "\"ranges\":[" V2(0, 1, 0, 27) "]}]}"),
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct rebuild b = { 0 };

		assert_int_equal(parse(texts[i], 100, &b), 0);
		assert_int_equal(b.skip, 10);
		assert_int_equal(rebuild_term_count(&b), 3);
		assert_int_equal(rebuild_part_count(&b), 3);
		assert_int_equal(rebuild_term(&b, 1)->part, 2);
		assert_int_equal(rebuild_term(&b, 2)->part, 1);
		assert_int_equal(rebuild_term(&b, 2)->bytes, 40);
		assert_int_equal(rebuild_part(&b, 1)->first, 300);
		assert_int_equal(rebuild_part(&b, 1)->last, 347);
		assert_string_equal(rebuild_part(&b, 1)->url, "http://cas/x");
		rebuild_fini(&b);
	}
}

static void test_what_lies_behind_the_range_is_left_out(void **state UNUSED)
{
	struct rebuild b = { 0 };
	const char *text = FIRST(TERM(A, 0, 2, 100) "," TERM(A, 2, 3, 100), V1(0, 3, 0, 400));

	assert_int_equal(parse(text, 90, &b), 0);
	assert_int_equal(rebuild_term_count(&b), 1);
	rebuild_fini(&b);
	/* The twin. */
	assert_int_equal(parse(text, 91, &b), 0);
	assert_int_equal(rebuild_term_count(&b), 2);
	rebuild_fini(&b);
}

static void test_what_makes_no_sense_is_refused(void **state UNUSED)
{
	struct rebuild b = { 0 };

	assert_int_equal(parse(FIRST(TERM(A, 0, 2, 100), V1(0, 2, 0, 115)), 90, &b), 0);
	rebuild_fini(&b);
	assert_refused("");
	assert_refused("[]");
	assert_refused("{}");
	assert_refused(FIRST("", V1(0, 2, 0, 115)));
	assert_refused(FIRST(TERM(A, 0, 2, 99), V1(0, 2, 0, 115)));  /* too short */
	assert_refused(FIRST(TERM(A, 0, 3, 100), V1(0, 2, 0, 115))); /* not all in the part */
	assert_refused(FIRST(TERM(B, 0, 2, 100), V1(0, 2, 0, 115))); /* of another xorb */
	assert_refused(FIRST(TERM(A, 2, 2, 100), V1(0, 2, 0, 115)));
	assert_refused(FIRST(TERM(A, 0, 2, 262145), V1(0, 2, 0, 115)));
	assert_refused(FIRST(TERM(A, 0, 2, 1), V1(0, 2, 0, 115)));
	assert_refused(FIRST(TERM(A, 0, 2, 100), V1(0, 2, 9, 8)));
	assert_refused(FIRST(TERM(A, 0, 2, 100), V1(0, 2, 0, 99999999999)));
	assert_refused(FIRST(TERM(A, 0, 2, 100), V1(0, 8193, 0, 115)));
	assert_refused(FIRST(TERM(A, 0, 2, 100), "{}"));
	assert_refused(FIRST(TERM(A, 0, 1, 10) "," TERM(A, 0, 2, 100), V1(0, 2, 0, 115)));
	assert_refused(
		PLAN(-1, TERM(A, 0, 2, 100), "\"fetch_info\":{\"" A "\":[" V1(0, 2, 0, 115) "]}"));
	assert_refused(PLAN(10, TERM(A, 0, 2, 100), "\"fetch_info\":{\"x\":[]}"));
}

/* Nobody has to compare millions of them. */
static void test_too_many_are_refused(void **state UNUSED)
{
	for (unsigned count = REBUILD_MAX; count <= REBUILD_MAX + 1; count++) {
		CLEANUP(buf_free) struct buf text = { 0 };
		struct rebuild b = { 0 };

		buf_add_str(&text, "{\"offset_into_first_range\":0,\"fetch_info\":{\"" A
				   "\":[" V1(0, 1, 0, 9) "]},\"terms\":[" TERM(A, 0, 1, 1));
		for (unsigned i = 1; i < count; i++)
			buf_add_str(&text, "," TERM(A, 0, 1, 1));
		assert_int_equal(buf_add_str(&text, "]}"), 0);
		assert_int_equal(rebuild_parse(text.data, text.len, count, &b),
				 count > REBUILD_MAX ? ERR_PROTO : 0);
		rebuild_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_versions_say_the_same),
		cmocka_unit_test(test_what_lies_behind_the_range_is_left_out),
		cmocka_unit_test(test_what_makes_no_sense_is_refused),
		cmocka_unit_test(test_too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
