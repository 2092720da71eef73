/* SPDX-License-Identifier: Apache-2.0 */
/* The expected order is that of "git ls-tree -r -t" (2.39), its trees first. */
#include "admin/git/gitorder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/plain_manifest.h"

static const struct plain_file files[] = {
	{ "a/x/one", "1" }, { "a/two", "2" }, { "a.b/three", "3" }, { "a0/four", "4" },
	{ "a-five", "5" },  { "a.txt", "6" }, { "a/l2", "7" },      { "a/l10", "8" },
};

static int set_up(void **state)
{
	*state = plain_manifest(files, ARRAY_LEN(files));
	return 0;
}

static int tear_down(void **state)
{
	manifest_free(*state);
	return 0;
}

static void check(const struct manifest *m, const char *const *wanted, size_t count)
{
	CLEANUP(buf_free) struct buf order = { 0 }, path = { 0 };

	assert_int_equal(gitorder(m, &order), 0);
	assert_int_equal(order.len, count * sizeof(uint32_t));
	for (size_t i = 0; i < count; i++) {
		uint32_t node;

		memcpy(&node, order.data + i * sizeof(node), sizeof(node));
		buf_clear(&path);
		assert_int_equal(manifest_path(m, node, &path), 0);
		assert_string_equal(buf_str(&path), wanted[i]);
	}
}

static void directories_come_first_and_all_is_as_git_walks_through_it(void **state)
{
	static const char *const wanted[] = { "a.b",    "a",         "a/x",     "a0",
					      "a-five", "a.b/three", "a.txt",   "a/l10",
					      "a/l2",   "a/two",     "a/x/one", "a0/four" };

	check(*state, wanted, ARRAY_LEN(wanted));
}

static void nothing_has_no_order(void **state UNUSED)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest_builder *b;

	assert_int_equal(manifest_builder_new(&b), 0);
	assert_int_equal(manifest_builder_finish(b, &m, &why), 0);
	manifest_builder_free(b);
	check(m, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			directories_come_first_and_all_is_as_git_walks_through_it, set_up,
			tear_down),
		cmocka_unit_test(nothing_has_no_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
