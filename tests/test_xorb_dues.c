/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/xorb_dues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_due(struct xorb_dues *d, const char *payer, uint64_t bytes, uint64_t files)
{
	uint64_t b, f;

	xorb_dues_of(d, payer, &b, &f);
	assert_int_equal(b, bytes);
	assert_int_equal(f, files);
}

static void what_waits_is_counted_for_who_pays(UNUSED void **state)
{
	struct xorb_dues *d = NULL;

	assert_int_equal(xorb_dues_new(&d), 0);
	xorb_dues_add(d, "one-ann", "org", 100, 1);
	xorb_dues_add(d, "one-bob", "bob", 10, 1);
	xorb_dues_add(d, "two-ann", "org", 5, 1);
	assert_due(d, "org", 105, 2);
	assert_due(d, "bob", 10, 1);
	assert_due(d, "nobody", 0, 0);
	/* They may not write there any more. */
	xorb_dues_add(d, "one-ann", "ann", 1, 0);
	assert_due(d, "org", 5, 1);
	assert_due(d, "ann", 101, 1);
	xorb_dues_add(d, "one-ann", NULL, -101, -1);
	assert_due(d, "ann", 0, 0);
	xorb_dues_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(what_waits_is_counted_for_who_pays) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
