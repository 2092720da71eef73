/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/err.h"

#define CHUNK 100 /* bytes */

static const uint8_t A[XET_HASH] = { 1 }, B[XET_HASH] = { 2 };

/* What the file has: of A all of 0-49, of B 10-19; chunks of 100 bytes. */
static int get(void *arg UNUSED, const uint8_t xorb[static XET_HASH], struct recipe_xorb *ret)
{
	bool is_a = !memcmp(xorb, A, XET_HASH);
	struct recipe_piece p = { is_a ? 0 : 10, is_a ? 50 : 20, is_a ? 0 : 10 * CHUNK, 0, 0 };

	for (uint32_t i = 1; i <= p.to - p.from; i++) {
		uint32_t end = i * CHUNK;

		assert_int_equal(buf_add(&ret->ends, &end, sizeof(end)), 0);
	}
	return buf_add(&ret->pieces, &p, sizeof(p));
}

static void add(struct buf *terms, const uint8_t *xorb, uint32_t from, uint32_t to, uint64_t off)
{
	struct recipe_term t = { .from = from, .to = to, .bytes = (to - from) * CHUNK, .off = off };

	memcpy(t.xorb, xorb, XET_HASH);
	assert_int_equal(buf_add(terms, &t, sizeof(t)), 0);
}

static const struct recipe_term *term(const struct xet_plan *p, size_t i)
{
	assert_true(i < p->terms.len / sizeof(struct recipe_term));
	return (const struct recipe_term *)(const void *)p->terms.data + i;
}

static const struct xet_range *range(const struct xet_plan *p, size_t i)
{
	assert_true(i < p->ranges.len / sizeof(struct xet_range));
	return (const struct xet_range *)(const void *)p->ranges.data + i;
}

static void assert_range(const struct xet_range *r, const uint8_t *xorb, uint32_t from, uint32_t to)
{
	assert_memory_equal(r->xorb, xorb, XET_HASH);
	assert_int_equal(r->from, from);
	assert_int_equal(r->to, to);
	assert_int_equal(r->first, from * (CHUNK + RECIPE_HEADER));
	assert_int_equal(r->last, to * (CHUNK + RECIPE_HEADER) - 1);
}

static void a_whole_file_is_all_its_terms(UNUSED void **state)
{
	CLEANUP(xet_plan_fini) struct xet_plan p = { .skip = 9 };
	CLEANUP(buf_free) struct buf terms = { 0 };

	add(&terms, B, 10, 20, 0);
	add(&terms, A, 0, 50, 1000);
	assert_int_equal(xet_plan_make(&terms, 0, 6000, get, NULL, &p), 0);
	assert_int_equal(p.skip, 0);
	assert_int_equal(p.terms.len, 2 * sizeof(struct recipe_term));
	assert_int_equal(term(&p, 1)->bytes, 5000);
	assert_int_equal(p.ranges.len, 2 * sizeof(struct xet_range));
	assert_range(range(&p, 0), A, 0, 50);
	assert_range(range(&p, 1), B, 10, 20);
}

/* Chunks that have none of the bytes are left out, the rest of the first is told. */
static void a_range_is_the_chunks_that_have_it(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf terms = { 0 };

	add(&terms, B, 10, 20, 0);
	add(&terms, A, 0, 50, 1000);
	for (uint64_t from = 0; from < 1000; from += 50) {
		CLEANUP(xet_plan_fini) struct xet_plan p = { .skip = 9 };

		assert_int_equal(xet_plan_make(&terms, from, 1150, get, NULL, &p), 0);
		assert_int_equal(p.skip, from % CHUNK);
		assert_int_equal(term(&p, 0)->from, 10 + from / CHUNK);
		assert_int_equal(term(&p, 0)->bytes, (10 - from / CHUNK) * CHUNK);
		assert_int_equal(term(&p, 1)->to, 2);
		assert_int_equal(term(&p, 1)->bytes, 2 * CHUNK);
		assert_range(range(&p, 0), A, 0, 2);
		assert_range(range(&p, 1), B, 10 + (uint32_t)(from / CHUNK), 20);
	}
}

static void a_byte_is_one_chunk(UNUSED void **state)
{
	CLEANUP(xet_plan_fini) struct xet_plan p = { .skip = 0 };
	CLEANUP(buf_free) struct buf terms = { 0 };

	add(&terms, A, 0, 50, 1000);
	assert_int_equal(xet_plan_make(&terms, 1299, 1300, get, NULL, &p), 0);
	assert_int_equal(p.skip, 99);
	assert_int_equal(term(&p, 0)->off, 1200);
	assert_range(range(&p, 0), A, 2, 3);
}

/* hf_xet takes the first range that a term begins in or behind, and fails if it ends elsewhere. */
static void ranges_that_touch_are_one(UNUSED void **state)
{
	CLEANUP(xet_plan_fini) struct xet_plan p = { .skip = 0 };
	CLEANUP(buf_free) struct buf terms = { 0 };

	add(&terms, A, 20, 30, 0);
	add(&terms, B, 10, 12, 1000);
	add(&terms, A, 10, 20, 1200);
	add(&terms, A, 12, 18, 2200);
	add(&terms, A, 31, 40, 2800);
	assert_int_equal(xet_plan_make(&terms, 0, 3700, get, NULL, &p), 0);
	assert_int_equal(p.terms.len, 5 * sizeof(struct recipe_term));
	assert_int_equal(p.ranges.len, 3 * sizeof(struct xet_range));
	assert_range(range(&p, 0), A, 10, 30);
	assert_range(range(&p, 1), A, 31, 40);
	assert_range(range(&p, 2), B, 10, 12);
}

static void rows_that_do_not_fit_are_damage(UNUSED void **state)
{
	CLEANUP(xet_plan_fini) struct xet_plan p = { .skip = 0 };
	CLEANUP(buf_free) struct buf terms = { 0 }, longer = { 0 };
	struct recipe_term *t;

	add(&terms, B, 10, 21, 0);
	assert_int_equal(xet_plan_make(&terms, 0, 1100, get, NULL, &p), ERR_CORRUPT);
	assert_int_equal(xet_plan_make(&terms, 1, 1100, get, NULL, &p), ERR_CORRUPT);
	add(&longer, A, 0, 2, 0);
	t = (void *)longer.data;
	t->bytes++;
	assert_int_equal(xet_plan_make(&longer, 1, 200, get, NULL, &p), ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_file_is_all_its_terms),
		cmocka_unit_test(a_range_is_the_chunks_that_have_it),
		cmocka_unit_test(a_byte_is_one_chunk),
		cmocka_unit_test(ranges_that_touch_are_one),
		cmocka_unit_test(rows_that_do_not_fit_are_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
