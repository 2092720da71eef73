/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define MANY 20000

struct thing {
	char name[16];
	uint64_t number;
	int seen;
};

struct walk {
	struct map *map;
	unsigned count;
	unsigned stop_after;
};

static struct thing *make_things(void)
{
	struct thing *things = calloc(MANY, sizeof(*things));

	assert_non_null(things);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(things[i].name, sizeof(things[i].name), "thing-%u", i);
		/* Multiples of a power of two: the worst keys for a table that only masks. */
		things[i].number = (uint64_t)i << 32;
	}
	return things;
}

static void zeroed_memory_is_an_empty_map(UNUSED void **state)
{
	struct map m = { 0 };

	assert_null(map_find_str(&m, "x"));
	assert_null(map_find_u64(&m, 0));
	assert_null(map_del_str(&m, "x"));
	map_fini(&m);
}

static void what_was_put_is_found_and_nothing_else(UNUSED void **state)
{
	CLEANUP(map_fini) struct map m = { 0 };
	int a, b;

	assert_int_equal(map_put_str(&m, "a", &a), 0);
	assert_int_equal(map_put(&m, "b\0c", 3, &b), 0);
	assert_ptr_equal(map_find_str(&m, "a"), &a);
	assert_ptr_equal(map_find(&m, "a", 1), &a);
	assert_ptr_equal(map_find(&m, "b\0c", 3), &b);
	assert_null(map_find_str(&m, "b"));
	assert_null(map_find(&m, "b\0d", 3));
	assert_null(map_find_str(&m, ""));
	assert_int_equal(m.count, 2);
}

static void the_empty_key_is_a_key(UNUSED void **state)
{
	CLEANUP(map_fini) struct map m = { 0 };
	int a;

	assert_int_equal(map_put_str(&m, "", &a), 0);
	assert_ptr_equal(map_find_str(&m, ""), &a);
	assert_ptr_equal(map_del_str(&m, ""), &a);
	assert_null(map_find_str(&m, ""));
}

static void numbers_and_bytes_are_different_keys(UNUSED void **state)
{
	CLEANUP(map_fini) struct map m = { 0 };
	const uint64_t number = 7;
	int a, b;

	assert_int_equal(map_put_u64(&m, number, &a), 0);
	assert_null(map_find(&m, &number, sizeof(number)));
	assert_int_equal(map_put(&m, &number, sizeof(number), &b), 0);
	assert_ptr_equal(map_find_u64(&m, 7), &a);
	assert_ptr_equal(map_find(&m, &number, sizeof(number)), &b);
}

static void a_deleted_key_is_gone_and_can_be_put_again(UNUSED void **state)
{
	CLEANUP(map_fini) struct map m = { 0 };
	int a, b;

	assert_int_equal(map_put_u64(&m, 0, &a), 0);
	assert_ptr_equal(map_del_u64(&m, 0), &a);
	assert_null(map_del_u64(&m, 0));
	assert_int_equal(m.count, 0);
	assert_int_equal(map_put_u64(&m, 0, &b), 0);
	assert_ptr_equal(map_find_u64(&m, 0), &b);
}

static void many_keys_survive_growth(UNUSED void **state)
{
	CLEANUP(map_fini) struct map m = { 0 };
	CLEANUP(freep) struct thing *things = make_things();

	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(map_put_str(&m, things[i].name, &things[i]), 0);
		assert_int_equal(map_put_u64(&m, things[i].number, &things[i]), 0);
	}
	assert_int_equal(m.count, 2 * MANY);
	for (unsigned i = 0; i < MANY; i += 2)
		assert_ptr_equal(map_del_str(&m, things[i].name), &things[i]);
	for (unsigned i = 0; i < MANY; i++) {
		assert_ptr_equal(map_find_str(&m, things[i].name), i % 2 ? &things[i] : NULL);
		assert_ptr_equal(map_find_u64(&m, things[i].number), &things[i]);
	}
	assert_null(map_find_str(&m, "thing-x"));
}

static void coming_and_going_does_not_grow_the_table(UNUSED void **state)
{
	CLEANUP(map_fini) struct map m = { 0 };
	int a;

	for (uint64_t i = 0; i < 100000; i++) {
		assert_int_equal(map_put_u64(&m, i, &a), 0);
		assert_ptr_equal(map_del_u64(&m, i), &a);
	}
	assert_int_equal(m.count, 0);
	assert_true(m.cap <= 64);
}

static int see(void *arg, void *value)
{
	struct walk *w = arg;
	struct thing *t = value;

	t->seen++;
	w->count++;
	return w->count == w->stop_after ? 17 : 0;
}

static int see_and_delete(void *arg, void *value)
{
	struct walk *w = arg;
	struct thing *t = value;

	t->seen++;
	return map_del_str(w->map, t->name) == t ? 0 : -1;
}

static void a_walk_sees_each_value_once(UNUSED void **state)
{
	CLEANUP(map_fini) struct map m = { 0 };
	CLEANUP(freep) struct thing *things = make_things();
	struct walk w = { 0 };

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(map_put_str(&m, things[i].name, &things[i]), 0);
	assert_int_equal(map_each(&m, see, &w), 0);
	assert_int_equal(w.count, 1000);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(things[i].seen, 1);
}

static void a_walk_stops_when_told(UNUSED void **state)
{
	CLEANUP(map_fini) struct map m = { 0 };
	CLEANUP(freep) struct thing *things = make_things();
	struct walk w = { .stop_after = 3 };

	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(map_put_str(&m, things[i].name, &things[i]), 0);
	assert_int_equal(map_each(&m, see, &w), 17);
	assert_int_equal(w.count, 3);
}

static void a_walk_may_delete_where_it_stands(UNUSED void **state)
{
	CLEANUP(map_fini) struct map m = { 0 };
	CLEANUP(freep) struct thing *things = make_things();
	struct walk w = { .map = &m };

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(map_put_str(&m, things[i].name, &things[i]), 0);
	assert_int_equal(map_each(&m, see_and_delete, &w), 0);
	assert_int_equal(m.count, 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(things[i].seen, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_memory_is_an_empty_map),
		cmocka_unit_test(what_was_put_is_found_and_nothing_else),
		cmocka_unit_test(the_empty_key_is_a_key),
		cmocka_unit_test(numbers_and_bytes_are_different_keys),
		cmocka_unit_test(a_deleted_key_is_gone_and_can_be_put_again),
		cmocka_unit_test(many_keys_survive_growth),
		cmocka_unit_test(coming_and_going_does_not_grow_the_table),
		cmocka_unit_test(a_walk_sees_each_value_once),
		cmocka_unit_test(a_walk_stops_when_told),
		cmocka_unit_test(a_walk_may_delete_where_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
