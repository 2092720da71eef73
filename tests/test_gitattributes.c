/* SPDX-License-Identifier: Apache-2.0 */
/* Which files go to git-lfs, and which are not uploaded. The judge is the git program. */
#include "admin/git/gitattributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "admin/git/gitignore.h"
#include "tests/git_program.h"

static bool is_lfs(const char *text, const char *path)
{
	CLEANUP(git_rules_freep) struct git_rules *rules = NULL;

	assert_int_equal(gitattributes_parse(text, strlen(text), &rules), 0);
	return gitattributes_is_lfs(rules, path);
}

static bool leaves_out(const char *text, const char *path)
{
	CLEANUP(git_rules_freep) struct git_rules *rules = NULL;

	assert_int_equal(gitignore_parse(text, strlen(text), &rules), 0);
	return gitignore_leaves_out(rules, path);
}

/* ---- .gitattributes ---- */

/* Lines of the file that the public hub puts into new repositories. */
static void a_new_repository_keeps_weights_by_lfs(UNUSED void **state)
{
	static const char text[] = "*.7z filter=lfs diff=lfs merge=lfs -text\n"
				   "*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
				   "saved_model/**/* filter=lfs diff=lfs merge=lfs -text\n"
				   "*.tar.* filter=lfs diff=lfs merge=lfs -text\n"
				   "*tfevents* filter=lfs diff=lfs merge=lfs -text\n";

	assert_true(is_lfs(text, "model.safetensors"));
	assert_true(is_lfs(text, "a/b/model-00001-of-00002.safetensors"));
	assert_true(is_lfs(text, "saved_model/variables/x"));
	assert_true(is_lfs(text, "x.tar.gz"));
	assert_true(is_lfs(text, "runs/events.out.tfevents.1"));
	assert_false(is_lfs(text, "config.json"));
	assert_false(is_lfs(text, "model.safetensors.index.json"));
	assert_false(is_lfs(text, "a/saved_model/variables/x"));
	assert_false(is_lfs("", "model.safetensors"));
}

static void the_last_line_counts(UNUSED void **state)
{
	static const char text[] = "*.bin filter=lfs\n*.bin text\nsmall.bin -filter\n"
				   "a.x filter=lfs -filter\nb.x -filter filter=lfs\n";

	assert_true(is_lfs(text, "large.bin"));
	assert_false(is_lfs(text, "small.bin"));
	assert_false(is_lfs(text, "a.x"));
	assert_true(is_lfs(text, "b.x"));
}

