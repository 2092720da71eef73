/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/postings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/hub_db.h"

#define SPAN 20000 /* more than one row holds */

/* Numbers under "even", put in and out in a transaction of its own. */
struct doing {
	const bool *there; /* of SPAN numbers, or NULL: those are read */
	struct numberset set;
	uint64_t reads;
};

static int write_all(struct db_txn *t, void *arg)
{
	const struct doing *d = arg;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < SPAN; i++)
		r = d->there[i] ? postings_add(t, db_text("even"), i)
				: postings_del(t, db_text("even"), i);
	return r;
}

static int read_all(struct db_txn *t, void *arg)
{
	struct doing *d = arg;

	numberset_fini(&d->set);
	d->reads = 0;
	return postings_read(t, db_text("even"), &d->set, &d->reads);
}

static void check(struct hub_db *h, const bool *there)
{
	struct doing d = { .there = there };
	size_t count = 0;

	assert_int_equal(db_write(h->db, write_all, &d), 0);
	assert_int_equal(db_read(h->db, read_all, &d), 0);
	for (uint32_t i = 0; i < SPAN; i++) {
		assert_int_equal(numberset_has(&d.set, i), there[i]);
		count += there[i];
	}
	assert_int_equal(numberset_size(&d.set), count);
	assert_true(d.reads <= 3);
	numberset_fini(&d.set);
}

static void a_term_has_the_numbers_that_were_put_under_it(void **state)
{
	static bool there[SPAN];

	srandom(7);
	for (unsigned every = 1; every < 3000; every *= 5) {
		for (size_t i = 0; i < SPAN; i++)
			there[i] = (unsigned long)random() % every == 0;
		check(*state, there);
	}
	memset(there, 0, sizeof(there));
	check(*state, there);
}

static int write_bad(struct db_txn *t, void *arg UNUSED)
{
	char room[POSTINGS_TERM_MAX + 1];
	struct db_key large = { memset(room, 'x', sizeof(room)), sizeof(room) };

	assert_int_equal(postings_add(t, large, 1), -EINVAL);
	assert_int_equal(postings_add(t, (struct db_key){ "a\0b", 3 }, 1), -EINVAL);
	assert_int_equal(postings_add(t, db_text("a"), UINT32_MAX), -EINVAL);
	assert_int_equal(postings_add(t, db_text("a"), 3), 0);
	return postings_add(t, db_text("ab"), 4);
}

static int note(void *arg, struct db_key term)
{
	return buf_printf(arg, "%.*s ", (int)term.len, (const char *)term.data);
}

static int list(struct db_txn *t, void *arg)
{
	return postings_terms(t, db_text("a"), note, arg);
}

static void terms_that_begin_alike_are_others(void **state)
{
	struct hub_db *h = *state;
	CLEANUP(buf_free) struct buf got = { 0 };

	assert_int_equal(db_write(h->db, write_bad, NULL), 0);
	assert_int_equal(db_read(h->db, list, &got), 0);
	assert_string_equal(buf_str(&got), "a ab ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_term_has_the_numbers_that_were_put_under_it),
		TEST(terms_that_begin_alike_are_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
