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

/* Of a xorb with a chunk for who asks, and one for others. */
static void make(struct xet_hint *h)
{
	assert_int_equal(xet_hint_begin(h, key), 0);
	assert_int_equal(xet_hint_xorb(h, xorb, 2, 30), 0);
	assert_int_equal(xet_hint_chunk(h, NULL, 0, 0), 0);
	assert_int_equal(xet_hint_chunk(h, chunk, 10, 20), 0);
	assert_int_equal(xet_hint_end(h, 1000, 1900), 0);
}

/* Clients take the end of the records for a table that is missing, and read up to it. */
static void its_end_tells_where_its_parts_are(void **state UNUSED)
{
	CLEANUP(xet_hint_fini) struct xet_hint h = { .of_chunks = 0 };
	const char *end;

	make(&h);
	assert_int_equal(h.bytes.len, 6 * RECORD + END);
	end = h.bytes.data + 6 * RECORD;
	assert_int_equal(u64_at(end), 1);
	assert_int_equal(u64_at(end + 8), RECORD);
	assert_int_equal(u64_at(end + 16), 2 * RECORD);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(u64_at(end + 24 + i * 16), 6 * RECORD);
		assert_int_equal(u64_at(end + 32 + i * 16), 0);
	}
	assert_memory_equal(end + 72, key, XET_HASH);
	assert_int_equal(u64_at(end + 104), 1000);
	assert_int_equal(u64_at(end + 112), 1900);
	assert_int_equal(u64_at(end + END - 8), 6 * RECORD);
}

static void a_chunk_is_found_by_who_has_it(void **state UNUSED)
{
	CLEANUP(xet_hint_fini) struct xet_hint h = { .of_chunks = 0 };
	uint8_t hidden[XET_HASH], none[XET_HASH] = { 0 };
	const char *of;

	make(&h);
	of = h.bytes.data + 2 * RECORD;
	assert_memory_equal(of, xorb, XET_HASH);
	assert_int_equal(u32_at(of + 36), 2);
	assert_memory_equal(of + RECORD, none, XET_HASH);
	blake3_keyed(key, chunk, XET_HASH, hidden);
	assert_memory_equal(of + 2 * RECORD, hidden, XET_HASH);
	assert_int_equal(u32_at(of + 2 * RECORD + 32), 10);
	assert_int_equal(u32_at(of + 2 * RECORD + 36), 20);
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
		cmocka_unit_test(it_is_read_as_any_shard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
