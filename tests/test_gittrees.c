/* SPDX-License-Identifier: Apache-2.0 */
/* The judge is the git program: its index is given the same files. */
#include "admin/git/gittrees.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/git_program.h"

#define EMPTY_TREE "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
#define OBJECTS_MAX 20000

static const uint8_t some_id[GIT_ID] = { 0x5c, 0, '\n', 0xff, 7 };
static const uint8_t other_id[GIT_ID] = { 9 };

/* Trees that were written, and how often there was to do with them. */
struct shelf {
	struct object {
		uint8_t id[GIT_ID];
		struct buf bytes;
	} list[OBJECTS_MAX];
	size_t count;
	unsigned reads, writes;
};

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct shelf));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	struct shelf *s = *state;

	for (size_t i = 0; i < s->count; i++)
		buf_free(&s->list[i].bytes);
	free(s);
	return 0;
}

static int read_tree(void *arg, const uint8_t id[static GIT_ID], struct buf *ret)
{
	struct shelf *s = arg;

	s->reads++;
	for (size_t i = 0; i < s->count; i++)
		if (!memcmp(s->list[i].id, id, GIT_ID))
			return buf_add(ret, buf_str(&s->list[i].bytes), s->list[i].bytes.len);
	return ERR_CORRUPT;
}

static int write_tree(void *arg, const uint8_t id[static GIT_ID], const void *data, size_t len)
{
	struct shelf *s = arg;

	assert_true(s->count < OBJECTS_MAX);
	memcpy(s->list[s->count].id, id, GIT_ID);
	s->writes++;
	return buf_add(&s->list[s->count++].bytes, data, len);
}

static struct git_trees *trees_of(struct shelf *s, const uint8_t *root)
{
	struct git_trees *t;

	s->reads = s->writes = 0;
	assert_int_equal(git_trees_new(root, read_tree, s, &t), 0);
	return t;
}

static void put(struct git_trees *t, const char *path)
{
	assert_int_equal(git_trees_put(t, path, GIT_FILE, some_id), 0);
}

/* Writes and frees it. */
static void write_all(struct shelf *s, struct git_trees *t, uint8_t ret[static GIT_ID])
{
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(git_trees_write(t, write_tree, s, ret, &why), 0);
	git_trees_free(t);
}

/* A repository of three directories, with ten files in each. */
static void make_thirty(struct shelf *s, uint8_t ret[static GIT_ID])
{
	struct git_trees *t = trees_of(s, NULL);
	char path[] = "a/b/0";

	for (char dir = 'a'; dir < 'd'; dir++)
		for (char name = '0'; name <= '9'; name++) {
			path[0] = dir;
			path[4] = name;
			put(t, path);
		}
	write_all(s, t, ret);
	assert_int_equal(s->writes, 1 + 3 + 3);
}

static void only_directories_on_the_way_are_read_and_written(void **state)
{
	uint8_t root[GIT_ID], next[GIT_ID];
	struct shelf *s = *state;
	struct git_trees *t;

	make_thirty(s, root);
	t = trees_of(s, root);
	assert_int_equal(git_trees_put(t, "b/b/5", GIT_FILE, other_id), 0);
	put(t, "b/new/file");
	write_all(s, t, next);
	assert_int_equal(s->reads, 3);  /* the root, b, b/b */
	assert_int_equal(s->writes, 4); /* and b/new */
	assert_memory_not_equal(root, next, GIT_ID);
}

static void what_stays_as_it_is_is_not_written(void **state)
{
	uint8_t root[GIT_ID], next[GIT_ID], id[GIT_ID];
	struct shelf *s = *state;
	struct git_trees *t;
	enum git_mode mode;

	make_thirty(s, root);
	t = trees_of(s, root);
	assert_int_equal(git_trees_find(t, "a/b/0", &mode, id), 0);
	assert_memory_equal(id, some_id, GIT_ID);
	assert_int_equal(git_trees_find(t, "a/b", &mode, id), -ENOENT);
	assert_int_equal(git_trees_find(t, "a/b/0/x", &mode, id), -ENOENT);
	put(t, "a/b/0");
	put(t, "x");
	assert_int_equal(git_trees_drop(t, "x"), 0);
	write_all(s, t, next);
	assert_int_equal(s->writes, 0);
	assert_memory_equal(root, next, GIT_ID);
}

