/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/committing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/committed.h"
#include "admin/registry/purge.h"
#include "admin/registry/uploads.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "tests/hub_db.h"

#define UID_A "aaaaaaaaaaaaaaaaaaaaaaaa"
#define EMPTY_TREE "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

static struct commit_plan plan_of(const char *title)
{
	struct commit_plan p = { .name = "ann" };

	strcpy(p.uid, UID_A);
	strcpy(p.branch, REGISTRY_MAIN);
	strcpy(p.email, "ann@users.noreply");
	assert_int_equal(commit_plan_say(&p, title, NULL), 0);
	return p;
}

static struct manifest_file file_of(const char *text)
{
	struct manifest_file f = { .kind = DIGEST_GIT_SHA1, .size = strlen(text) };

	assert_int_equal(digest_git_object("blob", text, strlen(text), f.digest), 0);
	return f;
}

static void put(struct commit_plan *p, const char *path, const char *text)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest_file f = file_of(text);

	assert_int_equal(commit_plan_add(p, CHANGE_FILE, path, &f, &why), 0);
}

static void drop(struct commit_plan *p, const char *path, enum change_kind kind)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(commit_plan_add(p, kind, path, NULL, &why), 0);
}

/* The plan is taken. */
static void begin(struct hub_db *h, struct commit_plan *p, char ret[static COMMIT_HEX + 1])
{
	assert_int_equal(hub_db_first_commit(h->db, p, ret), 0);
	commit_plan_fini(p);
}

static int make(struct hub_db *h, struct commit_plan *p, char ret[static COMMIT_HEX + 1])
{
	int r;

	buf_clear(&h->why);
	r = commit_make(h->db, p, ret, &h->why);
	commit_plan_fini(p);
	return r;
}

/* The tree of a commit and its first parent, and its files. */
struct found {
	const char *commit;
	char tree[COMMIT_HEX + 1], parent[COMMIT_HEX + 1];
	struct buf files;
};

static int look(struct db_txn *t, void *arg)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf room = { 0 };
	struct found *f = arg;
	struct git_commit c;
	int r = registry_commit(t, UID_A, f->commit, &room, &c);

	if (r == 0)
		r = committed_files(t, UID_A, &c, &m);
	if (r < 0)
		return r;
	hex_print(c.tree, GIT_ID, f->tree);
	if (c.parent_count)
		hex_print(c.parents[0], GIT_ID, f->parent);
	for (uint32_t i = 0; i < manifest_count(m); i++)
		if (manifest_file(m, i)) {
			manifest_path(m, i, &f->files);
			buf_add_str(&f->files, " ");
		}
	return 0;
}

static struct found look_at(struct hub_db *h, const char *commit)
{
	struct found f = { .commit = commit };

	assert_int_equal(db_read(h->db, look, &f), 0);
	return f;
}

static void check_files(struct hub_db *h, const char *commit, const char *files)
{
	struct found f = look_at(h, commit);

	assert_string_equal(buf_str(&f.files), files);
	buf_free(&f.files);
}

