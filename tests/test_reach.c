/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/reach.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "admin/registry/left_commits.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/history.h"

#define SIDE "refs/heads/side"
#define NOTHING_LATELY INT64_MAX /* what refs left counts for nothing, however lately */

static int find_in(struct db_txn *t, void *arg)
{
	return reach_find(t, arg);
}

static int holds_in(struct db_txn *t, void *arg)
{
	return reach_holds(t, arg);
}

static struct reach find(struct hub_db *h, int64_t left_s)
{
	struct reach r = { .uid = HISTORY_UID, .left_s = left_s };

	assert_int_equal(db_read(h->db, find_in, &r), 0);
	return r;
}

static bool holds(struct hub_db *h, struct reach *r)
{
	int result = db_read(h->db, holds_in, r);

	assert_true(result >= 0);
	return result == 1;
}

static size_t count_of(const struct reach *r, char kind, bool reached)
{
	size_t n = 0;

	for (size_t i = 0; i < reach_count(r); i++)
		n += reach_object(r, i)->kind == kind && reach_object(r, i)->reached == reached;
	return n;
}

static bool is_reached(const struct reach *r, const char *commit)
{
	uint8_t id[GIT_ID];

	assert_int_equal(hex_parse(commit, GIT_ID, id), 0);
	for (size_t i = 0; i < reach_count(r); i++)
		if (!memcmp(reach_object(r, i)->id, id, GIT_ID))
			return reach_object(r, i)->reached;
	fail();
	return false;
}

/* Beside them there are three that nobody ever named. */
static void what_refs_name_is_reached_with_all_it_has(void **state)
{
	CLEANUP(reach_fini) struct reach all = { 0 }, less = { 0 };
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], side[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1 d/b=2", one);
	history_commit(h, REGISTRY_MAIN, "a=3 c#4", two);
	assert_int_equal(tagged_repo_move(h, SIDE, one), 0);
	history_commit(h, SIDE, "e=5", side);
	all = find(h, NOTHING_LATELY);
	assert_true(is_reached(&all, one) && is_reached(&all, two) && is_reached(&all, side));
	assert_false(is_reached(&all, TAGGED_C1));
	assert_int_equal(count_of(&all, REGISTRY_COMMIT, true), 3);
	assert_int_equal(count_of(&all, REGISTRY_TREE, true), 4);
	assert_int_equal(count_of(&all, REGISTRY_FILE, true), 4);
	assert_int_equal(count_of(&all, REGISTRY_POINTER, true), 1);
	assert_int_equal(tagged_repo_move(h, SIDE, NULL), 0);
	less = find(h, NOTHING_LATELY);
	assert_false(is_reached(&less, side));
	assert_true(is_reached(&less, one));
	assert_int_equal(count_of(&less, REGISTRY_TREE, false), 1);
	assert_int_equal(count_of(&less, REGISTRY_FILE, false), 1);
}

static void what_a_ref_left_lately_is_reached_all_the_same(void **state)
{
	CLEANUP(reach_fini) struct reach lately = { 0 }, long_ago = { 0 };
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1", one);
	history_commit(h, REGISTRY_MAIN, "a=2", two);
	assert_int_equal(tagged_repo_move(h, REGISTRY_MAIN, one), 0);
	lately = find(h, clock_wall_s() - 60);
	assert_true(is_reached(&lately, two));
	long_ago = find(h, clock_wall_s() + 60);
	assert_false(is_reached(&long_ago, two));
	assert_true(is_reached(&long_ago, one));
}

static void what_a_locked_tag_names_is_reached_by_it_alone(void **state)
{
	CLEANUP(reach_fini) struct reach locked = { 0 };
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1", one);
	history_commit(h, SIDE, "b=1", two);
	assert_int_equal(tagged_repo_move(h, "refs/tags/v1", two), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
	assert_int_equal(tagged_repo_move(h, SIDE, NULL), 0);
	locked = find(h, NOTHING_LATELY);
	assert_true(is_reached(&locked, two));
}

static void it_holds_until_a_ref_moves_whatever_else_comes(void **state)
{
	CLEANUP(reach_fini) struct reach r = { 0 };
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1", one);
	r = find(h, NOTHING_LATELY);
	assert_true(holds(h, &r));
	assert_int_equal(tagged_repo_move(h, SIDE, one), 0);
	assert_false(holds(h, &r));
	assert_int_equal(tagged_repo_move(h, SIDE, NULL), 0);
	assert_true(holds(h, &r)); /* the refs are what they were */
	history_commit(h, REGISTRY_MAIN, "a=2", two);
	assert_false(holds(h, &r));
}

static void what_is_reached_and_not_there_is_damage(void **state)
{
	CLEANUP(reach_fini) struct reach r = { .uid = HISTORY_UID, .left_s = NOTHING_LATELY };
	char one[COMMIT_HEX + 1], side[COMMIT_HEX + 1];
	uint8_t id[GIT_ID];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1", one);
	history_commit(h, SIDE, "d/b=2", side);
	history_find(h, side, "d", id);
	history_lose(h, id);
	assert_int_equal(db_read(h->db, find_in, &r), ERR_CORRUPT);
	assert_int_equal(tagged_repo_move(h, SIDE, NULL), 0);
	assert_int_equal(db_read(h->db, find_in, &r), 0); /* nobody needs it */
}

static int leave_nothing(struct db_txn *t, void *arg UNUSED)
{
	return left_commits_put(t, HISTORY_UID, "4444444444444444444444444444444444444444",
				clock_wall_s());
}

static void that_a_ref_left_what_went_since_is_no_damage(void **state)
{
	CLEANUP(reach_fini) struct reach r = { 0 };
	char one[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1", one);
	assert_int_equal(db_write(h->db, leave_nothing, NULL), 0);
	r = find(h, clock_wall_s() - 60);
	assert_true(is_reached(&r, one));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, history_setup, tagged_repo_teardown)
	const struct CMUnitTest tests[] = {
		STORY(what_refs_name_is_reached_with_all_it_has),
		STORY(what_a_ref_left_lately_is_reached_all_the_same),
		STORY(what_a_locked_tag_names_is_reached_by_it_alone),
		STORY(it_holds_until_a_ref_moves_whatever_else_comes),
		STORY(what_is_reached_and_not_there_is_damage),
		STORY(that_a_ref_left_what_went_since_is_no_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
