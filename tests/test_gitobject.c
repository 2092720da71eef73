/* SPDX-License-Identifier: Apache-2.0 */
/* The judge is the git program: it makes the same objects, and says what it calls them. */
#include "admin/git/gitobject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "tests/git_program.h"

static const char *id_of(const char *type, const struct buf *bytes)
{
	static char hex[2 * GIT_ID + 1];
	uint8_t id[GIT_ID];

	assert_int_equal(digest_git_object(type, buf_str(bytes), bytes->len, id), 0);
	hex_print(id, GIT_ID, hex);
	return hex;
}

/* ---- trees ---- */

static const uint8_t some_id[GIT_ID] = { 0x5c, 0, '\n', 0xff, 7 };

static const char *mode_word(enum git_mode mode)
{
	return mode == GIT_DIRECTORY ? "tree" : mode == GIT_SUBMODULE ? "commit" : "blob";
}

/* The line of git-mktree(1). */
static void print_line(const struct git_entry *e, struct buf *ret)
{
	char hex[2 * GIT_ID + 1];

	hex_print(e->id, GIT_ID, hex);
	buf_printf(ret, "%06o %s %s\t%s", e->mode, mode_word(e->mode), hex, e->name);
	buf_add(ret, "", 1);
}

static void a_tree_has_the_id_git_gives_it(void **state)
{
	struct git_entry list[] = {
		{ GIT_FILE, "a.txt", some_id },       { GIT_DIRECTORY, "a", some_id },
		{ GIT_FILE, "a-b", some_id },         { GIT_EXECUTABLE, "run", some_id },
		{ GIT_LINK, "link", some_id },        { GIT_SUBMODULE, "a0", some_id },
		{ GIT_FILE, "\xc3\xa9 \n", some_id }, { GIT_FILE, ".gitattributes", some_id },
	};
	CLEANUP(buf_free) struct buf tree = { 0 }, lines = { 0 }, wanted = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		print_line(&list[i], &lines);
	git_file(*state, "lines", &lines);
	git_says(*state, "git mktree -z --missing < lines", &wanted);
	assert_int_equal(git_tree_print(list, ARRAY_LEN(list), &tree), 0);
	assert_string_equal(id_of("tree", &tree), wanted.data);
}

static void an_empty_tree_has_the_id_git_gives_it(void **state)
{
	CLEANUP(buf_free) struct buf tree = { 0 }, wanted = { 0 };

	git_says(*state, "git mktree < /dev/null", &wanted);
	assert_int_equal(git_tree_print(NULL, 0, &tree), 0);
	assert_string_equal(id_of("tree", &tree), wanted.data);
}

#define TREES 200
#define NAMES 24

/* Of few letters, so that many begin alike; each is there once. */
static size_t random_entries(unsigned *seed, char names[NAMES][8], struct git_entry list[NAMES])
{
	static const enum git_mode all[] = { GIT_FILE, GIT_DIRECTORY, GIT_EXECUTABLE, GIT_LINK };
	static const char letters[] = "ab-.0/"; /* the last is never taken */
	size_t count = 0, wanted = (size_t)rand_r(seed) % NAMES;

	while (count < wanted) {
		char *name = names[count];
		size_t len = 1 + (size_t)rand_r(seed) % 6, same = 0;

		for (size_t i = 0; i < len; i++)
			name[i] = letters[(size_t)rand_r(seed) % (sizeof(letters) - 2)];
		name[len] = '\0';
		while (same < count && strcmp(names[same], name) != 0)
			same++;
		if (same < count || !git_name_valid(name))
			continue;
		list[count] = (struct git_entry){ all[rand_r(seed) % 4], name, some_id };
		count++;
	}
	return count;
}

static void random_trees_have_the_ids_git_gives_them(void **state)
{
	CLEANUP(buf_free) struct buf tree = { 0 }, lines = { 0 }, wanted = { 0 }, got = { 0 };
	unsigned seed = 1;

	for (unsigned i = 0; i < TREES; i++) {
		char names[NAMES][8];
		struct git_entry list[NAMES];
		size_t count = random_entries(&seed, names, list);

		for (size_t k = 0; k < count; k++)
			print_line(&list[k], &lines);
		buf_add(&lines, "", 1);
		buf_clear(&tree);
		assert_int_equal(git_tree_print(list, count, &tree), 0);
		buf_printf(&got, i ? "\n%s" : "%s", id_of("tree", &tree));
	}
	git_file(*state, "lines", &lines);
	git_says(*state, "git mktree -z --missing --batch < lines", &wanted);
	assert_string_equal(got.data, wanted.data);
}

