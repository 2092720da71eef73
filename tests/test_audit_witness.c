/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_witness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/hub_db.h"

static struct audit_mark mark(uint64_t segment, uint64_t seq, char digit)
{
	struct audit_mark m = { .segment = segment, .seq = seq };

	memset(m.hash, digit, AUDIT_HASH_HEX);
	return m;
}

static void bears(struct hub_db *h, uint64_t segment, uint64_t seq, char digit)
{
	const struct audit_mark want = mark(segment, seq, digit);
	struct audit_mark got;

	assert_int_equal(audit_witness_get(h->db, &got), 0);
	assert_int_equal(got.segment, want.segment);
	assert_int_equal(got.seq, want.seq);
	assert_string_equal(got.hash, want.hash);
}

static void nothing_is_witnessed_at_first(void **state)
{
	struct hub_db *h = *state;
	struct audit_mark got;

	assert_int_equal(audit_witness_get(h->db, &got), -ENOENT);
	assert_int_equal(got.seq, 0);
}

static void what_is_witnessed_stays(void **state)
{
	const struct audit_mark first = mark(1, 7, 'a'), second = mark(2, 4000000000, 'b');
	struct hub_db *h = *state;

	assert_int_equal(audit_witness_put(h->db, &first), 0);
	bears(h, 1, 7, 'a');
	assert_int_equal(audit_witness_put(h->db, &second), 0);
	hub_db_reopen(h);
	bears(h, 2, 4000000000, 'b');
}

static void it_never_goes_back(void **state)
{
	const struct audit_mark first = mark(2, 7, 'a'), earlier = mark(1, 6, 'b'),
				other = mark(2, 7, 'c');
	struct hub_db *h = *state;

	assert_int_equal(audit_witness_put(h->db, &first), 0);
	assert_int_equal(audit_witness_put(h->db, &earlier), 0);
	assert_int_equal(audit_witness_put(h->db, &other), 0);
	bears(h, 2, 7, 'a');
}

static int put_garbage(struct db_txn *t, void *arg UNUSED)
{
	return db_put(t, DB_META, db_text("audit"), "{}", 2);
}

static void what_makes_no_sense_is_told_and_replaced(void **state)
{
	const struct audit_mark first = mark(1, 7, 'a');
	struct hub_db *h = *state;
	struct audit_mark got;

	assert_int_equal(db_write(h->db, put_garbage, NULL), 0);
	assert_int_equal(audit_witness_get(h->db, &got), ERR_CORRUPT);
	assert_int_equal(audit_witness_put(h->db, &first), 0);
	bears(h, 1, 7, 'a');
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, hub_db_setup, hub_db_teardown)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_witnessed_at_first),
		TEST(what_is_witnessed_stays),
		TEST(it_never_goes_back),
		TEST(what_makes_no_sense_is_told_and_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
