/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/repeated.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "admin/registry/committing.h"
#include "admin/registry/discussions.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "tests/history.h"

#define PULL "refs/pr/1"
#define DEV "refs/heads/dev"

static int make(struct hub_db *h, const char *name, const char *title, const char *path,
		const char *parent, char ret[static COMMIT_HEX + 1])
{
	struct commit_plan p = { .uid = HISTORY_UID,
				 .branch = REGISTRY_MAIN,
				 .name = name,
				 .email = "x@users.noreply",
				 .repo = "models/acme/m" };
	struct manifest_file f = { .kind = DIGEST_GIT_SHA1, .size = strlen(path) };
	int r;

	assert_int_equal(digest_git_object("blob", path, f.size, f.digest), 0);
	assert_int_equal(commit_plan_say(&p, title, NULL), 0);
	assert_int_equal(commit_plan_add(&p, CHANGE_FILE, path, &f, &h->why), 0);
	strcpy(p.parent, parent);
	r = commit_check_base(h->db, &p);
	if (r == 0)
		r = commit_check(h->db, &p, &h->why);
	if (r == 0)
		r = commit_make(h->db, &p, ret, &h->why);
	commit_plan_fini(&p);
	return r;
}

static void a_commit_that_comes_again_is_the_first_one_whatever_came_since(void **state)
{
	char parent[COMMIT_HEX + 1], first[COMMIT_HEX + 1], again[COMMIT_HEX + 1],
		now[COMMIT_HEX + 1], other[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	history_commit(h, REGISTRY_MAIN, "a=1", parent);
	assert_int_equal(make(h, "ann", "one", "b", parent, first), 0);
	history_commit(h, REGISTRY_MAIN, "c=1", other);
	history_commit(h, REGISTRY_MAIN, "-b", now);
	assert_int_equal(make(h, "ann", "one", "b", parent, again), 0);
	assert_string_equal(again, first);
	history_at(h, HISTORY_UID, REGISTRY_MAIN, again);
	assert_string_equal(again, now);
	/* Another one comes too late, as ever. */
	assert_int_equal(make(h, "ann", "one", "x", parent, again), -ESTALE);
	assert_int_equal(make(h, "ann", "two", "b", parent, again), -ESTALE);
	assert_int_equal(make(h, "ben", "one", "b", parent, again), -ESTALE);
	assert_int_equal(make(h, "ann", "one", "b", other, again), -ESTALE);
	/* Whoever names no parent means what is there now. */
	assert_int_equal(make(h, "ann", "one", "b", "", again), 0);
	assert_string_not_equal(again, first);
}

struct row {
	char parent[COMMIT_HEX + 1], id[COMMIT_HEX + 1];
	int64_t at_s;
	struct buf room;
	struct git_commit c;
};

static int put_commit(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct row *row = arg;
	struct git_commit c = { .author = { "ann", "x@users.noreply", row->at_s, 0 },
				.message = "old\n",
				.parent_count = 1 };
	uint8_t id[GIT_ID];

	c.committer = c.author;
	assert_int_equal(hex_parse(row->parent, GIT_ID, c.parents[0]), 0);
	assert_int_equal(git_commit_print(&c, &text), 0);
	assert_int_equal(digest_git_object("commit", text.data, text.len, id), 0);
	hex_print(id, GIT_ID, row->id);
	return registry_put_object(t, HISTORY_UID, REGISTRY_COMMIT, id, text.data, text.len);
}

static int find(struct db_txn *t, void *arg)
{
	char found[COMMIT_HEX + 1];
	struct row *row = arg;

	return repeated_find(t, HISTORY_UID, row->id, row->parent, &row->room, &row->c, found);
}

static void what_was_made_long_ago_is_not_looked_for(void **state)
{
	struct row row = { .parent = TAGGED_C1 };
	struct hub_db *h = *state;

	for (int64_t ago_s = 500; ago_s < 1000; ago_s += 200) {
		row.at_s = clock_wall_s() - ago_s;
		assert_int_equal(db_write(h->db, put_commit, &row), 0);
		assert_int_equal(db_read(h->db, find, &row), ago_s < 600 ? 0 : -ENOENT);
	}
	memset(row.id, 'f', COMMIT_HEX);
	assert_int_equal(db_read(h->db, find, &row), ERR_CORRUPT);
	buf_free(&row.room);
}

/* ---- pull requests ---- */

struct pulls {
	struct discussion d;
	struct repeated_pull wanted;
	unsigned num;
	char id[COMMIT_HEX + 1];
};

static int open_pull(struct db_txn *t, void *arg)
{
	struct pulls *p = arg;

	return discussion_add(t, HISTORY_UID, &p->d);
}

static int put_pull(struct db_txn *t, void *arg)
{
	struct pulls *p = arg;

	return discussion_put(t, HISTORY_UID, &p->d);
}

static int find_pull(struct db_txn *t, void *arg)
{
	struct pulls *p = arg;

	p->num = 0;
	return repeated_find_pull(t, HISTORY_UID, &p->wanted, &p->num, p->id);
}

static void check_found(struct hub_db *h, const struct pulls *p, const char *commit)
{
	struct pulls q = *p;

	assert_int_equal(db_read(h->db, find_pull, &q), commit ? 0 : -ENOENT);
	assert_int_equal(q.num, commit ? 1 : 0);
	if (commit)
		assert_string_equal(q.id, commit);
}

/* A commit opened it, and one more came to it. */
static struct pulls opened(struct hub_db *h, char base[static COMMIT_HEX + 1],
			   char first[static COMMIT_HEX + 1], uint8_t tree[static GIT_ID])
{
	struct pulls p = { .d = { .is_pull = true, .author = "ann", .onto = REGISTRY_MAIN } };
	char next[COMMIT_HEX + 1];

	history_commit(h, REGISTRY_MAIN, "a=1", base);
	assert_int_equal(tagged_repo_move(h, PULL, base), 0);
	history_commit(h, PULL, "b=1", first);
	history_commit(h, PULL, "c=1", next);
	history_tree(h, first, tree);
	p.d.created_ms = clock_wall_ms();
	strcpy(p.d.base, base);
	assert_int_equal(db_write(h->db, open_pull, &p), 0);
	p.wanted = (struct repeated_pull){ "ann", "b=1\n", REGISTRY_MAIN, base, tree };
	return p;
}

static void an_open_pull_request_is_found_by_the_commit_that_opened_it(void **state)
{
	char base[COMMIT_HEX + 1], first[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	uint8_t tree[GIT_ID], none[GIT_ID] = { 0 };
	struct pulls p = opened(h, base, first, tree), q;

	check_found(h, &p, first);
	for (unsigned i = 0; i < 5; i++) {
		q = p;
		q.wanted.name = i == 0 ? "ben" : "ann";
		q.wanted.message = i == 1 ? "c=1\n" : "b=1\n";
		q.wanted.onto = i == 2 ? DEV : REGISTRY_MAIN;
		q.wanted.base = i == 3 ? first : base;
		q.wanted.tree = i == 4 ? none : tree;
		check_found(h, &q, NULL);
	}
}

static void one_that_is_over_or_old_is_not_meant(void **state)
{
	char base[COMMIT_HEX + 1], first[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	uint8_t tree[GIT_ID];
	struct pulls p = opened(h, base, first, tree);

	p.d.status = DISCUSSION_CLOSED;
	assert_int_equal(db_write(h->db, put_pull, &p), 0);
	check_found(h, &p, NULL);
	p.d.status = DISCUSSION_OPEN;
	assert_int_equal(db_write(h->db, put_pull, &p), 0);
	check_found(h, &p, first);
	p.d.created_ms -= INT64_C(3600) * 1000;
	assert_int_equal(db_write(h->db, put_pull, &p), 0);
	check_found(h, &p, NULL);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, history_setup, tagged_repo_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_commit_that_comes_again_is_the_first_one_whatever_came_since),
		STORY(what_was_made_long_ago_is_not_looked_for),
		STORY(an_open_pull_request_is_found_by_the_commit_that_opened_it),
		STORY(one_that_is_over_or_old_is_not_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