static void a_commit_follows_what_its_branch_named(void **state)
{
	char first[COMMIT_HEX + 1], second[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct commit_plan p = plan_of("one"), q = plan_of("two");
	struct found f;

	put(&p, "a.txt", "a");
	begin(h, &p, first);
	put(&q, "dir/sub/b.txt", "b");
	put(&q, "dir.txt", "c");
	assert_int_equal(make(h, &q, second), 0);
	f = look_at(h, second);
	assert_string_equal(f.parent, first);
	assert_string_equal(buf_str(&f.files), "a.txt dir.txt dir/sub/b.txt ");
	buf_free(&f.files);
	check_files(h, first, "a.txt ");
}

static void a_file_or_all_below_a_folder_goes_and_what_is_absent_cannot(void **state)
{
	char commit[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct commit_plan p = plan_of("one");
	static const struct {
		const char *path;
		enum change_kind kind;
		const char *left;
	} cases[] = {
		{ "", CHANGE_DROP, NULL },
		{ "di", CHANGE_DROP_DIR, NULL },
		{ "none", CHANGE_DROP, NULL },
		{ "dirx", CHANGE_DROP_DIR, NULL },
		{ "dir/x", CHANGE_DROP, "dirx e/f dir/y/z " },
		{ "dir/y/", CHANGE_DROP_DIR, "dirx e/f " },
		{ "e", CHANGE_DROP, "dirx " }, /* clients need not know which it is */
		{ "dirx", CHANGE_DROP, "" },
	};

	put(&p, "dir/x", "1");
	put(&p, "dir/y/z", "2");
	put(&p, "dirx", "3");
	put(&p, "e/f", "4");
	begin(h, &p, commit);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct commit_plan q = plan_of("next");

		drop(&q, cases[i].path, cases[i].kind);
		assert_int_equal(make(h, &q, commit), cases[i].left ? 0 : ERR_NOENTRY);
		if (cases[i].left)
			check_files(h, commit, cases[i].left);
		else
			assert_string_equal(buf_str(&h->why), cases[i].path);
	}
}

static int count_row(void *arg, struct db_key key UNUSED, const char *val UNUSED, size_t len UNUSED)
{
	++*(unsigned *)arg;
	return 0;
}

static int count_rows(struct db_txn *t, void *arg)
{
	const struct db_key all = { 0 };

	*(unsigned *)arg = 0;
	return db_each(t, DB_OBJECTS, all, all, count_row, arg);
}

static void a_commit_adds_the_trees_it_touches_and_no_more(void **state)
{
	struct commit_plan p = plan_of("one"), q = plan_of("two");
	char commit[COMMIT_HEX + 1], path[16];
	struct hub_db *h = *state;
	unsigned before, after;

	for (unsigned dir = 0; dir < 30; dir++)
		for (unsigned file = 0; file < 30; file++) {
			snprintf(path, sizeof(path), "%u/%u", dir, file);
			put(&p, path, path);
		}
	begin(h, &p, commit);
	assert_int_equal(db_read(h->db, count_rows, &before), 0);
	assert_int_equal(before, 900 + 30 + 1 + 1);
	put(&q, "7/7", "another");
	assert_int_equal(make(h, &q, commit), 0);
	assert_int_equal(db_read(h->db, count_rows, &after), 0);
	assert_int_equal(after - before, 4); /* the file, its directory, the root, the commit */
}

static void nothing_at_all_is_a_tree_too(void **state)
{
	char commit[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct commit_plan p = plan_of("initial commit");
	struct found f;

	begin(h, &p, commit);
	f = look_at(h, commit);
	assert_string_equal(f.tree, EMPTY_TREE);
	assert_string_equal(f.parent, "");
	buf_free(&f.files);
}

static void paths_that_cannot_be_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "/a", "a/", "a//b", "../a", "a/./b", ".git/x", "a\nb"
	};
	struct commit_plan p = plan_of("one"), q = plan_of("two");
	char commit[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct manifest_file f = file_of("x");

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(buf_free) struct buf why = { 0 };

		assert_int_equal(commit_plan_add(&p, CHANGE_FILE, bad[i], &f, &why), ERR_HOSTILE);
		assert_true(why.len > 0);
	}
	put(&p, "a", "a file");
	begin(h, &p, commit);
	put(&q, "a/b", "below it");
	assert_int_equal(make(h, &q, commit), ERR_HOSTILE);
	assert_true(h->why.len > 0);
}

static void a_parent_that_is_past_is_refused_and_one_that_is_not_is_taken(void **state)
{
	char first[COMMIT_HEX + 1], second[COMMIT_HEX + 1], third[COMMIT_HEX + 1];
	struct commit_plan p = plan_of("1"), q = plan_of("2"), late = plan_of("late"),
			   next = plan_of("3");
	struct hub_db *h = *state;

	begin(h, &p, first);
	put(&q, "a", "a");
	strcpy(q.parent, first);
	assert_int_equal(make(h, &q, second), 0);
	put(&late, "b", "b");
	strcpy(late.parent, first);
	assert_int_equal(make(h, &late, third), -ESTALE);
	put(&next, "b", "b");
	strcpy(next.parent, second);
	assert_int_equal(make(h, &next, third), 0);
	check_files(h, third, "a b ");
}

