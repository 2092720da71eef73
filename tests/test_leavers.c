/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/leavers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

#include "daemon/base/clock.h"
#include "tests/hub_db.h"

static char ann[] = "ann";

static int note(struct db_txn *t, void *arg)
{
	return leaver_note(t, arg, 1234567890);
}

static int forget(struct db_txn *t, void *arg)
{
	return leaver_forget(t, arg);
}

struct looking {
	const char *key;
	struct leaver found;
};

static int look(struct db_txn *t, void *arg)
{
	struct looking *l = arg;

	return leaver_find(t, l->key, &l->found);
}

static void a_name_is_left_until_it_is_forgotten(void **state)
{
	struct looking l = { .key = ann }, other = { .key = "anna" };
	struct hub_db *h = *state;

	assert_int_equal(db_read(h->db, look, &l), -ENOENT);
	assert_int_equal(db_write(h->db, note, ann), 0);
	hub_db_reopen(h);
	assert_int_equal(db_read(h->db, look, &l), 0);
	assert_int_equal(l.found.made_s, 1234567890);
	assert_in_range(l.found.left_s, clock_wall_s() - 60, clock_wall_s());
	assert_int_equal(db_read(h->db, look, &other), -ENOENT); /* twin */
	assert_int_equal(db_write(h->db, forget, ann), 0);
	assert_int_equal(db_read(h->db, look, &l), -ENOENT);
	assert_int_equal(db_write(h->db, forget, ann), 0);
}

static void a_damaged_row_still_keeps_the_name(void **state)
{
	struct looking l = { .key = ann };
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, note, ann), 0);
	hub_db_damage(h, DB_LEAVERS, db_text(ann));
	assert_int_equal(db_read(h->db, look, &l), 0);
	assert_true(l.found.made_s == 0 && l.found.left_s == 0);
	assert_int_equal(db_write(h->db, forget, ann), 0);
	assert_int_equal(db_read(h->db, look, &l), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_name_is_left_until_it_is_forgotten),
		TEST(a_damaged_row_still_keeps_the_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
