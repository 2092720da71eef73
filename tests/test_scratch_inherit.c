/* SPDX-License-Identifier: Apache-2.0 */
/* What clients wrote, in one process after the other. */
#include "fs/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fs/orphans.h"
#include "fs/scratch_left.h"

struct life {
	struct estate *estate;
	struct scratch *s;
};

static void begin(struct life *l)
{
	const struct scratch_conf conf = { .max_bytes = 1 << 20, .max_nodes = 20, .uid = 1 };

	assert_int_equal(scratch_new(&conf, &l->s), 0);
	assert_int_equal(scratch_inherit(l->s, l->estate), 0);
}

static int set_up(void **state)
{
	static struct life l;

	if (estate_new(&l.estate) < 0)
		return -1;
	begin(&l);
	scratch_inherited(l.s);
	*state = &l;
	return 0;
}

static int tear_down(void **state)
{
	struct life *l = *state;

	scratch_free(l->s);
	estate_free(l->estate);
	return 0;
}

/* Ends the process, as a kill does; the next one has yet to say what is open. */
static void succeed(struct life *l)
{
	struct estate *next = NULL;

	assert_int_equal(estate_inherit(estate_fd(l->estate), &next), 0);
	assert_int_equal(estate_leave(l->estate), 0);
	scratch_free(l->s);
	estate_free(l->estate);
	l->estate = next;
	begin(l);
}

static struct scratch_node *dir_at(struct life *l, const char *path)
{
	struct scratch_node *n = NULL;

	assert_int_equal(scratch_dir(l->s, path, true, &n), 0);
	return n;
}

static struct scratch_node *make(struct life *l, const char *dir, const char *name,
				 const char *text)
{
	struct scratch_node *d = dir_at(l, dir), *n = NULL;

	assert_int_equal(scratch_make(l->s, d, name, S_IFREG | 0640, 3, 4, NULL, &n), 0);
	assert_int_equal(scratch_write(l->s, n, text, strlen(text), 0), (int)strlen(text));
	scratch_unref(l->s, d);
	return n;
}

static void assert_text(struct life *l, struct scratch_node *n, const char *want)
{
	char text[64] = "";

	assert_int_equal(scratch_read(l->s, n, text, sizeof(text) - 1, 0), (int)strlen(want));
	assert_string_equal(text, want);
}

static struct scratch_node *find(struct life *l, const char *dir, const char *name)
{
	struct scratch_node *d = dir_at(l, dir), *n = NULL;

	if (scratch_find(l->s, d, name, &n) < 0)
		n = NULL;
	scratch_unref(l->s, d);
	return n;
}

