/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/left_commits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/hub_db.h"

#define UID_A "aaaaaaaaaaaaaaaaaaaaaaaa"
#define UID_B "bbbbbbbbbbbbbbbbbbbbbbbb"
#define C1 "1111111111111111111111111111111111111111"
#define C2 "2222222222222222222222222222222222222222"

/* Appends "1@5 ": the first digit of a commit, and when it was left. */
static int add_one(void *arg, const char *commit, int64_t left_s)
{
	return buf_printf(arg, "%c@%d ", *commit, (int)left_s);
}

static int stop(void *arg, const char *commit, int64_t left_s)
{
	add_one(arg, commit, left_s);
	return 7;
}

static void assert_left(struct db_txn *t, const char *uid, const char *want)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	assert_int_equal(left_commits_each(t, uid, add_one, &got), 0);
	assert_string_equal(buf_str(&got), want);
}

static int leave_some(struct db_txn *t, void *arg UNUSED)
{
	CLEANUP(buf_free) struct buf first = { 0 };

	assert_left(t, UID_A, "");
	assert_int_equal(left_commits_put(t, UID_A, C1, 5), 0);
	assert_int_equal(left_commits_put(t, UID_A, C2, 9), 0);
	assert_int_equal(left_commits_put(t, UID_B, C1, 6), 0);
	assert_left(t, UID_A, "1@5 2@9 ");
	assert_int_equal(left_commits_put(t, UID_A, C1, 7),
			 0); /* once more: the last time counts */
	assert_left(t, UID_A, "1@7 2@9 ");
	assert_left(t, UID_B, "1@6 ");
	assert_int_equal(left_commits_each(t, UID_A, stop, &first), 7);
	assert_string_equal(buf_str(&first), "1@7 ");
	return 0;
}

static void each_repository_knows_what_its_refs_left_and_when(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, leave_some, NULL), 0);
}

static int forget_some(struct db_txn *t, void *arg UNUSED)
{
	assert_int_equal(left_commits_put(t, UID_A, C1, 5), 0);
	assert_int_equal(left_commits_put(t, UID_A, C2, 9), 0);
	assert_int_equal(left_commits_put(t, UID_B, C1, 5), 0);
	assert_int_equal(left_commits_forget(t, UID_A, 5), 0); /* before that second */
	assert_left(t, UID_A, "1@5 2@9 ");
	assert_int_equal(left_commits_forget(t, UID_A, 6), 0);
	assert_left(t, UID_A, "2@9 ");
	assert_left(t, UID_B, "1@5 ");
	return 0;
}

static void what_was_left_long_ago_is_forgotten_and_nothing_else(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, forget_some, NULL), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_repository_knows_what_its_refs_left_and_when),
		TEST(what_was_left_long_ago_is_forgotten_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