static void a_tree_is_read_as_it_was_printed(UNUSED void **state)
{
	struct git_entry list[] = {
		{ GIT_FILE, "b", some_id },
		{ GIT_DIRECTORY, "a", some_id },
		{ GIT_EXECUTABLE, "c", some_id },
	};
	CLEANUP(buf_free) struct buf tree = { 0 };
	struct git_entry e;
	const char *at;
	size_t left;

	assert_int_equal(git_tree_print(list, ARRAY_LEN(list), &tree), 0);
	at = tree.data;
	left = tree.len;
	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		assert_int_equal(git_tree_next(&at, &left, &e), 1);
		assert_int_equal(e.mode, list[i].mode);
		assert_string_equal(e.name, list[i].name);
		assert_memory_equal(e.id, some_id, GIT_ID);
	}
	assert_int_equal(git_tree_next(&at, &left, &e), 0);
	assert_ptr_equal(at, tree.data + tree.len);
}

static void what_git_could_not_have_written_is_no_tree(UNUSED void **state)
{
#define ID "01234567890123456789"
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
#define BYTES(text) { text, sizeof(text) - 1 }
		BYTES("100644"),
		BYTES("100644 a"),
		BYTES("100644 a\0"
		      "0123456789012345678"),
		BYTES("100644 \0" ID),
		BYTES("100644 a/b\0" ID),
		BYTES("100645 a\0" ID),
		BYTES("040000 a\0" ID),
		BYTES("100644\0a\0" ID),
		BYTES("\0"),
#undef BYTES
	};
#undef ID

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *at = bad[i].bytes;
		size_t left = bad[i].len;
		struct git_entry e;

		assert_int_equal(git_tree_next(&at, &left, &e), ERR_CORRUPT);
	}
}

static void two_of_one_name_are_no_tree(UNUSED void **state)
{
	struct git_entry files[] = { { GIT_FILE, "a", some_id }, { GIT_LINK, "a", some_id } };
	struct git_entry apart[] = {
		{ GIT_DIRECTORY, "a", some_id },
		{ GIT_FILE, "a-b", some_id },
		{ GIT_FILE, "a", some_id },
	};
	CLEANUP(buf_free) struct buf tree = { 0 };

	assert_int_equal(git_tree_print(files, ARRAY_LEN(files), &tree), -EEXIST);
	assert_int_equal(git_tree_print(apart, ARRAY_LEN(apart), &tree), -EEXIST);
	apart[2].name = "b";
	assert_int_equal(git_tree_print(apart, ARRAY_LEN(apart), &tree), 0);
}

