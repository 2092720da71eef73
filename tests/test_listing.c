/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/listing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/seeded_node.h"

#define MODEL "hub/models--org--model"
#define DATA "hub/datasets--org--data"
#define BARE "hub/models--org--bare"
#define MAIN MODEL "/snapshots/" COMMIT_MAIN
#define ABSENT MODEL "/.no_exist/" COMMIT_MAIN

/* listing_open, waiting where it parks. */
static int open_listing(struct seeded_node *s, const struct place *dir, struct listing **ret)
{
	struct parked p;
	int r = PARKED;

	while (r == PARKED) {
		int end = 0;

		parked_init(&p, 5000);
		r = listing_open(&s->view, dir, &p.waiter, ret);
		if (r == PARKED)
			end = parked_wait(&p);
		if (end < 0)
			r = listing_open_ended(&s->view, dir, end, ret);
		parked_fini(&p);
	}
	return r;
}

/* The names of a directory, each followed by its format's letter and a blank. */
static int list(struct seeded_node *s, const char *path, struct buf *ret)
{
	struct place dir = seeded_node_place(s, path);
	struct listing *l;
	int r = open_listing(s, &dir, &l);

	buf_clear(ret);
	for (uint32_t i = 0; r == 0 && i < listing_count(l); i++) {
		const char *name;
		struct place p;

		r = listing_get(l, i, &name, &p);
		if (r < 0)
			break;
		buf_printf(ret, "%s%s ", name,
			   S_ISDIR(place_format(&p))   ? "/"
			   : S_ISLNK(place_format(&p)) ? "@"
						       : "");
		place_fini(&p);
	}
	if (r == 0)
		listing_close(l);
	place_fini(&dir);
	return r;
}

static void check_list(struct seeded_node *s, const char *path, const char *names)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	assert_int_equal(list(s, path, &got), 0);
	if (strcmp(buf_str(&got), names) != 0)
		fail_msg("%s lists %s", path, buf_str(&got));
}

/* Directories, and what they list at first. */
static const char *const listings[][2] = {
	{ "", "files/ hub/ " },
	{ "hub", ".locks/ datasets--org--data/ models--gpt2/ models--mirror--model/ "
		 "models--org--bare/ models--org--model/ spaces--org--space/ " },
	{ "hub/.locks", "" },
	{ MODEL, ".no_exist/ blobs/ refs/ snapshots/ trees/ " },
	{ MODEL "/refs", "feature/ main refs/ v1.0 " },
	{ MODEL "/refs/feature", "x y/ " },
	{ MODEL "/refs/feature/y", "z " },
	{ MODEL "/refs/refs", "pr/ " },
	{ MODEL "/refs/refs/pr", "1 " },
	{ MODEL "/refs/refs/convert", "" },
	{ DATA "/refs", "main refs/ " },
	{ DATA "/refs/refs", "convert/ " },
	{ DATA "/refs/refs/convert", "parquet " },
	{ MODEL "/snapshots", COMMIT_MAIN "/ " COMMIT_OTHER "/ " },
	{ MODEL "/trees", COMMIT_MAIN ".json " COMMIT_OTHER ".json " },
	{ MAIN, "README.md@ config.json@ layers/ model-00001-of-00002.safetensors@ "
		"model-00002-of-00002.safetensors@ onnx/ " },
	{ MAIN "/layers", "layer2.bin@ layer10.bin@ " },
	{ MAIN "/onnx/quant/int8", "model.onnx@ " },
	{ DATA "/blobs", HEX64("4") " " HEX64("5") " " ETAG_README " " },
	{ "hub/models--gpt2/blobs", HEX40("6") " " },
	{ MODEL "/.no_exist", "" },
	{ ABSENT, "" },
	{ ABSENT "/onnx", "" },
	{ "files", "datasets/ mirror/ org/ spaces/ " },
	{ "files/datasets", "org/ " },
	{ "files/spaces", "org/ " },
	{ "files/org", "bare/ model/ " },
	{ "files/datasets/org", "data/ " },
	{ "files/nobody", "" },
	{ "files/org/model/layers", "layer2.bin layer10.bin " },
};

static void test_names_and_order(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(listings); i++)
		check_list(*state, listings[i][0], listings[i][1]);
}

