/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/permit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define OWNER 1000
#define GROUP 2000
#define OTHER 3000

static const struct permit_who root = { 0, 0 }, owner = { OWNER, GROUP }, group = { OTHER, GROUP },
			       other = { OTHER, OTHER };
static const struct place top = { .kind = PLACE_ROOT }, hub = { .kind = PLACE_HUB };

static int set_up(void **state)
{
	static struct scratch *s;
	struct scratch_conf conf = { .max_bytes = 1 << 20, .max_nodes = 100 };

	*state = &s;
	return scratch_new(&conf, &s);
}

static int tear_down(void **state)
{
	scratch_free(*(struct scratch **)*state);
	return 0;
}

/* What OWNER wrote in a directory. */
static struct place write_in(void **state, const struct place *dir, const char *name, mode_t mode)
{
	struct scratch *s = *(struct scratch **)*state;
	struct scratch_node *parent, *n;

	assert_int_equal(scratch_dir(s, "", 1, &parent), 0);
	assert_int_equal(scratch_make(s, parent, name, mode, OWNER, GROUP, NULL, &n), 0);
	scratch_unref(s, parent);
	return place_written(dir, s, n);
}

static void mode_bits_count_beside_the_hub(void **state)
{
	struct place token = write_in(state, &top, "token", S_IFREG | 0640);

	assert_int_equal(permit_access(&owner, &token, R_OK | W_OK), 0);
	assert_int_equal(permit_access(&group, &token, R_OK), 0);
	assert_int_equal(permit_access(&group, &token, W_OK), -EACCES);
	assert_int_equal(permit_access(&other, &token, R_OK), -EACCES);
	assert_int_equal(permit_access(&root, &token, R_OK | W_OK), 0);
	place_fini(&token);
}

static void metadata_of_the_hub_is_anybodys(void **state)
{
	struct place lock = write_in(state, &hub, "x.lock", S_IFREG | 0600);

	assert_int_equal(permit_access(&other, &lock, R_OK | W_OK), 0);
	assert_int_equal(permit_remove(&other, &hub, &lock), 0);
	assert_int_equal(permit_change(&other, &lock), 0);
	place_fini(&lock);
}

static void what_is_shown_is_not_asked_about(void **state)
{
	struct place ref = { .kind = PLACE_REF };

	(void)state;
	assert_int_equal(permit_access(&other, &ref, R_OK | W_OK), 0);
	assert_int_equal(permit_access(&other, &top, W_OK | X_OK), 0);
}

static void directories_are_sticky(void **state)
{
	struct place dir = write_in(state, &top, "modules", S_IFDIR | 0777);
	struct place file = write_in(state, &dir, "code.py", S_IFREG | 0666);

	assert_int_equal(permit_remove(&owner, &dir, &file), 0);
	assert_int_equal(permit_remove(&root, &dir, &file), 0);
	assert_int_equal(permit_remove(&other, &dir, &file), -EPERM);
	assert_int_equal(permit_remove(&other, &top, &file), -EPERM);
	place_fini(&file);
	place_fini(&dir);
}

static void only_the_owner_changes_modes(void **state)
{
	struct place file = write_in(state, &top, "a", S_IFREG | 0666);

	assert_int_equal(permit_change(&owner, &file), 0);
	assert_int_equal(permit_change(&root, &file), 0);
	assert_int_equal(permit_change(&group, &file), -EPERM);
	place_fini(&file);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(mode_bits_count_beside_the_hub),   TEST(metadata_of_the_hub_is_anybodys),
		TEST(what_is_shown_is_not_asked_about), TEST(directories_are_sticky),
		TEST(only_the_owner_changes_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
