/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/account/retire.h"
#include "daemon/base/err.h"
#include "tests/hub_db.h"

#define UID_A "aaaaaaaaaaaaaaaaaaaaaaaa"
#define UID_B "bbbbbbbbbbbbbbbbbbbbbbbb"
#define ID "cccccccccccccccccccccccc"

struct call {
	const char *uid, *user;
	struct gate_request request;
	struct buf list;
};

static int put_in(struct db_txn *t, void *arg)
{
	const struct call *c = arg;

	return gate_put(t, c->uid, &c->request);
}

static void put(struct hub_db *h, const char *uid, const char *user, enum gate_status status)
{
	struct call c = { .uid = uid, .request = { .id = ID, .status = status, .asked_s = 7 } };

	strcpy(c.request.user, user);
	buf_add_str(&c.request.fields, "{\"why\":\"\\u00e9\"}");
	assert_int_equal(db_write(h->db, put_in, &c), 0);
	gate_request_fini(&c.request);
}

static int get_in(struct db_txn *t, void *arg)
{
	struct call *c = arg;

	return gate_get(t, c->uid, c->user, &c->request);
}

static enum gate_status status_of(struct hub_db *h, const char *uid, const char *user)
{
	struct call c = { .uid = uid, .user = user };
	int r = db_read(h->db, get_in, &c);

	gate_request_fini(&c.request);
	assert_true(r == 0 || r == -ENOENT);
	return r == 0 ? c.request.status : GATE_UNASKED;
}

static int list_one(void *arg, const struct gate_request *r)
{
	return buf_printf(arg, "%s=%s ", r->user, gate_word(r->status));
}

static int list_in(struct db_txn *t, void *arg)
{
	struct call *c = arg;

	return gate_each(t, c->uid, c->user, list_one, &c->list);
}

static void check_list(struct hub_db *h, const char *after, const char *want)
{
	struct call c = { .uid = UID_A, .user = after };

	assert_int_equal(db_read(h->db, list_in, &c), 0);
	assert_string_equal(buf_str(&c.list), want);
	buf_free(&c.list);
}

static int spoil(struct db_txn *t, void *arg UNUSED)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	return db_put(t, DB_GATE, db_pair(&room, UID_A, "ann"), "{\"status\":\"yes\"}", 16);
}

static void a_request_is_of_one_user_and_one_repository(void **state)
{
	struct hub_db *h = *state;
	struct call c = { .uid = UID_A, .user = "aNN" };

	put(h, UID_A, "Ann", GATE_PENDING);
	hub_db_reopen(h);
	assert_int_equal(db_read(h->db, get_in, &c), 0);
	assert_string_equal(c.request.user, "Ann");
	assert_string_equal(c.request.id, ID);
	assert_int_equal(c.request.asked_s, 7);
	assert_int_equal(c.request.reviewed_s, 0);
	assert_non_null(strstr(buf_str(&c.request.fields), "why"));
	gate_request_fini(&c.request);
	assert_int_equal(status_of(h, UID_B, "ann"), GATE_UNASKED);
	assert_int_equal(status_of(h, UID_A, "an"), GATE_UNASKED);
	put(h, UID_A, "ann", GATE_ACCEPTED);
	assert_int_equal(status_of(h, UID_A, "Ann"), GATE_ACCEPTED);
}

static void those_of_a_repository_are_listed_by_name(void **state)
{
	struct hub_db *h = *state;

	check_list(h, "", "");
	put(h, UID_A, "bob", GATE_REJECTED);
	put(h, UID_A, "Ann", GATE_PENDING);
	put(h, UID_B, "eve", GATE_PENDING);
	check_list(h, "", "Ann=pending bob=rejected ");
	check_list(h, "ANN", "bob=rejected ");
	check_list(h, "bob", "");
}

static void words_and_statuses_are_one_another(void **state UNUSED)
{
	for (int s = GATE_PENDING; s < GATE_STATUS_COUNT; s++)
		assert_int_equal(gate_status_of(gate_word((enum gate_status)s)), s);
	assert_int_equal(gate_status_of("yes"), GATE_UNASKED);
	assert_int_equal(gate_status_of(""), GATE_UNASKED);
	assert_int_equal(gate_status_of(NULL), GATE_UNASKED);
}

static void an_account_that_goes_was_let_in_nowhere(void **state)
{
	struct hub_db *h = *state;

	hub_db_user(h, "Ann");
	hub_db_user(h, "anna");
	put(h, UID_A, "Ann", GATE_ACCEPTED);
	put(h, UID_B, "Ann", GATE_PENDING);
	put(h, UID_A, "anna", GATE_ACCEPTED);
	assert_int_equal(retire_account(h->db, "ann", &h->why), 0);
	assert_int_equal(status_of(h, UID_A, "Ann"), GATE_UNASKED);
	assert_int_equal(status_of(h, UID_B, "Ann"), GATE_UNASKED);
	assert_int_equal(status_of(h, UID_A, "anna"), GATE_ACCEPTED);
}

static void a_row_that_makes_no_sense_lets_nobody_in(void **state)
{
	struct hub_db *h = *state;
	struct call c = { .uid = UID_A, .user = "ann" };

	assert_int_equal(db_write(h->db, spoil, NULL), 0);
	assert_int_equal(db_read(h->db, get_in, &c), ERR_CORRUPT);
	check_list(h, "", "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_of_one_user_and_one_repository),
		TEST(those_of_a_repository_are_listed_by_name),
		TEST(words_and_statuses_are_one_another),
		TEST(an_account_that_goes_was_let_in_nowhere),
		TEST(a_row_that_makes_no_sense_lets_nobody_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
