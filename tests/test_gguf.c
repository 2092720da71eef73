/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 };

#define WORDS 100000

static void add_string(struct buf *b, const char *s)
{
	buf_add_u64(b, strlen(s));
	buf_add_str(b, s);
}

static void begin(struct buf *b, uint32_t version, uint64_t tensors, uint64_t pairs)
{
	buf_clear(b);
	buf_add_str(b, "GGUF");
	buf_add_u32(b, version);
	buf_add_u64(b, tensors);
	buf_add_u64(b, pairs);
}

static void add_u32(struct buf *b, const char *key, uint32_t value)
{
	add_string(b, key);
	buf_add_u32(b, U32);
	buf_add_u32(b, value);
}

static void add_tensor(struct buf *b, const char *name, uint32_t type, uint64_t off)
{
	add_string(b, name);
	buf_add_u32(b, 2);
	buf_add_u64(b, 32);
	buf_add_u64(b, 8);
	buf_add_u32(b, type);
	buf_add_u64(b, off);
}

static uint64_t aligned(uint64_t off, uint64_t alignment)
{
	return (off + alignment - 1) / alignment * alignment;
}

/* One value of each type, arrays in arrays among them, and two tensors. */
static void add_all(struct buf *b)
{
	static const unsigned bytes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

	begin(b, 3, 2, 15);
	for (uint32_t type = U8; type <= F64; type++) {
		add_string(b, "general.something");
		buf_add_u32(b, type);
		if (type == STRING) {
			add_string(b, "llama");
		} else if (type == ARRAY) {
			buf_add_u32(b, STRING);
			buf_add_u64(b, 2);
			add_string(b, "a");
			add_string(b, "");
		}
		buf_add(b, "12345678", bytes[type]);
	}
	add_string(b, "array.of.arrays");
	buf_add_u32(b, ARRAY);
	buf_add_u32(b, ARRAY);
	buf_add_u64(b, 2);
	for (int i = 0; i < 2; i++) {
		buf_add_u32(b, U16);
		buf_add_u64(b, 3);
		buf_add(b, "123456", 6);
	}
	add_u32(b, "general.alignment", 64);
	add_tensor(b, "blk.0.attn_q.weight", 12, 192);
	add_tensor(b, "token_embd.weight", 0, 0);
}

static void extents_go_from_tensor_to_tensor(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	uint64_t start, size, need;
	struct extents e;

	add_all(&b);
	start = aligned(b.len, 64);
	size = start + 500;
	assert_int_equal(gguf_parse(b.data, b.len, size, &e, &need), 0);
	assert_int_equal(e.count, 2);
	assert_int_equal(e.data_start, start);
	assert_int_equal(e.at[0].start, start);
	assert_int_equal(e.at[0].end, start + 192);
	assert_int_equal(e.at[1].start, start + 192);
	assert_int_equal(e.at[1].end, size);
	extents_fini(&e);
}

/* What it says it needs is true, and enough to come further: so no caller asks for ever. */
static void of_a_part_it_says_how_much_is_needed(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	uint64_t size, need;
	struct extents e;

	add_all(&b);
	size = b.len + 1000;
	for (size_t len = 0; len < b.len; len++) {
		CLEANUP(freep) char *part = malloc(len + 1);

		memcpy(part, b.data, len); /* of its own, so that a read too far is seen */
		assert_int_equal(gguf_parse(part, len, size, &e, &need), EXTENTS_MORE);
		assert_in_range(need, len + 1, b.len);
		assert_null(e.at);
	}
}

static void a_file_without_tensors_has_no_extents(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct extents e;
	uint64_t need;

	begin(&b, 2, 0, 0);
	assert_int_equal(gguf_parse(b.data, b.len, b.len, &e, &need), 0);
	assert_int_equal(e.count, 0);
	assert_int_equal(e.data_start, b.len);
	extents_fini(&e);
}

static void a_long_vocabulary_is_skipped(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct extents e;
	uint64_t need, size;

	begin(&b, 3, 1, 1);
	add_string(&b, "tokenizer.ggml.tokens");
	buf_add_u32(&b, ARRAY);
	buf_add_u32(&b, STRING);
	buf_add_u64(&b, WORDS);
	for (int i = 0; i < WORDS; i++)
		add_string(&b, "a word of the vocabulary");
	add_tensor(&b, "w", 0, 0);
	size = aligned(b.len, 32) + 1024;
	assert_int_equal(gguf_parse(b.data, b.len / 2, size, &e, &need), EXTENTS_MORE);
	assert_int_equal(gguf_parse(b.data, b.len, size, &e, &need), 0);
	assert_int_equal(e.at[0].end, size);
	extents_fini(&e);
}

static int parse(const struct buf *b, uint64_t size)
{
	struct extents e;
	uint64_t need;
	int r = gguf_parse(b->data, b->len, size, &e, &need);

	extents_fini(&e);
	return r;
}

