/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define TREE "/api/:type/:repo/tree/:rev/:path?"
#define BATCH "/:prefix/:repo.git/info/lfs/objects/batch"
#define RESOLVE "/:prefix/:repo/resolve/:rev/:path"

static void check(const char *pattern, const char *path, const char *key, const char *rev,
		  const char *file)
{
	char got[REPO_KEY_MAX + 1];
	struct target t;

	assert_true(target_match(pattern, path, &t));
	repo_id_key(&t.repo, got);
	assert_string_equal(got, key);
	assert_string_equal(t.rev, rev);
	assert_string_equal(t.path, file);
}

static void refuse(const char *pattern, const char *path)
{
	struct target t;

	assert_false(target_match(pattern, path, &t));
}

static void a_repository_is_found_with_and_without_a_namespace(void **state)
{
	(void)state;
	check("/api/:type/:repo", "/api/models/org/name", "models/org/name", "", "");
	check("/api/:type/:repo", "/api/datasets/squad", "datasets/squad", "", "");
	check("/api/:type/:repo/refs", "/api/models/gpt2/refs", "models/gpt2", "", "");
	check("/api/:type/:repo", "/api/models/org%2Fname", "models/org/name", "", "");
	refuse("/api/:type/:repo", "/api/kernels/org/name");
	refuse("/api/:type/:repo", "/api/models/a--b/c");
	refuse("/api/:type/:repo", "/api/models/a/b/c");
	refuse("/api/:type/:repo", "/api/models/");
	refuse("/api/:type/:repo", "/api/models/org/%2e%2e");
}

static void a_revision_may_be_encoded_or_plain(void **state)
{
	(void)state;
	check(TREE, "/api/models/o/n/tree/main", "models/o/n", "main", "");
	check(TREE, "/api/models/o/n/tree/main/", "models/o/n", "main", "");
	check(TREE, "/api/models/o/n/tree/refs%2Fpr%2F1/a%2Fb", "models/o/n", "refs/pr/1", "a/b");
	check(TREE, "/api/models/o/n/tree/refs/pr/1/a%20b", "models/o/n", "refs/pr/1", "a b");
	check(TREE, "/api/models/o/n/tree/refs/convert/parquet/x/y", "models/o/n",
	      "refs/convert/parquet", "x/y");
	check(TREE, "/api/models/gpt2/tree/feature%2Fx", "models/gpt2", "feature/x", "");
	refuse(TREE, "/api/models/o/n/tree");
	refuse(TREE, "/api/models/o/n/tree/a..b");
	refuse(TREE, "/api/models/o/n/tree/a%00b");
}

static void any_file_name_is_a_path(void **state)
{
	(void)state;
	check(RESOLVE, "/o/n/resolve/main/config.json", "models/o/n", "main", "config.json");
	check(RESOLVE, "/gpt2/resolve/main/a/resolve/b", "models/gpt2", "main", "a/resolve/b");
	check(RESOLVE, "/datasets/o/n/resolve/v1/100%25%3Fx%2C%3A", "datasets/o/n", "v1",
	      "100%?x,:");
	check(RESOLVE, "/spaces/o/n/resolve/v1/app.py", "spaces/o/n", "v1", "app.py");
	check(RESOLVE, "/o/n/resolve/refs/pr/7/w.bin", "models/o/n", "refs/pr/7", "w.bin");
	refuse(RESOLVE, "/o/n/resolve/main");
	refuse(RESOLVE, "/o/n/resolve/main/");
	refuse(RESOLVE, "/o/n/resolve/main/a%00b");
	refuse(RESOLVE, "/o/n/raw/main/a");
	refuse(RESOLVE, "//o/n/resolve/main/a");
}

static void where_the_name_stood_is_told(void **state)
{
	struct target t;

	(void)state;
	assert_true(target_match(TREE, "/api/models/Org/Name/tree/main", &t));
	assert_int_equal(t.repo_at, strlen("/api/models/"));
	assert_int_equal(t.repo_len, strlen("Org/Name"));
}

static void a_name_may_be_that_of_a_git_remote(void **state)
{
	struct target t;

	(void)state;
	check(BATCH, "/o/n.git/info/lfs/objects/batch", "models/o/n", "", "");
	check(BATCH, "/datasets/o/n.x.git/info/lfs/objects/batch", "datasets/o/n.x", "", "");
	check(BATCH, "/gpt2.git/info/lfs/objects/batch", "models/gpt2", "", "");
	assert_true(target_match(BATCH, "/o/n.git/info/lfs/objects/batch", &t));
	assert_int_equal(t.repo_len, strlen("o/n"));
	refuse(BATCH, "/o/n/info/lfs/objects/batch");
	refuse(BATCH, "/o/.git/info/lfs/objects/batch");
	refuse(BATCH, "/o/n.git.git/info/lfs/objects/batch");
	refuse(RESOLVE, "/o/n.git/resolve/main/x");
}

