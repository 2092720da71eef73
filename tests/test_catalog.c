/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/catalog.h"

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
#include "daemon/base/log.h"
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
	struct kv_conf conf = { .dir = p->path,
				.tables = tables,
				.table_count = 5,
				.map_bytes = 1 << 20,
				.sums = true };
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

static void without_its_seal_a_row_says_only_that_the_blob_was_wrong(void **state)
{
	struct catalog_blob row = { .size = 20000002, .sealed = true };
	struct catalog *c = open_catalog(*state);
	struct catalog_blob back;

	assert_int_equal(catalog_unseal_blob(c, ETAG), 0);
	assert_int_equal(catalog_put_blob(c, ETAG, &row), 0);
	assert_int_equal(catalog_unseal_blob(c, ETAG), 0);
	assert_int_equal(catalog_get_blob(c, ETAG, &back), -ENOENT);
	row.distrusted = true;
	assert_int_equal(catalog_put_blob(c, ETAG, &row), 0);
	assert_int_equal(catalog_unseal_blob(c, ETAG), 0);
	assert_int_equal(catalog_get_blob(c, ETAG, &back), 0);
	assert_true(back.distrusted && !back.sealed && back.size == row.size);
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

	put_raw(p, 0, "version", 7, "\3\0\0\0", 4);
	assert_int_equal(catalog_open(p->path, &c, &why), ERR_FORMAT);
	assert_non_null(strstr(buf_str(&why), "version 3"));
	put_raw(p, 0, "version", 7, "\2\0\0\0", 4);
	catalog_close(open_catalog(p));
}

static void what_is_no_index_is_put_aside(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct workdir *p = *state;
	struct catalog *c = NULL;
	char junk[8192];

	memset(junk, 'x', sizeof(junk));
	assert_int_equal(file_replace(p->dirfd, "data.mdb", junk, sizeof(junk), 0600), 0);
	c = open_catalog(p);
	assert_int_equal(catalog_put_repo(c, KEY, KEY), 0);
	catalog_close(c);
	assert_int_equal(file_read_all(p->dirfd, "damaged.mdb", 100000, &why), 0);
	assert_memory_equal(why.data, junk, sizeof(junk));
	buf_clear(&why);
	assert_int_equal(catalog_open("/nonexistent/index", &c, &why), -ENOENT);
	assert_non_null(strstr(buf_str(&why), "/nonexistent/index"));
}

/* What version 1 wrote: the same rows, without sums. */
static void an_older_index_is_upgraded(void **state)
{
	const struct workdir *p = *state;
	CLEANUP(buf_free) struct buf text = { 0 };
	struct kv_conf conf = {
		.dir = p->path, .tables = tables, .table_count = 5, .map_bytes = 1 << 20
	};
	static const char blob_row[] = "\1\5\0\0\0\0\0\0\0http://hub";
	struct catalog_blob blob;
	struct kv *kv = NULL;
	struct catalog *c;

	assert_int_equal(kv_open(&conf, &kv), 0);
	assert_int_equal(kv_put(kv, 0, (struct kv_key){ "version", 7 }, "\1\0\0\0", 4), 0);
	assert_int_equal(kv_put(kv, 1, (struct kv_key){ KEY, strlen(KEY) }, KEY, strlen(KEY)), 0);
	assert_int_equal(kv_put(kv, 2, (struct kv_key){ KEY "\0main", sizeof(KEY) + 4 },
				COMMIT_A "\7\0\0\0\0\0\0", 48),
			 0);
	assert_int_equal(kv_put(kv, 4, (struct kv_key){ ETAG, 40 }, blob_row, sizeof(blob_row) - 1),
			 0);
	kv_close(kv);
	c = open_catalog(p);
	assert_int_equal(catalog_each_ref(c, KEY, note_ref, &text), 0);
	assert_non_null(strstr(buf_str(&text), "main"));
	assert_int_equal(catalog_get_blob(c, ETAG, &blob), 0);
	assert_true(blob.sealed);
	assert_int_equal(blob.size, 5);
	assert_string_equal(blob.source, "http://hub");
	assert_int_equal(catalog_put_pin(c, KEY, "main", COMMIT_A, 9), 0);
	catalog_close(c);
	c = open_catalog(p);
	assert_int_equal(catalog_get_blob(c, ETAG, &blob), 0);
	catalog_close(c);
	assert_int_equal(faccessat(p->dirfd, "damaged.mdb", F_OK, 0), -1);
}

static int note_pin(void *arg, const char *key, const char *revision, const char *commit,
		    int64_t since_s)
{
	return buf_printf(arg, "%s@%s=%.4s since %d;", key, revision, commit, (int)since_s);
}

static void pins_come_back(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct catalog *c = open_catalog(*state);

	assert_int_equal(catalog_put_pin(c, KEY, "main", "", 5), 0);
	assert_int_equal(catalog_put_pin(c, KEY, "v1", COMMIT_A, 6), 0);
	catalog_close(c);
	c = open_catalog(*state);
	assert_int_equal(catalog_each_pin(c, note_pin, &text), 0);
	assert_string_equal(buf_str(&text), KEY "@main= since 5;" KEY "@v1=aaaa since 6;");
	assert_int_equal(catalog_del_pin(c, KEY, "main"), 0);
	buf_clear(&text);
	assert_int_equal(catalog_each_pin(c, note_pin, &text), 0);
	assert_string_equal(buf_str(&text), KEY "@v1=aaaa since 6;");
	catalog_close(c);
}

