/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/change.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fs/view_written.h"
#include "tests/seeded_node.h"

#define MODEL "hub/models--org--model"
#define UID 1000

/* A name in a directory. */
struct spot {
	const char *dir, *name;
};

/* What the tree shows by itself, as far as it is known. */
static const struct spot shown[] = {
	{ "", "hub" },
	{ "", "files" },
	{ "hub", ".locks" },
	{ "hub", "models--org--model" },
	{ "hub", "models--old--model" },
	{ "hub/.locks", "models--org--model" },
	{ "hub/.locks", "models--never--seen" },
	{ MODEL "/refs", "main" },
	{ MODEL "/refs", "feature" },
	{ MODEL "/refs", "refs" },
	{ MODEL "/refs/feature", "x" },
	{ MODEL "/.no_exist", COMMIT_MAIN },
	{ MODEL "/.no_exist/" COMMIT_MAIN, "x.json" },
	{ MODEL "/.no_exist/" COMMIT_MAIN, "onnx" },
	{ MODEL "/trees", COMMIT_MAIN ".json" },
};

/* What clients may write beside that. */
static const struct spot others[] = {
	{ "", "token" },
	{ "hub", "CACHEDIR.TAG" },
	{ "hub/.locks", "x" },
	{ "hub/.locks/models--org--model", "x.lock" },
	{ "hub/.locks/models--org--model", "models--org--model" },
	{ MODEL "/refs", "mine" },
	{ MODEL "/refs", "main.tmp" },
	{ MODEL "/.no_exist", COMMIT_NONE },
	{ MODEL "/.no_exist/" COMMIT_MAIN, "config.json" },
	{ MODEL "/trees", "x.json.tmp" },
};

static struct change change_of(struct seeded_node *s)
{
	return (struct change){ &s->view, { UID, UID } };
}

static int make(struct seeded_node *s, const struct place *dir, const char *name, mode_t mode)
{
	struct change c = change_of(s);
	struct scratch_node *n;
	int r = change_make(&c, dir, name, mode, NULL, &n);

	if (r == 0)
		scratch_unref(s->scratch, n);
	return r;
}

static int rename_in(struct seeded_node *s, const struct place *dir, const char *from,
		     const char *to)
{
	const struct change_rename n = { dir, dir, from, to, 0 };
	struct change c = change_of(s);

	return change_rename(&c, &n, false);
}

/* A second name for a file there. */
static int link_in(struct seeded_node *s, const struct place *dir, const char *name)
{
	struct place file = { 0 };
	struct change c = change_of(s);
	int r = make(s, dir, "a-file", S_IFREG | 0644);

	if (r == 0)
		r = view_written_find(&s->view, dir, "a-file", &file);
	if (r == 0)
		r = change_link(&c, &file, dir, name);
	place_fini(&file);
	return r;
}

/* What clients wrote below or at a name, before it was shown, or because it is. */
static void write_behind(struct seeded_node *s, const struct place *dir, const char *name)
{
	struct scratch_node *in, *n;

	assert_int_equal(view_written_dir(&s->view, dir, true, &in), 0);
	if (scratch_find(s->scratch, in, name, &n) < 0)
		assert_int_equal(
			scratch_make(s->scratch, in, name, S_IFDIR | 0755, UID, UID, NULL, &n), 0);
	scratch_unref(s->scratch, n);
	scratch_unref(s->scratch, in);
}

static void what_is_shown_is_not_for_clients_to_make_remove_or_move(void **state)
{
	struct seeded_node *s = *state;
	struct change c = change_of(s);

	for (size_t i = 0; i < 2 * ARRAY_LEN(shown); i++) {
		const struct spot *at = &shown[i / 2];
		struct place dir = seeded_node_place(s, at->dir);
		bool absent = dir.kind == PLACE_ABSENT_DIR; /* it shows all names */

		if (i % 2)
			write_behind(s, &dir, at->name);
		assert_true(view_shows_itself(&s->view, &dir, at->name));
		assert_int_equal(make(s, &dir, at->name, S_IFREG | 0644), -EEXIST);
		assert_int_equal(make(s, &dir, at->name, S_IFDIR | 0755), -EEXIST);
		assert_int_equal(change_remove(&c, &dir, at->name, S_IFREG), -EROFS);
		assert_int_equal(change_remove(&c, &dir, at->name, S_IFDIR), -EROFS);
		assert_int_equal(rename_in(s, &dir, at->name, "elsewhere"), -EROFS);
		assert_int_equal(link_in(s, &dir, at->name), -EEXIST);
		if (!absent)
			assert_int_equal(change_remove(&c, &dir, "a-file", S_IFREG), 0);
		place_fini(&dir);
	}
}

