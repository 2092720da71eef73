/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/hub_db.h"

#define ADDERS 4
#define ADDS 25

/* One row, put, read or deleted in a transaction of its own. */
struct row {
	enum db_table table;
	const char *key, *value;
	struct buf got;
};

static int put_row(struct db_txn *t, void *arg)
{
	const struct row *row = arg;

	return db_put(t, row->table, db_text(row->key), row->value, strlen(row->value));
}

static int get_row(struct db_txn *t, void *arg)
{
	struct row *row = arg;

	buf_clear(&row->got);
	return db_get(t, row->table, db_text(row->key), &row->got);
}

static int del_row(struct db_txn *t, void *arg)
{
	const struct row *row = arg;

	return db_del(t, row->table, db_text(row->key));
}

static int put(struct hub_db *h, enum db_table table, const char *key, const char *value)
{
	struct row row = { .table = table, .key = key, .value = value };

	return db_write(h->db, put_row, &row);
}

static int check(struct hub_db *h, enum db_table table, const char *key, const char *value)
{
	struct row row = { .table = table, .key = key };
	int r = db_read(h->db, get_row, &row);

	if (r == 0)
		assert_string_equal(buf_str(&row.got), value);
	buf_free(&row.got);
	return r;
}

static void rows_are_there_until_they_are_deleted(void **state)
{
	struct hub_db *h = *state;
	struct row row = { .table = DB_REPOS, .key = "a" };

	assert_int_equal(check(h, DB_REPOS, "a", ""), -ENOENT);
	assert_int_equal(put(h, DB_REPOS, "a", "1"), 0);
	assert_int_equal(put(h, DB_REPOS, "a", "2"), 0);
	assert_int_equal(check(h, DB_REPOS, "a", "2"), 0);
	hub_db_reopen(h);
	assert_int_equal(check(h, DB_REPOS, "a", "2"), 0);
	assert_int_equal(db_write(h->db, del_row, &row), 0);
	assert_int_equal(db_write(h->db, del_row, &row), 0);
	assert_int_equal(check(h, DB_REPOS, "a", ""), -ENOENT);
}

static void tables_have_nothing_in_common(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(put(h, DB_REPOS, "a", "repo"), 0);
	assert_int_equal(check(h, DB_RULES, "a", ""), -ENOENT);
	assert_int_equal(put(h, DB_RULES, "a", "rule"), 0);
	assert_int_equal(check(h, DB_REPOS, "a", "repo"), 0);
}

static int put_two_and_fail(struct db_txn *t, void *arg)
{
	int r = db_put(t, DB_REPOS, db_text("first"), "1", 1);

	if (r == 0)
		r = db_put(t, DB_REPOS, db_text("second"), "2", 1);
	return r == 0 ? *(int *)arg : r;
}

static void a_transaction_is_kept_whole_or_not_at_all(void **state)
{
	struct hub_db *h = *state;
	int r = -EPERM;

	assert_int_equal(db_write(h->db, put_two_and_fail, &r), -EPERM);
	assert_int_equal(check(h, DB_REPOS, "first", ""), -ENOENT);
	r = 0;
	assert_int_equal(db_write(h->db, put_two_and_fail, &r), 0);
	assert_int_equal(check(h, DB_REPOS, "first", "1"), 0);
	assert_int_equal(check(h, DB_REPOS, "second", "2"), 0);
}

/* What else is written, or the failure that keeps it from being. */
struct companion {
	struct row row;
	int failure;
};

static int write_along(struct db_txn *t, void *arg)
{
	struct companion *c = arg;

	return c->failure ? c->failure : put_row(t, &c->row);
}

static void what_is_written_along_comes_and_stays_away_together(void **state)
{
	struct companion c = { { .table = DB_OWED, .key = "r", .value = "1" }, -ENOSPC };
	struct row row = { .table = DB_REPOS, .key = "a", .value = "x" };
	struct hub_db *h = *state;
	struct db *view = NULL;

	assert_int_equal(db_also(h->db, write_along, &c, &view), 0);
	assert_int_equal(db_write(view, put_row, &row), -ENOSPC);
	assert_int_equal(check(h, DB_REPOS, "a", ""), -ENOENT);
	c.failure = 0;
	assert_int_equal(db_write(view, put_two_and_fail, &(int){ -EPERM }), -EPERM);
	assert_int_equal(check(h, DB_OWED, "r", ""), -ENOENT);
	assert_int_equal(db_read(view, get_row, &row), -ENOENT);
	assert_int_equal(check(h, DB_OWED, "r", ""), -ENOENT);
	assert_int_equal(db_write(view, put_row, &row), 0);
	db_close(view);
	assert_int_equal(check(h, DB_REPOS, "a", "x"), 0);
	assert_int_equal(check(h, DB_OWED, "r", "1"), 0);
	/* The twin: who writes alone. */
	assert_int_equal(put(h, DB_REPOS, "a", "y"), 0);
	assert_int_equal(check(h, DB_OWED, "r", "1"), 0);
	buf_free(&row.got);
}

