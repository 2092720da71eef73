/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/seeded_node.h"

#define MODEL "hub/models--org--model"
#define MAIN MODEL "/snapshots/" COMMIT_MAIN
#define ABSENT MODEL "/.no_exist/" COMMIT_MAIN

/* One path of each kind; what clients wrote comes last. */
static const struct {
	const char *path;
	enum place_kind kind;
	mode_t format;
	const char *scratch; /* of a writable directory; NULL if it is none */
} spots[] = {
	{ "", PLACE_ROOT, S_IFDIR, "" },
	{ "hub", PLACE_HUB, S_IFDIR, "hub" },
	{ "hub/.locks", PLACE_LOCKS, S_IFDIR, "hub/.locks" },
	{ MODEL, PLACE_REPO, S_IFDIR, NULL },
	{ "hub/models--gpt2", PLACE_REPO, S_IFDIR, NULL },
	{ "hub/models--mirror--model", PLACE_REPO, S_IFDIR, NULL },
	{ "hub/models--old--model", PLACE_ALIAS, S_IFLNK, NULL },
	{ "hub/models--Org--Model", PLACE_ALIAS, S_IFLNK, NULL },
	{ MODEL "/blobs", PLACE_BLOBS, S_IFDIR, NULL },
	{ MODEL "/snapshots", PLACE_SNAPSHOTS, S_IFDIR, NULL },
	{ MODEL "/refs", PLACE_REFS, S_IFDIR, MODEL "/refs" },
	{ MODEL "/refs/feature", PLACE_REFS, S_IFDIR, MODEL "/refs/feature" },
	{ MODEL "/refs/refs/pr", PLACE_REFS, S_IFDIR, MODEL "/refs/refs/pr" },
	{ MODEL "/refs/main", PLACE_REF, S_IFREG, NULL },
	{ MODEL "/refs/v1.0", PLACE_REF, S_IFREG, NULL },
	{ MAIN, PLACE_LINK_DIR, S_IFDIR, NULL },
	{ MAIN "/onnx", PLACE_LINK_DIR, S_IFDIR, NULL },
	{ MODEL "/snapshots/" COMMIT_OTHER, PLACE_LINK_DIR, S_IFDIR, NULL },
	{ "hub/models--mirror--model/snapshots/" COMMIT_MAIN, PLACE_LINK_DIR, S_IFDIR, NULL },
	{ MAIN "/config.json", PLACE_LINK, S_IFLNK, NULL },
	{ "hub/models--mirror--model/snapshots/" COMMIT_MAIN "/config.json", PLACE_LINK, S_IFLNK,
	  NULL },
	{ MODEL "/blobs/" ETAG_CONFIG, PLACE_BLOB, S_IFREG, NULL },
	{ MODEL "/.no_exist", PLACE_NO_EXIST, S_IFDIR, MODEL "/.no_exist" },
	{ ABSENT, PLACE_ABSENT_DIR, S_IFDIR, ABSENT },
	{ ABSENT "/sub", PLACE_ABSENT_DIR, S_IFDIR, ABSENT "/sub" },
	{ ABSENT "/sub/x.json", PLACE_ABSENT_FILE, S_IFREG, NULL },
	{ MODEL "/trees", PLACE_TREES, S_IFDIR, MODEL "/trees" },
	{ MODEL "/trees/" COMMIT_MAIN ".json", PLACE_TREE_JSON, S_IFREG, NULL },
	{ "files", PLACE_FILES, S_IFDIR, NULL },
	{ "files/datasets", PLACE_TYPE, S_IFDIR, NULL },
	{ "files/spaces", PLACE_TYPE, S_IFDIR, NULL },
	{ "files/org", PLACE_ORG, S_IFDIR, NULL },
	{ "files/datasets/org", PLACE_ORG, S_IFDIR, NULL },
	{ "files/org/model", PLACE_PLAIN_DIR, S_IFDIR, NULL },
	{ "files/org/model@" COMMIT_OTHER, PLACE_PLAIN_DIR, S_IFDIR, NULL },
	{ "hub/CACHEDIR.TAG", PLACE_SCRATCH, S_IFREG, NULL },
	{ "hub/.locks/models--org--model", PLACE_LOCKS, S_IFDIR, "hub/.locks/models--org--model" },
};

