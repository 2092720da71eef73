/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/history.h"

#define DEV "refs/heads/dev"

struct heard {
	struct buf commits; /* "1234567 refs/heads/main\n" */
	struct buf files;   /* "1234567 a\n" */
	unsigned trees, most;
};

static void heard_fini(struct heard *h)
{
	buf_free(&h->commits);
	buf_free(&h->files);
}

static void add_line(struct buf *to, const uint8_t *commit, const char *text)
{
	char id[COMMIT_HEX + 1];

	hex_print(commit, GIT_ID, id);
	buf_printf(to, "%.7s %s\n", id, text);
}

static int hear_commit(void *arg, const struct walk_commit *c)
{
	struct heard *h = arg;

	add_line(&h->commits, c->id, c->ref);
	return 0;
}

static int hear_tree(void *arg, const uint8_t id[static GIT_ID], const struct buf *bytes)
{
	struct heard *h = arg;

	(void)id;
	assert_true(bytes->len > 0);
	h->trees++;
	return 0;
}

static int hear_file(void *arg, const struct walk_commit *c, const char *path,
		     const struct git_entry *e)
{
	struct heard *h = arg;

	assert_int_equal(e->mode, GIT_FILE);
	add_line(&h->files, c->id, path);
	return h->most && !--h->most ? 7 : 0;
}

static int walk(struct db_txn *t, void *arg)
{
	static const struct walk_events events = { .commit = hear_commit,
						   .tree = hear_tree,
						   .file = hear_file };

	return walk_history(t, HISTORY_UID, &events, arg);
}

static int walk_for_commits(struct db_txn *t, void *arg)
{
	static const struct walk_events events = { .commit = hear_commit };

	return walk_history(t, HISTORY_UID, &events, arg);
}

struct beginning {
	struct heard heard;
	uint8_t id[GIT_ID];
};

static int walk_from(struct db_txn *t, void *arg)
{
	static const struct walk_events events = { .commit = hear_commit, .file = hear_file };
	CLEANUP(buf_free) struct buf ids = { 0 };
	struct beginning *b = arg;
	int r = buf_add(&ids, b->id, GIT_ID);

	if (r == 0) /* twice is as once */
		r = buf_add(&ids, b->id, GIT_ID);
	return r < 0 ? r : walk_commits(t, HISTORY_UID, &ids, &events, &b->heard);
}

/* Lines of commits and a text each. */
static void check(const struct buf *got, const char *const lines[][2])
{
	CLEANUP(buf_free) struct buf want = { 0 };

	for (; lines[0][0]; lines++)
		buf_printf(&want, "%.7s %s\n", lines[0][0], lines[0][1]);
	assert_string_equal(buf_str(got), buf_str(&want));
}

static void each_object_is_met_once_in_the_first_commit_that_has_it(void **state)
{
	CLEANUP(heard_fini) struct heard heard = { .trees = 0 };
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], dev[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1 d/b=2", one);
	assert_int_equal(tagged_repo_move(h, DEV, one), 0);
	history_commit(h, REGISTRY_MAIN, "a=5 same=1", two);
	history_commit(h, DEV, "c=3 d/e=4", dev);
	assert_int_equal(db_read(h->db, walk, &heard), 0);
	/* By main, though dev comes before it. Commits come before what was made of them. */
	check(&heard.commits,
	      (const char *const[][2]){
		      { one, REGISTRY_MAIN }, { two, REGISTRY_MAIN }, { dev, DEV }, { NULL } });
	check(&heard.files, (const char *const[][2]){ { one, "a" },
						      { one, "d/b" },
						      { two, "a" },
						      { dev, "c" },
						      { dev, "d/e" },
						      { NULL } });
	assert_int_equal(heard.trees, 5); /* three of commits, d twice */
}

static void what_no_ref_leads_to_is_not_met(void **state)
{
	CLEANUP(heard_fini) struct heard heard = { .trees = 0 }, none = { .trees = 0 };
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	assert_int_equal(db_read(h->db, walk, &none), 0);
	assert_string_equal(buf_str(&none.commits), "");
	history_commit(h, REGISTRY_MAIN, "a=1", one);
	history_commit(h, REGISTRY_MAIN, "a=2", two);
	assert_int_equal(tagged_repo_move(h, REGISTRY_MAIN, one), 0);
	assert_int_equal(db_read(h->db, walk, &heard), 0);
	check(&heard.commits, (const char *const[][2]){ { one, REGISTRY_MAIN }, { NULL } });
}

static void from_a_commit_what_it_was_made_from_is_met_and_nothing_else(void **state)
{
	struct beginning b = { .heard = { .trees = 0 } };
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], three[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1", one);
	history_commit(h, REGISTRY_MAIN, "-a b=2", two);
	history_commit(h, REGISTRY_MAIN, "c=3", three);
	assert_int_equal(hex_parse(two, GIT_ID, b.id), 0);
	assert_int_equal(db_read(h->db, walk_from, &b), 0);
	check(&b.heard.commits, (const char *const[][2]){ { one, "" }, { two, "" }, { NULL } });
	check(&b.heard.files, (const char *const[][2]){ { one, "a" }, { two, "b" }, { NULL } });
	heard_fini(&b.heard);
}

static void who_has_heard_enough_hears_no_more(void **state)
{
	CLEANUP(heard_fini) struct heard heard = { .most = 2 };
	char one[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1 b=2 c=3", one);
	assert_int_equal(db_read(h->db, walk, &heard), 7);
	check(&heard.files, (const char *const[][2]){ { one, "a" }, { one, "b" }, { NULL } });
}

static void a_tree_that_is_lost_is_missed_by_who_looks_into_it(void **state)
{
	CLEANUP(heard_fini) struct heard heard = { .trees = 0 };
	char one[COMMIT_HEX + 1];
	uint8_t dir[GIT_ID];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1 d/b=2", one);
	history_find(h, one, "d", dir);
	history_lose(h, dir);
	assert_int_equal(db_read(h->db, walk, &heard), ERR_CORRUPT);
	assert_int_equal(db_read(h->db, walk_for_commits, &heard), 0);
	assert_int_equal(hex_parse(one, GIT_ID, dir), 0);
	history_lose(h, dir);
	assert_int_equal(db_read(h->db, walk_for_commits, &heard), ERR_CORRUPT);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, history_setup, tagged_repo_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(each_object_is_met_once_in_the_first_commit_that_has_it),
		STORY(what_no_ref_leads_to_is_not_met),
		STORY(from_a_commit_what_it_was_made_from_is_met_and_nothing_else),
		STORY(who_has_heard_enough_hears_no_more),
		STORY(a_tree_that_is_lost_is_missed_by_who_looks_into_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
