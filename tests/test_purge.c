/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/purge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "tests/history.h"

#define TAG "refs/tags/v1"
#define PLAIN "a.txt=plain"
#define ONE "dir/x#one"
#define ONE_TEXT "one"
#define TWO "y#two"

struct asked {
	struct purge p;
	uint8_t sum[32];
	struct buf why;
};

static int purge_in(struct db_txn *t, void *arg)
{
	struct asked *q = arg;

	buf_clear(&q->why);
	return purge_files(t, &q->p, &q->why);
}

/* A file goes; *ret tells what came of it. */
static int purge(struct hub_db *h, const char *text, bool rewrite, struct purge *ret)
{
	struct asked q = {
		.p = { .uid = TAGGED_UID, .count = 1, .rewrite = rewrite, .user = "ann" }
	};
	int r;

	q.p.sha256 = q.sum;
	history_sum(text, q.sum);
	r = db_write(h->db, purge_in, &q);
	assert_int_equal(r == ERR_TAG_LOCKED, q.why.len > 0);
	*ret = q.p;
	buf_free(&q.why);
	return r;
}

static int add_line(void *arg, const struct purge_file *f)
{
	return buf_printf(arg, "%s %s %d\n", f->path, f->ref, (int)f->size);
}

static int list_in(struct db_txn *t, void *arg)
{
	buf_clear(arg);
	return purge_list(t, TAGGED_UID, add_line, arg);
}

/* Whether such a line is among all of them. */
static bool is_listed(struct hub_db *h, const char *line)
{
	CLEANUP(buf_free) struct buf all = { 0 };

	assert_int_equal(db_read(h->db, list_in, &all), 0);
	return strstr(buf_str(&all), line);
}

/* main of three commits, and a tag at the last; what that is. */
static void grow(struct hub_db *h, char first[static COMMIT_HEX + 1],
		 char last[static COMMIT_HEX + 1])
{
	history_commit(h, REGISTRY_MAIN, PLAIN, first);
	history_commit(h, REGISTRY_MAIN, ONE, last);
	history_commit(h, REGISTRY_MAIN, TWO, last);
	assert_int_equal(tagged_repo_move(h, TAG, last), 0);
}

static void assert_at(struct hub_db *h, const char *ref, const char *commit, bool is)
{
	char at[COMMIT_HEX + 1];

	history_at(h, TAGGED_UID, ref, at);
	assert_int_equal(strcmp(at, commit) == 0, is);
}

static int find_gone(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct manifest_file f, gone;
	uint8_t id[GIT_ID];
	int r = git_pointer_print(arg, strlen(ONE_TEXT), &text);

	if (r == 0)
		r = digest_git_object("blob", buf_str(&text), text.len, id);
	if (r == 0)
		r = registry_gone(t, TAGGED_UID, id, &gone);
	if (r < 0)
		return r;
	assert_memory_equal(gone.digest, arg, 32);
	assert_int_equal(gone.size, strlen(ONE_TEXT));
	return registry_file(t, TAGGED_UID, id, &f) == -ENOENT ? 0 : -EEXIST;
}

