/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/hub_db.h"

static struct catalogue_entry entry_of(enum repo_type type, const char *name, double likes)
{
	struct catalogue_entry e = { .hosted = true };

	assert_int_equal(repo_id_parse(type, name, &e.id), 0);
	for (size_t i = 0; i < CATALOGUE_NUMBERS; i++)
		e.numbers[i] = -1;
	e.numbers[CATALOGUE_LIKES] = likes;
	return e;
}

/* Runs inside a transaction that is thrown away if it fails. */
static void in_db(void **state, db_fn fn)
{
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, fn, NULL), 0);
}

static uint32_t put(struct db_txn *t, const struct catalogue_entry *e)
{
	uint32_t number;
	bool is_new;

	assert_int_equal(rows_make_number(t, &e->id, &number, &is_new), 0);
	assert_true(is_new);
	assert_int_equal(rows_put_head(t, number, NULL, e), 0);
	return number;
}

/* ---- numbers ---- */

static int number_some(struct db_txn *t, void *arg UNUSED)
{
	struct catalogue_entry a = entry_of(REPO_MODEL, "Org/A", 1);
	struct catalogue_entry b = entry_of(REPO_DATASET, "Org/A", 1);
	uint32_t first = put(t, &a), second = put(t, &b), found;
	bool is_new = true;

	assert_int_not_equal(first, second);
	assert_int_equal(repo_id_parse(REPO_MODEL, "oRG/a", &a.id), 0);
	assert_int_equal(rows_number(t, &a.id, &found), 0);
	assert_int_equal(found, first);
	assert_int_equal(rows_make_number(t, &a.id, &found, &is_new), 0);
	assert_true(found == first && !is_new);
	assert_int_equal(repo_id_parse(REPO_SPACE, "Org/A", &a.id), 0);
	assert_int_equal(rows_number(t, &a.id, &found), -ENOENT);
	return 0;
}

static void a_name_has_one_number_in_whatever_letters(void **state)
{
	in_db(state, number_some);
}

static int number_again(struct db_txn *t, void *arg UNUSED)
{
	struct catalogue_entry e = entry_of(REPO_MODEL, "org/a", 1), gone;
	uint32_t first = put(t, &e), found;

	assert_int_equal(rows_put_text(t, first, ROWS_DOC, "{}"), 0);
	assert_int_equal(rows_remove(t, first, &e), 0);
	assert_int_equal(rows_number(t, &e.id, &found), -ENOENT);
	assert_int_equal(rows_head(t, first, &gone), -ENOENT);
	assert_int_not_equal(put(t, &e), first); /* who remembers that one finds nobody */
	return 0;
}

static void a_number_is_never_given_again(void **state)
{
	in_db(state, number_again);
}

/* ---- heads and texts ---- */

static int keep_head(struct db_txn *t, void *arg UNUSED)
{
	struct catalogue_entry e = entry_of(REPO_SPACE, "Org/a", -1.5), got;
	uint32_t number;

	e.gated = true;
	e.numbers[CATALOGUE_PARAMETERS] = 7e18;
	memset(e.commit, 'a', COMMIT_HEX);
	number = put(t, &e);
	assert_int_equal(rows_head(t, number, &got), 0);
	assert_memory_equal(&got.id, &e.id, sizeof(e.id));
	assert_string_equal(got.commit, e.commit);
	assert_true(got.hosted && got.gated && !got.manual);
	assert_memory_equal(got.numbers, e.numbers, sizeof(e.numbers));
	assert_int_equal(rows_head(t, number + 1, &got), -ENOENT);
	return 0;
}

static void a_head_is_read_as_it_was_put(void **state)
{
	in_db(state, keep_head);
}

static int keep_text(struct db_txn *t, void *arg UNUSED)
{
	struct catalogue_entry e = entry_of(REPO_MODEL, "org/a", 0);
	CLEANUP(buf_free) struct buf got = { 0 };
	uint32_t number = put(t, &e);

	assert_int_equal(rows_text(t, number, ROWS_TERMS, &got), -ENOENT);
	assert_int_equal(rows_put_text(t, number, ROWS_TERMS, "tx\n"), 0);
	assert_int_equal(rows_text(t, number, ROWS_DOC, &got), -ENOENT); /* another one */
	assert_int_equal(rows_text(t, number, ROWS_TERMS, &got), 0);
	assert_string_equal(buf_str(&got), "tx\n");
	assert_int_equal(rows_put_text(t, number, ROWS_TERMS, ""), 0);
	assert_int_equal(rows_text(t, number, ROWS_TERMS, &got), -ENOENT);
	return 0;
}

static void an_empty_text_is_none(void **state)
{
	in_db(state, keep_text);
}

/* ---- orders ---- */

static int compare(const struct db_key *a, const struct db_key *b)
{
	size_t both = a->len < b->len ? a->len : b->len;
	int c = memcmp(a->data, b->data, both);

	return c ? c : (a->len > b->len) - (a->len < b->len);
}

