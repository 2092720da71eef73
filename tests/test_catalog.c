/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/catalog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/kv.h"
#include "tests/workdir.h"

#define KEY "models/org/model"
#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ETAG "00112233445566778899aabbccddeeff00112233"

static const char *const tables[] = { "meta", "repo", "ref", "commit", "blob" };

static struct catalog *open_catalog(const struct workdir *p)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct catalog *c = NULL;

	assert_int_equal(catalog_open(p->path, &c, &why), 0);
	assert_int_equal(why.len, 0);
	return c;
}

/* Writes a row behind the catalog's back. */
static void put_raw(const struct workdir *p, unsigned table, const void *key, size_t key_len,
		    const void *val, size_t len)
{
	struct kv_conf conf = {
		.dir = p->path, .tables = tables, .table_count = 5, .map_bytes = 1 << 20
	};
	struct kv *kv = NULL;

	assert_int_equal(kv_open(&conf, &kv), 0);
	assert_int_equal(kv_put(kv, table, (struct kv_key){ key, key_len }, val, len), 0);
	kv_close(kv);
}

static struct manifest *make_manifest(void)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest_file f = { .size = 5, .kind = DIGEST_SHA256, .digest = { 1, 2, 3 } };
	struct manifest *m = NULL;

	assert_int_equal(manifest_builder_new(&b), 0);
	assert_int_equal(manifest_builder_add(b, "config.json", &f, &why), 0);
	assert_int_equal(manifest_builder_add(b, "sub/model.bin", &f, &why), 0);
	assert_int_equal(manifest_builder_finish(b, &m, &why), 0);
	return m;
}

/* Collects rows as text. */
static int note_repo(void *arg, const char *key, const char *canonical)
{
	return buf_printf(arg, "%s=%s;", key, canonical);
}

static int note_ref(void *arg, const char *ref, const char *commit, int64_t checked_s)
{
	return buf_printf(arg, "%s=%.4s@%lld;", ref, commit, (long long)checked_s);
}

static int note_commit(void *arg, const char *commit)
{
	return buf_printf(arg, "%.4s;", commit);
}

static void an_empty_catalog_has_no_rows(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	struct catalog *c = open_catalog(*state);
	struct catalog_blob blob;
	int64_t date_s;

	assert_int_equal(catalog_each_repo(c, note_repo, &text), 0);
	assert_int_equal(catalog_each_ref(c, KEY, note_ref, &text), 0);
	assert_int_equal(catalog_each_commit(c, KEY, note_commit, &text), 0);
	assert_int_equal(text.len, 0);
	assert_int_equal(catalog_get_blob(c, ETAG, &blob), -ENOENT);
	assert_int_equal(catalog_get_commit(c, KEY, COMMIT_A, &date_s, &m), -ENOENT);
	assert_int_equal(catalog_del_ref(c, KEY, "main"), 0);
	assert_int_equal(catalog_del_blob(c, ETAG), 0);
	catalog_close(c);
}

static void repositories_and_their_names_survive(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct catalog *c = open_catalog(*state);

	assert_int_equal(catalog_put_repo(c, KEY, KEY), 0);
	assert_int_equal(catalog_put_repo(c, "models/old", "models/nobody"), 0);
	assert_int_equal(catalog_put_repo(c, "models/old", KEY), 0);
	catalog_close(c);
	c = open_catalog(*state);
	assert_int_equal(catalog_each_repo(c, note_repo, &text), 0);
	assert_string_equal(buf_str(&text), "models/old=" KEY ";" KEY "=" KEY ";");
	catalog_close(c);
}

static void refs_are_those_of_one_repository(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct catalog *c = open_catalog(*state);

	assert_int_equal(catalog_put_ref(c, KEY, "main", COMMIT_A, 7), 0);
	assert_int_equal(catalog_put_ref(c, KEY, "refs/pr/1", COMMIT_B, 8), 0);
	assert_int_equal(catalog_put_ref(c, KEY "2", "main", COMMIT_B, 9), 0);
	assert_int_equal(catalog_put_ref(c, KEY, "main", COMMIT_B, 10), 0);
	assert_int_equal(catalog_each_ref(c, KEY, note_ref, &text), 0);
	assert_string_equal(buf_str(&text), "main=bbbb@10;refs/pr/1=bbbb@8;");
	buf_clear(&text);
	assert_int_equal(catalog_del_ref(c, KEY, "main"), 0);
	assert_int_equal(catalog_each_ref(c, KEY, note_ref, &text), 0);
	assert_string_equal(buf_str(&text), "refs/pr/1=bbbb@8;");
	catalog_close(c);
}

static void a_name_that_is_too_long_is_refused(void **state)
{
	struct catalog *c = open_catalog(*state);
	char name[600];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(catalog_put_ref(c, KEY, name, COMMIT_A, 1), -ENAMETOOLONG);
	name[255] = '\0';
	assert_int_equal(catalog_put_ref(c, KEY, name, COMMIT_A, 1), 0);
	catalog_close(c);
}

