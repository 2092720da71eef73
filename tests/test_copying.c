/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/copying.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/history.h"

#define COPY_UID "bbbbbbbbbbbbbbbbbbbbbbbb"
#define PULL "refs/pr/1"
#define PLAIN "a.txt=plain"
#define LARGE "b#large"
#define PROPOSED "c#proposed"

struct copied {
	char commit[COMMIT_HEX + 1];
	struct buf why;
};

static int copy_in(struct db_txn *t, void *arg)
{
	struct registry_repo repo = { .created_s = 1700000001, .uid = COPY_UID };
	struct copied *c = arg;
	int r = repo_id_parse_key("models/bob/m", &repo.id);

	if (r == 0)
		r = registry_add(t, &repo);
	return r < 0 ? r : copying_history(t, TAGGED_UID, COPY_UID, "bob", c->commit, &c->why);
}

static int copy(struct hub_db *h, char ret[static COMMIT_HEX + 1])
{
	struct copied c = { .commit = "" };
	int r = db_write(h->db, copy_in, &c);

	memcpy(ret, c.commit, sizeof(c.commit));
	buf_free(&c.why);
	return r;
}

/* main of two commits, a tag at the first, and a pull request of one more; what these are. */
static void grow(struct hub_db *h, char first[static COMMIT_HEX + 1],
		 char second[static COMMIT_HEX + 1], char third[static COMMIT_HEX + 1])
{
	history_commit(h, REGISTRY_MAIN, PLAIN, first);
	history_commit(h, REGISTRY_MAIN, LARGE, second);
	assert_int_equal(tagged_repo_move(h, "refs/tags/v1", first), 0);
	assert_int_equal(tagged_repo_move(h, PULL, second), 0);
	history_commit(h, PULL, PROPOSED, third);
}

static void assert_at(struct hub_db *h, const char *ref, const char *commit)
{
	char at[COMMIT_HEX + 1];

	history_at(h, COPY_UID, ref, at);
	assert_string_equal(at, commit);
}

static void a_copy_has_what_branches_and_tags_reach_and_no_pull_request(void **state)
{
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], three[COMMIT_HEX + 1], at[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	grow(h, one, two, three);
	assert_int_equal(copy(h, at), 0);
	assert_string_equal(at, two);
	assert_at(h, REGISTRY_MAIN, two);
	assert_at(h, "refs/tags/v1", one);
	assert_at(h, PULL, "");
	assert_true(history_has(h, COPY_UID, PLAIN) && history_has(h, COPY_UID, LARGE));
	assert_false(history_has(h, COPY_UID, PROPOSED));
	assert_true(history_has(h, TAGGED_UID, PROPOSED));
}

static void what_a_branch_reaches_as_well_is_copied(void **state)
{
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], three[COMMIT_HEX + 1], at[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	grow(h, one, two, three);
	assert_int_equal(tagged_repo_move(h, "refs/heads/tried", three), 0);
	assert_int_equal(copy(h, at), 0);
	assert_at(h, "refs/heads/tried", three);
	assert_true(history_has(h, COPY_UID, PROPOSED));
}

static void what_has_no_main_branch_is_not_copied(void **state)
{
	char one[COMMIT_HEX + 1], at[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, "refs/heads/side", PLAIN, one);
	assert_int_equal(copy(h, at), ERR_NOREV);
	assert_false(history_has(h, COPY_UID, PLAIN));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, history_setup, tagged_repo_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_copy_has_what_branches_and_tags_reach_and_no_pull_request),
		TEST(what_a_branch_reaches_as_well_is_copied),
		TEST(what_has_no_main_branch_is_not_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