static void what_is_not_shown_is(void **state)
{
	struct seeded_node *s = *state;
	struct change c = change_of(s);

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		const struct spot *at = &others[i];
		struct place dir = seeded_node_place(s, at->dir);
		bool absent = dir.kind == PLACE_ABSENT_DIR;

		assert_false(view_shows_itself(&s->view, &dir, at->name));
		assert_int_equal(change_remove(&c, &dir, at->name, S_IFREG), -ENOENT);
		assert_int_equal(rename_in(s, &dir, at->name, "elsewhere"), -ENOENT);
		assert_int_equal(make(s, &dir, at->name, S_IFREG | 0644), 0);
		assert_false(view_shows_itself(&s->view, &dir, at->name));
		if (!absent) {
			assert_int_equal(rename_in(s, &dir, at->name, "elsewhere"), 0);
			assert_int_equal(change_remove(&c, &dir, "elsewhere", S_IFREG), 0);
			assert_int_equal(link_in(s, &dir, at->name), 0);
			assert_int_equal(change_remove(&c, &dir, "a-file", S_IFREG), 0);
		}
		assert_int_equal(change_remove(&c, &dir, at->name, S_IFREG), 0);
		place_fini(&dir);
	}
}

/* Nobody has heard of it, and nobody is asked: but what is written for it is its own. */
static void what_was_written_for_an_unknown_repository_stays_with_it(void **state)
{
	struct seeded_node *s = *state;
	struct place hub = seeded_node_place(s, "hub");
	struct change c = change_of(s);

	assert_int_equal(make(s, &hub, "models--never--seen", S_IFDIR | 0755), 0);
	assert_int_equal(make(s, &hub, "mine", S_IFDIR | 0755), 0);
	assert_int_equal(rename_in(s, &hub, "models--never--seen", "x"), -EROFS);
	assert_int_equal(rename_in(s, &hub, "mine", "x"), 0);
	assert_int_equal(change_remove(&c, &hub, "models--never--seen", S_IFDIR), 0);
	place_fini(&hub);
}

struct way {
	const char *from, *name, *to, *to_name;
};

static int rename_by(struct seeded_node *s, const struct way *w)
{
	struct place from = seeded_node_place(s, w->from), to = seeded_node_place(s, w->to);
	const struct change_rename n = { &from, &to, w->name, w->to_name, 0 };
	struct change c = change_of(s);
	int r = change_rename(&c, &n, false);

	place_fini(&from);
	place_fini(&to);
	return r;
}

static int link_by(struct seeded_node *s, const struct way *w)
{
	struct place from = seeded_node_place(s, w->from), to = seeded_node_place(s, w->to), file;
	struct change c = change_of(s);
	int r = view_written_find(&s->view, &from, w->name, &file);

	assert_int_equal(r, 0);
	r = change_link(&c, &file, &to, w->to_name);
	place_fini(&file);
	place_fini(&from);
	place_fini(&to);
	return r;
}

#define LOCKS "hub/.locks/models--org--model"
#define OTHER "hub/.locks/models--never--seen"

/* Below its folder, or that of its locks, however deep: others may not see what it sees. */
static void what_was_written_for_a_repository_goes_nowhere_else(void **state)
{
	static const struct way out[] = {
		{ LOCKS, "f", "hub/.locks", "out" },
		{ LOCKS, "f", "hub", "out" },
		{ LOCKS, "f", OTHER, "f" },
		{ LOCKS "/d", "f", "hub/.locks", "out" },
		{ LOCKS, "d", "hub/.locks", "out" },
		{ MODEL "/refs", "mine", "hub/.locks", "out" },
		{ MODEL "/refs", "mine", OTHER, "mine" },
		{ LOCKS, "models--never--seen", LOCKS, "out" },
		{ LOCKS "/models--never--seen", "f", LOCKS, "out" },
		{ "hub/.locks/models--old--model", "f", "hub/.locks", "out" },
		{ "hub", "models--never--seen", "hub", "out" },
	};
	static const struct way within[] = {
		{ LOCKS, "f", LOCKS, "g" },
		{ LOCKS, "g", LOCKS "/d", "g" },
		{ LOCKS "/d", "g", MODEL "/refs", "g" },
		{ MODEL "/refs", "mine", LOCKS, "f" },
		/* by another of its names */
		{ "hub/.locks/models--old--model", "f", LOCKS, "h" },
		{ LOCKS, "h", "hub/.locks/models--OLD--model", "f" },
		{ OTHER, "f", "hub/.locks/models--Never--Seen", "f" },
		{ LOCKS "/models--never--seen", "f", OTHER "/models--org--model", "f" },
		/* what was for nobody, and beside hub/ */
		{ "hub/.locks", "mine", "hub", "mine" },
		{ "hub", "mine", LOCKS, "mine" },
		{ "", "models--org--model", "", "out" },
	};
	struct seeded_node *s = *state;
	struct place root = view_root();

	seeded_node_write(s, LOCKS, "f", S_IFREG | 0644);
	seeded_node_write(s, LOCKS, "d", S_IFDIR | 0755);
	seeded_node_write(s, LOCKS "/d", "f", S_IFREG | 0644);
	seeded_node_write(s, LOCKS, "models--never--seen", S_IFDIR | 0755);
	seeded_node_write(s, LOCKS "/models--never--seen", "f", S_IFREG | 0644);
	seeded_node_write(s, OTHER, "f", S_IFREG | 0644);
	seeded_node_write(s, OTHER, "models--org--model", S_IFDIR | 0755);
	seeded_node_write(s, "hub/.locks/models--old--model", "f", S_IFREG | 0644);
	seeded_node_write(s, MODEL "/refs", "mine", S_IFREG | 0644);
	seeded_node_write(s, "hub/.locks", "mine", S_IFREG | 0644);
	seeded_node_write(s, "hub", "models--never--seen", S_IFDIR | 0755);
	assert_int_equal(make(s, &root, "models--org--model", S_IFREG | 0644), 0);
	for (size_t i = 0; i < ARRAY_LEN(out); i++) {
		if (rename_by(s, &out[i]) != -EROFS)
			fail_msg("%s/%s was moved", out[i].from, out[i].name);
		if (!strcmp(out[i].name, "f") || !strcmp(out[i].name, "mine"))
			assert_int_equal(link_by(s, &out[i]), -EROFS);
	}
	for (size_t i = 0; i < ARRAY_LEN(within); i++)
		if (rename_by(s, &within[i]) != 0)
			fail_msg("%s/%s was not moved", within[i].from, within[i].name);
	assert_int_equal(link_by(s, &(struct way){ LOCKS, "f", LOCKS "/d", "again" }), 0);
}

