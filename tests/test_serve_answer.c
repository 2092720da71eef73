/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/serve_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/base/err.h"

#define NODES 6

static struct members *new_members(void)
{
	struct member_spec self = { "n0.example:9980", "", 1 }, list[NODES];
	struct members *m;

	for (unsigned i = 0; i < NODES; i++) {
		list[i] = self;
		snprintf(list[i].address, sizeof(list[i].address), "n%u.example:9980", i);
	}
	assert_int_equal(members_new(&self, &m), 0);
	assert_int_equal(members_set(m, list, NODES), 0);
	return m;
}

/* Answers one behind the array that is filled, which must stay as it is. */
struct answers {
	char of[FANOUT_NAMES_MAX][MEMBER_ADDRESS_MAX + 1];
	char behind[MEMBER_ADDRESS_MAX + 1];
};

static void those_who_are_no_members_are_left_out(UNUSED void **state)
{
	struct members *m = new_members();
	const struct membership *now = members_now(m);
	const uint64_t keys[] = { placement_key("n4.example:9980"), 12345,
				  placement_key("n1.example:9980") };
	struct answers a = { 0 };

	assert_int_equal(serve_names(now, keys, 3, a.of), 2);
	assert_string_equal(a.of[0], "n4.example:9980");
	assert_string_equal(a.of[1], "n1.example:9980");
	membership_unref(now);
	members_free(m);
}

static void keys_that_are_the_same_name_no_more_than_there_is_room_for(UNUSED void **state)
{
	struct placement_node nodes[NODES];
	struct members *m = new_members();
	const struct membership *now = members_now(m);
	const struct membership same = { now->version, NODES, now->self, nodes, now->members };
	const uint64_t keys[FANOUT_NAMES_MAX] = { 7, 7, 7, 7 };
	struct answers a = { 0 };

	for (unsigned i = 0; i < NODES; i++)
		nodes[i] = (struct placement_node){ 7, 1 };
	assert_int_equal(serve_names(&same, keys, FANOUT_NAMES_MAX, a.of), FANOUT_NAMES_MAX);
	assert_string_equal(a.behind, "");
	assert_int_equal(serve_names(&same, keys, 1, a.of), 1); /* one for each key */
	membership_unref(now);
	members_free(m);
}

static void what_hubs_answered_is_said_of_upstream(UNUSED void **state)
{
	const int of[] = { ERR_UPSTREAM, ERR_SERVER, ERR_BUSY, ERR_CUT, ERR_TLS, ERR_PROTO };

	for (unsigned i = 0; i < sizeof(of) / sizeof(*of); i++)
		assert_int_equal(serve_status(of[i]), WIRE_FAILED);
}

static void what_is_wrong_with_the_place_a_guest_named_is_not(UNUSED void **state)
{
	const int of[] = { ERR_NOREPO, ERR_NOREV,    ERR_NOENTRY, ERR_GATED,
			   ERR_TOKEN,  ERR_DISABLED, ERR_CHANGED, ERR_MOVED };

	for (unsigned i = 0; i < sizeof(of) / sizeof(*of); i++) {
		assert_int_equal(serve_status(of[i]), WIRE_NOT_HERE);
		assert_int_equal(err_from_word(err_word(err_index(of[i]))), of[i]);
	}
	assert_int_equal(err_from_word("absent"), 0);
}

static void what_befell_this_node_is_not(UNUSED void **state)
{
	const int busy[] = { ERR_STOPPING, ERR_TIMEOUT, ERR_CANCELED, -ENOMEM, -EAGAIN, -EMFILE };
	const int gone[] = { -ENOENT, ERR_DIGEST, ERR_OFFLINE };
	const int full[] = { ERR_FULL, -ENOSPC, -EROFS };

	for (unsigned i = 0; i < sizeof(busy) / sizeof(*busy); i++)
		assert_int_equal(serve_status(busy[i]), WIRE_BUSY);
	for (unsigned i = 0; i < sizeof(gone) / sizeof(*gone); i++)
		assert_int_equal(serve_status(gone[i]), WIRE_NOT_HERE);
	for (unsigned i = 0; i < sizeof(full) / sizeof(*full); i++)
		assert_int_equal(serve_status(full[i]), WIRE_FULL);
	assert_int_equal(serve_status(ERR_SIZE), WIRE_OTHER_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_who_are_no_members_are_left_out),
		cmocka_unit_test(keys_that_are_the_same_name_no_more_than_there_is_room_for),
		cmocka_unit_test(what_hubs_answered_is_said_of_upstream),
		cmocka_unit_test(what_is_wrong_with_the_place_a_guest_named_is_not),
		cmocka_unit_test(what_befell_this_node_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
