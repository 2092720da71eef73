/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#define TENSOR(name, from, to) \
	"\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" #from "," #to "]}"
#define DATA_BYTES 100
#define MANY 20000

/* A file's first bytes: the length of the text, the text; `size` of the whole with its data. */
static void make(const char *text, size_t data, struct buf *ret, uint64_t *ret_size)
{
	buf_add_u64(ret, strlen(text));
	buf_add_str(ret, text);
	assert_int_equal(ret->failed, 0);
	*ret_size = ret->len + data;
}

static int parse(const char *text, struct extents *ret)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	uint64_t size, need;

	make(text, DATA_BYTES, &b, &size);
	return safetensors_parse(b.data, b.len, size, ret, &need);
}

static void extents_are_those_of_the_header(UNUSED void **state)
{
	struct extents e;
	const char *text = "{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("b", 40, 100) "," TENSOR(
		"a", 0, 40) "}   ";
	uint64_t start = 8 + strlen(text);

	assert_int_equal(parse(text, &e), 0);
	assert_int_equal(e.count, 2);
	assert_int_equal(e.data_start, start);
	assert_int_equal(e.at[0].start, start);
	assert_int_equal(e.at[0].end, start + 40);
	assert_int_equal(e.at[1].end, start + 100);
	extents_fini(&e);
}

static void what_the_format_allows_is_read(UNUSED void **state)
{
	static const char *const texts[] = {
		"{}",
		"{}          ",
		" { } ",
		"{\"__metadata__\":{}}",
		"{" TENSOR("empty", 7, 7) "}",
		"{" TENSOR("\\\"quoted\\u0041\\\\", 0, 1) "}",
		"{\"a\" : { \"data_offsets\" : [ 0 , 9 ] , \"new\":{\"x\":[1,[2,null]],"
		"\"y\":-1.5e3} } }",
		"{\"__metadata__\":{\"a\":\"{\\\"b\\\":[}\"}," TENSOR("a", 0, 1) "}",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct extents e;

		assert_int_equal(parse(texts[i], &e), 0);
		extents_fini(&e);
	}
}

static void what_contradicts_the_format_is_refused(UNUSED void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{",
		"{}}",
		"{} x",
		"{,}",
		"{\"a\"}",
		"{\"a\":1}",
		"{\"a\":{}}",
		"{\"a\":{\"data_offsets\":[0]}}",
		"{\"a\":{\"data_offsets\":[0,1,2]}}",
		"{\"a\":{\"data_offsets\":\"0,1\"}}",
		"{\"a\":{\"data_offsets\":[0,1],\"data_offsets\":[2,3]}}",
		"{\"a\":{\"data_offsets\":[-1,3]}}",
		"{\"a\":{\"data_offsets\":[0.5,3]}}",
		"{" TENSOR("backwards", 5, 4) "}",
		"{" TENSOR("beyond", 0, 101) "}",
		"{" TENSOR("wraps", 18446744073709551610, 18446744073709551615) "}",
		"{" TENSOR("huge", 0, 99999999999999999999999) "}",
		"{" TENSOR("a", 0, 50) "," TENSOR("overlaps", 49, 60) "}",
		"{" TENSOR("a", 0, 50) "," TENSOR("same", 0, 50) "}",
		"{" TENSOR("a", 0, 50) ",}",
		"{" TENSOR("no comma", 0, 50) TENSOR("b", 50, 60) "}",
		"{\"unended:{}}",
		"{\"bad\\escape\":{\"data_offsets\":[0,1]}}",
		"{\"ends\\",
		"{\"__metadata__\":[[[[[[[[[[[[]]]]]]]]]]]]}",
		"{\"__metadata__\":}",
		"{\"line\nbreak\":{\"data_offsets\":[0,1]}}",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct extents e;
		int r = parse(texts[i], &e);

		if (r != ERR_PROTO)
			print_error("%s: %d\n", texts[i], r);
		assert_int_equal(r, ERR_PROTO);
		assert_null(e.at);
	}
}

