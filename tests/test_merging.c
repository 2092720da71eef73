/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/merging.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/treediff.h"
#include "daemon/base/err.h"
#include "tests/history.h"

#define DEV "refs/heads/dev"
#define NONE "0000000000000000000000000000000000000000"

struct asked {
	struct merge of;
	struct commit_plan plan;
	struct buf conflicts; /* "a b " */
	bool ends;            /* at the first one */
	char file[2 * GIT_ID + 1];
};

static void asked_fini(struct asked *a)
{
	commit_plan_fini(&a->plan);
	buf_free(&a->conflicts);
}

static int add_conflict(void *arg, const char *path, enum merge_obstacle what)
{
	struct asked *a = arg;

	buf_printf(&a->conflicts, "%s%s ", path, what == MERGE_GONE ? ":gone" : "");
	return a->ends ? 7 : 0;
}

static int merge(struct db_txn *t, void *arg)
{
	struct asked *a = arg;

	return merge_plan(t, &a->of, &a->plan, add_conflict, a);
}

/* One base, from which both lines go on; ours may stay where it is. */
static struct asked part(struct hub_db *h, const char *base, const char *ours, const char *theirs)
{
	struct asked a = { .of = { .uid = HISTORY_UID } };

	history_commit(h, REGISTRY_MAIN, base, a.of.base);
	assert_int_equal(tagged_repo_move(h, DEV, a.of.base), 0);
	memcpy(a.of.ours, a.of.base, sizeof(a.of.ours));
	if (ours)
		history_commit(h, REGISTRY_MAIN, ours, a.of.ours);
	history_commit(h, DEV, theirs, a.of.theirs);
	return a;
}

/* What is planned: "a -b ". */
static void check(struct hub_db *h, struct asked *a, const char *planned, const char *conflicts)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	assert_int_equal(db_read(h->db, merge, a), 0);
	for (size_t i = 0; i < a->plan.count; i++)
		buf_printf(&text, "%s%s ", a->plan.changes[i].kind == CHANGE_FILE ? "" : "-",
			   a->plan.changes[i].path);
	assert_string_equal(buf_str(&text), planned);
	assert_string_equal(buf_str(&a->conflicts), conflicts);
	asked_fini(a);
}

static void what_one_line_changed_is_put_onto_the_other(void **state)
{
	struct hub_db *h = *state;
	struct asked a = part(h, "a=1 b=1 c=1 d/e=1", "c=2 new=1", "a=2 -b d/e=2 d/f=1");

	check(h, &a, "a -b d/e d/f ", "");
}

static void onto_a_line_that_stayed_all_of_it_is_put(void **state)
{
	struct hub_db *h = *state;
	struct asked a = part(h, "a=1 b=1", NULL, "a=2 -b c=1");

	check(h, &a, "a -b c ", "");
}

static void a_file_that_both_changed_is_a_conflict_unless_they_agree(void **state)
{
	struct hub_db *h = *state;
	struct asked a = part(h, "a=1 b=1 c=1 d=1 e=1", "a=2 b=2 -c -d e=2 n=1 m=1",
			      "a=3 b=2 -c d=2 -e n=2 m=1");

	check(h, &a, "", "a d e n ");
}

static void a_directory_where_the_other_has_a_file_is_a_conflict(void **state)
{
	struct hub_db *h = *state;
	struct asked a = part(h, "x=1", "a=1 b/in=1", "a/in=1 b=1");

	check(h, &a, "", "a/in b ");
}

static void who_has_seen_one_conflict_may_end_it(void **state)
{
	struct hub_db *h = *state;
	struct asked a = part(h, "a=1 b=1", "a=2 b=2", "a=3 b=3");

	a.ends = true;
	assert_int_equal(db_read(h->db, merge, &a), 7);
	assert_string_equal(buf_str(&a.conflicts), "a ");
	asked_fini(&a);
}

static int merge_without_plan(struct db_txn *t, void *arg)
{
	struct asked *a = arg;

	return merge_plan(t, &a->of, NULL, add_conflict, a);
}

