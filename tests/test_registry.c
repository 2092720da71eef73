/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "tests/hub_db.h"

#define UID_A "aaaaaaaaaaaaaaaaaaaaaaaa"
#define UID_B "bbbbbbbbbbbbbbbbbbbbbbbb"
#define C1 "1111111111111111111111111111111111111111"
#define C2 "1111111222222222222222222222222222222222"

static struct registry_repo repo_of(const char *key, const char *uid)
{
	struct registry_repo repo = { .created_s = 1700000000 };

	assert_int_equal(repo_id_parse_key(key, &repo.id), 0);
	strcpy(repo.uid, uid);
	strcpy(repo.creator, "ann");
	return repo;
}

static int add(struct db_txn *t, void *arg)
{
	return registry_add(t, arg);
}

static int change(struct db_txn *t, void *arg)
{
	return registry_change(t, arg);
}

static int drop(struct db_txn *t, void *arg)
{
	return registry_remove(t, arg);
}

/* What is asked by a name, and found. */
struct asked {
	const char *key, *uid, *text;
	struct registry_repo repo;
	char commit[COMMIT_HEX + 1];
	struct buf list;
	struct manifest_file file;
};

static int get(struct db_txn *t, void *arg)
{
	struct asked *q = arg;
	struct repo_id id;

	assert_int_equal(repo_id_parse_key(q->key, &id), 0);
	return registry_get(t, &id, &q->repo);
}

static int find(struct db_txn *t, void *arg)
{
	struct asked *q = arg;

	return registry_find(t, q->uid, q->text, q->commit);
}

static int list_repo(void *arg, const struct registry_repo *repo)
{
	return buf_printf(arg, "%s ", repo->id.name);
}

static int list_repos(struct db_txn *t, void *arg)
{
	return registry_each(t, list_repo, arg);
}

static int list_ref(void *arg, const char *ref, const char *commit)
{
	return buf_printf(arg, "%s=%.9s ", ref, commit);
}

static int list_refs(struct db_txn *t, void *arg)
{
	struct asked *q = arg;

	return registry_each_ref(t, q->uid, q->text, list_ref, &q->list);
}

static int put_refs(struct db_txn *t, void *arg)
{
	const char *uid = arg;
	uint8_t id[GIT_ID];
	int r = registry_put_ref(t, uid, REGISTRY_MAIN, C1);

	if (r == 0)
		r = registry_put_ref(t, uid, "refs/heads/a/b", C2);
	if (r == 0)
		r = registry_put_ref(t, uid, "refs/tags/v1", C2);
	for (unsigned i = 0; r == 0 && i < 2; i++) {
		r = hex_parse(i ? C1 : C2, GIT_ID, id);
		if (r == 0)
			r = registry_put_object(t, uid, REGISTRY_COMMIT, id, "x", 1);
	}
	return r;
}

static void a_repository_is_found_in_whatever_letters_and_told_as_it_was_written(void **state)
{
	struct hub_db *h = *state;
	struct registry_repo repo = repo_of("datasets/Ann/Data", UID_A), other = repo;
	struct asked q = { .key = "datasets/aNN/dATA" };

	strcpy(repo.description, "two\nlines");
	assert_int_equal(db_write(h->db, add, &repo), 0);
	assert_int_equal(db_read(h->db, get, &q), 0);
	assert_string_equal(q.repo.id.name, "Ann/Data");
	assert_string_equal(q.repo.uid, UID_A);
	assert_string_equal(q.repo.description, "two\nlines");
	assert_int_equal(q.repo.created_s, 1700000000);
	q.key = "models/ann/data";
	assert_int_equal(db_read(h->db, get, &q), -ENOENT);
	strcpy(other.uid, UID_B);
	assert_int_equal(db_write(h->db, add, &other), -EEXIST);
	strcpy(repo.description, "");
	assert_int_equal(db_write(h->db, change, &repo), 0);
	hub_db_reopen(h);
	q.key = "datasets/ann/data";
	assert_int_equal(db_read(h->db, get, &q), 0);
	assert_string_equal(q.repo.description, "");
}

static void all_are_listed_by_their_names(void **state)
{
	struct hub_db *h = *state;
	const char *const keys[] = { "models/b/x", "datasets/z/y", "models/A/x" };
	CLEANUP(buf_free) struct buf list = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct registry_repo repo = repo_of(keys[i], UID_A);

		assert_int_equal(db_write(h->db, add, &repo), 0);
	}
	assert_int_equal(db_read(h->db, list_repos, &list), 0);
	assert_string_equal(buf_str(&list), "z/y A/x b/x ");
}

