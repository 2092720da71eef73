/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/wait.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define MINUTE_MS 60000

/* A request as its owner sees it. */
struct request {
	struct waiter waiter;
	int woken;
	int result;
	struct waitlist *park_again;
};

static void wake(struct waiter *w, int r)
{
	struct request *q = container_of(w, struct request, waiter);

	q->woken++;
	q->result = r;
	if (q->park_again)
		waitlist_add(q->park_again, w);
}

static void wake_and_free(struct waiter *w, UNUSED int r)
{
	free(container_of(w, struct request, waiter));
}

static void park(struct waitlist *l, struct request *q, int64_t timeout_ms)
{
	*q = (struct request){ 0 };
	waiter_init(&q->waiter, timeout_ms, wake);
	waitlist_add(l, &q->waiter);
}

static void a_new_waiter_knows_when_it_came_and_until_when(UNUSED void **state)
{
	int64_t before = clock_ms();
	struct waiter w;

	waiter_init(&w, MINUTE_MS, wake);
	assert_in_range(w.started_ms, before, clock_ms());
	assert_int_equal(w.deadline_ms, w.started_ms + MINUTE_MS);
	assert_null(w.list);
	assert_int_equal(atomic_load(&w.canceled), 0);
}

static void a_waiter_without_deadline_waits_forever(UNUSED void **state)
{
	struct waiter w;

	waiter_init(&w, CLOCK_FOREVER, wake);
	assert_true(w.deadline_ms == CLOCK_FOREVER);
}

static void all_are_woken_once_with_the_result(UNUSED void **state)
{
	struct waitlist list = { 0 }, settled = { 0 };
	struct request q[3];

	for (int i = 0; i < 3; i++)
		park(&list, &q[i], MINUTE_MS);
	waitlist_settle_all(&list, ERR_CUT, &settled);
	assert_null(list.first);
	assert_null(list.last);
	for (int i = 0; i < 3; i++)
		assert_int_equal(q[i].woken, 0);
	waitlist_wake(&settled);
	waitlist_wake(&settled);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(q[i].woken, 1);
		assert_int_equal(q[i].result, ERR_CUT);
	}
	assert_null(settled.first);
}

static void one_is_settled_and_the_others_stay_in_order(UNUSED void **state)
{
	struct waitlist list = { 0 }, settled = { 0 };
	struct request q[3];

	for (int i = 0; i < 3; i++)
		park(&list, &q[i], MINUTE_MS);
	waitlist_settle(&q[1].waiter, 0, &settled);
	waitlist_wake(&settled);
	assert_int_equal(q[1].woken, 1);
	assert_int_equal(q[1].result, 0);
	assert_ptr_equal(list.first, &q[0].waiter);
	assert_ptr_equal(list.first->next, &q[2].waiter);
	assert_ptr_equal(list.last, &q[2].waiter);
	assert_int_equal(q[0].woken + q[2].woken, 0);
}

static void a_settled_waiter_is_no_longer_parked(UNUSED void **state)
{
	struct waitlist list = { 0 }, settled = { 0 };
	struct request q;

	park(&list, &q, MINUTE_MS);
	assert_ptr_equal(q.waiter.list, &list);
	waitlist_settle(&q.waiter, 0, &settled);
	assert_null(q.waiter.list);
}

static void first_and_last_can_be_taken_out(UNUSED void **state)
{
	struct waitlist list = { 0 };
	struct request q[3];

	for (int i = 0; i < 3; i++)
		park(&list, &q[i], MINUTE_MS);
	waitlist_del(&q[0].waiter);
	waitlist_del(&q[2].waiter);
	assert_ptr_equal(list.first, &q[1].waiter);
	assert_ptr_equal(list.last, &q[1].waiter);
	assert_null(q[1].waiter.prev);
	assert_null(q[1].waiter.next);
	waitlist_del(&q[1].waiter);
	assert_null(list.first);
	assert_null(list.last);
	/* And parked anew. */
	waitlist_add(&list, &q[0].waiter);
	assert_ptr_equal(list.last, &q[0].waiter);
}

