/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/leavers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "tests/hub_db.h"

static char ann[] = "ann";

static int note(struct db_txn *t, void *arg)
{
	return leaver_note(t, arg);
}

static int forget(struct db_txn *t, void *arg)
{
	return leaver_forget(t, arg);
}

struct looking {
	const char *key;
	int64_t left_s;
};

static int look(struct db_txn *t, void *arg)
{
	struct looking *l = arg;

	return leaver_find(t, l->key, &l->left_s);
}

static int64_t left(struct hub_db *h, const char *key)
{
	struct looking l = { key, -1 };

	assert_int_equal(db_read(h->db, look, &l), 0);
	return l.left_s;
}

static void a_name_is_left_until_it_is_forgotten(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(left(h, ann), 0);
	assert_int_equal(db_write(h->db, note, ann), 0);
	hub_db_reopen(h);
	assert_in_range(left(h, ann), clock_wall_s() - 60, clock_wall_s());
	assert_int_equal(left(h, "anna"), 0); /* twin */
	assert_int_equal(db_write(h->db, forget, ann), 0);
	assert_int_equal(left(h, ann), 0);
	assert_int_equal(db_write(h->db, forget, ann), 0);
}

static void a_damaged_row_still_keeps_the_name(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, note, ann), 0);
	hub_db_damage(h, DB_LEAVERS, db_text(ann));
	assert_int_equal(left(h, ann), 1);
	assert_int_equal(db_write(h->db, forget, ann), 0);
	assert_int_equal(left(h, ann), 0);
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