static void test_the_same_after_a_restart(void **state)
{
	seeded_node_restart(*state);
	test_names_and_order(state);
}

/* ---- what is listed can be looked up, and is that place ---- */

static void check_entry(struct seeded_node *s, const struct place *dir, const char *name,
			const struct place *listed)
{
	struct place found = { 0 };
	int64_t ttl_ms;
	int r = seeded_node_lookup(s, dir, name, &found, &ttl_ms);

	if (r != 0)
		fail_msg("%s is listed, but looking it up is %d", name, r);
	assert_int_equal(place_format(&found), place_format(listed));
	/* Names in /files/ORG become a commit only when they are looked up. */
	if (dir->kind != PLACE_ORG) {
		assert_true(place_same(&found, listed));
		assert_int_equal(place_number(&found), place_number(listed));
	}
	place_fini(&found);
}

static void check_entries(struct seeded_node *s, const char *path)
{
	struct place dir = seeded_node_place(s, path);
	struct listing *l = NULL;

	assert_int_equal(open_listing(s, &dir, &l), 0);
	for (uint32_t i = 0; i < listing_count(l); i++) {
		const char *name;
		struct place p;

		assert_int_equal(listing_get(l, i, &name, &p), 0);
		if (strcmp(name, "bare") != 0) /* nothing is known of it but its name */
			check_entry(s, &dir, name, &p);
		place_fini(&p);
	}
	listing_close(l);
	place_fini(&dir);
}

static void write_some(struct seeded_node *s)
{
	seeded_node_write(s, "", "token", S_IFREG | 0600);
	seeded_node_write(s, "", "modules", S_IFDIR | 0700);
	seeded_node_write(s, "modules", "x10.py", S_IFREG | 0600);
	seeded_node_write(s, "modules", "x9.py", S_IFREG | 0600);
	seeded_node_write(s, "hub", "CACHEDIR.TAG", S_IFREG | 0600);
	seeded_node_write(s, "hub/.locks/models--org--model", "x.lock", S_IFREG | 0600);
	seeded_node_write(s, MODEL "/refs", "main.tmp", S_IFREG | 0600);
	seeded_node_write(s, MODEL "/trees", "x.json.tmp", S_IFREG | 0600);
	seeded_node_write(s, ABSENT, "x", S_IFREG | 0600);
}

static void test_entries_can_be_looked_up(void **state)
{
	struct seeded_node *s = *state;

	write_some(s);
	for (size_t i = 0; i < ARRAY_LEN(listings); i++)
		check_entries(s, listings[i][0]);
	check_entries(s, MODEL "/blobs");
	check_entries(s, "modules");
}

static void test_each_blob_once(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct seeded_node *s = *state;
	const char *first;

	/* Seven files and two, one of which both commits have. */
	assert_int_equal(list(s, MODEL "/blobs", &got), 0);
	first = strstr(buf_str(&got), ETAG_SHARD_1);
	assert_non_null(first);
	assert_null(strstr(first + 1, ETAG_SHARD_1 " "));
	assert_int_equal(got.len, 5 * 65 + 3 * 41);
}

/* ---- what clients wrote ---- */

static void test_written_files(void **state)
{
	struct seeded_node *s = *state;

	write_some(s);
	check_list(s, "", "files/ hub/ modules/ token ");
	check_list(s, "modules", "x9.py x10.py ");
	check_list(s, "hub/.locks", "models--org--model/ ");
	check_list(s, "hub/.locks/models--org--model", "x.lock ");
	/* No strays where a scan of the cache would warn about them. */
	check_list(s, "hub", listings[1][1]);
	check_list(s, MODEL "/refs", "feature/ main refs/ v1.0 ");
	check_list(s, MODEL "/trees", COMMIT_MAIN ".json " COMMIT_OTHER ".json ");
	check_list(s, MODEL "/.no_exist", "");
	check_list(s, ABSENT, "");
}

/* ---- what it is good for ---- */

static void test_only_commits_are_final(void **state)
{
	struct seeded_node *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(listings); i++) {
		struct place p = seeded_node_place(s, listings[i][0]);
		bool commit = strncmp(listings[i][0], MAIN, strlen(MAIN)) == 0 ||
			      strncmp(listings[i][0], "files/org/model", 15) == 0;

		assert_int_equal(place_is_final(&p), commit);
		place_fini(&p);
	}
}