static int count_run(struct db_txn *t, void *arg)
{
	++*(int *)arg;
	return db_put(t, DB_REPOS, db_text("a"), "1", 1);
}

static void a_rehearsal_runs_twice_what_counts_once(void **state)
{
	struct hub_db *h = *state;
	CLEANUP(buf_free) struct buf dir = { 0 };
	struct db_conf conf = { .rehearse = false };
	int runs = 0;

	assert_int_equal(db_write(h->db, count_run, &runs), 0);
	assert_int_equal(runs, 2);
	db_close(h->db);
	buf_printf(&dir, "%s/hub", h->dir.path);
	conf.dir = buf_str(&dir);
	assert_int_equal(db_open(&conf, &h->db, &h->why), 0);
	assert_int_equal(db_write(h->db, count_run, &runs), 0);
	assert_int_equal(runs, 3);
}

/* ---- walks ---- */

struct walk {
	enum db_table table;
	struct db_key prefix, after;
	struct buf seen;
	struct db_txn *txn;
	int stop_at;
};

static int see(void *arg, struct db_key key, const char *val, size_t len)
{
	struct walk *w = arg;
	struct buf again = { 0 };

	assert_int_equal(db_get(w->txn, w->table, key, &again), 0);
	assert_int_equal(again.len, len);
	assert_memory_equal(again.data, val, len);
	buf_free(&again);
	buf_printf(&w->seen, "%.*s=%.*s ", (int)key.len, (const char *)key.data, (int)len, val);
	return --w->stop_at == 0 ? 7 : 0;
}

static int walk_it(struct db_txn *t, void *arg)
{
	struct walk *w = arg;

	w->txn = t;
	return db_each(t, w->table, w->prefix, w->after, see, w);
}

static int walk(struct hub_db *h, const char *prefix, const char *after, int stop_at,
		const char *want)
{
	struct walk w = { .table = DB_REPOS,
			  .prefix = db_text(prefix),
			  .after = db_text(after),
			  .stop_at = stop_at };
	int r = db_read(h->db, walk_it, &w);

	assert_string_equal(buf_str(&w.seen), want);
	buf_free(&w.seen);
	return r;
}

static void walks_go_in_order_from_any_key_as_far_as_wanted(void **state)
{
	static const char *const keys[] = { "b1", "a", "b3", "c", "b2", "b" };
	struct hub_db *h = *state;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_int_equal(put(h, DB_REPOS, keys[i], "x"), 0);
	assert_int_equal(put(h, DB_REPOS - 1, "zz", "below"), 0);
	assert_int_equal(put(h, DB_REPOS + 1, "aa", "above"), 0);
	assert_int_equal(walk(h, "", "", 0, "a=x b=x b1=x b2=x b3=x c=x "), 0);
	assert_int_equal(walk(h, "b", "", 0, "b=x b1=x b2=x b3=x "), 0);
	assert_int_equal(walk(h, "b", "b1", 0, "b2=x b3=x "), 0);
	assert_int_equal(walk(h, "b", "b11", 0, "b2=x b3=x "), 0);
	assert_int_equal(walk(h, "", "c", 0, ""), 0);
	assert_int_equal(walk(h, "d", "", 0, ""), 0);
	assert_int_equal(walk(h, "", "", 2, "a=x b=x "), 7);
}

static int read_it_twice(struct db_txn *t, void *arg)
{
	struct hub_db *h = arg;
	struct buf first = { 0 }, second = { 0 };

	assert_int_equal(db_get(t, DB_REPOS, db_text("a"), &first), 0);
	assert_int_equal(db_get(t, DB_REPOS, db_text("a"), &second), 0);
	assert_string_equal(buf_str(&first), buf_str(&second));
	buf_free(&first);
	buf_free(&second);
	return h ? 5 : 0;
}