/* As a client does that got no answer. */
static void the_same_once_more_is_the_commit_that_was_made(void **state)
{
	char first[COMMIT_HEX + 1], second[COMMIT_HEX + 1], again[COMMIT_HEX + 1];
	struct commit_plan p = plan_of("1");
	struct hub_db *h = *state;

	begin(h, &p, first);
	for (unsigned i = 0; i < 3; i++) {
		struct commit_plan q = plan_of("2");

		put(&q, "a", "a");
		if (i < 2)
			strcpy(q.parent, first);
		assert_int_equal(make(h, &q, i ? again : second), 0);
		if (i)
			assert_string_equal(again, second);
	}
}

static void what_only_looks_like_it_is_not(void **state)
{
	char first[COMMIT_HEX + 1], second[COMMIT_HEX + 1], other[COMMIT_HEX + 1];
	struct commit_plan p = plan_of("1"), q = plan_of("2"), title = plan_of("3"),
			   text = plan_of("2"), who = plan_of("2");
	struct hub_db *h = *state;

	begin(h, &p, first);
	put(&q, "a", "a");
	assert_int_equal(make(h, &q, second), 0);
	put(&text, "a", "b");
	strcpy(text.parent, first);
	assert_int_equal(make(h, &text, other), -ESTALE);
	put(&who, "a", "a");
	strcpy(who.parent, first);
	who.name = "ben";
	assert_int_equal(make(h, &who, other), -ESTALE);
	put(&title, "a", "a");
	assert_int_equal(make(h, &title, other), 0);
	assert_string_not_equal(other, second);
}

/* The plan is kept. */
static int check(struct hub_db *h, struct commit_plan *p, const char *parent, bool whole)
{
	snprintf(p->parent, sizeof(p->parent), "%s", parent);
	return whole ? commit_check(h->db, p, &h->why) : commit_check_base(h->db, p);
}

static void who_comes_too_late_is_known_before_files_have_come(void **state)
{
	char first[COMMIT_HEX + 1], second[COMMIT_HEX + 1];
	struct commit_plan p = plan_of("1"), q = plan_of("2"), late = plan_of("3"),
			   again = plan_of("2");
	struct hub_db *h = *state;

	begin(h, &p, first);
	put(&q, "a", "a");
	assert_int_equal(make(h, &q, second), 0);
	put(&late, "a", "b");
	put(&again, "a", "a");
	for (unsigned whole = 0; whole < 2; whole++) {
		assert_int_equal(check(h, &late, first, whole), -ESTALE);
		assert_int_equal(check(h, &late, second, whole), 0);
		assert_int_equal(check(h, &late, "", whole), 0);
		assert_int_equal(check(h, &again, first, whole), 0);
	}
	again.changes[0].file = file_of("b"); /* which tells when all is known */
	assert_int_equal(check(h, &again, first, false), 0);
	assert_int_equal(check(h, &again, first, true), -ESTALE);
	strcpy(late.branch, REGISTRY_BRANCHES "none");
	assert_int_equal(check(h, &late, "", false), ERR_NOREV);
	commit_plan_fini(&late);
	commit_plan_fini(&again);
}

static int bring_one(struct db_txn *t, void *etag)
{
	return uploads_note(t, "models/ann/m", "", etag, 5, 1);
}

static void files_of_git_lfs_must_have_been_brought_from_some_change_on(void **state)
{
	struct manifest_file f = { .kind = DIGEST_SHA256, .size = 5 };
	char first[COMMIT_HEX + 1], etag[DIGEST_HEX_MAX + 1];
	struct commit_plan p = plan_of("1"), q = plan_of("2");
	struct hub_db *h = *state;

	begin(h, &p, first);
	q.repo = "models/ann/m";
	put(&q, "text", "a");
	for (unsigned i = 0; i < 3; i++) {
		char path[] = { (char)('a' + i), '\0' };

		f.digest[0] = (uint8_t)(i + 1);
		assert_int_equal(commit_plan_add(&q, CHANGE_FILE, path, &f, &h->why), 0);
		manifest_etag(&f, etag);
		assert_int_equal(i == 1 ? 0 : db_write(h->db, bring_one, etag), 0);
	}
	assert_int_equal(commit_check_lfs(h->db, &q, 0, &h->why), -ENODATA);
	assert_string_equal(buf_str(&h->why), "b");
	assert_int_equal(commit_check_lfs(h->db, &q, 3, &h->why), 0);
	manifest_etag(&q.changes[2].file, etag);
	assert_int_equal(db_write(h->db, bring_one, etag), 0);
	assert_int_equal(commit_check_lfs(h->db, &q, 0, &h->why), 0);
	assert_int_equal(make(h, &q, first), 0);
}

