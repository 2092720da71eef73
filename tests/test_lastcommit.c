/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/lastcommit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/history.h"

/* Which commit changed which entry last; in no order that matters. */
struct asked {
	const char *commit, *dir;
	struct {
		char path[32], id[COMMIT_HEX + 1];
	} got[8];
	size_t count, most;
};

static int take(void *arg, const char *path, const char *id, const struct git_commit *commit)
{
	struct asked *a = arg;

	assert_true(a->count < ARRAY_LEN(a->got));
	assert_non_null(commit->message);
	snprintf(a->got[a->count].path, sizeof(a->got[0].path), "%s", path);
	snprintf(a->got[a->count].id, sizeof(a->got[0].id), "%s", id);
	return ++a->count == a->most ? 7 : 0;
}

static int run(struct db_txn *t, void *arg)
{
	struct asked *a = arg;

	a->count = 0;
	return lastcommit_each(t, HISTORY_UID, a->commit, a->dir, take, a);
}

static struct asked ask(struct hub_db *h, const char *commit, const char *dir, size_t count)
{
	struct asked a = { .commit = commit, .dir = dir };

	assert_int_equal(db_read(h->db, run, &a), 0);
	assert_int_equal(a.count, count);
	return a;
}

static void check(const struct asked *a, const char *path, const char *id)
{
	size_t i = 0;

	while (strcmp(a->got[i].path, path) != 0)
		assert_true(++i < a->count);
	assert_string_equal(a->got[i].id, id);
}

static void each_entry_is_of_the_commit_that_changed_it_last(void **state)
{
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], three[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct asked a;

	history_commit(h, REGISTRY_MAIN, "a=1 b=1 d/x=1 d/y=1 e/z=1", one);
	history_commit(h, REGISTRY_MAIN, "b=2 d/x=2", two);
	history_commit(h, REGISTRY_MAIN, "c=1", three);
	a = ask(h, three, "", 5);
	check(&a, "a", one);
	check(&a, "b", two);
	check(&a, "c", three);
	check(&a, "d", two);
	check(&a, "e", one);
	a = ask(h, three, "d", 2);
	check(&a, "d/x", two);
	check(&a, "d/y", one);
	/* Of an older commit what came after it is not told. */
	a = ask(h, one, "", 4);
	check(&a, "b", one);
}

static void what_went_and_came_back_is_of_the_commit_that_brought_it_back(void **state)
{
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], three[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct asked a;

	history_commit(h, REGISTRY_MAIN, "a=1 b=1 d/x=1", one);
	history_commit(h, REGISTRY_MAIN, "-a -d/x", two);
	history_commit(h, REGISTRY_MAIN, "a=1 d/x=1", three);
	a = ask(h, three, "", 3);
	check(&a, "a", three);
	check(&a, "b", one);
	check(&a, "d", three);
	a = ask(h, three, "d", 1);
	check(&a, "d/x", three);
}

static void what_is_not_there_is_told_apart(void **state)
{
	char one[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct asked a = { .commit = one, .dir = "none" };

	history_commit(h, REGISTRY_MAIN, "a=1 d/x=1", one);
	assert_int_equal(db_read(h->db, run, &a), ERR_NOENTRY);
	a.dir = "a"; /* a file */
	assert_int_equal(db_read(h->db, run, &a), ERR_NOENTRY);
	a.dir = "a/b"; /* below one */
	assert_int_equal(db_read(h->db, run, &a), ERR_NOENTRY);
	a = (struct asked){ .commit = "0000000000000000000000000000000000000000", .dir = "" };
	assert_int_equal(db_read(h->db, run, &a), ERR_NOREV);
	a.commit = "main";
	assert_int_equal(db_read(h->db, run, &a), ERR_NOREV);
}

static void who_has_heard_enough_hears_no_more(void **state)
{
	char one[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct asked a = { .commit = one, .dir = "", .most = 1 };

	history_commit(h, REGISTRY_MAIN, "a=1 b=1", one);
	assert_int_equal(db_read(h->db, run, &a), 7);
	assert_int_equal(a.count, 1);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, history_setup, tagged_repo_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(each_entry_is_of_the_commit_that_changed_it_last),
		STORY(what_went_and_came_back_is_of_the_commit_that_brought_it_back),
		STORY(what_is_not_there_is_told_apart),
		STORY(who_has_heard_enough_hears_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
