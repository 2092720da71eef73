/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define NODES 5
#define SIZE (40 * SEGMENT_BYTES + 12345)
#define ETAG "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

/* What node i of so many knows of all of them. */
static struct members *members_of(unsigned i, unsigned count)
{
	struct member_spec all[NODES] = { 0 };
	struct members *m;

	for (unsigned k = 0; k < count; k++) {
		snprintf(all[k].address, sizeof(all[k].address), "192.0.2.%u:9980", k + 1);
		all[k].weight = 1;
	}
	assert_int_equal(members_new(&all[i], &m), 0);
	assert_int_equal(members_set(m, all, count), 0);
	return m;
}

static struct share *share(unsigned i, unsigned count, uint64_t size)
{
	struct members *m = members_of(i, count);
	struct share *s;

	assert_int_equal(share_of(m, ETAG, size, &s), 0);
	members_free(m);
	return s;
}

static void the_shares_of_all_are_the_whole_and_each_segment_is_in_one(void **state)
{
	unsigned owners[41] = { 0 };
	uint64_t bytes = 0;

	(void)state;
	for (unsigned i = 0; i < NODES; i++) {
		CLEANUP(freep) struct share *s = share(i, NODES, SIZE);

		assert_int_equal(s->count, 41);
		assert_true(s->bytes > 0 && s->bytes < SIZE / 2);
		bytes += s->bytes;
		for (unsigned k = 0; k < s->count; k++)
			owners[k] += s->mine[k];
	}
	assert_int_equal(bytes, SIZE);
	for (unsigned k = 0; k < 41; k++)
		assert_int_equal(owners[k], 1);
}

static void its_parts_are_its_segments_in_order(void **state)
{
	CLEANUP(freep) struct share *s = share(2, NODES, SIZE);
	uint64_t sum = 0, before = 0, to;

	(void)state;
	for (uint64_t from = 0; share_next(s, &from, &to); from = to) {
		assert_true(from >= before && from < to && to <= SIZE);
		assert_true(from == 0 || from > before || before == 0);
		assert_true(s->mine[segment_of(from)] && s->mine[segment_of(to - 1)]);
		assert_true(to == SIZE || !s->mine[segment_of(to)]);
		before = to;
		sum += to - from;
	}
	assert_int_equal(sum, s->bytes);
}

static void it_goes_on_in_the_middle_of_a_segment(void **state)
{
	CLEANUP(freep) struct share *s = share(0, 1, SIZE);
	uint64_t from = 5, to;

	(void)state;
	assert_true(share_next(s, &from, &to));
	assert_int_equal(from, 5);
	assert_int_equal(to, SIZE);
	from = SIZE;
	assert_false(share_next(s, &from, &to));
}

static void who_is_alone_has_all_of_it_and_of_nothing_there_is_no_share(void **state)
{
	CLEANUP(freep) struct share *all = share(0, 1, SIZE);
	CLEANUP(freep) struct share *none = share(0, 1, 0);
	uint64_t from = 0, to;

	(void)state;
	assert_int_equal(all->bytes, SIZE);
	assert_int_equal(none->bytes, 0);
	assert_false(share_next(none, &from, &to));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_shares_of_all_are_the_whole_and_each_segment_is_in_one),
		cmocka_unit_test(its_parts_are_its_segments_in_order),
		cmocka_unit_test(it_goes_on_in_the_middle_of_a_segment),
		cmocka_unit_test(who_is_alone_has_all_of_it_and_of_nothing_there_is_no_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