static int purge(struct db_txn *t, void *arg)
{
	struct purge p = { .uid = UID_A, .sha256 = arg, .count = 1, .user = "ann" };
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = purge_files(t, &p, &why);

	return r < 0 ? r : p.files == 1 ? 0 : -ENOENT;
}

/* Brings the file, and commits it; payer: who may not write, or NULL. */
static int bring_back(struct hub_db *h, const struct manifest_file *f, const char *path,
		      const char *payer, bool *ret_revives)
{
	char etag[DIGEST_HEX_MAX + 1], commit[COMMIT_HEX + 1];
	struct commit_plan p = plan_of(path);
	int r;

	p.repo = "models/ann/m";
	p.payer = payer;
	manifest_etag(f, etag);
	buf_clear(&h->why);
	assert_int_equal(db_write(h->db, bring_one, etag), 0);
	assert_int_equal(commit_plan_add(&p, CHANGE_FILE, path, f, &h->why), 0);
	r = commit_make(h->db, &p, commit, &h->why);
	*ret_revives = p.revives;
	commit_plan_fini(&p);
	return r;
}

/* True if it revives what was deleted for good. */
static bool brings_back(struct hub_db *h, const struct manifest_file *f, const char *path)
{
	bool revives;

	assert_int_equal(bring_back(h, f, path, NULL, &revives), 0);
	return revives;
}

static void what_was_deleted_for_good_and_comes_again_is_told_of(void **state)
{
	struct manifest_file f = { .kind = DIGEST_SHA256, .size = 5, .digest = { 1 } };
	char first[COMMIT_HEX + 1];
	struct commit_plan p = plan_of("1");
	struct hub_db *h = *state;

	begin(h, &p, first);
	assert_false(brings_back(h, &f, "one"));
	assert_false(brings_back(h, &f, "two")); /* it is there */
	assert_int_equal(db_write(h->db, purge, f.digest), 0);
	assert_true(brings_back(h, &f, "two")); /* the same once more, which is not what was made */
	assert_false(brings_back(h, &f, "three"));
}

static int get_gone(struct db_txn *t, void *arg)
{
	const struct manifest_file *f = arg;
	char etag[DIGEST_HEX_MAX + 1];
	struct manifest_file gone;
	uint8_t id[GIT_ID];

	manifest_etag(f, etag);
	assert_int_equal(objects_file_id(etag, f->size, id), 0);
	return registry_gone(t, UID_A, id, &gone);
}

static void what_was_deleted_for_good_is_not_brought_again_by_who_may_not_write(void **state)
{
	struct manifest_file f = { .kind = DIGEST_SHA256, .size = 5, .digest = { 1 } },
			     other = { .kind = DIGEST_SHA256, .size = 5, .digest = { 2 } };
	char first[COMMIT_HEX + 1];
	struct commit_plan p = plan_of("1");
	struct hub_db *h = *state;
	bool revives;

	begin(h, &p, first);
	assert_false(brings_back(h, &f, "one"));
	assert_int_equal(bring_back(h, &f, "two", "eve", &revives), 0); /* it is there */
	assert_int_equal(db_write(h->db, purge, f.digest), 0);
	assert_int_equal(bring_back(h, &f, "three", "eve", &revives), ERR_FORBIDDEN);
	assert_non_null(strstr(buf_str(&h->why), "three was deleted for good here"));
	assert_int_equal(db_read(h->db, get_gone, &f), 0);
	assert_int_equal(bring_back(h, &other, "other", "eve", &revives), 0); /* twin */
	assert_true(brings_back(h, &f, "three"));                             /* twin */
	assert_int_equal(db_read(h->db, get_gone, &f), -ENOENT);
}