static void words_must_be_the_patterns(void **state)
{
	struct target t;

	(void)state;
	assert_true(target_match("/api/whoami-v2", "/api/whoami-v2", &t));
	refuse("/api/whoami-v2", "/api/whoami");
	refuse("/api/whoami-v2", "/api/whoami-v2/x");
	refuse("/api/whoami-v2", "/api");
	refuse("/", "/x");
	assert_true(target_match("/", "/", &t));
	refuse("/healthz", "healthz");
}

static void fields_are_found_by_name_and_number(void **state)
{
	CLEANUP(buf_free) struct buf v = { 0 };
	static const char query[] = "a=1&expand[]=x%20y&expand=z&flag&sum=1%2B1+2&neg=-5&n=007";
	const char *at = query;

	(void)state;
	assert_true(target_next_field(&at, "expand", &v));
	assert_string_equal(buf_str(&v), "x y");
	assert_true(target_next_field(&at, "expand", &v));
	assert_string_equal(buf_str(&v), "z");
	assert_false(target_next_field(&at, "expand", &v));
	assert_true(target_field(query, "sum", &v));
	assert_string_equal(buf_str(&v), "1+1 2");
	assert_false(target_field(query, "fla", &v));
	assert_false(target_field("", "a", &v));
	assert_int_equal(target_number(query, "a", 5), 1);
	assert_int_equal(target_number(query, "n", 5), 7);
	assert_int_equal(target_number(query, "neg", 5), 5);
	assert_int_equal(target_number(query, "sum", 5), 5);
	assert_int_equal(target_number(query, "none", 5), 5);
}

static void no_page_is_longer_than_the_most_and_none_is_empty(void **state)
{
	(void)state;
	assert_int_equal(target_limit("limit=7", 10), 7);
	assert_int_equal(target_limit("limit=10", 10), 10);
	assert_int_equal(target_limit("limit=11", 10), 10);
	assert_int_equal(target_limit("limit=0", 10), 10);
	assert_int_equal(target_limit("limit=-1", 10), 10);
	assert_int_equal(target_limit("", 10), 10);
}

static void flags_are_read_as_clients_write_them(void **state)
{
	(void)state;
	assert_true(target_flag("recursive=true&x=1", "recursive"));
	assert_true(target_flag("recursive=True", "recursive"));
	assert_true(target_flag("recursive=1", "recursive"));
	assert_true(target_flag("recursive", "recursive"));
	assert_false(target_flag("recursive=false", "recursive"));
	assert_false(target_flag("recursive=False", "recursive"));
	assert_false(target_flag("x=1", "recursive"));
}

static void a_head_is_asked_of_who_answers_get(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf allow = { 0 };

	assert_true(target_takes("GET", "GET") && target_takes("GET", "HEAD"));
	assert_true(target_takes("POST", "POST"));
	assert_false(target_takes("POST", "HEAD") || target_takes("GET", "POST"));
	target_allow("GET", &allow);
	target_allow("POST", &allow);
	assert_string_equal(buf_str(&allow), "GET, HEAD, POST");
}

static void a_path_may_name_what_can_be_no_repository(void **state)
{
	static const char *const none[] = {
		"/api/models/a--b/c",
		"/api/models/a--b",
		"/api/models/org/a.git/tree/main",
		"/api/kernels/org/x",
		"/api/models/x/..",
		"/api/spaces/caf%C3%A9/x/refs",
		"/kernels/a/b/resolve/main/x",
		"/a--b/raw/main/x",
		"/datasets/a/b/c/resolve/main/x",
	};
	static const char *const other[] = {
		"/",
		"",
		"/api",
		"/api/",
		"/api/models",
		"/api/models/",
		"/api/trending/x",
		"/api/kernels",
		"/api/models/org/x/none",
		"/api/models/gpt2/none",
		"/org/x/blob/main/x",
		"/a--b/c",
		"/org/x/resolve/main",
		"/datasets/org/x/resolve/",
		"/api/kernels/",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_true(target_names_none(none[i]));
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		assert_false(target_names_none(other[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_repository_is_found_with_and_without_a_namespace),
		cmocka_unit_test(a_revision_may_be_encoded_or_plain),
		cmocka_unit_test(any_file_name_is_a_path),
		cmocka_unit_test(where_the_name_stood_is_told),
		cmocka_unit_test(a_name_may_be_that_of_a_git_remote),
		cmocka_unit_test(words_must_be_the_patterns),
		cmocka_unit_test(fields_are_found_by_name_and_number),
		cmocka_unit_test(no_page_is_longer_than_the_most_and_none_is_empty),
		cmocka_unit_test(flags_are_read_as_clients_write_them),
		cmocka_unit_test(a_head_is_asked_of_who_answers_get),
		cmocka_unit_test(a_path_may_name_what_can_be_no_repository),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
