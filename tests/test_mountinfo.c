/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/mountinfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char text[] =
	"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
	"30 22 0:26 / /a\\040b\\134c\\012 rw - tmpfs tmpfs rw,size=1k\n"
	"31 22 0:27 / /models rw - tmpfs tmpfs rw\n"
	"no mount at all\n"
	"32 31 0:28 / /models ro shared:2 master:3 - fuse.matrixfs matrixfs rw,allow_other\n";

static void test_the_mount_on_top_is_found(void **state)
{
	struct mountinfo l;

	(void)state;
	assert_true(mountinfo_search(text, "/models", &l));
	assert_string_equal(l.type, "fuse.matrixfs");
	assert_string_equal(l.super, "rw,allow_other");
	assert_int_equal(l.major, 0);
	assert_int_equal(l.minor, 28);
	assert_false(mountinfo_search(text, "/models/", &l));
	assert_false(mountinfo_search("", "/", &l));
	assert_false(mountinfo_search("1 2 0:1 / /x rw\n2 1 0:2 / /y rw - a b c", "/x", &l));
}

static void test_names_are_what_they_were_before_they_were_written_there(void **state)
{
	struct mountinfo l;

	(void)state;
	assert_true(mountinfo_search(text, "/a b\\c\n", &l));
	assert_string_equal(l.type, "tmpfs");
	assert_false(mountinfo_search(text, "/a\\040b\\134c\\012", &l));
}

static void test_this_process_sees_proc(void **state)
{
	struct mountinfo l;

	(void)state;
	assert_true(mountinfo_find("/proc", &l));
	assert_string_equal(l.type, "proc");
	assert_false(mountinfo_find("/proc/self", &l));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_mount_on_top_is_found),
		cmocka_unit_test(test_names_are_what_they_were_before_they_were_written_there),
		cmocka_unit_test(test_this_process_sees_proc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