static void files_of_git_lfs_are_listed_by_where_they_were_first(void **state)
{
	char first[COMMIT_HEX + 1], last[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	grow(h, first, last);
	assert_true(is_listed(h, "dir/x refs/heads/main 3\n") &&
		    is_listed(h, "y refs/heads/main 3\n"));
	assert_false(is_listed(h, "a.txt"));
}

static void without_rewriting_commits_stay_and_the_file_is_gone(void **state)
{
	char first[COMMIT_HEX + 1], last[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct purge told;
	uint8_t sum[32];

	grow(h, first, last);
	history_sum(ONE_TEXT, sum);
	assert_int_equal(db_read(h->db, find_gone, sum), -ENOENT);
	assert_int_equal(purge(h, ONE_TEXT, false, &told), 0);
	assert_int_equal(told.files, 1);
	assert_int_equal(told.commits, 0);
	assert_at(h, REGISTRY_MAIN, last, true);
	assert_at(h, TAG, last, true);
	assert_false(history_has(h, TAGGED_UID, ONE) || is_listed(h, "dir/x"));
	assert_true(history_has(h, TAGGED_UID, TWO) && is_listed(h, "y refs"));
	assert_int_equal(db_read(h->db, find_gone, sum), 0);
	assert_int_equal(purge(h, ONE_TEXT, false, &told), 0); /* it is gone */
	assert_int_equal(told.files, 0);
}

static void with_rewriting_refs_follow_the_commits_that_had_it(void **state)
{
	char first[COMMIT_HEX + 1], last[COMMIT_HEX + 1], main_at[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct purge told;

	grow(h, first, last);
	assert_int_equal(tagged_repo_move(h, "refs/heads/old", first), 0);
	assert_int_equal(purge(h, ONE_TEXT, true, &told), 0);
	assert_int_equal(told.files, 1);
	assert_int_equal(told.commits, 2);
	assert_at(h, REGISTRY_MAIN, last, false);
	history_at(h, TAGGED_UID, REGISTRY_MAIN, main_at);
	assert_at(h, TAG, main_at, true);
	assert_at(h, "refs/heads/old", first, true); /* it was made before that came */
	assert_false(history_has(h, TAGGED_UID, ONE));
	assert_true(history_has(h, TAGGED_UID, TWO) && history_has(h, TAGGED_UID, PLAIN));
}

static void a_file_of_a_locked_tag_stays_either_way(void **state)
{
	char first[COMMIT_HEX + 1], last[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct purge told;

	grow(h, first, last);
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
	assert_int_equal(purge(h, ONE_TEXT, false, &told), ERR_TAG_LOCKED);
	assert_int_equal(purge(h, ONE_TEXT, true, &told), ERR_TAG_LOCKED);
	assert_true(history_has(h, TAGGED_UID, ONE));
	assert_at(h, REGISTRY_MAIN, last, true);
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	assert_int_equal(purge(h, ONE_TEXT, true, &told), 0);
	assert_false(history_has(h, TAGGED_UID, ONE));
}

static void a_file_of_what_a_locked_tag_was_made_from_stays_either_way(void **state)
{
	char first[COMMIT_HEX + 1], last[COMMIT_HEX + 1], at[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct purge told;

	grow(h, first, last);
	history_commit(h, REGISTRY_MAIN, "-dir/x", at);
	assert_int_equal(tagged_repo_move(h, "refs/tags/rel1", at), 0);
	assert_int_equal(tagged_repo_move(h, "refs/tags/old", first), 0);
	assert_int_equal(tagged_repo_lock(h, "old"), 0);
	assert_int_equal(tagged_repo_lock(h, "rel1"), 0);
	assert_int_equal(purge(h, ONE_TEXT, false, &told), ERR_TAG_LOCKED);
	assert_int_equal(purge(h, ONE_TEXT, true, &told), ERR_TAG_LOCKED);
	assert_true(history_has(h, TAGGED_UID, ONE));
	assert_int_equal(tagged_repo_release(h, "rel1"), 0);
	/* Twin: it came after what the other one names. */
	assert_int_equal(purge(h, ONE_TEXT, false, &told), 0);
	assert_false(history_has(h, TAGGED_UID, ONE));
	/* What is gone keeps nobody from asking for it again. */
	assert_int_equal(tagged_repo_lock(h, "rel1"), 0);
	assert_int_equal(purge(h, ONE_TEXT, false, &told), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, history_setup, tagged_repo_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_of_git_lfs_are_listed_by_where_they_were_first),
		TEST(without_rewriting_commits_stay_and_the_file_is_gone),
		TEST(with_rewriting_refs_follow_the_commits_that_had_it),
		TEST(a_file_of_a_locked_tag_stays_either_way),
		TEST(a_file_of_what_a_locked_tag_was_made_from_stays_either_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
