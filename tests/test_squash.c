/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/squash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/history.h"

#define A "a.txt=one"
#define B "dir/b#two"

struct asked {
	struct squash s;
	struct buf why;
};

static int squash_in(struct db_txn *t, void *arg)
{
	struct asked *q = arg;

	buf_clear(&q->why);
	return squash_ref(t, &q->s, &q->why);
}

static int squash(struct hub_db *h, const char *ref, char ret[static COMMIT_HEX + 1])
{
	struct asked q = { .s = { .uid = TAGGED_UID,
				  .ref = ref,
				  .message = "all of it\n",
				  .by = { "bob", "bob@users.noreply", 1700000000, 0 },
				  .user = "bob" } };
	int r = db_write(h->db, squash_in, &q);

	memcpy(ret, q.s.commit, sizeof(q.s.commit));
	buf_free(&q.why);
	return r;
}

/* Of a commit. */
struct told {
	const char *commit;
	unsigned parents;
	uint8_t tree[GIT_ID];
	char message[32], author[32];
};

static int tell_in(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct told *q = arg;
	struct git_commit c;
	int r = registry_commit(t, TAGGED_UID, q->commit, &room, &c);

	if (r < 0)
		return r;
	q->parents = c.parent_count;
	memcpy(q->tree, c.tree, GIT_ID);
	snprintf(q->message, sizeof(q->message), "%s", c.message);
	snprintf(q->author, sizeof(q->author), "%s", c.author.name);
	return 0;
}

static struct told tell(struct hub_db *h, const char *commit)
{
	struct told q = { .commit = commit };

	assert_int_equal(db_read(h->db, tell_in, &q), 0);
	return q;
}

static void a_history_becomes_one_commit_that_holds_what_it_held_last(void **state)
{
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], now[COMMIT_HEX + 1], at[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct told before, after;

	history_commit(h, REGISTRY_MAIN, A, one);
	history_commit(h, REGISTRY_MAIN, B, two);
	assert_int_equal(squash(h, REGISTRY_MAIN, now), 0);
	history_at(h, TAGGED_UID, REGISTRY_MAIN, at);
	assert_string_equal(at, now);
	before = tell(h, two); /* it is there still: the collector spares it for a while */
	after = tell(h, now);
	assert_memory_equal(after.tree, before.tree, GIT_ID);
	assert_int_equal(before.parents, 1);
	assert_int_equal(after.parents, 0);
	assert_string_equal(after.message, "all of it\n");
	assert_string_equal(after.author, "bob");
}

static void other_refs_keep_the_history_they_have(void **state)
{
	char one[COMMIT_HEX + 1], two[COMMIT_HEX + 1], now[COMMIT_HEX + 1], at[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, A, one);
	history_commit(h, REGISTRY_MAIN, B, two);
	assert_int_equal(tagged_repo_move(h, "refs/heads/side", two), 0);
	assert_int_equal(tagged_repo_move(h, "refs/tags/v1", two), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), 0); /* the tag stays: that is no harm to it */
	assert_int_equal(squash(h, REGISTRY_MAIN, now), 0);
	history_at(h, TAGGED_UID, "refs/heads/side", at);
	assert_string_equal(at, two);
	history_at(h, TAGGED_UID, "refs/tags/v1", at);
	assert_string_equal(at, two);
	assert_string_not_equal(now, two);
}

static void a_ref_that_is_not_there_or_is_locked_is_not_squashed(void **state)
{
	char one[COMMIT_HEX + 1], now[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, A, one);
	assert_int_equal(squash(h, "refs/heads/none", now), ERR_NOREV);
	assert_int_equal(tagged_repo_move(h, "refs/tags/v1", one), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
	assert_int_equal(squash(h, "refs/tags/v1", now), ERR_TAG_LOCKED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, history_setup, tagged_repo_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_history_becomes_one_commit_that_holds_what_it_held_last),
		TEST(other_refs_keep_the_history_they_have),
		TEST(a_ref_that_is_not_there_or_is_locked_is_not_squashed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
