/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/distrust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

static const struct distrust twice = { .strikes = 2, .barred_until_ms = 7, .sources_bad = 5 };

static void what_was_put_is_remembered(void **state)
{
	struct distrusts all = { .next = 0 };

	(void)state;
	assert_int_equal(distrusts_get(&all, "aa").strikes, 0);
	distrusts_put(&all, "aa", &twice);
	assert_int_equal(distrusts_get(&all, "aa").strikes, 2);
	assert_int_equal(distrusts_get(&all, "aa").barred_until_ms, 7);
	assert_int_equal(distrusts_get(&all, "aa").sources_bad, 5);
	assert_int_equal(distrusts_get(&all, "bb").strikes, 0);
}

static void trust_comes_back(void **state)
{
	struct distrusts all = { .next = 0 };

	(void)state;
	distrusts_put(&all, "aa", &twice);
	distrusts_put(&all, "aa", &(struct distrust){ 0 });
	assert_int_equal(distrusts_get(&all, "aa").strikes, 0);
	distrusts_put(&all, "bb", &(struct distrust){ 0 }); /* was never distrusted */
	assert_int_equal(all.next, 1);
}

static void the_oldest_is_forgotten_first(void **state)
{
	struct distrusts all = { .next = 0 };
	char etag[16];

	(void)state;
	for (int i = 0; i <= DISTRUST_MAX; i++) {
		snprintf(etag, sizeof(etag), "%d", i);
		distrusts_put(&all, etag, &twice);
	}
	assert_int_equal(distrusts_get(&all, "0").strikes, 0);
	assert_int_equal(distrusts_get(&all, "1").strikes, 2);
	assert_int_equal(distrusts_get(&all, etag).strikes, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_remembered),
		cmocka_unit_test(trust_comes_back),
		cmocka_unit_test(the_oldest_is_forgotten_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