static void of_a_part_it_says_how_much_is_needed(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	uint64_t size, need;
	struct extents e;

	make("{" TENSOR("a", 0, 100) "}", DATA_BYTES, &b, &size);
	for (size_t len = 0; len < b.len; len++) {
		CLEANUP(freep) char *part = malloc(len + 1);

		memcpy(part, b.data, len); /* of its own, so that a read too far is seen */
		assert_int_equal(safetensors_parse(part, len, size, &e, &need), EXTENTS_MORE);
		assert_int_equal(need, len < 8 ? 8 : b.len);
	}
	assert_int_equal(safetensors_parse(b.data, b.len, size, &e, &need), 0);
	extents_fini(&e);
}

static void a_length_that_cannot_be_is_refused(UNUSED void **state)
{
	static const struct {
		uint64_t header, size;
		int want;
	} table[] = {
		{ 0, 0, ERR_PROTO },
		{ 0, 7, ERR_PROTO },
		{ 0, 8, ERR_PROTO }, /* no JSON at all */
		{ 1, 8, ERR_PROTO },
		{ UINT64_MAX, 1000, ERR_PROTO },
		{ UINT64_MAX - 8, UINT64_MAX, -EFBIG },
		{ SAFETENSORS_HEADER_MAX + 1, UINT64_C(1) << 40, -EFBIG },
		{ SAFETENSORS_HEADER_MAX, UINT64_C(1) << 40, EXTENTS_MORE },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		uint64_t header = htole64(table[i].header), need;
		struct extents e;

		assert_int_equal(safetensors_parse(&header, 8, table[i].size, &e, &need),
				 table[i].want);
	}
}

static void a_header_of_many_tensors_is_read(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(buf_free) struct buf b = { 0 };
	uint64_t size, need;
	struct extents e;

	buf_add_str(&text, "{");
	for (int i = MANY; i-- > 0;)
		buf_printf(&text,
			   "\"model.layers.%d.w\":{\"dtype\":\"BF16\",\"shape\":[4,8],"
			   "\"data_offsets\":[%d,%d]}%s",
			   i, i * 64, i * 64 + 64, i ? "," : "}");
	make(buf_str(&text), (size_t)MANY * 64, &b, &size);
	assert_int_equal(safetensors_parse(b.data, b.len, size, &e, &need), 0);
	assert_int_equal(e.count, MANY);
	assert_int_equal(e.at[MANY - 1].end, size);
	extents_fini(&e);
}

static void counts_are_added_and_none_of_them_if_one_is_too_many(UNUSED void **state)
{
	struct safetensors_counts all = { .count = 0 }, full = { .count = 0 };
	const struct safetensors_counts more = { { { "F32", 3 }, { "I8", 4 } }, 2 };
	const struct safetensors_counts huge = { { { "I8", 1 }, { "F32", UINT64_MAX } }, 2 };

	assert_int_equal(safetensors_add(&more, &all), 0);
	assert_int_equal(safetensors_add(&more, &all), 0);
	assert_int_equal(all.count, 2);
	assert_int_equal(safetensors_total(&all), 14);
	assert_int_equal(safetensors_add(&huge, &all), ERR_PROTO);
	assert_int_equal(safetensors_total(&all), 14);
	for (; full.count < SAFETENSORS_DTYPES; full.count++)
		snprintf(full.list[full.count].name, sizeof(full.list[0].name), "T%zu", full.count);
	assert_int_equal(safetensors_add(&more, &full), ERR_PROTO);
	assert_int_equal(full.count, SAFETENSORS_DTYPES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extents_are_those_of_the_header),
		cmocka_unit_test(what_the_format_allows_is_read),
		cmocka_unit_test(what_contradicts_the_format_is_refused),
		cmocka_unit_test(of_a_part_it_says_how_much_is_needed),
		cmocka_unit_test(a_length_that_cannot_be_is_refused),
		cmocka_unit_test(a_header_of_many_tensors_is_read),
		cmocka_unit_test(counts_are_added_and_none_of_them_if_one_is_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