struct finding {
	const char *commit, *path;
	struct manifest_file file;
};

static int find_file(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct committed files = { 0 };
	struct finding *f = arg;
	struct git_commit c;
	int r = registry_commit(t, UID_A, f->commit, &room, &c);

	if (r == 0)
		r = committed_open(&files, t, UID_A, &c);
	if (r == 0)
		r = committed_find(&files, f->path, &f->file);
	committed_fini(&files);
	return r;
}

static void a_file_of_a_commit_is_found_by_its_path(void **state)
{
	static const char *const absent[] = { "", "dir", "dir/", "dir/sub", "dir/sub/b/c", "b" };
	struct manifest_file wanted = file_of("bytes");
	struct finding f = { .path = "dir/sub/b" };
	struct commit_plan p = plan_of("one");
	char commit[COMMIT_HEX + 1];
	struct hub_db *h = *state;

	put(&p, "dir/sub/b", "bytes");
	begin(h, &p, commit);
	f.commit = commit;
	assert_int_equal(db_read(h->db, find_file, &f), 0);
	assert_int_equal(f.file.size, 5);
	assert_memory_equal(f.file.digest, wanted.digest, GIT_ID);
	for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
		f.path = absent[i];
		assert_int_equal(db_read(h->db, find_file, &f), -ENOENT);
	}
}

/* What is done beside a commit, in the order it is: "ab". */
struct beside {
	char done[8];
	int fails;
};

static int note_ahead(struct db *db UNUSED, void *arg)
{
	struct beside *b = arg;

	strcat(b->done, "a");
	return b->fails;
}

/* It may run again. */
static int note_inside(struct db_txn *t UNUSED, void *arg)
{
	struct beside *b = arg;

	assert_int_equal(b->done[0], 'a');
	strcpy(b->done, "ab");
	return 0;
}

static void what_is_read_ahead_of_a_commit_is_read_before_and_stops_it_if_it_fails(void **state)
{
	char commit[COMMIT_HEX + 1], now[COMMIT_HEX + 1];
	struct hub_db *h = *state;
	struct beside b = { .fails = -ENOMEM };
	struct commit_plan p = plan_of("1"), q = plan_of("2"), again = plan_of("2");

	put(&p, "a", "a");
	begin(h, &p, commit);
	q.ahead = again.ahead = note_ahead;
	q.also = again.also = note_inside;
	q.also_arg = again.also_arg = &b;
	put(&q, "b", "b");
	put(&again, "b", "b");
	assert_int_equal(make(h, &q, now), -ENOMEM);
	assert_string_equal(b.done, "a");
	b = (struct beside){ .fails = 0 };
	assert_int_equal(make(h, &again, now), 0);
	assert_string_equal(b.done, "ab");
	check_files(h, now, "a b ");
}

static void there_is_no_branch_of_that_name(void **state)
{
	char commit[COMMIT_HEX + 1];
	struct commit_plan p = plan_of("1");
	struct hub_db *h = *state;

	assert_int_equal(make(h, &p, commit), ERR_NOREV);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_commit_follows_what_its_branch_named),
		STORY(a_file_or_all_below_a_folder_goes_and_what_is_absent_cannot),
		STORY(a_commit_adds_the_trees_it_touches_and_no_more),
		STORY(nothing_at_all_is_a_tree_too),
		STORY(paths_that_cannot_be_are_refused),
		STORY(a_parent_that_is_past_is_refused_and_one_that_is_not_is_taken),
		STORY(the_same_once_more_is_the_commit_that_was_made),
		STORY(what_only_looks_like_it_is_not),
		STORY(who_comes_too_late_is_known_before_files_have_come),
		STORY(files_of_git_lfs_must_have_been_brought_from_some_change_on),
		STORY(what_was_deleted_for_good_and_comes_again_is_told_of),
		STORY(what_was_deleted_for_good_is_not_brought_again_by_who_may_not_write),
		STORY(a_file_of_a_commit_is_found_by_its_path),
		STORY(what_is_read_ahead_of_a_commit_is_read_before_and_stops_it_if_it_fails),
		STORY(there_is_no_branch_of_that_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