/* Also when it was not asked for: the hub cannot be, and what is known of it counts. */
static void what_is_to_become_a_shown_ref_is_dropped(void **state)
{
	struct seeded_node *s = *state;
	struct place refs = seeded_node_place(s, MODEL "/refs"), p;

	assert_int_equal(make(s, &refs, "a.tmp", S_IFREG | 0644), 0);
	assert_int_equal(make(s, &refs, "b.tmp", S_IFREG | 0644), 0);
	assert_int_equal(rename_in(s, &refs, "a.tmp", "main"), 0);
	assert_int_equal(rename_in(s, &refs, "b.tmp", "mine"), 0);
	assert_int_equal(view_written_find(&s->view, &refs, "a.tmp", &p), -ENOENT);
	assert_int_equal(view_written_find(&s->view, &refs, "main", &p), -ENOENT);
	assert_int_equal(view_written_find(&s->view, &refs, "mine", &p), 0);
	place_fini(&p);
	place_fini(&refs);
}

static int is_shown(struct seeded_node *s, const struct place *dir, const char *to, bool *ret)
{
	const struct change_rename n = { dir, dir, "a.tmp", to, 0 };
	struct change c = change_of(s);
	struct parked w;
	int r;

	parked_init(&w, 1000);
	r = change_is_shown(&c, &n, &w.waiter, ret);
	parked_fini(&w);
	return r;
}

static void nothing_takes_the_name_of_a_shown_directory(void **state)
{
	struct seeded_node *s = *state;
	struct place refs = seeded_node_place(s, MODEL "/refs");
	bool is;

	assert_int_equal(is_shown(s, &refs, "feature", &is), -EEXIST);
	assert_int_equal(is_shown(s, &refs, "main", &is), 0);
	assert_true(is);
	assert_int_equal(is_shown(s, &refs, "main.tmp", &is), 0);
	assert_false(is);
	seeded_node_write(s, MODEL "/refs", "made", S_IFDIR | 0755); /* by a client */
	assert_int_equal(is_shown(s, &refs, "made", &is), 0);
	assert_false(is);
	place_fini(&refs);
}

static void attributes_are_set_all_or_none(void **state)
{
	static const uint64_t fits = 10, too_large = UINT64_C(1) << 40;
	struct change_attrs a = { .sets_mode = true,
				  .sets_size = true,
				  .mode = 0600,
				  .size = too_large,
				  .uid = UID,
				  .gid = (gid_t)-1 };
	struct seeded_node *s = *state;
	struct change c = change_of(s);
	struct place file;
	struct stat st;

	seeded_node_write(s, "hub", "f", S_IFREG | 0644);
	file = seeded_node_place(s, "hub/f");
	assert_int_equal(change_attrs(&c, &file, &a), -EFBIG);
	scratch_stat(s->scratch, file.written, &st);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	assert_int_not_equal(st.st_uid, UID);
	a.size = fits;
	assert_int_equal(change_attrs(&c, &file, &a), 0);
	scratch_stat(s->scratch, file.written, &st);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_uid, UID);
	assert_int_equal(st.st_size, fits);
	place_fini(&file);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, seeded_node_setup, seeded_node_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_shown_is_not_for_clients_to_make_remove_or_move),
		TEST(what_is_not_shown_is),
		TEST(what_was_written_for_an_unknown_repository_stays_with_it),
		TEST(what_was_written_for_a_repository_goes_nowhere_else),
		TEST(what_is_to_become_a_shown_ref_is_dropped),
		TEST(nothing_takes_the_name_of_a_shown_directory),
		TEST(attributes_are_set_all_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