static void a_commit_comes_back_with_its_files(void **state)
{
	CLEANUP(manifest_freep) struct manifest *m = make_manifest(), *back = NULL;
	CLEANUP(buf_free) struct buf text = { 0 };
	struct catalog *c = open_catalog(*state);
	int64_t date_s = 0;

	assert_int_equal(catalog_put_commit(c, KEY, COMMIT_A, -5, m), 0);
	assert_int_equal(catalog_put_commit(c, KEY "2", COMMIT_B, 5, m), 0);
	catalog_close(c);
	c = open_catalog(*state);
	assert_int_equal(catalog_get_commit(c, KEY, COMMIT_A, &date_s, &back), 0);
	assert_int_equal(date_s, -5);
	assert_int_equal(manifest_file_count(back), 2);
	assert_int_not_equal(manifest_find(back, "sub/model.bin"), MANIFEST_NONE);
	assert_int_equal(catalog_each_commit(c, KEY, note_commit, &text), 0);
	assert_string_equal(buf_str(&text), "aaaa;");
	catalog_close(c);
}

static void a_blob_row_comes_back(void **state)
{
	struct catalog_blob row = { .size = UINT64_C(5) << 40, .sealed = true, .source = "hub" };
	struct catalog *c = open_catalog(*state);
	struct catalog_blob back;

	assert_int_equal(catalog_put_blob(c, ETAG, &row), 0);
	assert_int_equal(catalog_get_blob(c, ETAG, &back), 0);
	assert_true(back.sealed && back.size == row.size);
	assert_string_equal(back.source, "hub");
	row.sealed = false;
	assert_int_equal(catalog_put_blob(c, ETAG, &row), 0);
	assert_int_equal(catalog_get_blob(c, ETAG, &back), 0);
	assert_false(back.sealed);
	assert_int_equal(catalog_del_blob(c, ETAG), 0);
	assert_int_equal(catalog_get_blob(c, ETAG, &back), -ENOENT);
	catalog_close(c);
}

static void damaged_rows_are_not_believed(void **state)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf text = { 0 };
	struct catalog_blob blob;
	struct catalog *c = open_catalog(*state);
	int64_t date_s;

	catalog_close(c);
	put_raw(*state, 2, KEY "\0main", sizeof(KEY) + 4, "short", 5);
	put_raw(*state, 3, KEY "\0" COMMIT_A, sizeof(KEY) + 40, "short", 5);
	put_raw(*state, 3, KEY "\0" COMMIT_B, sizeof(KEY) + 40, "12345678 no manifest", 20);
	put_raw(*state, 3, KEY "\0what", sizeof(KEY) + 4, "12345678", 8);
	put_raw(*state, 4, ETAG, 40, "short", 5);
	c = open_catalog(*state);
	assert_int_equal(catalog_each_ref(c, KEY, note_ref, &text), 0);
	assert_string_equal(buf_str(&text), "");
	assert_int_equal(catalog_each_commit(c, KEY, note_commit, &text), 0);
	assert_string_equal(buf_str(&text), "aaaa;bbbb;");
	assert_int_equal(catalog_get_commit(c, KEY, COMMIT_A, &date_s, &m), ERR_CORRUPT);
	assert_int_equal(catalog_get_commit(c, KEY, COMMIT_B, &date_s, &m), ERR_CORRUPT);
	assert_int_equal(catalog_get_blob(c, ETAG, &blob), ERR_CORRUPT);
	catalog_close(c);
}

static void a_newer_version_is_refused(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct workdir *p = *state;
	struct catalog *c = NULL;

	put_raw(p, 0, "version", 7, "\2\0\0\0", 4);
	assert_int_equal(catalog_open(p->path, &c, &why), ERR_FORMAT);
	assert_non_null(strstr(buf_str(&why), "version 2"));
	put_raw(p, 0, "version", 7, "\1\0\0\0", 4);
	catalog_close(open_catalog(p));
}

static void what_is_no_index_is_refused_with_a_sentence(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct workdir *p = *state;
	struct catalog *c = NULL;
	char junk[8192];

	memset(junk, 'x', sizeof(junk));
	assert_int_equal(file_replace(p->dirfd, "data.mdb", junk, sizeof(junk), 0600), 0);
	assert_int_equal(catalog_open(p->path, &c, &why), ERR_CORRUPT);
	assert_non_null(strstr(buf_str(&why), p->path));
	buf_clear(&why);
	assert_int_equal(catalog_open("/nonexistent/index", &c, &why), -ENOENT);
	assert_non_null(strstr(buf_str(&why), "/nonexistent/index"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, workdir_setup, workdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_catalog_has_no_rows),
		TEST(repositories_and_their_names_survive),
		TEST(refs_are_those_of_one_repository),
		TEST(a_name_that_is_too_long_is_refused),
		TEST(a_commit_comes_back_with_its_files),
		TEST(a_blob_row_comes_back),
		TEST(damaged_rows_are_not_believed),
		TEST(a_newer_version_is_refused),
		TEST(what_is_no_index_is_refused_with_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