static void a_revision_is_a_branch_a_tag_a_ref_or_the_beginning_of_a_commit(void **state)
{
	static const struct {
		const char *text, *commit;
	} cases[] = {
		{ "main", C1 },
		{ "a/b", C2 },
		{ "v1", C2 },
		{ "refs/tags/v1", C2 },
		{ "refs/heads/main", C1 },
		{ "11111112", C2 },
		{ C1, C1 },
		{ "1111111", NULL }, /* of two */
		{ "111112", NULL },
		{ "a", NULL },
		{ "1111111X", NULL },
		{ "v", NULL },
		{ "", NULL },
	};
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, put_refs, (void *)(uintptr_t)UID_A), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct asked q = { .uid = UID_A, .text = cases[i].text };
		int r = db_read(h->db, find, &q);

		assert_int_equal(r, cases[i].commit ? 0 : ERR_NOREV);
		if (cases[i].commit)
			assert_string_equal(q.commit, cases[i].commit);
		q.uid = UID_B;
		assert_int_equal(db_read(h->db, find, &q), ERR_NOREV);
	}
}

static void what_goes_takes_its_refs_and_objects_and_nobody_elses(void **state)
{
	struct hub_db *h = *state;
	struct registry_repo repo = repo_of("models/a/x", UID_A),
			     other = repo_of("models/b/x", UID_B);
	struct asked q = { .uid = UID_A, .text = "refs/" };

	assert_int_equal(db_write(h->db, add, &repo), 0);
	assert_int_equal(db_write(h->db, add, &other), 0);
	assert_int_equal(db_write(h->db, put_refs, (void *)(uintptr_t)UID_A), 0);
	assert_int_equal(db_write(h->db, put_refs, (void *)(uintptr_t)UID_B), 0);
	assert_int_equal(db_write(h->db, drop, &repo), 0);
	assert_int_equal(db_read(h->db, list_refs, &q), 0);
	assert_string_equal(buf_str(&q.list), "");
	q.text = C1;
	assert_int_equal(db_read(h->db, find, &q), ERR_NOREV);
	q.uid = UID_B;
	assert_int_equal(db_read(h->db, find, &q), 0);
	q.text = "refs/";
	assert_int_equal(db_read(h->db, list_refs, &q), 0);
	assert_string_equal(
		buf_str(&q.list),
		"refs/heads/a/b=111111122 refs/heads/main=111111111 refs/tags/v1=111111122 ");
	q.key = "models/a/x";
	assert_int_equal(db_read(h->db, get, &q), -ENOENT);
	buf_free(&q.list);
}

static const uint8_t some_id[GIT_ID] = { 1, 2, 3 }, other_id[GIT_ID] = { 4 };

static int put_files(struct db_txn *t, void *arg UNUSED)
{
	CLEANUP(buf_free) struct buf pointer = { 0 };
	uint8_t sha256[32] = { 9 };
	int r = registry_put_object(t, UID_A, REGISTRY_FILE, some_id, "70000", 5);

	git_pointer_print(sha256, 1 << 30, &pointer);
	return r < 0 ? r
		     : registry_put_object(t, UID_A, REGISTRY_POINTER, other_id, pointer.data,
					   pointer.len);
}

static int get_file(struct db_txn *t, void *arg)
{
	struct asked *q = arg;

	return registry_file(t, q->uid, q->text ? other_id : some_id, &q->file);
}

static void a_file_is_its_bytes_or_what_a_pointer_names(void **state)
{
	struct hub_db *h = *state;
	struct asked q = { .uid = UID_A };

	assert_int_equal(db_write(h->db, put_files, NULL), 0);
	assert_int_equal(db_read(h->db, get_file, &q), 0);
	assert_int_equal(q.file.kind, DIGEST_GIT_SHA1);
	assert_int_equal(q.file.size, 70000);
	assert_memory_equal(q.file.oid, some_id, GIT_ID);
	assert_memory_equal(q.file.digest, some_id, GIT_ID);
	q.text = "the pointer";
	assert_int_equal(db_read(h->db, get_file, &q), 0);
	assert_int_equal(q.file.kind, DIGEST_SHA256);
	assert_int_equal(q.file.size, 1 << 30);
	assert_int_equal(q.file.digest[0], 9);
	assert_memory_equal(q.file.oid, other_id, GIT_ID);
	q.uid = UID_B;
	assert_int_equal(db_read(h->db, get_file, &q), ERR_CORRUPT);
}

static void uids_differ(void **state UNUSED)
{
	char a[REGISTRY_UID + 1], b[REGISTRY_UID + 1];

	assert_int_equal(registry_make_uid(a), 0);
	assert_int_equal(registry_make_uid(b), 0);
	assert_true(hex_is(a, REGISTRY_UID));
	assert_string_not_equal(a, b);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_repository_is_found_in_whatever_letters_and_told_as_it_was_written),
		STORY(all_are_listed_by_their_names),
		STORY(a_revision_is_a_branch_a_tag_a_ref_or_the_beginning_of_a_commit),
		STORY(what_goes_takes_its_refs_and_objects_and_nobody_elses),
		STORY(a_file_is_its_bytes_or_what_a_pointer_names),
		STORY(uids_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