static void other_versions_and_other_files_are_refused(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	begin(&b, 1, 0, 0);
	assert_int_equal(parse(&b, 1000), ERR_FORMAT);
	begin(&b, 4, 0, 0);
	assert_int_equal(parse(&b, 1000), ERR_FORMAT);
	begin(&b, 3 << 24, 0, 0); /* the other byte order */
	assert_int_equal(parse(&b, 1000), ERR_FORMAT);
	buf_clear(&b);
	buf_add_str(&b, "GGML and much more");
	assert_int_equal(parse(&b, 1000), ERR_PROTO);
	assert_int_equal(parse(&b, 3), ERR_PROTO); /* too small for anything */
}

static void counts_and_lengths_that_cannot_be_are_refused(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	const uint64_t tib = UINT64_C(1) << 40;

	begin(&b, 3, UINT64_MAX, 0);
	assert_int_equal(parse(&b, tib), ERR_PROTO);
	begin(&b, 3, 0, UINT64_MAX);
	assert_int_equal(parse(&b, tib), ERR_PROTO);
	begin(&b, 3, 0, GGUF_HEADER_MAX);
	assert_int_equal(parse(&b, tib), -EFBIG);
	begin(&b, 3, 0, 1);
	buf_add_u64(&b, UINT64_MAX); /* of a key */
	assert_int_equal(parse(&b, tib), ERR_PROTO);
	begin(&b, 3, 0, 1);
	add_string(&b, "k");
	buf_add_u32(&b, STRING);
	buf_add_u64(&b, GGUF_HEADER_MAX);
	assert_int_equal(parse(&b, tib), -EFBIG);
	assert_int_equal(parse(&b, 1000), ERR_PROTO); /* longer than the file */
	begin(&b, 3, 0, 1);
	add_string(&b, "k");
	buf_add_u32(&b, ARRAY);
	buf_add_u32(&b, U64);
	buf_add_u64(&b, UINT64_C(1) << 61); /* times eight is nothing */
	assert_int_equal(parse(&b, tib), ERR_PROTO);
}

static void values_of_no_type_are_refused(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	begin(&b, 3, 0, 1);
	add_string(&b, "k");
	buf_add_u32(&b, F64 + 1);
	assert_int_equal(parse(&b, 1000), ERR_PROTO);
	begin(&b, 3, 0, 1);
	add_string(&b, "k");
	buf_add_u32(&b, ARRAY);
	buf_add_u32(&b, F64 + 1);
	buf_add_u64(&b, 1);
	assert_int_equal(parse(&b, 1000), ERR_PROTO);
	begin(&b, 3, 0, 1);
	add_string(&b, "k");
	buf_add_u32(&b, ARRAY);
	for (int i = 0; i < 20; i++) { /* deeper than anybody nests */
		buf_add_u32(&b, ARRAY);
		buf_add_u64(&b, 1);
	}
	assert_int_equal(parse(&b, 1000), ERR_PROTO);
}

static void tensors_that_cannot_lie_there_are_refused(UNUSED void **state)
{
	static const struct {
		uint32_t alignment;
		uint64_t first, second;
		int want;
	} table[] = {
		{ 32, 0, 32, 0 },
		{ 32, 32, 0, 0 },
		{ 8, 0, 8, 0 },
		{ 64, 0, 32, ERR_PROTO }, /* not aligned */
		{ 32, 0, 33, ERR_PROTO },
		{ 32, 0, 0, ERR_PROTO },    /* one upon the other */
		{ 32, 0, 1024, ERR_PROTO }, /* beyond the end */
		{ 32, 0, UINT64_MAX - 31, ERR_PROTO },
		{ 0, 0, 32, ERR_PROTO },
		{ 7, 0, 7, ERR_PROTO },
		{ 1U << 31, 0, 1U << 31, ERR_PROTO },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		CLEANUP(buf_free) struct buf b = { 0 };

		begin(&b, 3, 2, 1);
		add_u32(&b, "general.alignment", table[i].alignment);
		add_tensor(&b, "a", 2, table[i].first);
		add_tensor(&b, "b", 999, table[i].second);
		assert_int_equal(parse(&b, b.len + 512), table[i].want);
	}
}

static void a_tensor_of_many_dimensions_is_refused(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	begin(&b, 3, 1, 0);
	add_string(&b, "w");
	buf_add_u32(&b, UINT32_MAX);
	assert_int_equal(parse(&b, 1000), ERR_PROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extents_go_from_tensor_to_tensor),
		cmocka_unit_test(of_a_part_it_says_how_much_is_needed),
		cmocka_unit_test(a_file_without_tensors_has_no_extents),
		cmocka_unit_test(a_long_vocabulary_is_skipped),
		cmocka_unit_test(other_versions_and_other_files_are_refused),
		cmocka_unit_test(counts_and_lengths_that_cannot_be_are_refused),
		cmocka_unit_test(values_of_no_type_are_refused),
		cmocka_unit_test(tensors_that_cannot_lie_there_are_refused),
		cmocka_unit_test(a_tensor_of_many_dimensions_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