static void what_a_reader_returns_is_returned(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(put(h, DB_REPOS, "a", "1"), 0);
	assert_int_equal(db_read(h->db, read_it_twice, h), 5);
	assert_int_equal(db_read(h->db, read_it_twice, NULL), 0);
}

static void keys_that_cannot_be_are_refused(void **state)
{
	struct hub_db *h = *state;
	char key[DB_KEY_MAX + 2];

	memset(key, 'k', sizeof(key));
	key[DB_KEY_MAX] = '\0';
	assert_int_equal(put(h, DB_REPOS, key, "longest"), 0);
	assert_int_equal(check(h, DB_REPOS, key, "longest"), 0);
	key[DB_KEY_MAX] = 'k';
	key[DB_KEY_MAX + 1] = '\0';
	assert_int_equal(put(h, DB_REPOS, key, "longer"), -EINVAL);
	assert_int_equal(check(h, DB_REPOS, key, ""), -ENOENT);
	assert_int_equal(put(h, DB_REPOS, "", "none"), -EINVAL);
}

/* ---- many ---- */

static int add_one(struct db_txn *t, void *arg UNUSED)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, DB_REPOS, db_text("count"), &row);
	long count = strtol(buf_str(&row), NULL, 10) + 1;

	if (r < 0 && r != -ENOENT)
		return r;
	buf_clear(&row);
	buf_printf(&row, "%ld", count);
	return db_put(t, DB_REPOS, db_text("count"), row.data, row.len);
}

static void *add_many(void *arg)
{
	for (int i = 0; i < ADDS; i++)
		assert_int_equal(db_write(arg, add_one, NULL), 0);
	return NULL;
}

static void who_read_before_writing_overwrites_nobody(void **state)
{
	struct hub_db *h = *state;
	pthread_t threads[ADDERS];

	for (int i = 0; i < ADDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, h->db), 0);
	for (int i = 0; i < ADDERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(check(h, DB_REPOS, "count", "100"), 0);
}

static int put_large(struct db_txn *t, void *arg)
{
	static char value[1024 * 1024];
	char key[32];
	int r = 0;

	for (int i = 0; r == 0 && i < 40; i++) {
		snprintf(key, sizeof(key), "large %d", i);
		r = db_put(t, DB_REPOS, db_text(key), value, sizeof(value));
	}
	++*(int *)arg;
	return r;
}

static void what_does_not_fit_yet_runs_again_in_a_larger_place(void **state)
{
	struct hub_db *h = *state;
	int runs = 0;

	assert_int_equal(db_write(h->db, put_large, &runs), 0);
	assert_true(runs > 2);
	assert_int_equal(check(h, DB_REPOS, "large", ""), -ENOENT);
}

static void what_a_newer_hub_wrote_is_left_alone(void **state)
{
	struct hub_db *h = *state;
	CLEANUP(buf_free) struct buf dir = { 0 };
	struct db_conf conf = { 0 };
	struct db *db;

	assert_int_equal(check(h, DB_META, "version", "1"), 0);
	assert_int_equal(put(h, DB_META, "version", "2"), 0);
	db_close(steal(h->db));
	buf_printf(&dir, "%s/hub", h->dir.path);
	conf.dir = buf_str(&dir);
	assert_int_equal(db_open(&conf, &db, &h->why), ERR_FORMAT);
	assert_non_null(strstr(buf_str(&h->why), "has format version 2"));
}

static void a_directory_that_cannot_be_made_is_said(void **state)
{
	struct hub_db *h = *state;
	struct db_conf conf = { .dir = "/proc/none/hub" };
	struct db *db;

	assert_true(db_open(&conf, &db, &h->why) < 0);
	assert_non_null(strstr(buf_str(&h->why), "/proc/none/hub"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_are_there_until_they_are_deleted),
		TEST(tables_have_nothing_in_common),
		TEST(a_transaction_is_kept_whole_or_not_at_all),
		TEST(what_is_written_along_comes_and_stays_away_together),
		TEST(a_rehearsal_runs_twice_what_counts_once),
		TEST(walks_go_in_order_from_any_key_as_far_as_wanted),
		TEST(what_a_reader_returns_is_returned),
		TEST(keys_that_cannot_be_are_refused),
		TEST(who_read_before_writing_overwrites_nobody),
		TEST(what_does_not_fit_yet_runs_again_in_a_larger_place),
		TEST(what_a_newer_hub_wrote_is_left_alone),
		TEST(a_directory_that_cannot_be_made_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
