/* SPDX-License-Identifier: Apache-2.0 */
/* The expected ids are those that git (2.39) gave the same files. */
#include "admin/git/githash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/plain_manifest.h"

static const struct plain_file files[] = {
	{ "a/x/one", "1" }, { "a/two", "2" },  { "a.b/three", "3" },
	{ "a0/four", "4" }, { "a-five", "5" }, { "a.txt", "6" },
};

static int set_up(void **state)
{
	*state = plain_manifest(files, ARRAY_LEN(files));
	return 0;
}

static int tear_down(void **state)
{
	manifest_free(*state);
	return 0;
}

static void check(const struct manifest *m, const struct buf *trees, const char *path,
		  const char *wanted)
{
	const uint8_t *oid = githash_find(trees->data, trees->len, manifest_find(m, path));
	char text[41];

	assert_non_null(oid);
	hex_print(oid, 20, text);
	assert_string_equal(text, wanted);
}

static void directories_have_the_ids_that_git_gives_them(void **state)
{
	CLEANUP(buf_free) struct buf trees = { 0 };

	assert_int_equal(githash_trees(*state, &trees), 0);
	check(*state, &trees, "", "fdb0ca394e675b5a2120de440dbd3239da352129");
	check(*state, &trees, "a", "6acb020c07ebe2c1d436eee24c8c52b075ba2d45");
	check(*state, &trees, "a/x", "9051a0c9f298e98a9cc2d6a384d0a71047552f2a");
	check(*state, &trees, "a.b", "cc6c07a1b1bb965564f22b37a3011c2d5b1d48eb");
	check(*state, &trees, "a0", "703ec60b9244592d36d86b1aa4494a5d76c90051");
}

static void a_file_is_no_directory(void **state)
{
	CLEANUP(buf_free) struct buf trees = { 0 };

	assert_int_equal(githash_trees(*state, &trees), 0);
	assert_null(githash_find(trees.data, trees.len, manifest_find(*state, "a.txt")));
	assert_null(githash_find(trees.data, trees.len, MANIFEST_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(directories_have_the_ids_that_git_gives_them,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_is_no_directory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
