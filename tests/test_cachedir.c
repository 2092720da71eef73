/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/cachedir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char *xdg, *home;

static char *env(const char *name)
{
	return !strcmp(name, "XDG_CACHE_HOME") ? xdg : !strcmp(name, "HOME") ? home : NULL;
}

static void is(bool is_root, const char *dir)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	assert_int_equal(cachedir_default(is_root, env, &got), 0);
	assert_string_equal(buf_str(&got), dir);
}

static void a_user_has_it_in_his_own(void **state)
{
	static char cache[] = "/c", dir[] = "/home/u", none[] = "", relative[] = "c";

	(void)state;
	xdg = cache;
	home = dir;
	is(false, "/c/matrixfs");
	is(true, CACHEDIR); /* whatever root's environment says */
	xdg = relative;
	is(false, "/home/u/.cache/matrixfs");
	xdg = NULL;
	is(false, "/home/u/.cache/matrixfs");
	home = none;
	is(false, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_has_it_in_his_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
