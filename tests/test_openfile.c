/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/openfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "fs/view.h"

struct fixture {
	struct openfiles all;
	struct openfile_world w;
	struct inode *root;
};

static int set_up(void **state)
{
	static struct fixture f;
	struct scratch_conf conf = { .max_bytes = 1 << 20, .max_nodes = 100 };

	memset(&f, 0, sizeof(f));
	openfiles_init(&f.all);
	if (inodes_new(view_root(), &f.w.inodes) < 0 || scratch_new(&conf, &f.w.scratch) < 0)
		return -1;
	f.root = inodes_get(f.w.inodes, 1);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	openfiles_fini(&f->all); /* asserts that all are closed */
	inodes_free(f->w.inodes);
	scratch_free(f->w.scratch);
	return 0;
}

static struct openfile *open_scratch(struct fixture *f, const char *name)
{
	struct openfile *file = openfile_new(&f->all, f->root, 1);
	struct scratch_node *dir;

	assert_non_null(file);
	assert_int_equal(scratch_dir(f->w.scratch, "", 1, &dir), 0);
	assert_int_equal(
		scratch_make(f->w.scratch, dir, name, S_IFREG | 0600, 0, 0, NULL, &file->written),
		0);
	scratch_unref(f->w.scratch, dir);
	scratch_open(f->w.scratch, file->written);
	file->kind = OPENFILE_SCRATCH;
	return file;
}

static void a_file_in_the_making_closes_without_a_trace(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(openfile_close(&f->all, &f->w, openfile_new(&f->all, f->root, 1)), 0);
	assert_null(f->all.first);
}

static void files_close_in_any_order(void **state)
{
	struct fixture *f = *state;
	struct openfile *a = open_scratch(f, "a"), *b = open_scratch(f, "b"),
			*c = open_scratch(f, "c");

	openfile_close(&f->all, &f->w, b);
	openfile_close(&f->all, &f->w, a);
	openfile_close(&f->all, &f->w, c);
	assert_null(f->all.first);
}

static void what_was_never_released_is_closed_at_the_end(void **state)
{
	struct fixture *f = *state;

	open_scratch(f, "a");
	open_scratch(f, "b");
	openfiles_close(&f->all, &f->w);
	assert_null(f->all.first);
}

/* The last open by passthrough gives the backing id back; one that was never counted does not. */
static void only_a_counted_open_ends_a_passthrough(void **state)
{
	struct fixture *f = *state;
	struct openfile *counted = openfile_new(&f->all, f->root, 1),
			*uncounted = openfile_new(&f->all, f->root, 1);
	int id, spare;

	assert_int_equal(inode_open(f->w.inodes, f->root, true, &id), OPEN_NEEDS_ID);
	assert_int_equal(inode_opened(f->w.inodes, f->root, 7, &id, &spare), OPEN_PASSTHROUGH);
	counted->counted = counted->passthrough = true;
	assert_int_equal(openfile_close(&f->all, &f->w, uncounted), 0);
	assert_int_equal(openfile_close(&f->all, &f->w, counted), 7);
}

/* Of the process before: nothing was open any more when it ended. */
static void no_number_is_given_twice(void **state)
{
	struct fixture *f = *state;
	struct openfile *file = openfile_new(&f->all, f->root, 1);
	uint64_t number = file->number;

	openfile_close(&f->all, &f->w, file);
	openfiles_fini(&f->all);
	openfiles_init(&f->all);
	assert_int_equal(openfiles_inherit(&f->all, NULL, 1), 0);
	file = openfile_new(&f->all, f->root, 1);
	assert_true(file->number > number);
	assert_null(openfile_find(&f->all, number));
	openfile_close(&f->all, &f->w, file);
	/* The twin: a first process begins where any would. */
	openfiles_fini(&f->all);
	openfiles_init(&f->all);
	assert_int_equal(openfiles_inherit(&f->all, NULL, 0), 0);
	file = openfile_new(&f->all, f->root, 1);
	assert_int_equal(file->number, number);
	openfile_close(&f->all, &f->w, file);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_file_in_the_making_closes_without_a_trace),
		TEST(files_close_in_any_order),
		TEST(what_was_never_released_is_closed_at_the_end),
		TEST(only_a_counted_open_ends_a_passthrough),
		TEST(no_number_is_given_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
