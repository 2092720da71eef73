/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/git/gitpattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/buf.h"

static bool means_kind(const char *text, const char *path, bool directory)
{
	struct git_pattern *p = NULL;
	bool yes;

	assert_int_equal(git_pattern_new(text, strlen(text), &p), 0);
	yes = git_pattern_matches(p, path, strlen(path), directory);
	git_pattern_free(p);
	return yes;
}

static bool means(const char *text, const char *path)
{
	return means_kind(text, path, false);
}

static void without_a_slash_it_means_the_last_component(UNUSED void **state)
{
	assert_true(means("*.bin", "model.bin"));
	assert_true(means("*.bin", "a/b/model.bin"));
	assert_false(means("*.bin", "model.bin/a"));
	assert_false(means("*.bin", "model.bins"));
	assert_true(means("model.bin", "a/model.bin"));
	assert_false(means("model.bin", "a/xmodel.bin"));
}

static void with_a_slash_it_means_the_whole_path(UNUSED void **state)
{
	assert_true(means("a/*.bin", "a/model.bin"));
	assert_false(means("a/*.bin", "b/a/model.bin"));
	assert_false(means("a/*.bin", "a/b/model.bin"));
	assert_true(means("/model.bin", "model.bin"));
	assert_false(means("/model.bin", "a/model.bin"));
	assert_true(means("/*.bin", "model.bin"));
	assert_false(means("/*.bin", "a/model.bin"));
}

static void two_stars_mean_any_directories(UNUSED void **state)
{
	assert_true(means("**/model.bin", "model.bin"));
	assert_true(means("**/model.bin", "a/b/model.bin"));
	assert_true(means("saved_model/**/*", "saved_model/a"));
	assert_true(means("saved_model/**/*", "saved_model/a/b/c"));
	assert_false(means("saved_model/**/*", "x/saved_model/a"));
	assert_true(means("a/**", "a/b/c"));
	assert_false(means("a/**", "a"));
	assert_true(means("a/**/**/b", "a/b"));
	assert_true(means("a/**/**/b", "a/x/y/b"));
	assert_false(means("[a]b**/c", "abx/y/c"));
}

static void one_star_stays_in_its_component(UNUSED void **state)
{
	assert_true(means("a/*/c", "a/b/c"));
	assert_false(means("a/*/c", "a/c"));
	assert_false(means("a/*/c", "a/b/b/c"));
	assert_true(means("a/b*c*", "a/bxxcx"));
	assert_false(means("a/?", "a/"));
	assert_false(means("a?b", "a/b"));
}

static void brackets_mean_one_byte_of_many(UNUSED void **state)
{
	assert_true(means("[a-c]x", "bx"));
	assert_false(means("[a-c]x", "dx"));
	assert_true(means("[!a-c]x", "dx"));
	assert_true(means("[^a-c]x", "dx"));
	assert_false(means("[!a-c]x", "bx"));
	assert_true(means("[]-]x", "]x"));
	assert_true(means("[]-]x", "-x"));
	assert_true(means("[[:digit:]_]", "7"));
	assert_true(means("[[:digit:]_]", "_"));
	assert_false(means("[[:digit:]_]", "d"));
	assert_true(means("[\\]]", "]"));
	assert_false(means("a[!b]c/d", "a/c/d"));
	assert_true(means("[[:x]", ":"));
	assert_true(means("[!\x01]", "\xff"));
}

static void a_backslash_takes_the_meaning_away(UNUSED void **state)
{
	assert_true(means("\\*.bin", "*.bin"));
	assert_false(means("\\*.bin", "a.bin"));
	assert_true(means("\\a", "a"));
	assert_true(means("a\\?", "a?"));
}

static void a_slash_at_the_end_means_directories(UNUSED void **state)
{
	assert_true(means_kind("a/", "x/a", true));
	assert_false(means_kind("a/", "x/a", false));
	assert_true(means_kind("a", "x/a", true));
	assert_false(means_kind("a/b/", "x/a/b", true));
}

static void what_can_match_nothing_is_no_pattern(UNUSED void **state)
{
	static const char *const bad[] = {
		"",   "/",  "//",         "a\\",          "[",   "[a",
		"[!", "a[", "[[:digit:]", "[[:number:]]", "[\\", "[a-\\",
	};
	CLEANUP(buf_free) struct buf text = { 0 };
	struct git_pattern *p = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(git_pattern_new(bad[i], strlen(bad[i]), &p), -EINVAL);
	while (text.len <= GIT_PATTERN_MAX)
		buf_add(&text, "a", 1);
	assert_int_equal(git_pattern_new(text.data, text.len, &p), -EINVAL);
	assert_int_equal(git_pattern_new(text.data, GIT_PATTERN_MAX, &p), 0);
	git_pattern_free(p);
	git_pattern_free(NULL);
}

/* One that tries again at each star would be at it for years. */
static void no_pattern_takes_long(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 }, path = { 0 };
	struct git_pattern *p = NULL;

	for (int i = 0; i < 300; i++)
		buf_add_str(&text, i % 3 ? "*a" : "/**/*a");
	buf_add(&text, "b", 1);
	for (int i = 0; i < 500; i++)
		buf_add_str(&path, i % 5 ? "a" : "a/");
	assert_int_equal(git_pattern_new(text.data, text.len, &p), 0);
	for (int i = 0; i < 100; i++)
		assert_false(git_pattern_matches(p, path.data, path.len, false));
	assert_true(git_pattern_weight(p) > 0);
	git_pattern_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_slash_it_means_the_last_component),
		cmocka_unit_test(with_a_slash_it_means_the_whole_path),
		cmocka_unit_test(two_stars_mean_any_directories),
		cmocka_unit_test(one_star_stays_in_its_component),
		cmocka_unit_test(brackets_mean_one_byte_of_many),
		cmocka_unit_test(a_backslash_takes_the_meaning_away),
		cmocka_unit_test(a_slash_at_the_end_means_directories),
		cmocka_unit_test(what_can_match_nothing_is_no_pattern),
		cmocka_unit_test(no_pattern_takes_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