static void write_some(struct seeded_node *s)
{
	seeded_node_write(s, "hub", "CACHEDIR.TAG", S_IFREG | 0644);
}

static void test_kinds_formats_and_who_may_write(void **state)
{
	struct seeded_node *s = *state;

	write_some(s);
	for (size_t i = 0; i < ARRAY_LEN(spots); i++) {
		CLEANUP(buf_free) struct buf path = { 0 };
		struct place p = seeded_node_place(s, spots[i].path);

		assert_int_equal(p.kind, spots[i].kind);
		assert_int_equal(place_format(&p), spots[i].format);
		assert_int_equal(place_writable(&p),
				 spots[i].scratch || spots[i].kind == PLACE_SCRATCH);
		if (spots[i].scratch) {
			assert_int_equal(place_scratch_path(&p, &path), 0);
			assert_string_equal(buf_str(&path), spots[i].scratch);
		}
		place_fini(&p);
	}
}

static void test_each_is_the_same_as_itself_only(void **state)
{
	struct seeded_node *s = *state;
	struct place p[ARRAY_LEN(spots)], again;

	write_some(s);
	for (size_t i = 0; i < ARRAY_LEN(spots); i++)
		p[i] = seeded_node_place(s, spots[i].path);
	for (size_t i = 0; i < ARRAY_LEN(spots); i++) {
		for (size_t k = 0; k < ARRAY_LEN(spots); k++) {
			assert_int_equal(place_same(&p[i], &p[k]), i == k);
			assert_int_equal(place_number(&p[i]) == place_number(&p[k]), i == k);
		}
		assert_true(place_number(&p[i]) > 1 || p[i].kind == PLACE_ROOT);
		again = seeded_node_place(s, spots[i].path);
		assert_true(place_same(&p[i], &again));
		assert_int_equal(place_number(&p[i]), place_number(&again));
		place_fini(&again);
	}
	for (size_t i = 0; i < ARRAY_LEN(spots); i++)
		place_fini(&p[i]);
}

static void test_a_blob_is_one_spot_whatever_shows_it(void **state)
{
	static const char *const ways[] = {
		MODEL "/blobs/" ETAG_README,
		"hub/models--mirror--model/blobs/" ETAG_README,
		"hub/datasets--org--data/blobs/" ETAG_README,
		"files/org/model/README.md",
		"files/datasets/org/data/README.md",
		"files/org/model@" COMMIT_MAIN "/README.md",
	};
	struct seeded_node *s = *state;
	struct place first = seeded_node_place(s, ways[0]);
	struct place twin = seeded_node_place(s, MODEL "/blobs/" ETAG_CONFIG);

	for (size_t i = 1; i < ARRAY_LEN(ways); i++) {
		struct place p = seeded_node_place(s, ways[i]);

		assert_int_equal(p.kind, PLACE_BLOB);
		assert_true(place_same(&first, &p));
		assert_int_equal(place_number(&first), place_number(&p));
		assert_false(place_same(&twin, &p));
		place_fini(&p);
	}
	place_fini(&first);
	place_fini(&twin);
}

static void test_numbers_survive_a_restart(void **state)
{
	struct seeded_node *s = *state;
	uint64_t numbers[ARRAY_LEN(spots)];

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LEN(spots); i++) {
			struct place p;

			if (spots[i].kind == PLACE_SCRATCH)
				continue;
			p = seeded_node_place(s, spots[i].path);
			if (round == 0)
				numbers[i] = place_number(&p);
			assert_int_equal(place_number(&p), numbers[i]);
			place_fini(&p);
		}
		seeded_node_restart(s);
	}
}

