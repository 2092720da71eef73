/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "tests/workdir.h"

#define TEXT "hello world\n"
#define OID "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"
#define COUNT 3

static const struct parts_of of = { "models/org/m", OID, 12, 5 };

struct fixture {
	struct workdir dir;
	struct intake *in;
	struct parts *parts;
	char sums[COUNT][PARTS_SUM_HEX + 1];
	const char *list[COUNT];
};

static void open_all(struct fixture *f)
{
	CLEANUP(buf_free) struct buf why = { 0 }, dir = { 0 };

	buf_printf(&dir, "%s/own", f->dir.path);
	assert_int_equal(intake_open(buf_str(&dir), &f->in, &why), 0);
	assert_int_equal(parts_new(f->in, &f->parts), 0);
}

static void close_all(struct fixture *f)
{
	parts_free(f->parts);
	intake_close(f->in);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	workdir_init(&f->dir);
	open_all(f);
	for (int i = 0; i < COUNT; i++)
		f->list[i] = f->sums[i];
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close_all(f);
	workdir_fini(&f->dir);
	free(f);
	return 0;
}

static unsigned staged(const struct fixture *f)
{
	CLEANUP(closedirp) DIR *d = NULL;
	unsigned n = 0;

	d = fdopendir(openat(f->dir.dirfd, "own/incoming", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	return n;
}

static struct part *begin(struct fixture *f, uint32_t number)
{
	struct part *w = NULL;

	assert_int_equal(parts_begin(f->parts, &of, number, &w), 0);
	return w;
}

static void come(struct fixture *f, uint32_t number, const char *text)
{
	struct part *w = begin(f, number);

	assert_int_equal(part_add(w, text, 1), 0);
	assert_int_equal(part_add(w, text + 1, strlen(text) - 1), 0);
	assert_int_equal(part_end(w, f->sums[number - 1]), 0);
	part_drop(w);
}

static void all_come(struct fixture *f)
{
	come(f, 3, "d\n");
	come(f, 1, "hello");
	come(f, 2, " worl");
}

static int join(struct fixture *f, uint32_t *ret_number)
{
	return parts_join(f->parts, &of, f->list, ret_number);
}

/* ---- stories ---- */

static void a_file_has_as_many_parts_as_it_needs(void **state)
{
	const struct parts_of even = { "x", OID, 10, 5 }, one = { "x", OID, 1, 5 };

	(void)state;
	assert_int_equal(parts_count(&of), 3);
	assert_int_equal(parts_len(&of, 2), 5);
	assert_int_equal(parts_len(&of, 3), 2);
	assert_int_equal(parts_count(&even), 2);
	assert_int_equal(parts_len(&even, 2), 5);
	assert_int_equal(parts_count(&one), 1);
	assert_int_equal(parts_len(&one, 1), 1);
}

static void parts_in_any_order_make_a_blob(void **state)
{
	struct fixture *f = *state;
	uint32_t number;

	all_come(f);
	assert_int_equal(staged(f), 2);
	assert_int_equal(join(f, &number), 0);
	assert_true(intake_has(f->in, OID, 12));
	assert_int_equal(staged(f), 0);
	/* It is no file in parts any more. */
	assert_int_equal(join(f, &number), -ENODATA);
	assert_true(intake_has(f->in, OID, 12));
}

static void parts_are_there_after_a_restart(void **state)
{
	struct fixture *f = *state;
	uint32_t number;

	come(f, 1, "hello");
	come(f, 3, "d\n");
	close_all(f);
	open_all(f);
	come(f, 2, " worl");
	assert_int_equal(join(f, &number), 0);
	assert_true(intake_has(f->in, OID, 12));
}

static void a_part_that_is_missing_is_named(void **state)
{
	struct fixture *f = *state;
	struct part *w;
	uint32_t number;

	come(f, 1, "hello");
	come(f, 3, "d\n");
	assert_int_equal(join(f, &number), -ENODATA);
	assert_int_equal(number, 2);
	come(f, 2, " worl");
	f->list[2] = f->sums[0];
	assert_int_equal(join(f, &number), -ENODATA);
	assert_int_equal(number, 3);
	f->list[2] = f->sums[2];
	/* One that came, and broke off when it came again. */
	w = begin(f, 1);
	assert_int_equal(part_add(w, "hel", 3), 0);
	assert_int_equal(part_end(w, f->sums[0]), ERR_SIZE);
	part_drop(w);
	assert_int_equal(join(f, &number), -ENODATA);
	assert_int_equal(number, 1);
	come(f, 1, "hello");
	assert_int_equal(join(f, &number), 0);
}

static void the_digest_of_the_whole_is_the_judge(void **state)
{
	struct fixture *f = *state;
	uint32_t number;

	all_come(f);
	come(f, 2, " WORL");
	assert_int_equal(join(f, &number), ERR_DIGEST);
	assert_false(intake_has(f->in, OID, 12));
	assert_int_equal(staged(f), 0);
	all_come(f);
	assert_int_equal(join(f, &number), 0);
}

static void a_part_has_its_length(void **state)
{
	struct fixture *f = *state;
	struct part *w = begin(f, 1);

	assert_int_equal(part_add(w, "hello!", 6), ERR_SIZE);
	assert_int_equal(part_add(w, "hello", 5), 0);
	assert_int_equal(part_add(w, "!", 1), ERR_SIZE);
	part_drop(w);
	assert_int_equal(parts_begin(f->parts, &of, 0, &w), -EINVAL);
	assert_int_equal(parts_begin(f->parts, &of, 4, &w), -EINVAL);
}

/* Who had it open could change what others read. */
static void nothing_is_joined_while_parts_of_it_come(void **state)
{
	struct fixture *f = *state;
	uint32_t number;
	struct part *w;

	all_come(f);
	w = begin(f, 1);
	assert_int_equal(join(f, &number), -EBUSY);
	part_drop(w);
	come(f, 1, "hello");
	assert_int_equal(join(f, &number), 0);
}

static void what_came_for_one_repository_is_none_of_anothers(void **state)
{
	const struct parts_of others = { "models/org/other", OID, 12, 5 };
	struct fixture *f = *state;
	uint32_t number;

	all_come(f);
	assert_int_equal(parts_join(f->parts, &others, f->list, &number), -ENODATA);
	assert_int_equal(number, 1);
}

static void what_was_left_lying_is_swept(void **state)
{
	struct fixture *f = *state;
	int64_t now_s = clock_wall_s();
	struct part *w;
	uint32_t number;

	all_come(f);
	parts_sweep(f->parts, now_s - 60);
	assert_int_equal(staged(f), 2);
	w = begin(f, 1); /* that is at work on it */
	parts_sweep(f->parts, now_s + 60);
	assert_int_equal(staged(f), 2);
	part_drop(w);
	parts_sweep(f->parts, now_s + 60);
	assert_int_equal(staged(f), 0);
	assert_int_equal(join(f, &number), -ENODATA);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_has_as_many_parts_as_it_needs),
		TEST(parts_in_any_order_make_a_blob),
		TEST(parts_are_there_after_a_restart),
		TEST(a_part_that_is_missing_is_named),
		TEST(the_digest_of_the_whole_is_the_judge),
		TEST(a_part_has_its_length),
		TEST(nothing_is_joined_while_parts_of_it_come),
		TEST(what_came_for_one_repository_is_none_of_anothers),
		TEST(what_was_left_lying_is_swept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
