/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/xorb_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define ONE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define TWO "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Chunks of 10 bytes each, whose hashes are those letters. */
static void fill(struct xorb_map *m, const char *letters)
{
	uint8_t hash[XET_HASH];

	for (; *letters; letters++) {
		memset(hash, *letters, sizeof(hash));
		assert_int_equal(xorb_map_add(m, hash, 10), 0);
	}
}

static void place(struct buf *pieces, uint32_t from, uint32_t to, uint64_t off, const char *etag)
{
	struct xorb_piece p = { from, to, off, "" };

	snprintf(p.etag, sizeof(p.etag), "%s", etag);
	assert_int_equal(buf_add(pieces, &p, sizeof(p)), 0);
}

static void bytes_that_are_no_chunks_are_refused(UNUSED void **state)
{
	CLEANUP(xorb_map_fini) struct xorb_map made = { 0 }, m = { 0 };
	CLEANUP(buf_free) struct buf bytes = { 0 };
	size_t len;

	fill(&made, "abcd");
	assert_int_equal(xorb_map_pack(&made, &bytes), 0);
	for (size_t n = 0; n < bytes.len; n += 5)
		assert_int_equal(xorb_map_unpack(bytes.data, n, &m, &len), ERR_CORRUPT);
	memset(bytes.data + 4 + 2 * (4 + XET_HASH), 0, 4); /* a third chunk without bytes */
	assert_int_equal(xorb_map_unpack(bytes.data, bytes.len, &m, &len), ERR_CORRUPT);
	assert_int_equal(xorb_map_count(&m), 0); /* nor is half of them left */
}

static void pieces_are_what_they_were(UNUSED void **state)
{
	CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
	CLEANUP(buf_free) struct buf bytes = { 0 }, pieces = { 0 };

	fill(&m, "abcd");
	place(&pieces, 0, 4, 7, ONE);
	place(&pieces, 1, 2, 9, TWO);
	assert_int_equal(xorb_pieces_pack(&pieces, &bytes), 0);
	assert_int_equal(xorb_pieces_unpack(bytes.data, bytes.len - 1, &m), ERR_CORRUPT);
	buf_clear(&m.pieces);
	assert_int_equal(xorb_pieces_unpack(bytes.data, bytes.len, &m), 0);
	assert_int_equal(xorb_pieces_count(&m.pieces), 2);
	for (size_t i = 0; i < 2; i++) {
		const struct xorb_piece *p = xorb_pieces_at(&m.pieces, i);
		const struct xorb_piece *q = xorb_pieces_at(&pieces, i);

		assert_true(p->from == q->from && p->to == q->to && p->off == q->off);
		assert_string_equal(p->etag, q->etag);
	}
}

static void a_chunk_is_in_the_piece_that_goes_on_longest(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf pieces = { 0 };
	uint32_t of[XORB_CHUNKS_MAX];

	place(&pieces, 1, 2, 0, ONE);
	place(&pieces, 0, 3, 0, TWO);
	place(&pieces, 2, 6, 0, ONE);
	place(&pieces, 7, 8, 0, TWO);
	xorb_pieces_cover(&pieces, 9, of);
	assert_int_equal(xorb_pieces_at(&pieces, of[0])->to, 3);
	assert_int_equal(of[0], of[2]);
	assert_int_equal(xorb_pieces_at(&pieces, of[3])->to, 6);
	assert_int_equal(of[6], XORB_NO_PIECE);
	assert_int_equal(xorb_pieces_at(&pieces, of[7])->from, 7);
	assert_int_equal(of[8], XORB_NO_PIECE);
	assert_false(xorb_pieces_are_whole(&pieces, 9));
	assert_true(xorb_pieces_are_whole(&pieces, 6));
}