static void test_written_files_have_numbers_of_their_own(void **state)
{
	struct seeded_node *s = *state;
	struct place a, b;

	write_some(s);
	seeded_node_write(s, "", "token", S_IFREG | 0600);
	a = seeded_node_place(s, "hub/CACHEDIR.TAG");
	b = seeded_node_place(s, "token");
	assert_int_not_equal(place_number(&a), place_number(&b));
	assert_false(place_same(&a, &b));
	place_fini(&a);
	place_fini(&b);
}

static void test_a_copy_owns_its_own(void **state)
{
	struct seeded_node *s = *state;

	write_some(s);
	for (size_t i = 0; i < ARRAY_LEN(spots); i++) {
		struct place p = seeded_node_place(s, spots[i].path), copy;

		assert_int_equal(place_copy(&p, &copy), 0);
		assert_true(place_same(&p, &copy));
		assert_true(!p.name || p.name != copy.name);
		place_fini(&p);
		assert_int_equal(copy.kind, spots[i].kind);
		assert_int_equal(place_format(&copy), spots[i].format);
		place_fini(&copy);
		place_fini(&copy); /* a place that was given back owns nothing */
	}
}

static void test_etags(void **state)
{
	struct seeded_node *s = *state;
	char etag[DIGEST_HEX_MAX + 1];
	struct place p = seeded_node_place(s, MAIN "/onnx/quant/int8/model.onnx");

	place_etag(&p, etag);
	assert_string_equal(etag, ETAG_DEEP);
	place_fini(&p);
	p = seeded_node_place(s, "files/org/model/config.json");
	place_etag(&p, etag);
	assert_string_equal(etag, ETAG_CONFIG);
	place_fini(&p);
}

static void test_colliders_collide(void **state UNUSED)
{
	struct place a = seeded_node_collider("aaaaaaaa"), b = seeded_node_collider("bbbbbbbb");

	assert_int_equal(place_number(&a), place_number(&b));
	assert_false(place_same(&a, &b));
	place_fini(&a);
	place_fini(&b);
}

static void test_names_in_files(void **state UNUSED)
{
	static const struct {
		const char *org, *text, *id, *rev; /* id NULL: refused */
	} cases[] = {
		{ "org", "name", "org/name", "main" },
		{ "org", "name@v1.0", "org/name", "v1.0" },
		{ "org", "name@" COMMIT_MAIN, "org/name", COMMIT_MAIN },
		{ "org", "na.me_1-x@a@b", "org/na.me_1-x", "a@b" },
		{ "org", "", NULL, NULL },
		{ "org", "@main", NULL, NULL },
		{ "org", "name@", NULL, NULL },
		{ "org", "name@a..b", NULL, NULL },
		{ "org", "name@a b", NULL, NULL },
		{ "org", "name@main.lock", NULL, NULL },
		{ "org", "a--b", NULL, NULL },
		{ "org", ".name", NULL, NULL },
		{ "org", "name.git", NULL, NULL },
		{ "-org", "name", NULL, NULL },
		{ "", "name", NULL, NULL },
		{ HEX64("a") HEX40("a"), "name", NULL, NULL },
		{ "org", HEX64("a") HEX64("a") HEX64("a") HEX64("a"), NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct repo_id id;
		const char *rev;
		int r = place_split_files_name(REPO_SPACE, cases[i].org, cases[i].text, &id, &rev);

		assert_int_equal(r, cases[i].id ? 0 : -EINVAL);
		if (r < 0)
			continue;
		assert_int_equal(id.type, REPO_SPACE);
		assert_string_equal(id.name, cases[i].id);
		assert_string_equal(rev, cases[i].rev);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, seeded_node_setup, seeded_node_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kinds_formats_and_who_may_write),
		TEST(test_each_is_the_same_as_itself_only),
		TEST(test_a_blob_is_one_spot_whatever_shows_it),
		TEST(test_numbers_survive_a_restart),
		TEST(test_written_files_have_numbers_of_their_own),
		TEST(test_a_copy_owns_its_own),
		TEST(test_etags),
		cmocka_unit_test(test_colliders_collide),
		cmocka_unit_test(test_names_in_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