static void a_path_is_no_name(UNUSED void **state)
{
	static const char *const bad[] = { "",
					   "a/b",
					   "/",
					   ".",
					   "..",
					   ".git",
					   ".GIT",
					   ".Git",
					   ".git ",
					   ".git. .",
					   "git~1",
					   "GIT~1.",
					   ".git::$INDEX_ALLOCATION",
					   ".git\\config",
					   "a\\.git\\config",
					   ".gi\xe2\x80\x8ct",
					   "\xef\xbb\xbf.git\xe2\x81\xaf" };
	static const char *const good[] = { "a",       "...",      ".gitattributes",
					    ".gitx",   "git",      " ",
					    "\n",      "git~2",    "a\\b",
					    ".gi t",   "x.git",    ".gi\xe2\x80\x8bt",
					    ".gitgit", "\xe2\x80", "a:.git" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(git_name_valid(bad[i]));
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(git_name_valid(good[i]));
	assert_true(git_path_valid("a/b.c/d"));
	assert_false(git_path_valid("a/.git/d"));
	assert_false(git_path_valid("a//d"));
	assert_false(git_path_valid("a/"));
	for (size_t i = 0; i < 2; i++) {
		struct git_entry e = { GIT_FILE, bad[i], some_id };
		CLEANUP(buf_free) struct buf tree = { 0 };

		assert_int_equal(git_tree_print(&e, 1, &tree), -EINVAL);
	}
}

/* ---- commits ---- */

/* As its environment, and back from what it says. */
static void commit_by_git(const struct workdir *w, const struct git_commit *c, const char *zone,
			  struct buf *ret)
{
	CLEANUP(buf_free) struct buf script = { 0 }, message = { 0 };
	char hex[2 * GIT_ID + 1];

	buf_add_str(&message, c->message);
	git_file(w, "message", &message);
	hex_print(c->tree, GIT_ID, hex);
	buf_printf(&script, "GIT_AUTHOR_DATE='@%lld %s' GIT_COMMITTER_DATE='@%lld %s' ",
		   (long long)c->author.at_s, zone, (long long)c->committer.at_s, zone);
	buf_printf(&script, "GIT_AUTHOR_NAME='%s' GIT_AUTHOR_EMAIL='%s' ", c->author.name,
		   c->author.email);
	buf_printf(&script, "GIT_COMMITTER_NAME='%s' GIT_COMMITTER_EMAIL='%s' ", c->committer.name,
		   c->committer.email);
	buf_printf(&script, "git commit-tree %s -F message", hex);
	for (unsigned i = 0; i < c->parent_count; i++) {
		hex_print(c->parents[i], GIT_ID, hex);
		buf_printf(&script, " -p %s", hex);
	}
	git_says(w, script.data, ret);
}

static void get_id(const char *hex, uint8_t ret[static GIT_ID])
{
	assert_int_equal(hex_parse(hex, GIT_ID, ret), 0);
}

static void commits_have_the_ids_git_gives_them(void **state)
{
	static const struct {
		const char *name, *email, *message, *zone;
		int64_t at_s;
		int zone_min;
	} all[] = {
		{ "ann", "ann@example.org", "initial commit\n", "+0000", 0, 0 },
		{ "Ann Lee", "ann@example.org", "Title\n\nTwo\nlines\n", "+0530", 1700000000, 330 },
		{ " <Ann>, ", " a@b ", "crud goes\n", "-0330", 1700000001, -210 },
		{ "\xc3\x89milie \xe2\x9c\xa8", "e@x", "\xe2\x9c\xa8\n", "+0000", 99999999999, 0 },
	};
	CLEANUP(buf_free) struct buf text = { 0 }, wanted = { 0 };
	struct git_commit c = { .parent_count = 0 };

	git_says(*state, "git mktree < /dev/null", &text);
	get_id(text.data, c.tree);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		c.author = (struct git_person){ all[i].name, all[i].email, all[i].at_s,
						all[i].zone_min };
		c.committer = c.author;
		c.committer.at_s++;
		c.message = all[i].message;
		commit_by_git(*state, &c, all[i].zone, &wanted);
		buf_clear(&text);
		assert_int_equal(git_commit_print(&c, &text), 0);
		assert_string_equal(id_of("commit", &text), wanted.data);
		get_id(wanted.data, c.parents[c.parent_count++]);
	}
	git_says(*state, "git fsck > /dev/null 2>&1", &text);
}