static void a_chunk_that_is_twice_has_a_place_if_one_of_both_has(UNUSED void **state)
{
	CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
	CLEANUP(buf_free) struct buf pieces = { 0 };
	uint32_t of[XORB_CHUNKS_MAX];

	fill(&m, "abcda");
	place(&pieces, 3, 5, 500, TWO);
	assert_int_equal(xorb_pieces_add_twins(&m, &pieces), 0);
	assert_int_equal(xorb_pieces_count(&pieces), 2);
	xorb_pieces_cover(&pieces, 5, of);
	assert_int_equal(xorb_pieces_at(&pieces, of[0])->to, 1);
	assert_int_equal(xorb_pieces_at(&pieces, of[0])->off, 510);
	assert_string_equal(xorb_pieces_at(&pieces, of[0])->etag, TWO);
	assert_int_equal(of[1], XORB_NO_PIECE);
}

static void what_lies_within_another_of_its_blob_goes(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf pieces = { 0 };

	place(&pieces, 1, 2, 0, ONE);
	place(&pieces, 0, 3, 0, ONE);
	place(&pieces, 0, 3, 50, ONE);
	place(&pieces, 1, 2, 0, TWO);
	xorb_pieces_reduce(&pieces, 4, SIZE_MAX);
	assert_int_equal(xorb_pieces_count(&pieces), 2);
}

/* However many others there are. */
static void no_chunk_loses_its_only_place(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf pieces = { 0 };
	char etag[DIGEST_HEX_MAX + 1];

	for (uint32_t i = 0; i < 3000; i++) {
		snprintf(etag, sizeof(etag), "%064x", i);
		place(&pieces, i % 40, i % 40 + 3, 0, etag);
	}
	place(&pieces, 50, 51, 0, ONE);
	xorb_pieces_reduce(&pieces, 60, 100);
	assert_int_equal(xorb_pieces_count(&pieces), 100);
	assert_true(xorb_pieces_are_whole(&pieces, 42));
	xorb_pieces_reduce(&pieces, 60, 1);
	assert_true(xorb_pieces_are_whole(&pieces, 42));
	assert_in_range(xorb_pieces_count(&pieces), 14, 20);
	assert_int_equal(xorb_pieces_at(&pieces, xorb_pieces_count(&pieces) - 1)->from, 50);
}

/* What is quadratic, or worse, takes minutes for it. */
static void a_xorb_of_equal_chunks_in_many_pieces_is_soon_done(UNUSED void **state)
{
	CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
	CLEANUP(buf_free) struct buf pieces = { 0 };
	int64_t begun_ms = clock_ms();
	char etag[DIGEST_HEX_MAX + 1];

	for (uint32_t i = 0; i < XORB_CHUNKS_MAX - 1; i++)
		fill(&m, "a");
	fill(&m, "b");
	for (uint32_t i = 0; i < 200000; i++) {
		snprintf(etag, sizeof(etag), "%064x", i);
		place(&pieces, XORB_CHUNKS_MAX - 1, XORB_CHUNKS_MAX, 0, etag);
	}
	xorb_pieces_reduce(&pieces, XORB_CHUNKS_MAX, 1024);
	assert_int_equal(xorb_pieces_add_twins(&m, &pieces), 0);
	assert_false(xorb_pieces_are_whole(&pieces, XORB_CHUNKS_MAX));
	place(&pieces, 17, 18, 0, ONE);
	assert_int_equal(xorb_pieces_add_twins(&m, &pieces), 0);
	assert_true(xorb_pieces_are_whole(&pieces, XORB_CHUNKS_MAX));
	assert_true(clock_ms() - begun_ms < 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_that_are_no_chunks_are_refused),
		cmocka_unit_test(pieces_are_what_they_were),
		cmocka_unit_test(a_chunk_is_in_the_piece_that_goes_on_longest),
		cmocka_unit_test(a_chunk_that_is_twice_has_a_place_if_one_of_both_has),
		cmocka_unit_test(what_lies_within_another_of_its_blob_goes),
		cmocka_unit_test(no_chunk_loses_its_only_place),
		cmocka_unit_test(a_xorb_of_equal_chunks_in_many_pieces_is_soon_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
