/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/xet/xet_hint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/blake3.h"
#include "daemon/base/num.h"
#include "daemon/xet/xet_shard.h"

#define RECORD 48
#define END 200

static const uint8_t key[XET_HASH] = { 7 }, xorb[XET_HASH] = { 8 }, chunk[XET_HASH] = { 9 };

/* Of a xorb with two chunks for who asks, and one of so many bytes for others. */
static void make_with(struct xet_hint *h, uint32_t bytes)
{
	assert_int_equal(xet_hint_begin(h, key), 0);
	assert_int_equal(xet_hint_xorb(h, xorb, 3), 0);
	assert_int_equal(xet_hint_chunk(h, chunk, 20), 0);
	assert_int_equal(xet_hint_chunk(h, NULL, bytes), 0);
	assert_int_equal(xet_hint_chunk(h, chunk, 30), 0);
	assert_int_equal(xet_hint_end(h, 1000, 1900), 0);
}

static void make(struct xet_hint *h)
{
	make_with(h, 10);
}

/* Clients take the end of the records for a table that is missing, and read up to it. */
static void its_end_tells_where_its_parts_are(void **state UNUSED)
{
	CLEANUP(xet_hint_fini) struct xet_hint h = { .of_chunks = 0 };
	const char *end;

	make(&h);
	assert_int_equal(h.bytes.len, 7 * RECORD + END);
	end = h.bytes.data + 7 * RECORD;
	assert_int_equal(u64_at(end), 1);
	assert_int_equal(u64_at(end + 8), RECORD);
	assert_int_equal(u64_at(end + 16), 2 * RECORD);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(u64_at(end + 24 + i * 16), 7 * RECORD);
		assert_int_equal(u64_at(end + 32 + i * 16), 0);
	}
	assert_memory_equal(end + 72, key, XET_HASH);
	assert_int_equal(u64_at(end + 104), 1000);
	assert_int_equal(u64_at(end + 112), 1900);
	assert_int_equal(u64_at(end + END - 8), 7 * RECORD);
}

static void a_chunk_is_found_by_who_has_it(void **state UNUSED)
{
	CLEANUP(xet_hint_fini) struct xet_hint h = { .of_chunks = 0 };
	uint8_t hidden[XET_HASH], none[XET_HASH] = { 0 };
	const char *of;

	make(&h);
	of = h.bytes.data + 2 * RECORD;
	assert_memory_equal(of, xorb, XET_HASH);
	assert_int_equal(u32_at(of + 36), 3);
	assert_int_equal(u32_at(of + 40), 50);
	assert_int_equal(u32_at(of + 44), 50);
	blake3_keyed(key, chunk, XET_HASH, hidden);
	assert_memory_equal(of + RECORD, hidden, XET_HASH);
	assert_int_equal(u32_at(of + RECORD + 36), 20);
	assert_memory_equal(of + 2 * RECORD, none, XET_HASH);
	assert_memory_equal(of + 3 * RECORD, hidden, XET_HASH);
	assert_int_equal(u32_at(of + 3 * RECORD + 32), 20);
	assert_int_equal(u32_at(of + 3 * RECORD + 36), 30);
}

/* It tells what it is nearly as well as its hash does. */
static void how_long_a_hidden_chunk_is_nobody_is_told(void **state UNUSED)
{
	CLEANUP(xet_hint_fini) struct xet_hint one = { .of_chunks = 0 }, other = { .of_chunks = 0 };
	CLEANUP(xet_hint_fini) struct xet_hint twin = { .of_chunks = 0 };

	make_with(&one, 10);
	make_with(&other, 77777);
	assert_int_equal(one.bytes.len, other.bytes.len);
	assert_memory_equal(one.bytes.data, other.bytes.data, one.bytes.len);
	/* The twin: one of theirs has its length. */
	assert_int_equal(xet_hint_begin(&twin, key), 0);
	assert_int_equal(xet_hint_xorb(&twin, xorb, 3), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(xet_hint_chunk(&twin, chunk, 20 + i), 0);
	assert_int_equal(u32_at(twin.bytes.data + 4 * RECORD + 36), 21);
	assert_int_equal(u32_at(twin.bytes.data + 5 * RECORD + 32), 41);
}

/* It is a shard, of no files. */
static void it_is_read_as_any_shard(void **state UNUSED)
{
	CLEANUP(xet_hint_fini) struct xet_hint h = { .of_chunks = 0 };
	CLEANUP(xet_shard_fini) struct xet_shard s = { .bytes = 0 };

	make(&h);
	assert_int_equal(xet_shard_add(&s, h.bytes.data, h.bytes.len), 0);
	assert_int_equal(xet_shard_end(&s), 0);
	assert_int_equal(xet_shard_count(&s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_end_tells_where_its_parts_are),
		cmocka_unit_test(a_chunk_is_found_by_who_has_it),
		cmocka_unit_test(how_long_a_hidden_chunk_is_nobody_is_told),
		cmocka_unit_test(it_is_read_as_any_shard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