static void a_commit_of_git_is_read_field_by_field(UNUSED void **state)
{
	static const char text[] = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
				   "parent 496d6428b9cf92981dc9495211e6e1120fb6f2ba\n"
				   "author Ann Lee <ann@example.org> 1700000000 +0530\n"
				   "committer  <> 1700000001 -0330\n"
				   "gpgsig -----BEGIN PGP SIGNATURE-----\n"
				   " \n"
				   " parent 0000000000000000000000000000000000000000\n"
				   " -----END PGP SIGNATURE-----\n"
				   "\n"
				   "Title\n\nbody\n";
	CLEANUP(buf_free) struct buf bytes = { 0 };
	char hex[2 * GIT_ID + 1];
	struct git_commit c;

	buf_add_str(&bytes, text);
	assert_int_equal(git_commit_parse(&bytes, &c), 0);
	hex_print(c.tree, GIT_ID, hex);
	assert_string_equal(hex, "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
	assert_int_equal(c.parent_count, 1);
	hex_print(c.parents[0], GIT_ID, hex);
	assert_string_equal(hex, "496d6428b9cf92981dc9495211e6e1120fb6f2ba");
	assert_string_equal(c.author.name, "Ann Lee");
	assert_string_equal(c.author.email, "ann@example.org");
	assert_int_equal(c.author.at_s, 1700000000);
	assert_int_equal(c.author.zone_min, 330);
	assert_string_equal(c.committer.name, "");
	assert_string_equal(c.committer.email, "");
	assert_int_equal(c.committer.zone_min, -210);
	assert_string_equal(c.message, "Title\n\nbody\n");
}

static void a_commit_is_printed_again_as_it_was_read(UNUSED void **state)
{
	struct git_commit c = {
		.tree = { 1 },
		.parents = { { 2 }, { 3 } },
		.parent_count = 2,
		.author = { "ann", "ann@example.org", 5, -90 },
		.committer = { "bob", "bob@example.org", 6, 0 },
		.message = "no newline at its end",
	};
	CLEANUP(buf_free) struct buf first = { 0 }, second = { 0 }, third = { 0 };
	struct git_commit again;

	assert_int_equal(git_commit_print(&c, &first), 0);
	assert_int_equal(git_commit_print(&c, &second), 0);
	assert_int_equal(git_commit_parse(&second, &again), 0);
	assert_int_equal(git_commit_print(&again, &third), 0);
	assert_string_equal(first.data, third.data);
}

static void names_cannot_leave_their_line(UNUSED void **state)
{
	static const char forged[] = "ann\nparent 496d6428b9cf92981dc9495211e6e1120fb6f2ba";
	struct git_commit c = {
		.author = { forged, "a>\n<b", 5, 0 },
		.committer = { "...", "", 6, 0 },
		.message = "m",
	};
	CLEANUP(buf_free) struct buf text = { 0 };

	assert_int_equal(git_commit_print(&c, &text), 0);
	assert_int_equal(git_commit_parse(&text, &c), 0);
	assert_int_equal(c.parent_count, 0);
	assert_string_equal(c.author.name, "annparent 496d6428b9cf92981dc9495211e6e1120fb6f2ba");
	assert_string_equal(c.author.email, "ab");
	assert_string_equal(c.committer.name, "...");
}

static void what_git_does_not_know_is_not_printed(UNUSED void **state)
{
	struct git_commit c = {
		.author = { "a", "b", 5, 0 },
		.committer = { "a", "b", 5, 0 },
		.message = "m",
	};
	CLEANUP(buf_free) struct buf text = { 0 };

	c.committer.at_s = -1;
	assert_int_equal(git_commit_print(&c, &text), -EINVAL);
	c.committer.at_s = 5;
	c.author.zone_min = 25 * 60;
	assert_int_equal(git_commit_print(&c, &text), -EINVAL);
	c.author.zone_min = 0;
	c.parent_count = GIT_PARENTS_MAX + 1;
	assert_int_equal(git_commit_print(&c, &text), -EINVAL);
	c.parent_count = GIT_PARENTS_MAX;
	assert_int_equal(git_commit_print(&c, &text), 0);
}

static void what_is_no_commit_is_not_read(UNUSED void **state)
{
#define TREE "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
#define WHO "ann <a@b> 17 +0000\n"
	static const char *const bad[] = {
		"",
		"tree",
		TREE,
		TREE "author " WHO,
		TREE "author " WHO "committer " WHO,
		TREE "committer " WHO "author " WHO "\nm",
		"tree 4B825DC642CB6EB9A060E54BF8D69288FBEE4904\nauthor " WHO "committer " WHO "\nm",
		"tree 4b825dc6\nauthor " WHO "committer " WHO "\nm",
		TREE "parent 12\nauthor " WHO "committer " WHO "\nm",
		TREE "author ann <a@b> 17\ncommitter " WHO "\nm",
		TREE "author ann <a@b> -17 +0000\ncommitter " WHO "\nm",
		TREE "author ann <a@b> 99999999999999999999 +0000\ncommitter " WHO "\nm",
		TREE "author ann <a@b> 17 +00\ncommitter " WHO "\nm",
		TREE "author ann <a@b> 17 +2500\ncommitter " WHO "\nm",
		TREE "author ann <a@b> 17 +00x0\ncommitter " WHO "\nm",
		TREE "author ann a@b 17 +0000\ncommitter " WHO "\nm",
		TREE "author ann <a@b 17 +0000\ncommitter " WHO "\nm",
	};
	struct git_commit c;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(buf_free) struct buf bytes = { 0 };

		buf_add_str(&bytes, bad[i]);
		assert_int_equal(git_commit_parse(&bytes, &c), ERR_CORRUPT);
	}
	{
		CLEANUP(buf_free) struct buf bytes = { 0 };

		buf_add_str(&bytes, TREE "author " WHO "committer " WHO "\nm");
		buf_add(&bytes, "\0m", 2);
		assert_int_equal(git_commit_parse(&bytes, &c), ERR_CORRUPT);
	}
#undef TREE
#undef WHO
}

