/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/numberset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Adds every `step`th number below `end`. */
static void fill(struct numberset *s, uint32_t end, uint32_t step)
{
	for (uint32_t i = 0; i < end; i += step)
		assert_int_equal(numberset_add(s, i), 0);
}

static void zeroed_memory_is_the_empty_set(void **state UNUSED)
{
	CLEANUP(numberset_fini) struct numberset s = { 0 }, other = { 0 };
	uint32_t at = 0;

	assert_int_equal(numberset_size(&s), 0);
	assert_false(numberset_has(&s, 0) || numberset_has(&s, UINT32_MAX));
	assert_false(numberset_next(&s, &at));
	numberset_keep(&s, &other);
	numberset_drop(&s, &other);
	assert_int_equal(numberset_add_bits(&s, 0, other.words, other.count), 0);
	assert_int_equal(numberset_size(&s), 0);
}

static void what_was_added_is_in_it_once_and_its_neighbours_are_not(void **state UNUSED)
{
	static const uint32_t numbers[] = { 0, 63, 64, 127, 5000 };
	CLEANUP(numberset_fini) struct numberset s = { 0 };

	for (size_t i = 0; i < 2 * ARRAY_LEN(numbers); i++)
		assert_int_equal(numberset_add(&s, numbers[i % ARRAY_LEN(numbers)]), 0);
	assert_int_equal(numberset_size(&s), ARRAY_LEN(numbers));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		assert_true(numberset_has(&s, numbers[i]));
	assert_false(numberset_has(&s, 1) || numberset_has(&s, 62) || numberset_has(&s, 65) ||
		     numberset_has(&s, 126) || numberset_has(&s, 128) || numberset_has(&s, 5001));
}

static void bits_are_added_where_they_begin_beside_those_that_are_there(void **state UNUSED)
{
	static const uint64_t bits[] = { 5, UINT64_C(1) << 63 };
	CLEANUP(numberset_fini) struct numberset s = { 0 };

	assert_int_equal(numberset_add(&s, 129), 0);
	assert_int_equal(numberset_add_bits(&s, 128, bits, ARRAY_LEN(bits)), 0);
	assert_true(numberset_has(&s, 128) && numberset_has(&s, 129) && numberset_has(&s, 130) &&
		    numberset_has(&s, 255));
	assert_int_equal(numberset_size(&s), 4);
}

static void sets_are_joined_kept_and_dropped_whichever_is_longer(void **state UNUSED)
{
	CLEANUP(numberset_fini) struct numberset a = { 0 }, b = { 0 }, c = { 0 };

	fill(&a, 300, 3);
	fill(&b, 900, 2);
	fill(&c, 900, 2);
	numberset_keep(&a, &b);
	assert_int_equal(numberset_size(&a), 50); /* sixths */
	numberset_drop(&c, &a);
	assert_int_equal(numberset_size(&c), 400);
	assert_false(numberset_has(&c, 294));
	assert_true(numberset_has(&c, 300)); /* behind the end of the other */
	numberset_keep(&c, &a);
	assert_int_equal(numberset_size(&c), 0);
	assert_int_equal(numberset_add_bits(&a, 0, b.words, b.count), 0);
	assert_int_equal(numberset_size(&a), 450);
	numberset_drop(&a, &b);
	assert_int_equal(numberset_size(&a), 0);
	assert_int_equal(numberset_size(&b), 450);
}

static void they_are_gone_through_from_any_number_on(void **state UNUSED)
{
	CLEANUP(numberset_fini) struct numberset s = { 0 };
	uint32_t at = 0, count = 0;

	fill(&s, 1000, 7);
	for (; numberset_next(&s, &at); at++)
		assert_int_equal(at, 7 * count++);
	assert_int_equal(count, 143);
	at = 8;
	assert_true(numberset_next(&s, &at) && at == 14);
	assert_true(numberset_next(&s, &at) && at == 14);
	at = 994;
	assert_true(numberset_next(&s, &at));
	at = 995;
	assert_false(numberset_next(&s, &at));
	at = UINT32_MAX;
	assert_false(numberset_next(&s, &at));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_memory_is_the_empty_set),
		cmocka_unit_test(what_was_added_is_in_it_once_and_its_neighbours_are_not),
		cmocka_unit_test(bits_are_added_where_they_begin_beside_those_that_are_there),
		cmocka_unit_test(sets_are_joined_kept_and_dropped_whichever_is_longer),
		cmocka_unit_test(they_are_gone_through_from_any_number_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