static void only_the_late_are_settled(UNUSED void **state)
{
	struct waitlist list = { 0 }, settled = { 0 };
	struct request q[4];

	park(&list, &q[0], MINUTE_MS);
	park(&list, &q[1], 10);
	park(&list, &q[2], CLOCK_FOREVER);
	park(&list, &q[3], 20);
	waitlist_settle_late(&list, q[0].waiter.started_ms - 1, ERR_TIMEOUT, &settled);
	assert_null(settled.first);
	waitlist_settle_late(&list, q[3].waiter.deadline_ms, ERR_TIMEOUT, &settled);
	waitlist_wake(&settled);
	assert_int_equal(q[1].result, ERR_TIMEOUT);
	assert_int_equal(q[3].result, ERR_TIMEOUT);
	assert_int_equal(q[0].woken + q[2].woken, 0);
	assert_ptr_equal(list.first, &q[0].waiter);
	assert_ptr_equal(list.last, &q[2].waiter);
}

static void a_woken_waiter_may_be_parked_again(UNUSED void **state)
{
	struct waitlist list = { 0 }, settled = { 0 };
	struct request q;

	park(&list, &q, MINUTE_MS);
	q.park_again = &list;
	waitlist_settle_all(&list, 0, &settled);
	waitlist_wake(&settled);
	assert_int_equal(q.woken, 1);
	assert_ptr_equal(list.first, &q.waiter);
	assert_null(settled.first);
}

static void a_woken_waiter_may_be_freed(UNUSED void **state)
{
	struct waitlist list = { 0 }, settled = { 0 };

	for (int i = 0; i < 3; i++) {
		struct request *q = calloc(1, sizeof(*q));

		assert_non_null(q);
		waiter_init(&q->waiter, MINUTE_MS, wake_and_free);
		waitlist_add(&list, &q->waiter);
	}
	waitlist_settle_all(&list, 0, &settled);
	waitlist_wake(&settled);
	assert_null(settled.first);
}

static void readers_of_this_node_are_counted_and_others_are_not(UNUSED void **state)
{
	atomic_uint readers = 0;
	struct waitlist one = { .readers = &readers }, two = { .readers = &readers };
	struct waitlist settled = { 0 };
	struct request ours, theirs, late;

	park(&one, &ours, MINUTE_MS);
	theirs = (struct request){ 0 };
	waiter_init(&theirs.waiter, MINUTE_MS, wake);
	theirs.waiter.only = 1;
	waitlist_add(&one, &theirs.waiter);
	assert_int_equal(readers, 1);
	park(&two, &late, 0);
	assert_int_equal(readers, 2);
	waitlist_settle_late(&two, clock_ms(), ERR_TIMEOUT, &settled);
	assert_int_equal(readers, 1);
	waitlist_del(&theirs.waiter);
	assert_int_equal(readers, 1);
	waitlist_settle_all(&one, 0, &settled);
	assert_int_equal(readers, 0);
	waitlist_wake(&settled);
	assert_int_equal(readers, 0);
	assert_int_equal(ours.woken + late.woken, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_waiter_knows_when_it_came_and_until_when),
		cmocka_unit_test(a_waiter_without_deadline_waits_forever),
		cmocka_unit_test(all_are_woken_once_with_the_result),
		cmocka_unit_test(one_is_settled_and_the_others_stay_in_order),
		cmocka_unit_test(a_settled_waiter_is_no_longer_parked),
		cmocka_unit_test(first_and_last_can_be_taken_out),
		cmocka_unit_test(only_the_late_are_settled),
		cmocka_unit_test(a_woken_waiter_may_be_parked_again),
		cmocka_unit_test(a_woken_waiter_may_be_freed),
		cmocka_unit_test(readers_of_this_node_are_counted_and_others_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
