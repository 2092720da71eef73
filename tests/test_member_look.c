/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of members that are told, and that lie in a file. (Names: test_member_list.c.) */
#include "daemon/peer/member_look.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/file.h"
#include "tests/workdir.h"

struct fixture {
	struct workdir dir;
	char path[PATH_MAX];
	struct member_file file;
	struct member_look found;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	workdir_init(&f->dir);
	snprintf(f->path, sizeof(f->path), "%s/members", f->dir.path);
	f->file.path = f->path;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	member_look_fini(&f->found);
	workdir_fini(&f->dir);
	free(f);
	return 0;
}

/* ---- told ---- */

static int told(struct fixture *f, const char *text)
{
	member_look_fini(&f->found);
	return member_look_told(text, &f->found);
}

static void who_is_told_is_a_member_with_blanks_or_without(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(told(f, "10.0.0.1:9980, [2001:DB8::2]:9980 ,,node-3.example:1,"),
			 MEMBER_FOUND);
	assert_int_equal(f->found.count, 3);
	assert_string_equal(f->found.list[0].address, "10.0.0.1:9980");
	assert_string_equal(f->found.list[1].address, "[2001:db8::2]:9980");
	assert_string_equal(f->found.list[2].address, "node-3.example:1");
	assert_int_equal(f->found.list[2].weight, 1);
}

static void what_is_no_address_is_told_of(void **state)
{
	struct fixture *f = *state;

	assert_true(told(f, "10.0.0.1:9980,10.0.0.2") < 0);
	assert_non_null(strstr(buf_str(&f->found.why), "\"10.0.0.2\" is no address"));
	assert_true(told(f, "") < 0);
	assert_true(told(f, " , ,") < 0);
	assert_non_null(strstr(buf_str(&f->found.why), "no member is named"));
}

/* ---- a file ---- */

static int look(struct fixture *f)
{
	member_look_fini(&f->found);
	return member_look_file(&f->file, &f->found);
}

/* By another file in its place. */
static void put(const struct fixture *f, const char *text)
{
	assert_int_equal(file_replace(AT_FDCWD, f->path, text, strlen(text), 0644), 0);
}

static void a_file_is_read_once_and_again_when_it_is_another(void **state)
{
	struct fixture *f = *state;

	put(f, "10.0.0.1:1\n");
	assert_int_equal(look(f), MEMBER_FOUND);
	assert_int_equal(f->found.count, 1);
	assert_int_equal(look(f), MEMBER_AS_IT_WAS);
	put(f, "10.0.0.1:1\n10.0.0.2:1 zone=a\n");
	assert_int_equal(look(f), MEMBER_UNDER_WAY); /* it may still be written */
	assert_int_equal(look(f), MEMBER_FOUND);
	assert_int_equal(f->found.count, 2);
	assert_int_equal(look(f), MEMBER_AS_IT_WAS);
}

static void while_it_is_written_it_is_not_read(void **state)
{
	struct fixture *f = *state;

	put(f, "10.0.0.1:1\n");
	assert_int_equal(look(f), MEMBER_FOUND);
	for (int i = 0; i < 3; i++) {
		put(f, i % 2 ? "10.0.0.2:1\n" : "10.0.0.30:1\n");
		assert_int_equal(look(f), MEMBER_UNDER_WAY);
	}
	assert_int_equal(look(f), MEMBER_FOUND);
	assert_string_equal(f->found.list[0].address, "10.0.0.30:1");
}

static void what_cannot_be_read_is_told_of(void **state)
{
	struct fixture *f = *state;

	assert_true(look(f) < 0); /* there is none */
	assert_non_null(strstr(buf_str(&f->found.why), "cannot be read"));
	put(f, "# nobody yet\n\n");
	assert_true(look(f) < 0);
	assert_non_null(strstr(buf_str(&f->found.why), "names no member"));
	put(f, "10.0.0.1:1\n10.0.0.2\n");
	assert_int_equal(look(f), MEMBER_UNDER_WAY);
	assert_true(look(f) < 0);
	assert_non_null(strstr(buf_str(&f->found.why), "line 2"));
	assert_int_equal(unlink(f->path), 0);
	assert_true(look(f) < 0);
	put(f, "10.0.0.1:1\n"); /* the twin, at once: it was not there before */
	assert_int_equal(look(f), MEMBER_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_is_told_is_a_member_with_blanks_or_without),
		TEST(what_is_no_address_is_told_of),
		TEST(a_file_is_read_once_and_again_when_it_is_another),
		TEST(while_it_is_written_it_is_not_read),
		TEST(what_cannot_be_read_is_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