static bool is_odd(void *arg UNUSED, const char *etag)
{
	return (etag[39] - '0') % 2;
}

static void rows_of_evicted_blobs_are_swept_away(void **state)
{
	struct catalog_blob sealed = { .size = 5, .sealed = true };
	struct catalog_blob distrusted = { .size = 5, .distrusted = true }, row;
	struct catalog *c = open_catalog(*state);
	char etag[41];

	for (int i = 0; i < 6; i++) {
		snprintf(etag, sizeof(etag), "%040d", i);
		assert_int_equal(catalog_put_blob(c, etag, i < 4 ? &sealed : &distrusted), 0);
	}
	assert_int_equal(catalog_sweep_blobs(c, is_odd, NULL), 0);
	for (int i = 0; i < 6; i++) {
		snprintf(etag, sizeof(etag), "%040d", i);
		assert_int_equal(catalog_get_blob(c, etag, &row), i == 0 || i == 2 ? -ENOENT : 0);
	}
	catalog_close(c);
}

/* ---- bit rot ---- */

#define ROWS 40

static void fill(struct catalog *c)
{
	CLEANUP(manifest_freep) struct manifest *m = make_manifest();
	struct catalog_blob blob = { .size = 5, .sealed = true, .source = "http://hub" };

	assert_int_equal(catalog_put_repo(c, KEY, KEY), 0);
	assert_int_equal(catalog_put_commit(c, KEY, COMMIT_A, 7, m), 0);
	assert_int_equal(catalog_put_ref(c, KEY, "main", COMMIT_A, 8), 0);
	for (int i = 0; i < ROWS; i++) {
		char etag[41];

		snprintf(etag, sizeof(etag), "%040x", i);
		assert_int_equal(catalog_put_blob(c, etag, &blob), 0);
	}
}

static int check_ref(void *arg UNUSED, const char *ref, const char *commit, int64_t checked_s)
{
	assert_string_equal(ref, "main");
	assert_string_equal(commit, COMMIT_A);
	assert_int_equal(checked_s, 8);
	return 0;
}

/* Whatever is there is right; how much of it is there. */
static unsigned count_right(struct catalog *c)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	struct catalog_blob blob;
	unsigned count = 0;
	int64_t date_s;

	assert_int_equal(catalog_each_ref(c, KEY, check_ref, NULL), 0);
	if (catalog_get_commit(c, KEY, COMMIT_A, &date_s, &m) == 0) {
		assert_int_equal(date_s, 7);
		assert_int_equal(manifest_file_count(m), 2);
		count++;
	}
	for (int i = 0; i < ROWS; i++) {
		char etag[41];

		snprintf(etag, sizeof(etag), "%040x", i);
		if (catalog_get_blob(c, etag, &blob) < 0)
			continue;
		assert_true(blob.sealed && blob.size == 5);
		assert_string_equal(blob.source, "http://hub");
		count++;
	}
	return count;
}

/* Flips one bit of data.mdb in each round: what is found afterwards is right or not there, and can
 * be written to. */
static void a_flipped_bit_in_the_index_gives_no_wrong_row(void **state)
{
	const struct workdir *p = *state;
	CLEANUP(buf_free) struct buf good = { 0 };
	struct catalog *c = open_catalog(p);
	unsigned whole = 0, rounds = 60;
	unsigned long long random = 12345;

	fill(c);
	catalog_close(c);
	assert_int_equal(file_read_all(p->dirfd, "data.mdb", 100 << 20, &good), 0);
	for (unsigned i = 0; i < rounds; i++) {
		size_t at;

		random = random * 6364136223846793005 + 1442695040888963407;
		at = (random >> 20) % good.len;
		good.data[at] = (char)(good.data[at] ^ (1 << (i % 8)));
		assert_int_equal(file_replace(p->dirfd, "data.mdb", good.data, good.len, 0600), 0);
		good.data[at] = (char)(good.data[at] ^ (1 << (i % 8)));
		c = open_catalog(p);
		whole += count_right(c) == ROWS + 1;
		assert_int_equal(catalog_put_repo(c, KEY, KEY), 0);
		assert_int_equal(catalog_put_ref(c, KEY, "main", COMMIT_A, 8), 0);
		assert_true(count_right(c) <= ROWS + 1);
		catalog_close(c);
	}
	assert_true(whole > rounds / 2); /* most bits are in no row's way */
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
		TEST(without_its_seal_a_row_says_only_that_the_blob_was_wrong),
		TEST(damaged_rows_are_not_believed),
		TEST(a_newer_version_is_refused),
		TEST(what_is_no_index_is_put_aside),
		TEST(an_older_index_is_upgraded),
		TEST(pins_come_back),
		TEST(rows_of_evicted_blobs_are_swept_away),
		TEST(a_flipped_bit_in_the_index_gives_no_wrong_row),
	};

	log_set_level(LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