static void in_an_order_the_largest_come_first(void **state UNUSED)
{
	static const double falling[] = { 1e300, 7e9, 2, 1, 0.5, 0, -0.5, -1, -1e300 };
	char one[ROWS_KEY_MAX], two[ROWS_KEY_MAX];
	struct db_key a, b;

	for (size_t i = 1; i < ARRAY_LEN(falling); i++) {
		a = rows_place(REPO_MODEL, CATALOGUE_SIZE, falling[i - 1], "z/z", one);
		b = rows_place(REPO_MODEL, CATALOGUE_SIZE, falling[i], "a/a", two);
		assert_true(compare(&a, &b) < 0);
	}
	a = rows_place(REPO_MODEL, CATALOGUE_SIZE, -0.0, "a/a", one);
	b = rows_place(REPO_MODEL, CATALOGUE_SIZE, 0, "a/a", two);
	assert_int_equal(compare(&a, &b), 0); /* there is one zero */
	a = rows_place(REPO_MODEL, CATALOGUE_NUMBERS, 1, "a/b", one);
	b = rows_place(REPO_MODEL, CATALOGUE_NUMBERS, 2, "a/a", two);
	assert_true(compare(&a, &b) > 0); /* by name numbers do not matter */
}

static int place_at(void *arg, struct db_key key UNUSED, const char *val, size_t len)
{
	uint32_t number;

	assert_int_equal(rows_place_number(val, len, &number), 0);
	return buf_printf(arg, "%u ", (unsigned)number);
}

static void tell_order(struct db_txn *t, enum catalogue_number sort, struct buf *ret)
{
	char room[ROWS_KEY_MAX];

	buf_clear(ret);
	assert_int_equal(db_each(t, DB_ORDERS, rows_order(REPO_MODEL, sort, room),
				 (struct db_key){ 0 }, place_at, ret),
			 0);
}

static int move_in_orders(struct db_txn *t, void *arg UNUSED)
{
	struct catalogue_entry a = entry_of(REPO_MODEL, "org/a", 1), more = a;
	struct catalogue_entry b = entry_of(REPO_MODEL, "org/b", 5);
	CLEANUP(buf_free) struct buf got = { 0 };

	assert_int_equal(put(t, &a), 0);
	assert_int_equal(put(t, &b), 1);
	tell_order(t, CATALOGUE_LIKES, &got);
	assert_string_equal(buf_str(&got), "1 0 ");
	more.numbers[CATALOGUE_LIKES] = 9;
	assert_int_equal(rows_put_head(t, 0, &a, &more), 0);
	tell_order(t, CATALOGUE_LIKES, &got);
	assert_string_equal(buf_str(&got), "0 1 ");
	a = more;
	strcpy(more.id.name, "org/z");
	assert_int_equal(rows_put_head(t, 0, &a, &more), 0);
	tell_order(t, CATALOGUE_NUMBERS, &got);
	assert_string_equal(buf_str(&got), "1 0 ");
	assert_int_equal(rows_remove(t, 0, &more), 0);
	for (unsigned i = 0; i <= CATALOGUE_NUMBERS; i++) {
		tell_order(t, (enum catalogue_number)i, &got);
		assert_string_equal(buf_str(&got), "1 ");
	}
	return 0;
}

static void in_each_order_one_stands_at_one_place(void **state)
{
	in_db(state, move_in_orders);
}

/* ---- damage ---- */

static int add_name(void *arg, const struct catalogue_entry *e)
{
	return buf_printf(arg, "%s ", e->id.name);
}

static int break_one(struct db_txn *t, void *arg UNUSED)
{
	static const char head[] = { '\1', 'h', 0, 0, 0, 1 };
	struct catalogue_entry a = entry_of(REPO_MODEL, "org/a", 1), got;
	struct catalogue_entry b = entry_of(REPO_MODEL, "org/b", 5);
	struct catalogue_entry c = entry_of(REPO_DATASET, "org/c", 0);
	CLEANUP(buf_free) struct buf all = { 0 };
	uint32_t number;

	put(t, &a);
	assert_int_equal(put(t, &b), 1);
	put(t, &c);
	assert_int_equal(rows_each(t, add_name, &all), 0);
	assert_string_equal(buf_str(&all), "org/a org/b org/c ");
	assert_int_equal(db_put(t, DB_CATALOGUE, (struct db_key){ head, sizeof(head) }, "x", 1), 0);
	assert_int_equal(rows_head(t, 1, &got), ERR_CORRUPT);
	buf_clear(&all);
	assert_int_equal(rows_each(t, add_name, &all), 0);
	assert_string_equal(buf_str(&all), "org/a org/c ");
	assert_int_equal(rows_place_number("abc", 3, &number), ERR_CORRUPT);
	return 0;
}

static void a_damaged_head_is_passed_over_and_the_others_are_told(void **state)
{
	in_db(state, break_one);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_name_has_one_number_in_whatever_letters),
		TEST(a_number_is_never_given_again),
		TEST(a_head_is_read_as_it_was_put),
		TEST(an_empty_text_is_none),
		cmocka_unit_test(in_an_order_the_largest_come_first),
		TEST(in_each_order_one_stands_at_one_place),
		TEST(a_damaged_head_is_passed_over_and_the_others_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
