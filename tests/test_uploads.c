/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/uploads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "admin/registry/holdings.h"
#include "daemon/base/err.h"
#include "tests/hub_db.h"

#define ETAG "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define REPO "models/org/m"

static int note(struct db_txn *t, void *arg UNUSED)
{
	return uploads_note(t, REPO, "", ETAG, UINT64_MAX, 1700000000);
}

static int spoil(struct db_txn *t, void *arg UNUSED)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	return db_put(t, DB_UPLOADS, db_pair(&room, REPO, ETAG), "5", 1);
}

static int forget(struct db_txn *t, void *arg UNUSED)
{
	return uploads_forget(t, REPO, ETAG);
}

static int move(struct db_txn *t, void *to)
{
	return uploads_move(t, REPO, to, 1700000001);
}

static int move_back(struct db_txn *t, void *arg UNUSED)
{
	return uploads_move(t, "models/org/mm", REPO, 1700000002);
}

static uint64_t found;

static int find(struct db_txn *t, void *repo)
{
	return uploads_find(t, repo, ETAG, &found);
}

static char repo[] = REPO, other[] = "models/org/mm";

static void what_came_for_a_repository_is_its_alone(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(db_read(h->db, find, repo), -ENOENT);
	assert_int_equal(db_write(h->db, note, NULL), 0);
	hub_db_reopen(h);
	assert_int_equal(db_read(h->db, find, repo), 0);
	assert_true(found == UINT64_MAX);
	assert_int_equal(db_read(h->db, find, other), -ENOENT);
}

static void it_can_be_forgotten(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, forget, NULL), 0);
	assert_int_equal(db_write(h->db, note, NULL), 0);
	assert_int_equal(db_write(h->db, forget, NULL), 0);
	assert_int_equal(db_read(h->db, find, repo), -ENOENT);
}

static void it_moves_with_its_repository(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, note, NULL), 0);
	assert_int_equal(db_write(h->db, move, repo), 0); /* to where it is */
	assert_int_equal(db_read(h->db, find, repo), 0);
	assert_int_equal(db_write(h->db, move, other), 0);
	assert_int_equal(db_read(h->db, find, repo), -ENOENT);
	found = 0;
	assert_int_equal(db_read(h->db, find, other), 0);
	assert_true(found == UINT64_MAX);
}

static void a_row_that_makes_no_sense_says_so(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, spoil, NULL), 0);
	assert_int_equal(db_read(h->db, find, repo), ERR_CORRUPT);
}

static int note_of_bob(struct db_txn *t, void *arg UNUSED)
{
	return uploads_note(t, REPO, "bob", ETAG, 7, 1700000000);
}

static int see_holder(void *arg, const struct upload_row *u)
{
	snprintf(arg, 32, "%s %s", u->namespace, u->repo);
	return 0;
}

static int list(struct db_txn *t, void *arg)
{
	return uploads_each(t, NULL, see_holder, arg);
}

static uint64_t held;

static int get_held(struct db_txn *t, void *namespace)
{
	struct holdings_use use;
	int r = holdings_use(t, namespace, &use);

	held = use.bytes;
	return r;
}

static void who_brought_it_for_another_holds_its_bytes(void **state)
{
	char seen[32] = "", bob[] = "bob", org[] = "org";
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, note_of_bob, NULL), 0);
	assert_int_equal(db_write(h->db, note, NULL), 0); /* once more: it is his still */
	assert_int_equal(db_write(h->db, move, other), 0);
	assert_int_equal(db_read(h->db, list, seen), 0);
	assert_string_equal(seen, "bob models/org/mm");
	assert_int_equal(db_read(h->db, get_held, bob), 0);
	assert_true(held != 0);
	assert_int_equal(db_read(h->db, get_held, org), 0);
	assert_true(held == 0);
	assert_int_equal(db_write(h->db, move_back, NULL), 0);
	assert_int_equal(db_write(h->db, forget, NULL), 0);
	assert_int_equal(db_read(h->db, get_held, bob), 0);
	assert_true(held == 0);
}

static void who_brought_it_for_their_own_is_not_named(void **state)
{
	struct hub_db *h = *state;
	char seen[32] = "";

	assert_int_equal(db_write(h->db, note, NULL), 0);
	assert_int_equal(db_read(h->db, list, seen), 0);
	assert_string_equal(seen, "org models/org/m");
}

static int leave(struct db_txn *t, void *payer)
{
	return uploads_leave(t, payer);
}

static void what_somebody_brought_for_another_and_who_is_gone_is_nobodys(void **state)
{
	char seen[32] = "", bob[] = "bob", nobody[] = HOLDINGS_NOBODY, org[] = "org";
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, note_of_bob, NULL), 0);
	assert_int_equal(db_write(h->db, leave, bob), 0);
	assert_int_equal(db_read(h->db, list, seen), 0);
	assert_string_equal(seen, "- models/org/m");
	assert_int_equal(db_read(h->db, get_held, bob), 0);
	assert_true(held == 0);
	assert_int_equal(db_read(h->db, get_held, nobody), 0);
	assert_true(held == 7);
	assert_int_equal(db_write(h->db, forget, NULL), 0);
	assert_int_equal(db_read(h->db, get_held, nobody), 0);
	assert_true(held == 0);
	assert_int_equal(db_write(h->db, note, NULL), 0); /* twin: what came for their own stays */
	assert_int_equal(db_write(h->db, leave, org), 0);
	assert_int_equal(db_read(h->db, list, seen), 0);
	assert_string_equal(seen, "org models/org/m");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_came_for_a_repository_is_its_alone),
		TEST(it_can_be_forgotten),
		TEST(it_moves_with_its_repository),
		TEST(who_brought_it_for_another_holds_its_bytes),
		TEST(who_brought_it_for_their_own_is_not_named),
		TEST(what_somebody_brought_for_another_and_who_is_gone_is_nobodys),
		TEST(a_row_that_makes_no_sense_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