static void test_a_tree_is_as_it_was(void **state)
{
	struct life *l = *state;
	struct scratch_node *n = make(l, "hub/.locks", "a", "first"), *d = dir_at(l, "modules"), *t;
	struct stat before, after;
	uint64_t id = scratch_id(n);

	assert_int_equal(scratch_make(l->s, d, "link", S_IFLNK, 0, 0, "../a", &t), 0);
	scratch_unref(l->s, t);
	assert_int_equal(scratch_link(l->s, n, dir_at(l, "hub/.locks"), "b"), 0);
	scratch_stat(l->s, n, &before);
	succeed(l);
	scratch_inherited(l->s);
	n = find(l, "hub/.locks", "b");
	assert_int_equal(scratch_id(n), id);
	assert_text(l, n, "first");
	scratch_stat(l->s, n, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	scratch_unref(l->s, n);
	n = find(l, "modules", "link");
	assert_string_equal(scratch_target(n), "../a");
	scratch_unref(l->s, n);
	assert_null(find(l, "modules", "none"));
}

static void test_what_changes_later_is_left_too(void **state)
{
	struct life *l = *state;
	struct scratch_node *n = make(l, "", "grows", "1"), *d = dir_at(l, "");
	uint64_t bytes, nodes;

	scratch_unref(l->s, n);
	scratch_unref(l->s, make(l, "", "goes", "x"));
	for (int life = 0; life < 3; life++) {
		scratch_unref(l->s, d);
		succeed(l);
		scratch_inherited(l->s);
		d = dir_at(l, "");
		n = find(l, "", "grows");
		assert_non_null(n);
		assert_int_equal(scratch_write(l->s, n, "23456789" + life, 1, 1 + (unsigned)life),
				 1);
		scratch_unref(l->s, n);
		assert_int_equal(scratch_unlink(l->s, d, "goes"), life ? -ENOENT : 0);
	}
	n = find(l, "", "grows");
	assert_text(l, n, "1234");
	assert_int_equal(scratch_truncate(l->s, n, 1), 0);
	assert_int_equal(scratch_rename(l->s, d, "grows", d, "grown", 0), 0);
	scratch_unref(l->s, n);
	scratch_unref(l->s, d);
	succeed(l);
	scratch_inherited(l->s);
	n = find(l, "", "grown");
	assert_text(l, n, "1");
	scratch_unref(l->s, n);
	assert_null(find(l, "", "grows"));
	scratch_used(l->s, &bytes, &nodes);
	assert_int_equal(bytes, 1);
	assert_int_equal(nodes, 1);
}

static void test_a_file_without_a_name_lives_while_it_is_open(void **state)
{
	struct life *l = *state;
	struct scratch_node *n = make(l, "", "gone", "here"), *d = dir_at(l, "");
	uint64_t id = scratch_id(n), bytes, nodes;

	scratch_open(l->s, n);
	assert_int_equal(scratch_unlink(l->s, d, "gone"), 0);
	succeed(l);
	assert_int_equal(scratch_by_id(l->s, id, &n), 0);
	scratch_open(l->s, n);
	scratch_inherited(l->s);
	assert_text(l, n, "here");
	scratch_close(l->s, n);
	scratch_unref(l->s, n);
	scratch_used(l->s, &bytes, &nodes);
	assert_int_equal(bytes, 0);
	/* The twin: nobody said that it is open. And no number is given twice. */
	n = make(l, "", "gone", "again");
	assert_true(scratch_id(n) > id);
	id = scratch_id(n);
	scratch_open(l->s, n);
	d = dir_at(l, "");
	assert_int_equal(scratch_unlink(l->s, d, "gone"), 0);
	succeed(l);
	scratch_inherited(l->s);
	assert_int_equal(scratch_by_id(l->s, id, &n), -ENOENT);
	n = make(l, "", "new", "");
	assert_true(scratch_id(n) > id);
	scratch_unref(l->s, n);
}

static void test_the_oldest_are_forgotten_first_as_ever(void **state)
{
	static const char *const names[] = { "c", "a", "b" };
	struct life *l = *state;
	struct scratch_node *n;
	char name[16];

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		scratch_unref(l->s, make(l, "hub", names[i], "x"));
	succeed(l);
	scratch_inherited(l->s);
	for (int i = 0; (n = find(l, "hub", "c")); i++) {
		scratch_unref(l->s, n);
		snprintf(name, sizeof(name), "n%d", i);
		scratch_unref(l->s, make(l, "hub", name, "y"));
	}
	for (size_t i = 1; i < ARRAY_LEN(names); i++) {
		n = find(l, "hub", names[i]);
		assert_non_null(n);
		scratch_unref(l->s, n);
	}
}

static int count_one(void *arg, uint32_t record UNUSED, void *data UNUSED, size_t len UNUSED)
{
	++*(unsigned *)arg;
	return 0;
}

static unsigned count(struct life *l, enum estate_kind kind)
{
	unsigned n = 0;

	estate_each(l->estate, kind, count_one, &n);
	return n;
}

/* What a death between two records left. The twin is what somebody refers to. */
static void test_what_nobody_refers_to_is_not_kept(void **state)
{
	const struct scratch_left_entry nowhere = { 77, 78 };
	struct life *l = *state;
	struct scratch_node *d = dir_at(l, ""), *t;
	uint32_t id;

	scratch_unref(l->s, make(l, "", "a", "text"));
	assert_int_equal(scratch_make(l->s, d, "link", S_IFLNK, 0, 0, "a", &t), 0);
	scratch_unref(l->s, t);
	scratch_unref(l->s, d);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(estate_add(l->estate, ESTATE_BYTES, "lost", 4, &id), 0);
		assert_int_equal(estate_add(l->estate, ESTATE_TEXT, "lost", 4, &id), 0);
		assert_int_equal(
			estate_add(l->estate, ESTATE_ENTRY, &nowhere, sizeof(nowhere), &id), 0);
		assert_int_equal(estate_add(l->estate, ESTATE_NODE, "short", 5, &id), 0);
	}
	succeed(l);
	scratch_inherited(l->s);
	assert_int_equal(count(l, ESTATE_BYTES), 4);
	assert_int_equal(orphans_sweep(l->estate), 0);
	assert_int_equal(count(l, ESTATE_BYTES), 1);
	assert_int_equal(count(l, ESTATE_TEXT), 1);
	assert_int_equal(count(l, ESTATE_ENTRY), 2);
	assert_int_equal(count(l, ESTATE_NODE), 3);
	t = find(l, "", "a");
	assert_text(l, t, "text");
	scratch_unref(l->s, t);
	t = find(l, "", "link");
	assert_string_equal(scratch_target(t), "a");
	scratch_unref(l->s, t);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_tree_is_as_it_was),
		TEST(test_what_changes_later_is_left_too),
		TEST(test_a_file_without_a_name_lives_while_it_is_open),
		TEST(test_the_oldest_are_forgotten_first_as_ever),
		TEST(test_what_nobody_refers_to_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