/* ---- pointers ---- */

static void a_pointer_is_the_text_of_git_lfs(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	uint8_t sha[32] = { 0x4d, 0x7a }, again[32];
	uint64_t size;

	assert_int_equal(git_pointer_print(sha, 12345, &text), 0);
	assert_string_equal(
		text.data,
		"version https://git-lfs.github.com/spec/v1\n"
		"oid sha256:4d7a000000000000000000000000000000000000000000000000000000000000\n"
		"size 12345\n");
	assert_true(git_pointer_parse(text.data, text.len, again, &size));
	assert_memory_equal(again, sha, sizeof(sha));
	assert_int_equal(size, 12345);
	buf_clear(&text);
	assert_int_equal(git_pointer_print(sha, UINT64_MAX, &text), 0);
	assert_true(text.len <= GIT_POINTER_MAX);
	assert_true(git_pointer_parse(text.data, text.len, again, &size));
	assert_true(size == UINT64_MAX);
}

static void what_is_not_written_like_a_pointer_is_a_plain_file(UNUSED void **state)
{
#define VERSION "version https://git-lfs.github.com/spec/v1\n"
#define OID "oid sha256:4d7a000000000000000000000000000000000000000000000000000000000000\n"
	static const char *const bad[] = {
		"",
		VERSION,
		VERSION OID,
		VERSION OID "size",
		VERSION OID "size \n",
		VERSION OID "size 1",
		VERSION OID "size 01\n",
		VERSION OID "size +1\n",
		VERSION OID "size 1\n\n",
		VERSION OID "size 99999999999999999999\n",
		VERSION "size 1\n" OID,
		VERSION
		"oid sha256:4D7A000000000000000000000000000000000000000000000000000000000000\n"
		"size 1\n",
		VERSION
		"oid sha256:4d7a00000000000000000000000000000000000000000000000000000000000g\n"
		"size 1\n",
		"version https://git-lfs.github.com/spec/v2\n" OID "size 1\n",
		VERSION OID OID OID,
	};
#undef VERSION
#undef OID
	uint8_t sha[32];
	uint64_t size;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(git_pointer_parse(bad[i], strlen(bad[i]), sha, &size));
}

#define IN_REPOSITORY(story) cmocka_unit_test_setup_teardown(story, workdir_setup, workdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_REPOSITORY(a_tree_has_the_id_git_gives_it),
		IN_REPOSITORY(an_empty_tree_has_the_id_git_gives_it),
		IN_REPOSITORY(random_trees_have_the_ids_git_gives_them),
		cmocka_unit_test(a_tree_is_read_as_it_was_printed),
		cmocka_unit_test(what_git_could_not_have_written_is_no_tree),
		cmocka_unit_test(two_of_one_name_are_no_tree),
		cmocka_unit_test(a_path_is_no_name),
		IN_REPOSITORY(commits_have_the_ids_git_gives_them),
		cmocka_unit_test(a_commit_of_git_is_read_field_by_field),
		cmocka_unit_test(a_commit_is_printed_again_as_it_was_read),
		cmocka_unit_test(names_cannot_leave_their_line),
		cmocka_unit_test(what_git_does_not_know_is_not_printed),
		cmocka_unit_test(what_is_no_commit_is_not_read),
		cmocka_unit_test(a_pointer_is_the_text_of_git_lfs),
		cmocka_unit_test(what_is_not_written_like_a_pointer_is_a_plain_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
