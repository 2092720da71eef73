/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/distrust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

static const struct distrust twice = { .strikes = 2, .barred_until_ms = 7, .once = 5 };

static void what_was_put_is_remembered(void **state)
{
	struct distrusts all = { .next = 0 };

	(void)state;
	assert_int_equal(distrusts_get(&all, "aa").strikes, 0);
	distrusts_put(&all, "aa", &twice);
	assert_int_equal(distrusts_get(&all, "aa").strikes, 2);
	assert_int_equal(distrusts_get(&all, "aa").barred_until_ms, 7);
	assert_int_equal(distrusts_get(&all, "aa").once, 5);
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

static void the_next_source_is_tried_first(void **state)
{
	struct distrust d = { .strikes = 0 };

	(void)state;
	assert_int_equal(distrust_shunned(&d, 2, 0), 0);
	distrust_blame(&d, 1, 2, 1000);
	assert_int_equal(d.strikes, 1);
	assert_int_equal(distrust_shunned(&d, 2, 1000), 1);
	distrust_blame(&d, 2, 2, 1001); /* that one, too: both have another try */
	assert_int_equal(distrust_shunned(&d, 2, 1001), 0);
	assert_int_equal(d.barred_until_ms, 0);
}

static void a_source_that_was_wrong_twice_is_not_asked_for_a_time(void **state)
{
	struct distrust d = { .strikes = 0 };

	(void)state;
	distrust_blame(&d, 3, 2, 1000);
	distrust_blame(&d, 2, 2, 2000);
	assert_int_equal(distrust_shunned(&d, 2, 2000), 2);
	assert_int_equal(distrust_shunned(&d, 2, 2000 + DISTRUST_BAR_MS - 1), 2);
	assert_int_equal(distrust_shunned(&d, 2, 2000 + DISTRUST_BAR_MS), 0);
	assert_int_equal(d.barred_until_ms, 0); /* the other is still asked */
	distrust_blame(&d, 1, 2, 3000);
	assert_int_equal(d.barred_until_ms, 3000 + DISTRUST_BAR_MS);
	assert_int_equal(distrust_shunned(&d, 2, 3001), 3);
	assert_int_equal(distrust_twice(&d, 2, 3001), 3); /* nor as a last resort */
	assert_int_equal(distrust_shunned(&d, 2, 3000 + DISTRUST_BAR_MS - 1), 3);
	assert_int_equal(distrust_shunned(&d, 2, 3000 + DISTRUST_BAR_MS), 0);
}

static void the_only_source_is_asked_twice_and_then_not_for_a_time(void **state)
{
	struct distrust d = { .strikes = 0 };

	(void)state;
	distrust_blame(&d, 1, 1, 1000);
	assert_int_equal(d.barred_until_ms, 0);
	assert_int_equal(distrust_shunned(&d, 1, 1000), 0);
	distrust_blame(&d, 1, 1, 2000);
	assert_int_equal(d.barred_until_ms, 2000 + DISTRUST_BAR_MS);
	assert_int_equal(distrust_shunned(&d, 1, 2000), 1);
	distrust_blame(&d, 1, 1, 90000); /* its one more try */
	assert_int_equal(d.barred_until_ms, 90000 + DISTRUST_BAR_MS);
	/* Bytes of a former process: nobody here gave them. */
	d = (struct distrust){ 0 };
	distrust_blame(&d, 0, 1, 1000);
	distrust_blame(&d, 0, 1, 1000);
	assert_int_equal(d.strikes, 2);
	assert_int_equal(d.barred_until_ms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_remembered),
		cmocka_unit_test(trust_comes_back),
		cmocka_unit_test(the_oldest_is_forgotten_first),
		cmocka_unit_test(the_next_source_is_tried_first),
		cmocka_unit_test(a_source_that_was_wrong_twice_is_not_asked_for_a_time),
		cmocka_unit_test(the_only_source_is_asked_twice_and_then_not_for_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