static void what_is_no_line_says_nothing(UNUSED void **state)
{
	static const char *const texts[] = {
		"#*.bin filter=lfs",
		"*.bin",
		"*.bin filter",
		"*.bin !filter=lfs",
		"*.bin filter=LFS",
		"!*.bin filter=lfs",
		"*.bin -- filter=lfs",
		"*.bin filter=lfs a~b",
		"[attr]bin filter=lfs\n*.bin bin",
		"*.bin filter=lfsx",
		"*.bin Filter=lfs",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_false(is_lfs(texts[i], "model.bin"));
	assert_true(is_lfs("*.bin filter=lfs", "model.bin"));
	assert_true(is_lfs("\xef\xbb\xbf  *.bin\tfilter=lfs \r\n", "model.bin"));
}

static void names_may_stand_in_quotes(UNUSED void **state)
{
	assert_true(is_lfs("\"a b.bin\" filter=lfs", "a b.bin"));
	assert_true(is_lfs("\"a\\tb\\303\\251\" filter=lfs", "a\tb\xc3\xa9"));
	assert_true(is_lfs("\"a filter=lfs", "\"a"));
	assert_false(is_lfs("a b.bin filter=lfs", "a b.bin"));
}

static void a_file_beyond_the_limits_is_refused(UNUSED void **state)
{
	static const char line[] = "models/one-of-very-many.gguf filter=lfs diff=lfs\n";
	CLEANUP(buf_free) struct buf text = { 0 };
	struct git_rules *rules = NULL;

	while (text.len <= GIT_RULES_MAX)
		buf_add_str(&text, line);
	assert_int_equal(gitattributes_parse(text.data, text.len, &rules), -E2BIG);
	assert_int_equal(gitattributes_parse(text.data, text.len - strlen(line), &rules), 0);
	assert_true(gitattributes_is_lfs(rules, "models/one-of-very-many.gguf"));
	git_rules_free(rules);
	buf_clear(&text);
	for (int i = 0; i <= GIT_RULES_WEIGHT_MAX; i++)
		buf_add_str(&text, "*.bin filter=lfs\n");
	assert_int_equal(gitattributes_parse(text.data, text.len, &rules), -E2BIG);
}

/* ---- .gitignore ---- */

static void what_is_ignored_is_left_out(UNUSED void **state)
{
	static const char text[] =
		"*.pyc\n!keep.pyc\n__pycache__/\n/out\n\\#x\n\\!y\ntail  \nb\\ \r\n";

	assert_true(leaves_out(text, "a/b.pyc"));
	assert_false(leaves_out(text, "a/keep.pyc"));
	assert_true(leaves_out(text, "a/__pycache__/keep.pyc"));
	assert_false(leaves_out(text, "__pycache__"));
	assert_true(leaves_out(text, "out/x/y"));
	assert_false(leaves_out(text, "a/out"));
	assert_true(leaves_out(text, "#x"));
	assert_true(leaves_out(text, "!y"));
	assert_true(leaves_out(text, "tail"));
	assert_true(leaves_out(text, "b "));
	assert_false(leaves_out(text, "model.bin"));
	assert_false(leaves_out("", "a"));
}

/* ---- as git does ---- */

#define CASES 40
#define PATHS 30

static const char *any_of(const char *const *list, size_t count, unsigned *seed)
{
	return list[(size_t)rand_r(seed) % count];
}

static void random_path(unsigned *seed, struct buf *ret)
{
	static const char *const parts[] = { "a",   "b", "ab", "abc", "c.a",
					     "aab", "-", "]a", "B",   "*" };
	int depth = 1 + rand_r(seed) % 4;

	for (int i = 0; i < depth; i++) {
		buf_add_str(ret, i ? "/" : "");
		buf_add_str(ret, any_of(parts, ARRAY_LEN(parts), seed));
	}
}

static void random_pattern(unsigned *seed, struct buf *ret)
{
	static const char *const parts[] = {
		"a",           "b",
		"ab",          "c",
		"*",           "*",
		"**",          "**/",
		"/**",         "/**/",
		"?",           "/",
		"/",           "[ab]",
		"[!a]",        "[^b-z]",
		"\\*",         "\\a",
		"-",           "]",
		".",           "[]a]",
		"[a-]",        "[",
		"[[:alpha:]]", "[[:upper:]a]",
		"[[:x:]]",     "[\\]a]",
		"[[:b]",       "B",
		"\\/",         "[/]",
		"[!-]",        "\\",
	};
	int count = 1 + rand_r(seed) % 5;

	for (int i = 0; i < count; i++)
		buf_add_str(ret, any_of(parts, ARRAY_LEN(parts), seed));
}

static void random_attributes(unsigned *seed, struct buf *ret)
{
	static const char *const said[] = {
		" filter=lfs",     " filter=lfs", " -filter",    " !filter",
		" filter",         " filter=x",   " text -diff", " text filter=lfs -diff",
		" filter=lfs -x~",
	};

	for (int n = rand_r(seed) % 4; n >= 0; n--) {
		random_pattern(seed, ret);
		buf_add_str(ret, any_of(said, ARRAY_LEN(said), seed));
		buf_add_str(ret, rand_r(seed) % 8 ? "\n" : "\r\n");
	}
}

static void random_ignores(unsigned *seed, struct buf *ret)
{
	for (int n = rand_r(seed) % 4; n >= 0; n--) {
		buf_add_str(ret, rand_r(seed) % 4 ? "" : "!");
		random_pattern(seed, ret);
		buf_add_str(ret, rand_r(seed) % 4 ? "" : "/");
		buf_add_str(ret, rand_r(seed) % 4 ? "\n" : " \n");
	}
}

struct judged {
	void (*make)(unsigned *seed, struct buf *ret);
	int (*parse)(const char *text, size_t len, struct git_rules **ret);
	bool (*says)(const struct git_rules *rules, const char *path);
	const char *script; /* one digit for each path of each case */
};

/* What we say of each path, as one digit; the case and its paths as files for git. */
static void one_case(const struct workdir *w, const struct judged *j, unsigned i, struct buf *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 }, paths = { 0 }, name = { 0 };
	CLEANUP(git_rules_freep) struct git_rules *rules = NULL;
	unsigned seed = i + 1;

	j->make(&seed, &text);
	assert_int_equal(j->parse(buf_str(&text), text.len, &rules), 0);
	for (int k = 0; k < PATHS; k++) {
		CLEANUP(buf_free) struct buf path = { 0 };

		random_path(&seed, &path);
		buf_printf(ret, "%u %s %d\n", i, path.data, j->says(rules, path.data));
		buf_printf(&paths, "%s\n", path.data);
	}
	buf_printf(&name, "case.%u", i);
	git_file(w, name.data, &text);
	buf_clear(&name);
	buf_printf(&name, "paths.%u", i);
	git_file(w, name.data, &paths);
}

static void check_as_git(const struct workdir *w, const struct judged *j)
{
	CLEANUP(buf_free) struct buf ours = { 0 }, gits = { 0 }, script = { 0 };

	for (unsigned i = 0; i < CASES; i++)
		one_case(w, j, i, &ours);
	buf_trim_end(&ours);
	buf_printf(&script, "exec 2> /dev/null; for i in $(seq 0 %d); do %s; done", CASES - 1,
		   j->script);
	git_says(w, script.data, &gits);
	assert_string_equal(ours.data, gits.data);
}

static void random_files_are_kept_as_git_would(void **state)
{
	static const struct judged j = {
		random_attributes,
		gitattributes_parse,
		gitattributes_is_lfs,
		"cp case.$i .gitattributes; git check-attr --stdin filter < paths.$i |"
		" sed -E \"s/^/$i /; s/: filter: lfs$/ 1/; s/: filter: .*$/ 0/\"",
	};

	check_as_git(*state, &j);
}

static void random_files_are_left_out_as_git_would(void **state)
{
	static const struct judged j = {
		random_ignores,
		gitignore_parse,
		gitignore_leaves_out,
		"cp case.$i .gitignore; git check-ignore --no-index -v -n --stdin < paths.$i |"
		" sed -E \"s/^(::|[^\t]*:[0-9]+:!.*)\\t(.*)/$i \\2 0/; t;"
		" s/^[^\t]*:[0-9]+:.*\\t(.*)/$i \\1 1/\"",
	};

	check_as_git(*state, &j);
}

#define IN_REPOSITORY(story) cmocka_unit_test_setup_teardown(story, workdir_setup, workdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_repository_keeps_weights_by_lfs),
		cmocka_unit_test(the_last_line_counts),
		cmocka_unit_test(what_is_no_line_says_nothing),
		cmocka_unit_test(names_may_stand_in_quotes),
		cmocka_unit_test(a_file_beyond_the_limits_is_refused),
		cmocka_unit_test(what_is_ignored_is_left_out),
		IN_REPOSITORY(random_files_are_kept_as_git_would),
		IN_REPOSITORY(random_files_are_left_out_as_git_would),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