static void test_no_directories(void **state)
{
	static const char *const paths[] = { MODEL "/refs/main",          MAIN "/config.json",
					     MODEL "/blobs/" ETAG_CONFIG, ABSENT "/x.json",
					     "hub/models--old--model",    "token" };
	CLEANUP(buf_free) struct buf got = { 0 };

	write_some(*state);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_int_equal(list(*state, paths[i], &got), -ENOTDIR);
}

static void test_it_is_fixed_when_it_is_opened(void **state)
{
	struct seeded_node *s = *state;
	struct place root = view_root(), p;
	struct listing *l = NULL;
	const char *name;

	assert_int_equal(open_listing(s, &root, &l), 0);
	seeded_node_write(s, "", "a", S_IFREG | 0600);
	assert_int_equal(listing_count(l), 2);
	assert_int_equal(listing_get(l, 1, &name, &p), 0);
	assert_string_equal(name, "hub");
	place_fini(&p);
	listing_close(l);
	check_list(s, "", "a files/ hub/ ");
}

static void test_nothing_known_is_an_error_offline(void **state)
{
	static const char *const paths[] = { BARE "/refs", BARE "/snapshots", BARE "/blobs",
					     BARE "/trees" };
	CLEANUP(buf_free) struct buf got = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_int_equal(list(*state, paths[i], &got), ERR_OFFLINE);
	check_list(*state, BARE, ".no_exist/ blobs/ refs/ snapshots/ trees/ ");
	check_list(*state, BARE "/.no_exist", "");
}

/* ---- with a hub ---- */

#define API "/api/models/org/bare"
#define REVISION "{\"id\":\"org/bare\",\"sha\":\"" COMMIT_NONE "\"}"
#define FILES "[{\"type\":\"file\",\"path\":\"f\",\"oid\":\"" ETAG_CONFIG "\",\"size\":1}]"

static void script(struct seeded_node *s, const char *target, int status, const char *headers,
		   const char *body)
{
	fake_origin_add(s->origin, target,
			(struct fake_answer){ .status = status, .headers = headers, .body = body });
}

static void test_main_is_looked_up(void **state)
{
	struct seeded_node *s = *state;

	script(s, API "/revision/main", 200, NULL, REVISION);
	script(s, API "/tree/" COMMIT_NONE "?recursive=true", 200, NULL, FILES);
	check_list(s, BARE "/snapshots", COMMIT_NONE "/ ");
	check_list(s, BARE "/refs", "main ");
	check_list(s, BARE "/trees", COMMIT_NONE ".json ");
	check_list(s, BARE "/blobs", ETAG_CONFIG " ");
	assert_int_equal(fake_origin_count(s->origin, API "/revision/main"), 1);
	/* What is known is listed without asking. */
	check_list(s, MODEL "/refs", "feature/ main refs/ v1.0 ");
	assert_int_equal(fake_origin_count(s->origin, "/api/models/org/model/revision/main"), 0);
}

static void test_a_repository_without_main_is_empty(void **state)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct seeded_node *s = *state;

	script(s, API "/revision/main", 403, "X-Error-Code: GatedRepo\r\n", NULL);
	script(s, API "/revision/main", 404, "X-Error-Code: RevisionNotFound\r\n", NULL);
	assert_int_equal(list(s, BARE "/snapshots", &got), ERR_GATED);
	check_list(s, BARE "/snapshots", "");
	check_list(s, BARE "/refs", "");
	check_list(s, BARE "/blobs", "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, seeded_node_setup, seeded_node_teardown)
#define TEST_ONLINE(f) \
	cmocka_unit_test_setup_teardown(f, seeded_node_setup_online, seeded_node_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names_and_order),
		TEST(test_the_same_after_a_restart),
		TEST(test_entries_can_be_looked_up),
		TEST(test_each_blob_once),
		TEST(test_written_files),
		TEST(test_only_commits_are_final),
		TEST(test_no_directories),
		TEST(test_it_is_fixed_when_it_is_opened),
		TEST(test_nothing_known_is_an_error_offline),
		TEST_ONLINE(test_main_is_looked_up),
		TEST_ONLINE(test_a_repository_without_main_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