static void what_is_absent_cannot_go(void **state)
{
	static const char *const files[] = { "a", "a/b", "a/b/x", "x/y", "a/b/0/z", "" };
	static const char *const dirs[] = { "a/b/0", "x", "a/x/", "a/b/0/y" };
	uint8_t root[GIT_ID], next[GIT_ID];
	struct shelf *s = *state;
	struct git_trees *t;

	make_thirty(s, root);
	t = trees_of(s, root);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		assert_int_equal(git_trees_drop(t, files[i]), -ENOENT);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		assert_int_equal(git_trees_drop_dir(t, dirs[i]), -ENOENT);
	write_all(s, t, next);
	assert_memory_equal(root, next, GIT_ID);
}

static void a_directory_goes_with_its_last_file(void **state)
{
	uint8_t root[GIT_ID], next[GIT_ID];
	char hex[2 * GIT_ID + 1], path[] = "a/b/0";
	struct shelf *s = *state;
	struct git_trees *t;

	make_thirty(s, root);
	t = trees_of(s, root);
	for (; path[4] <= '9'; path[4]++)
		assert_int_equal(git_trees_drop(t, path), 0);
	assert_int_equal(git_trees_drop_dir(t, "a"), -ENOENT);
	assert_int_equal(git_trees_drop_dir(t, "b/"), 0);
	assert_int_equal(git_trees_drop_dir(t, "c/b"), 0);
	write_all(s, t, next);
	hex_print(next, GIT_ID, hex);
	assert_string_equal(hex, EMPTY_TREE);
	t = trees_of(s, root);
	assert_int_equal(git_trees_drop_dir(t, ""), 0);
	assert_int_equal(git_trees_drop_dir(t, ""), -ENOENT);
	write_all(s, t, next);
	hex_print(next, GIT_ID, hex);
	assert_string_equal(hex, EMPTY_TREE);
}

/* What is there in the end counts, in whatever order it came. */
static void a_file_lies_where_a_directory_was_and_the_other_way_round(void **state)
{
	uint8_t root[GIT_ID], file[GIT_ID], again[GIT_ID];
	CLEANUP(buf_free) struct buf why = { 0 };
	struct shelf *s = *state;
	struct git_trees *t;

	make_thirty(s, root);
	for (unsigned first = 0; first < 2; first++) {
		t = trees_of(s, root);
		if (first)
			put(t, "a/b");
		assert_int_equal(git_trees_drop_dir(t, "a/b"), 0);
		if (!first)
			put(t, "a/b");
		write_all(s, t, first ? again : file);
	}
	assert_memory_equal(file, again, GIT_ID);
	t = trees_of(s, file);
	for (char path[] = "a/b/0"; path[4] <= '9'; path[4]++)
		put(t, path);
	assert_int_equal(git_trees_drop(t, "a/b"), 0);
	write_all(s, t, again);
	assert_memory_equal(root, again, GIT_ID);
	t = trees_of(s, file);
	put(t, "a/b/0");
	assert_int_equal(git_trees_write(t, write_tree, s, again, &why), -EEXIST);
	assert_true(why.len > 0);
	git_trees_free(t);
}

static void trees_that_are_none_are_refused(void **state)
{
	static const char twice[] = "100644 a\0iiiiiiiiiiiiiiiiiiii100644 a\0iiiiiiiiiiiiiiiiiiii";
	static const char *const bytes[] = { "100644 a", "nonsense", twice };
	static const size_t lens[] = { 8, 8, sizeof(twice) - 1 };
	struct shelf *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
		const uint8_t id[GIT_ID] = { (uint8_t)(i + 1) };
		struct git_trees *t;

		assert_int_equal(write_tree(s, id, bytes[i], lens[i]), 0);
		t = trees_of(s, id);
		assert_int_equal(git_trees_put(t, "x", GIT_FILE, some_id), ERR_CORRUPT);
		git_trees_free(t);
	}
}

/* ---- as git ---- */

#define COMMITS 300
#define PATHS 60

