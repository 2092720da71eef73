/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/copying.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/history.h"

#define COPY_UID "bbbbbbbbbbbbbbbbbbbbbbbb"
#define PULL "refs/pr/1"
#define PLAIN "a.txt=plain"
#define LARGE "b#large"
#define PROPOSED "c#proposed"

struct copied {
	struct copying copying;
	struct buf why;
};

static int copy_in(struct db_txn *t, void *arg)
{
	struct registry_repo repo = { .created_s = 1700000001, .uid = COPY_UID };
	struct copied *c = arg;
	int r = repo_id_parse_key("models/bob/m", &repo.id);

	if (r == 0)
		r = registry_add(t, &repo);
	return r < 0 ? r : copying_history(t, &c->copying, &c->why);
}

/* ret_left: the tags that stayed behind. */
static int copy_but(struct hub_db *h, char ret[static COMMIT_HEX + 1], char ret_left[static 32])
{
	struct copied c = { .copying = { TAGGED_UID, COPY_UID, "bob", .commit = "" } };
	int r = db_write(h->db, copy_in, &c);

	memcpy(ret, c.copying.commit, sizeof(c.copying.commit));
	snprintf(ret_left, 32, "%s", buf_str(&c.copying.left));
	assert_int_equal(r == ERR_TAG_LOCKED, c.why.len > 0);
	copying_fini(&c.copying);
	buf_free(&c.why);
	return r;
}

static int copy(struct hub_db *h, char ret[static COMMIT_HEX + 1])
{
	char left[32];
	int r = copy_but(h, ret, left);

	assert_string_equal(left, "");
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

static int guard(struct db_txn *t, void *arg)
{
	struct promotion_rule rule = { .name = "release", .to = "prod", .from = "v*" };
	struct tag_scope s = tag_scope_of_namespace(arg);

	return promotion_rule_put(t, &s, &rule);
}

/* The copy comes to bob's namespace: what rules say of it counts. */
static void what_is_promoted_there_stays_behind_with_what_it_alone_reaches(void **state)
{
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], three[COMMIT_HEX + 1], at[COMMIT_HEX + 1];
	char guarded[] = "bob", left[32];
	struct hub_db *h = *state;

	grow(h, one, two, three);
	assert_int_equal(tagged_repo_move(h, "refs/tags/prod", three), 0);
	assert_int_equal(db_write(h->db, guard, guarded), 0);
	assert_int_equal(copy_but(h, at, left), 0);
	assert_string_equal(left, "prod");
	assert_at(h, "refs/tags/prod", "");
	assert_at(h, "refs/tags/v1", one);
	assert_false(history_has(h, COPY_UID, PROPOSED));
}

static void where_no_rule_leads_to_it_a_tag_comes_along(void **state)
{
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], three[COMMIT_HEX + 1], at[COMMIT_HEX + 1];
	char elsewhere[] = "acme";
	struct hub_db *h = *state;

	grow(h, one, two, three);
	assert_int_equal(tagged_repo_move(h, "refs/tags/prod", three), 0);
	assert_int_equal(db_write(h->db, guard, elsewhere), 0);
	assert_int_equal(copy(h, at), 0);
	assert_at(h, "refs/tags/prod", three);
	assert_true(history_has(h, COPY_UID, PROPOSED));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, history_setup, tagged_repo_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_copy_has_what_branches_and_tags_reach_and_no_pull_request),
		TEST(what_a_branch_reaches_as_well_is_copied),
		TEST(what_has_no_main_branch_is_not_copied),
		TEST(what_is_promoted_there_stays_behind_with_what_it_alone_reaches),
		TEST(where_no_rule_leads_to_it_a_tag_comes_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