static void no_more_files_are_looked_at_than_may_be(void **state)
{
	static const struct {
		size_t max;
		int want;
		const char *conflicts;
	} cases[] = { { 0, 0, "a b c " }, { 3, 0, "a b c " }, { 2, -E2BIG, "a b " } };
	struct hub_db *h = *state;
	struct asked a = part(h, "a=1 b=1 c=1", "a=2 b=2 c=2", "a=3 b=3 c=3");

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_clear(&a.conflicts);
		a.of.files_max = cases[i].max;
		assert_int_equal(db_read(h->db, merge_without_plan, &a), cases[i].want);
		assert_string_equal(buf_str(&a.conflicts), cases[i].conflicts);
	}
	/* The twin: against a line that stayed where it was nothing need be looked at. */
	memcpy(a.of.ours, a.of.base, sizeof(a.of.ours));
	buf_clear(&a.conflicts);
	assert_int_equal(db_read(h->db, merge_without_plan, &a), 0);
	assert_int_equal(a.conflicts.len, 0);
	asked_fini(&a);
}

static void lines_whose_base_is_gone_have_in_common_what_is_alike(void **state)
{
	struct hub_db *h = *state;
	struct asked a = part(h, "a=1 b=1", "c=1", "d=1 b=2");

	strcpy(a.of.base, NONE);
	check(h, &a, "d ", "b ");
}

static void a_line_that_is_not_there_cannot_be_merged(void **state)
{
	struct hub_db *h = *state;
	struct asked a = part(h, "a=1", NULL, "a=2"), b = a;

	strcpy(a.of.theirs, NONE);
	assert_int_equal(db_read(h->db, merge, &a), ERR_NOREV);
	strcpy(b.of.ours, NONE);
	assert_int_equal(db_read(h->db, merge, &b), ERR_NOREV);
	asked_fini(&a);
	asked_fini(&b);
}

/* What becomes of it when an object of its history is damaged. */
static void check_damaged(struct hub_db *h, struct asked *a, const char *id)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	hub_db_damage(h, DB_OBJECTS, db_pair(&room, HISTORY_UID, id));
	assert_int_equal(db_read(h->db, merge, a), ERR_CORRUPT);
	assert_string_equal(buf_str(&a->conflicts), "");
	asked_fini(a);
}

static void a_base_that_is_damaged_is_not_one_that_is_gone(void **state)
{
	struct hub_db *h = *state;
	struct asked a = part(h, "a=1 b=1", "c=1", "d=1 b=2");

	check_damaged(h, &a, a.of.base);
}

static int find_file(struct db_txn *t, void *arg)
{
	struct git_commit c;
	struct tree_side at;
	struct asked *a = arg;
	CLEANUP(buf_free) struct buf room = { 0 };
	int r = registry_commit(t, HISTORY_UID, a->of.theirs, &room, &c);

	if (r == 0)
		r = treediff_find(t, HISTORY_UID, c.tree, "b", &at);
	hex_print(at.id, GIT_ID, a->file);
	return r;
}

static int bury_file(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	const struct asked *a = arg;

	return db_put(t, DB_OBJECTS, db_pair(&room, HISTORY_UID, a->file), "d", 1);
}

static void a_file_that_is_damaged_is_not_one_that_was_deleted_for_good(void **state)
{
	struct hub_db *h = *state;
	struct asked a = part(h, "a=1 b=1", "c=1", "b=2"), b = a;

	assert_int_equal(db_read(h->db, find_file, &a), 0);
	memcpy(b.file, a.file, sizeof(b.file));
	assert_int_equal(db_write(h->db, bury_file, &b), 0);
	check(h, &b, "", "b:gone ");
	check_damaged(h, &a, a.file);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, history_setup, tagged_repo_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(what_one_line_changed_is_put_onto_the_other),
		STORY(onto_a_line_that_stayed_all_of_it_is_put),
		STORY(a_file_that_both_changed_is_a_conflict_unless_they_agree),
		STORY(a_directory_where_the_other_has_a_file_is_a_conflict),
		STORY(who_has_seen_one_conflict_may_end_it),
		STORY(no_more_files_are_looked_at_than_may_be),
		STORY(lines_whose_base_is_gone_have_in_common_what_is_alike),
		STORY(a_line_that_is_not_there_cannot_be_merged),
		STORY(a_base_that_is_damaged_is_not_one_that_is_gone),
		STORY(a_file_that_is_damaged_is_not_one_that_was_deleted_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
