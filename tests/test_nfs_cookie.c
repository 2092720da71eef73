/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/base/digest.h"

#define NAMES 50
#define PAGE 7

static struct nfs_cookie_key key;

static int make_key(void **state)
{
	(void)state;
	return nfs_cookie_key_make((const uint8_t *)"the key of these tests, 32 bytes", &key);
}

static void add_names(struct nfs_cookies *c, unsigned from, unsigned to)
{
	char name[16];

	for (unsigned i = from; i < to; i++) {
		snprintf(name, sizeof(name), "name%u", i);
		assert_int_equal(nfs_cookies_add_name(c, &key, name, i), 0);
	}
	nfs_cookies_sort(c);
}

static void a_commits_entries_are_numbered(void **state)
{
	struct nfs_cookies c;

	(void)state;
	assert_int_equal(nfs_cookies_init(&c, 5), 0);
	nfs_cookies_add_rest(&c, 5, 0);
	assert_int_equal(c.count, 5);
	assert_int_equal(c.items[0].index, 0);
	assert_true(c.items[0].value > NFS_COOKIE_DOTS);
	nfs_cookies_fini(&c);
	for (uint64_t from = 0; from < 20; from++) {
		assert_int_equal(nfs_cookies_init(&c, 5), 0);
		nfs_cookies_add_rest(&c, 5, from);
		assert_int_equal(c.count, from <= 2 ? 5 : from <= 7 ? 7 - from : 0);
		for (uint32_t i = 0; i < c.count; i++)
			assert_true(c.items[i].value > from);
		nfs_cookies_fini(&c);
	}
}

/* Page after page, while others come: each of those that were there is seen once. */
static void names_may_come_between_two_pages(void **state)
{
	unsigned seen[2 * NAMES] = { 0 };
	uint64_t from = NFS_COOKIE_DOTS;
	uint32_t got = 1;

	(void)state;
	for (unsigned pages = 0; got; pages++) {
		struct nfs_cookies c;
		uint32_t at;

		assert_int_equal(nfs_cookies_init(&c, 2 * NAMES), 0);
		add_names(&c, 0, pages ? 2 * NAMES : NAMES);
		at = nfs_cookies_after(&c, from);
		got = c.count - at < PAGE ? c.count - at : PAGE;
		for (uint32_t i = at; i < at + got; i++) {
			assert_true(c.items[i].value > from);
			from = c.items[i].value;
			seen[c.items[i].index]++;
		}
		nfs_cookies_fini(&c);
	}
	for (unsigned i = 0; i < 2 * NAMES; i++)
		assert_true(i < NAMES ? seen[i] == 1 : seen[i] <= 1);
}

static void one_goes_on_behind_a_name_that_went(void **state)
{
	struct nfs_cookies all, rest;

	(void)state;
	assert_int_equal(nfs_cookies_init(&all, NAMES), 0);
	add_names(&all, 0, NAMES);
	for (uint32_t i = 0; i + 1 < all.count; i++) {
		uint32_t gone = all.items[i].index, at;

		assert_int_equal(nfs_cookies_init(&rest, NAMES), 0);
		add_names(&rest, 0, gone);
		add_names(&rest, gone + 1, NAMES);
		at = nfs_cookies_after(&rest, all.items[i].value);
		assert_int_equal(at, i);
		assert_int_equal(rest.items[at].index, all.items[i + 1].index);
		nfs_cookies_fini(&rest);
	}
	nfs_cookies_fini(&all);
}

static void behind_the_last_there_is_nothing(void **state)
{
	struct nfs_cookies c;

	(void)state;
	assert_int_equal(nfs_cookies_init(&c, NAMES), 0);
	assert_int_equal(nfs_cookies_after(&c, 0), 0);
	add_names(&c, 0, NAMES);
	assert_int_equal(nfs_cookies_after(&c, NFS_COOKIE_DOTS), 0);
	for (uint32_t i = 0; i < NAMES; i++) {
		assert_int_equal(nfs_cookies_after(&c, c.items[i].value), i + 1);
		assert_int_equal(nfs_cookies_after(&c, c.items[i].value - 1), i);
	}
	assert_int_equal(nfs_cookies_after(&c, UINT64_MAX), NAMES);
	nfs_cookies_fini(&c);
}

static uint64_t number_of(const struct nfs_cookie_key *k, const char *name)
{
	struct nfs_cookies c;
	uint64_t v;

	assert_int_equal(nfs_cookies_init(&c, 1), 0);
	assert_int_equal(nfs_cookies_add_name(&c, k, name, 0), 0);
	v = c.items[0].value;
	nfs_cookies_fini(&c);
	return v;
}

/* XXH3 has the same number for all names with these bytes in their middle. */
#define COLLIDER "collider-\xde\xd4\x6d\xe9\x83\x90\x97\xdb"

static void nobody_chooses_two_names_of_one_number(void **state)
{
	struct nfs_cookie_key same, other;

	(void)state;
	assert_int_equal(xxh3_of(COLLIDER "tail-one", 25), xxh3_of(COLLIDER "tail-two", 25));
	assert_int_not_equal(number_of(&key, COLLIDER "tail-one"),
			     number_of(&key, COLLIDER "tail-two"));
	assert_int_equal(make_key(NULL), 0);
	same = key;
	assert_int_equal(
		nfs_cookie_key_make((const uint8_t *)"another one, as long as that one", &other),
		0);
	assert_int_equal(number_of(&key, "name"), number_of(&same, "name"));
	assert_int_equal(key.verifier, same.verifier);
	assert_int_not_equal(number_of(&key, "name"), number_of(&other, "name"));
	assert_int_not_equal(key.verifier, other.verifier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commits_entries_are_numbered),
		cmocka_unit_test(names_may_come_between_two_pages),
		cmocka_unit_test(one_goes_on_behind_a_name_that_went),
		cmocka_unit_test(behind_the_last_there_is_nothing),
		cmocka_unit_test(nobody_chooses_two_names_of_one_number),
	};

	return cmocka_run_group_tests(tests, make_key, NULL);
}