/* Of few names, so that files and directories change places. */
static void random_path(unsigned *seed, char ret[static 16])
{
	static const char *const names[] = { "a", "b", "a-", "a.b", "b0" };
	unsigned depth = 1 + (unsigned)rand_r(seed) % 3;

	*ret = '\0';
	for (unsigned i = 0; i < depth; i++) {
		strcat(ret, i ? "/" : "");
		strcat(ret, names[(unsigned)rand_r(seed) % ARRAY_LEN(names)]);
	}
}

/* The files that there are. */
struct model {
	char paths[PATHS][16];
	bool exec[PATHS];
	size_t count;
};

static void model_drop(struct model *m, const char *path, bool below)
{
	size_t len = strlen(path), left = 0;

	for (size_t i = 0; i < m->count; i++) {
		bool gone = below ? !strncmp(m->paths[i], path, len) && m->paths[i][len] == '/'
				  : !strcmp(m->paths[i], path);

		if (gone)
			continue;
		memmove(m->paths[left], m->paths[i], sizeof(m->paths[i]));
		m->exec[left++] = m->exec[i];
	}
	m->count = left;
}

/* What stands in the way of a path goes first. */
static void clear_way(struct git_trees *t, struct model *m, const char *path)
{
	char above[16];

	(void)!git_trees_drop_dir(t, path);
	model_drop(m, path, true);
	strcpy(above, path);
	for (char *slash; (slash = strrchr(above, '/'));) {
		*slash = '\0';
		(void)!git_trees_drop(t, above);
		model_drop(m, above, false);
	}
}

static void change(struct git_trees *t, struct model *m, unsigned *seed)
{
	unsigned what = (unsigned)rand_r(seed) % 10;
	char path[16];
	size_t was;

	random_path(seed, path);
	was = m->count;
	if (what < 3) {
		model_drop(m, path, what == 0);
		assert_int_equal(what == 0 ? git_trees_drop_dir(t, path) : git_trees_drop(t, path),
				 m->count < was ? 0 : -ENOENT);
	} else if (m->count < PATHS) {
		clear_way(t, m, path);
		model_drop(m, path, false);
		strcpy(m->paths[m->count], path);
		m->exec[m->count++] = what == 3;
		assert_int_equal(
			git_trees_put(t, path, what == 3 ? GIT_EXECUTABLE : GIT_FILE, some_id), 0);
	}
}

/* As git-update-index(1) reads them. */
static void tell_git(const struct model *m, struct buf *script)
{
	char hex[2 * GIT_ID + 1];

	hex_print(some_id, GIT_ID, hex);
	buf_add_str(script, "rm -f index; git update-index --add --index-info <<END\n");
	for (size_t i = 0; i < m->count; i++)
		buf_printf(script, "%s %s\t%s\n", m->exec[i] ? "100755" : "100644", hex,
			   m->paths[i]);
	buf_add_str(script, "END\ngit write-tree --missing-ok\n");
}

static void random_changes_make_the_trees_git_makes(void **state)
{
	CLEANUP(buf_free) struct buf script = { 0 }, wanted = { 0 }, got = { 0 };
	struct shelf *s = *state;
	uint8_t root[GIT_ID];
	struct model m = { .count = 0 };
	struct workdir w;
	unsigned seed = 4;

	workdir_init(&w);
	buf_add_str(&script, "export GIT_INDEX_FILE=index\n");
	for (unsigned n = 0; n < COMMITS; n++) {
		struct git_trees *t = trees_of(s, n ? root : NULL);
		char hex[2 * GIT_ID + 1];

		for (unsigned i = 1 + (unsigned)rand_r(&seed) % 5; i > 0; i--)
			change(t, &m, &seed);
		write_all(s, t, root);
		hex_print(root, GIT_ID, hex);
		buf_printf(&got, n ? "\n%s" : "%s", hex);
		tell_git(&m, &script);
	}
	git_file(&w, "script", &script);
	git_says(&w, "sh script", &wanted);
	assert_string_equal(got.data, wanted.data);
	workdir_fini(&w);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(only_directories_on_the_way_are_read_and_written),
		STORY(what_stays_as_it_is_is_not_written),
		STORY(what_is_absent_cannot_go),
		STORY(a_directory_goes_with_its_last_file),
		STORY(a_file_lies_where_a_directory_was_and_the_other_way_round),
		STORY(trees_that_are_none_are_refused),
		STORY(random_changes_make_the_trees_git_makes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
