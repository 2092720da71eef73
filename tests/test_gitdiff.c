/* SPDX-License-Identifier: Apache-2.0 */
/* The judge is the git program: what is printed here, it must take, and make of the one file the
 * other. */
#include "admin/git/gitdiff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/digest.h"
#include "tests/git_program.h"

static struct git_diff_side side_of(const struct buf *b, uint8_t id[static GIT_ID])
{
	assert_int_equal(digest_git_object("blob", buf_str(b), b->len, id), 0);
	return (struct git_diff_side){ GIT_FILE, id, buf_str(b), b->len };
}

/* NULL: there is none. */
static void print(const char *path, const struct buf *from, const struct buf *to, struct buf *ret)
{
	struct git_diff_side a = { 0 }, b = { 0 };
	uint8_t ids[2][GIT_ID];

	if (from)
		a = side_of(from, ids[0]);
	if (to)
		b = side_of(to, ids[1]);
	buf_clear(ret);
	assert_int_equal(git_diff_print(path, &a, &b, ret), 0);
}

static void check(const struct workdir *w, const struct buf *from, const struct buf *to)
{
	CLEANUP(buf_free) struct buf diff = { 0 }, said = { 0 };

	print("f", from, to, &diff);
	if (from)
		git_file(w, "f", from);
	if (to)
		git_file(w, "want", to);
	git_file(w, "diff", &diff);
	git_says(w,
		 "git apply -v --allow-empty diff && "
		 "{ test ! -e want && test ! -e f || cmp f want; } && rm -f f want && echo fine",
		 &said);
	assert_non_null(strstr(buf_str(&said), "fine"));
}

static void git_makes_of_one_text_the_other(void **state)
{
	static const char *const texts[] = {
		"",
		"a\n",
		"a",
		"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\n",
		"a\nb\nc\nd\ne\nf\nG\nh\ni\nj\nk\nl\nm\nn\no\np\n",
		"A\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\nP",
		"b\na\nc\n\n\n\r\nd\ne\nx\ny\nf\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
			CLEANUP(buf_free) struct buf from = { 0 }, to = { 0 };

			if (i == j)
				continue;
			buf_add_str(&from, texts[i]);
			buf_add_str(&to, texts[j]);
			check(*state, &from, &to);
		}
}

static void files_that_come_and_go_are_told_so(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	buf_add_str(&text, "one\ntwo\n");
	check(*state, NULL, &text);
	check(*state, &text, NULL);
}

/* Lines of two letters, so that many are alike. */
static void random_text(unsigned lines, struct buf *ret)
{
	for (unsigned i = 0; i < lines; i++)
		buf_printf(ret, "%c%c\n", 'a' + rand() % 3, 'a' + rand() % 3);
}

static void random_texts_too_also_when_they_have_little_in_common(void **state)
{
	srand(7);
	for (unsigned i = 0; i < 24; i++) {
		CLEANUP(buf_free) struct buf from = { 0 }, to = { 0 };

		random_text((unsigned)rand() % 60, &from);
		random_text(i == 23 ? 4000 : (unsigned)rand() % 60, &to);
		check(*state, &from, &to);
	}
}

static void what_little_changed_is_printed_as_git_prints_it(void **state)
{
	CLEANUP(buf_free) struct buf from = { 0 }, to = { 0 }, ours = { 0 }, git = { 0 };

	for (unsigned i = 0; i < 40; i++) {
		buf_printf(&from, " line %u\n", i);
		buf_printf(&to, i == 7 || i == 13 || i == 30 ? " LINE %u\n" : " line %u\n", i);
	}
	print("f", &from, &to, &ours);
	git_file(*state, "f", &from);
	git_says(*state, "git add f", &git);
	git_file(*state, "f", &to);
	buf_clear(&git);
	git_says(*state, "git -c diff.noprefix=false diff --abbrev=7 f", &git);
	buf_add_str(&git, "\n");
	assert_string_equal(buf_str(&ours), buf_str(&git));
}

static void bytes_are_not_printed_nor_what_is_not_told(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf bytes = { 0 }, diff = { 0 };
	uint8_t id[GIT_ID] = { 1 };
	const struct git_diff_side old = { GIT_FILE, id, NULL, 1 << 30 }, none = { 0 };

	buf_add(&bytes, "a\0b", 3);
	print("x.bin", NULL, &bytes, &diff);
	assert_non_null(strstr(buf_str(&diff), "\nBinary files /dev/null and b/x.bin differ\n"));
	buf_clear(&diff);
	assert_int_equal(git_diff_print("big", &old, &none, &diff), 0);
	assert_non_null(strstr(buf_str(&diff), "\nBinary files a/big and /dev/null differ\n"));
}

static void paths_are_quoted_as_git_does(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 }, diff = { 0 }, said = { 0 };
	static const char path[] = "\xc3\xa9 \"q\"\n\\";

	buf_add_str(&text, "x\n");
	print(path, NULL, &text, &diff);
	assert_non_null(strstr(buf_str(&diff), "+++ \"b/\\303\\251 \\\"q\\\"\\n\\\\\"\n"));
	git_file(*state, "diff", &diff);
	git_says(*state, "git apply diff && git ls-files -o | grep -c 303", &said);
	assert_string_equal(buf_str(&said), "1");
}

static int setup(void **state)
{
	static struct workdir w;

	workdir_init(&w);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	workdir_fini(*state);
	return 0;
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(git_makes_of_one_text_the_other),
		STORY(files_that_come_and_go_are_told_so),
		STORY(random_texts_too_also_when_they_have_little_in_common),
		STORY(what_little_changed_is_printed_as_git_prints_it),
		STORY(bytes_are_not_printed_nor_what_is_not_told),
		STORY(paths_are_quoted_as_git_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
