/* SPDX-License-Identifier: Apache-2.0 */
/* What answers mean for their way, and what the end of a request says of the member. */
#include "daemon/peer/answered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "daemon/base/err.h"
#include "daemon/peer/outcome.h"

#define OK 0

static enum route_answer answer(int status, int cause)
{
	const struct peer_get q = { .status = status, .cause = cause };

	return answered_as(&q, OK);
}

static void what_a_member_signs_is_what_it_says(UNUSED void **state)
{
	assert_int_equal(answer(WIRE_BYTES, 0), ROUTE_GAVE);
	assert_int_equal(answer(WIRE_COMING, 0), ROUTE_COMING);
	assert_int_equal(answer(WIRE_ELSEWHERE, 0), ROUTE_ELSEWHERE);
	assert_int_equal(answer(WIRE_BUSY, 0), ROUTE_BUSY);
	assert_int_equal(answer(WIRE_FAILED, 0), ROUTE_FAILED);
	assert_int_equal(answer(WIRE_NOT_HERE, 0), ROUTE_NOT_HERE);
	assert_int_equal(answer(WIRE_OTHER_SIZE, 0), ROUTE_NOT_HERE);
	assert_int_equal(answer(WIRE_FULL, 0), ROUTE_NOT_HERE);
}

static void anything_else_makes_no_sense(UNUSED void **state)
{
	assert_int_equal(answer(WIRE_TOLD, 0), ROUTE_NONSENSE);
	assert_int_equal(answer(WIRE_BAD, 0), ROUTE_NONSENSE);
	assert_int_equal(answer(299, 0), ROUTE_NONSENSE);
}

/* The origin that was named has it not, which says nothing of other origins. */
static void what_is_not_at_its_origin_is_misplaced(UNUSED void **state)
{
	assert_int_equal(answer(WIRE_NOT_HERE, ERR_NOREPO), ROUTE_MISPLACED);
	assert_int_equal(answer(WIRE_NOT_HERE, -ENOENT), ROUTE_NOT_HERE);
	assert_int_equal(answer(WIRE_FAILED, ERR_NOREPO), ROUTE_FAILED);
}

static enum route_answer failure(int r, bool nonsense, int sunk)
{
	const struct peer_get q = { .nonsense = nonsense, .sunk = sunk };

	return answered_as(&q, r);
}

static void a_request_that_fails_says_how(UNUSED void **state)
{
	assert_int_equal(failure(ERR_TOKEN, false, 0), ROUTE_REFUSED);
	assert_int_equal(failure(ERR_BUSY, false, 0), ROUTE_CROWDED);
	assert_int_equal(failure(ERR_TIMEOUT, false, 0), ROUTE_SILENT);
	assert_int_equal(failure(ERR_CUT, false, 0), ROUTE_SILENT);
	assert_int_equal(failure(ERR_PROTO, false, 0), ROUTE_SILENT);
	assert_int_equal(failure(ERR_PROTO, true, 0), ROUTE_NONSENSE);
}

static void what_this_node_ends_itself_is_nobodys_fault(UNUSED void **state)
{
	assert_int_equal(failure(ERR_CANCELED, false, 0), ROUTE_LEFT);
	assert_int_equal(failure(-ENOMEM, false, 0), ROUTE_LEFT);
	assert_int_equal(failure(ERR_FULL, false, ERR_FULL), ROUTE_LEFT);
	assert_int_equal(failure(ERR_TIMEOUT, false, 0), ROUTE_SILENT); /* the twin */
}

static void each_ending_says_something_of_the_member(UNUSED void **state)
{
	assert_int_equal(outcome_of(ROUTE_GAVE), MEMBER_GAVE);
	assert_int_equal(outcome_of(ROUTE_COMING), MEMBER_ANSWERED);
	assert_int_equal(outcome_of(ROUTE_NONSENSE), MEMBER_VAIN);
	assert_int_equal(outcome_of(ROUTE_LEFT), MEMBER_LEFT);
	assert_int_equal(outcome_of(outcome_failed(ERR_TOKEN)), MEMBER_REFUSED);
	assert_int_equal(outcome_of(outcome_failed(ERR_BUSY)), MEMBER_CROWDED);
	assert_int_equal(outcome_of(outcome_failed(ERR_CANCELED)), MEMBER_LEFT);
	assert_int_equal(outcome_of(outcome_failed(ERR_TLS)), MEMBER_SILENT);
}

static void of_whom_it_names_those_count_that_are_members(UNUSED void **state)
{
	const struct member_spec list[] = { { "192.0.2.1:1", "", 1 }, { "192.0.2.2:1", "", 1 } };
	struct peer_get q = { .other_count = 2 };
	const struct membership *now;
	uint32_t at[WIRE_OTHERS_MAX];
	struct members *m;

	assert_int_equal(members_new(&list[0], &m), 0);
	assert_int_equal(members_set(m, list, 2), 0);
	now = members_now(m);
	snprintf(q.others[0], sizeof(q.others[0]), "192.0.2.9:1");
	snprintf(q.others[1], sizeof(q.others[1]), "192.0.2.2:1");
	assert_int_equal(answered_others(now, &q, at), 1);
	assert_string_equal(member_address(now->members[at[0]]), "192.0.2.2:1");
	membership_unref(now);
	members_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_member_signs_is_what_it_says),
		cmocka_unit_test(anything_else_makes_no_sense),
		cmocka_unit_test(what_is_not_at_its_origin_is_misplaced),
		cmocka_unit_test(a_request_that_fails_says_how),
		cmocka_unit_test(what_this_node_ends_itself_is_nobodys_fault),
		cmocka_unit_test(each_ending_says_something_of_the_member),
		cmocka_unit_test(of_whom_it_names_those_count_that_are_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
