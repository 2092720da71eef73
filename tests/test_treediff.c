/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/treediff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/history.h"

struct telling {
	const uint8_t *from, *to;
	struct buf text; /* "+a *b -c " */
	unsigned most;   /* files, after which it ends; 0: any */
	unsigned count;
};

static int tell(void *arg, const char *path, const struct tree_side *from,
		const struct tree_side *to)
{
	struct telling *t = arg;

	buf_printf(&t->text, "%c%s ", !from->mode ? '+' : to->mode ? '*' : '-', path);
	return ++t->count == t->most ? 7 : 0;
}

static int diff(struct db_txn *t, void *arg)
{
	struct telling *d = arg;

	buf_clear(&d->text);
	d->count = 0;
	return treediff_each(t, HISTORY_UID, d->from, d->to, tell, d);
}

/* Of two commits, either of which may be NULL. */
static void check(struct hub_db *h, const char *from, const char *to, unsigned most, int r,
		  const char *want)
{
	uint8_t trees[2][GIT_ID];
	struct telling t = { .most = most };

	if (from)
		history_tree(h, from, trees[0]);
	if (to)
		history_tree(h, to, trees[1]);
	t.from = from ? trees[0] : NULL;
	t.to = to ? trees[1] : NULL;
	assert_int_equal(db_read(h->db, diff, &t), r);
	assert_string_equal(buf_str(&t.text), want);
	buf_free(&t.text);
}

static void files_that_are_not_alike_are_told_in_the_order_of_their_whole_paths(void **state)
{
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1 b=2 d/x=3 d/y/z=4 e=5", one);
	history_commit(h, REGISTRY_MAIN, "b=3 -d/x d/y/z=5 d.c=6 d0=7 d/y/a=8", two);
	check(h, one, two, 0, 0, "*b +d.c -d/x +d/y/a *d/y/z +d0 ");
	check(h, two, one, 0, 0, "*b -d.c +d/x -d/y/a *d/y/z -d0 ");
	check(h, one, one, 0, 0, "");
	check(h, NULL, one, 0, 0, "+a +b +d/x +d/y/z +e ");
	check(h, one, NULL, 0, 0, "-a -b -d/x -d/y/z -e ");
	check(h, NULL, NULL, 0, 0, "");
}

static void a_directory_in_the_place_of_a_file_is_what_is_in_it(void **state)
{
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1 a.x=1", one);
	history_commit(h, REGISTRY_MAIN, "-a a/b=1 a/c=2", two);
	check(h, one, two, 0, 0, "-a +a/b +a/c ");
	check(h, two, one, 0, 0, "+a -a/b -a/c ");
}

static void who_has_heard_enough_hears_no_more(void **state)
{
	char one[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1 d/b=2 d/c=3", one);
	check(h, NULL, one, 2, 7, "+a +d/b ");
	check(h, NULL, one, 9, 0, "+a +d/b +d/c ");
}

static void a_directory_that_is_the_same_is_not_looked_into(void **state)
{
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], three[COMMIT_HEX + 1];
	uint8_t dir[GIT_ID];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1 d/b=2", one);
	history_commit(h, REGISTRY_MAIN, "a=2", two);
	history_commit(h, REGISTRY_MAIN, "d/b=3", three);
	history_find(h, one, "d", dir);
	history_lose(h, dir);
	check(h, one, two, 0, 0, "*a ");
	check(h, two, three, 0, ERR_CORRUPT, "");
}

/* ---- one path ---- */

struct looking {
	uint8_t tree[GIT_ID];
	const char *path;
	struct tree_side found;
};

static int find(struct db_txn *t, void *arg)
{
	struct looking *l = arg;

	return treediff_find(t, HISTORY_UID, l->tree, l->path, &l->found);
}

/* The mode of what lies there, or a failure. */
static int look(struct hub_db *h, const char *commit, const char *path)
{
	struct looking l = { .path = path };
	int r;

	history_tree(h, commit, l.tree);
	r = db_read(h->db, find, &l);
	return r < 0 ? r : (int)l.found.mode;
}

static void what_lies_by_a_path_is_found(void **state)
{
	char one[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1 d/b=2 d/e/f=3", one);
	assert_int_equal(look(h, one, "a"), GIT_FILE);
	assert_int_equal(look(h, one, "d/b"), GIT_FILE);
	assert_int_equal(look(h, one, "d/e/f"), GIT_FILE);
	assert_int_equal(look(h, one, "d/e"), GIT_DIRECTORY);
	assert_int_equal(look(h, one, ""), GIT_DIRECTORY);
	assert_int_equal(look(h, one, "aa"), 0);
	assert_int_equal(look(h, one, "d/none/f"), 0);
	assert_int_equal(look(h, one, "a/b"), -ENOTDIR);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, history_setup, tagged_repo_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(files_that_are_not_alike_are_told_in_the_order_of_their_whole_paths),
		STORY(a_directory_in_the_place_of_a_file_is_what_is_in_it),
		STORY(who_has_heard_enough_hears_no_more),
		STORY(a_directory_that_is_the_same_is_not_looked_into),
		STORY(what_lies_by_a_path_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
