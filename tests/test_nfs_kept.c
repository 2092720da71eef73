/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_kept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ITEMS_MAX 16
#define BYTES_MAX (32 << 20)

static unsigned alive;

static void on_free(struct nfs_kept_item *i)
{
	alive--;
	free(i);
}

static struct nfs_fh handle(unsigned n)
{
	struct nfs_fh fh = { .len = sizeof(n) };

	memcpy(fh.bytes, &n, sizeof(n));
	return fh;
}

static struct nfs_kept_item *make(unsigned n, size_t bytes, int64_t begun_us)
{
	struct nfs_kept_item *i = calloc(1, sizeof(*i));

	assert_non_null(i);
	nfs_kept_init(i);
	i->fh = handle(n);
	i->bytes = bytes;
	i->begun_us = begun_us;
	i->free = on_free;
	alive++;
	return i;
}

static void put(struct nfs_kept *k, unsigned n, size_t bytes, int64_t begun_us)
{
	struct nfs_kept_item *i = make(n, bytes, begun_us);

	nfs_kept_put(k, i);
	nfs_kept_unref(i);
}

/* When what is kept for a handle was begun; 0: nothing is. */
static int64_t begun(struct nfs_kept *k, unsigned n)
{
	struct nfs_fh fh = handle(n);
	struct nfs_kept_item *i = nfs_kept_find(k, &fh, 0);
	int64_t ret = i ? i->begun_us : 0;

	nfs_kept_unref(i);
	return ret;
}

static int setup(void **state)
{
	struct nfs_kept *k;

	assert_int_equal(nfs_kept_new(&k), 0);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	nfs_kept_free(*state);
	assert_int_equal(alive, 0);
	return 0;
}

static void what_is_kept_is_found(void **state)
{
	put(*state, 1, 10, 5);
	put(*state, 2, 10, 6);
	assert_int_equal(begun(*state, 1), 5);
	assert_int_equal(begun(*state, 2), 6);
	assert_int_equal(begun(*state, 3), 0);
	nfs_kept_tick(*state); /* it was wanted just now */
	assert_int_equal(begun(*state, 1), 5);
}

static void a_newer_one_takes_the_place_of_an_older_one_and_not_the_other_way(void **state)
{
	put(*state, 1, 10, 5);
	put(*state, 1, 10, 7);
	assert_int_equal(begun(*state, 1), 7);
	put(*state, 1, 10, 6);
	assert_int_equal(begun(*state, 1), 7);
	assert_int_equal(alive, 1);
}

static void what_was_wanted_longest_ago_goes(void **state)
{
	for (unsigned n = 0; n < ITEMS_MAX; n++)
		put(*state, n, 10, 5);
	assert_int_equal(begun(*state, 0), 5);
	put(*state, ITEMS_MAX, 10, 5);
	assert_int_equal(begun(*state, 0), 5);
	assert_int_equal(begun(*state, 1), 0);
	assert_int_equal(alive, ITEMS_MAX);
}

static void no_more_bytes_are_kept_than_so_many(void **state)
{
	for (unsigned n = 0; n < 10; n++)
		put(*state, n, BYTES_MAX / 4, 5);
	assert_int_equal(alive, 4);
	assert_int_equal(begun(*state, 9), 5);
	assert_int_equal(begun(*state, 5), 0);
	put(*state, 10, BYTES_MAX, 5);
	assert_int_equal(alive, 1);
}

static void what_is_too_large_is_not_kept_and_the_older_one_neither(void **state)
{
	put(*state, 1, 10, 5);
	put(*state, 2, 10, 5);
	put(*state, 1, BYTES_MAX + 1, 6);
	assert_int_equal(begun(*state, 1), 0);
	assert_int_equal(begun(*state, 2), 5);
}

static void what_is_one_clients_is_not_anothers(void **state)
{
	struct nfs_kept_item *i = make(1, 10, 5), *found;
	struct nfs_fh fh = handle(1);

	i->whose = 1;
	nfs_kept_put(*state, i);
	nfs_kept_unref(i);
	assert_null(nfs_kept_find(*state, &fh, 2));
	assert_null(nfs_kept_find(*state, &fh, 0));
	nfs_kept_drop(*state, &fh, 2);
	found = nfs_kept_find(*state, &fh, 1);
	assert_ptr_equal(found, i);
	nfs_kept_unref(found);
}

static void who_has_it_has_it_still_when_it_is_forgotten(void **state)
{
	struct nfs_fh fh = handle(1);
	struct nfs_kept_item *i;

	put(*state, 1, 10, 5);
	i = nfs_kept_find(*state, &fh, 0);
	nfs_kept_drop(*state, &fh, 0);
	assert_int_equal(begun(*state, 1), 0);
	assert_int_equal(i->begun_us, 5);
	nfs_kept_put(*state, i); /* once more */
	nfs_kept_put(*state, i);
	nfs_kept_unref(i);
	assert_int_equal(begun(*state, 1), 5);
	assert_int_equal(alive, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_kept_is_found),
		TEST(a_newer_one_takes_the_place_of_an_older_one_and_not_the_other_way),
		TEST(what_was_wanted_longest_ago_goes),
		TEST(no_more_bytes_are_kept_than_so_many),
		TEST(what_is_too_large_is_not_kept_and_the_older_one_neither),
		TEST(what_is_one_clients_is_not_anothers),
		TEST(who_has_it_has_it_still_when_it_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
