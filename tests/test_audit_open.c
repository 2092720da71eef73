/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_open.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define IDLE_MS 1000
#define SIZE 100

static const struct audit_record file = {
	.kind = AUDIT_DOWNLOAD,
	.user = "ann",
	.address = "192.0.2.1",
	.repo = "models/org/tiny",
	.file = "w.bin",
	.has_bytes = true,
	.size = SIZE,
	.status = 206,
	.why = "the client left",
};

static int setup(void **state)
{
	static struct audit_table table;

	table = (struct audit_table){ .idle_ms = IDLE_MS };
	*state = &table;
	return 0;
}

static int teardown(void **state)
{
	audit_table_fini(*state);
	return 0;
}

static void begin(struct audit_table *t, const struct audit_record *rec)
{
	assert_int_equal(audit_table_begin(t, rec), 0);
}

static void end(struct audit_table *t, const struct audit_record *rec, uint64_t from, uint64_t to,
		int64_t now_ms)
{
	const struct audit_span span = { from, to };

	assert_int_equal(audit_table_end(t, rec, &span, 1, to - from, false, now_ms), 0);
}

/* What is over is so many bytes in so many requests, with that outcome. */
static void expect(struct audit_table *t, int64_t now_ms, uint64_t bytes, uint64_t requests,
		   const char *outcome)
{
	struct audit_record *rec = audit_table_over(t, now_ms, false);

	assert_non_null(rec);
	assert_int_equal(rec->bytes, bytes);
	assert_int_equal(rec->requests, requests);
	assert_string_equal(rec->outcome, outcome);
	free(rec);
}

static void a_whole_file_is_over_at_once(void **state)
{
	begin(*state, &file);
	assert_null(audit_table_over(*state, 0, false));
	end(*state, &file, 0, SIZE, 5);
	expect(*state, 5, SIZE, 1, AUDIT_DONE);
	assert_int_equal(audit_table_count(*state), 0);
}

static void its_ranges_are_one_download_in_any_order(void **state)
{
	static const unsigned order[] = { 7, 2, 0, 9, 1, 8, 4, 3, 6, 5 };

	begin(*state, &file);
	begin(*state, &file);
	end(*state, &file, 0, 0, 1);
	end(*state, &file, 0, 0, 1);
	for (unsigned i = 0; i < 10; i++) {
		assert_null(audit_table_over(*state, 1, false));
		begin(*state, &file);
		end(*state, &file, order[i] * 10, order[i] * 10 + 10, 1);
	}
	expect(*state, 1, SIZE, 12, AUDIT_DONE);
}

static void a_part_is_over_when_nothing_came_for_a_while(void **state)
{
	begin(*state, &file);
	end(*state, &file, 0, 10, 100);
	begin(*state, &file);
	end(*state, &file, 10, 20, 900);
	assert_null(audit_table_over(*state, 100 + IDLE_MS, false));
	expect(*state, 900 + IDLE_MS, 20, 2, AUDIT_PART);
}

static void what_is_under_way_is_not_over(void **state)
{
	struct audit_record *rec;

	begin(*state, &file);
	assert_null(audit_table_over(*state, 1000 * IDLE_MS, false));
	rec = audit_table_over(*state, 0, true);
	assert_non_null(rec);
	free(rec);
}

static void the_same_bytes_twice_are_not_the_whole(void **state)
{
	begin(*state, &file);
	end(*state, &file, 0, 50, 0);
	begin(*state, &file);
	end(*state, &file, 0, 50, 0);
	assert_null(audit_table_over(*state, 0, false));
	expect(*state, IDLE_MS, SIZE, 2, AUDIT_PART);
}

static void one_that_is_cut_says_why_unless_it_is_completed(void **state)
{
	const struct audit_span all = { 0, SIZE };

	begin(*state, &file);
	assert_int_equal(audit_table_end(*state, &file, &all, 1, 40, true, 0), 0);
	assert_null(audit_table_over(*state, 0, false));
	begin(*state, &file);
	end(*state, &file, 40, SIZE, 0);
	expect(*state, 0, SIZE, 2, AUDIT_DONE);
	begin(*state, &file);
	assert_int_equal(audit_table_end(*state, &file, &all, 1, 40, true, 0), 0);
	expect(*state, IDLE_MS, 40, 1, AUDIT_CUT);
}

static void others_are_others(void **state)
{
	struct audit_record other = file;

	other.agent = "another";
	begin(*state, &file);
	begin(*state, &other);
	end(*state, &other, 0, SIZE, 0);
	expect(*state, 0, SIZE, 1, AUDIT_DONE);
	assert_int_equal(audit_table_count(*state), 1);
	assert_int_equal(audit_table_end(*state, &other, NULL, 0, 0, false, 0), -ENOENT);
	end(*state, &file, 0, SIZE, 0);
	expect(*state, 0, SIZE, 1, AUDIT_DONE);
}

static void more_pieces_than_are_remembered_lose_nothing_but_the_whole(void **state)
{
	struct audit_record large = file;

	large.size = 1000;
	for (unsigned i = 0; i < 500; i++) {
		begin(*state, &large);
		end(*state, &large, 2 * i, 2 * i + 1, 0);
	}
	for (unsigned i = 0; i < 500; i++) {
		begin(*state, &large);
		end(*state, &large, 2 * i + 1, 2 * i + 2, 0);
	}
	expect(*state, IDLE_MS, 1000, 1000, AUDIT_PART);
}

static void the_table_is_bounded(void **state)
{
	char name[32];
	struct audit_record rec = file;

	rec.file = name;
	for (unsigned i = 0; i <= AUDIT_OPEN_MAX; i++) {
		snprintf(name, sizeof(name), "%u", i);
		begin(*state, &rec);
		end(*state, &rec, 0, 10, i);
		assert_int_equal(audit_table_count(*state), i + 1);
		if (i < AUDIT_OPEN_MAX)
			assert_null(audit_table_over(*state, 0, false));
	}
	expect(*state, 0, 10, 1, AUDIT_PART);
	assert_null(audit_table_over(*state, 0, false));
	assert_int_equal(audit_table_count(*state), AUDIT_OPEN_MAX);
}

/* ---- refusals ---- */

static const struct audit_record refusal = {
	.kind = AUDIT_SIGNIN, .address = "192.0.2.9", .outcome = AUDIT_REFUSED, .since_ms = 77
};

static void a_refusal_is_told_at_once_and_a_flood_of_them_as_one(void **state)
{
	struct audit_record named = refusal;

	named.agent = "another name each time";
	assert_int_equal(audit_table_refused(*state, &refusal, 0), 1);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(audit_table_refused(*state, i % 2 ? &refusal : &named, i / 2), 0);
	assert_null(audit_table_over(*state, IDLE_MS - 1, false));
	expect(*state, IDLE_MS, 0, 1000, AUDIT_REFUSED);
	assert_int_equal(audit_table_refused(*state, &refusal, IDLE_MS), 1);
}

static void one_refusal_alone_is_told_once(void **state)
{
	assert_int_equal(audit_table_refused(*state, &refusal, 0), 1);
	assert_null(audit_table_over(*state, IDLE_MS, false));
	assert_int_equal(audit_table_count(*state), 0);
}

static void a_network_is_one_address(void **state)
{
	struct audit_record rec = refusal;

	rec.address = "2001:db8::1";
	assert_int_equal(audit_table_refused(*state, &rec, 0), 1);
	rec.address = "2001:db8::2";
	assert_int_equal(audit_table_refused(*state, &rec, 0), 0);
	rec.address = "2001:db8:0:1::2";
	assert_int_equal(audit_table_refused(*state, &rec, 0), 1);
}

/* How many of so many from an address each are told of at once. */
static unsigned told_of(struct audit_table *t, const char *user, unsigned count, int64_t now_ms)
{
	struct audit_record rec = refusal;
	unsigned told = 0;
	char address[32];

	rec.user = user;
	rec.address = address;
	for (unsigned i = 0; i < count; i++) {
		snprintf(address, sizeof(address), "10.0.%u.%u", i / 256, i % 256);
		told += audit_table_refused(t, &rec, now_ms) == 1;
	}
	return told;
}

static void a_flood_from_many_addresses_is_counted_as_one(void **state)
{
	struct audit_record *rec;

	assert_int_equal(told_of(*state, NULL, 2000, 0), AUDIT_FIRSTS_MAX + 1);
	assert_int_equal(audit_table_count(*state), AUDIT_FIRSTS_MAX + 1);
	rec = audit_table_over(*state, IDLE_MS, false);
	assert_non_null(rec);
	assert_int_equal(rec->requests, 2000 - AUDIT_FIRSTS_MAX - 1);
	assert_null(rec->address);
	free(rec);
	assert_null(audit_table_over(*state, IDLE_MS, false));
	assert_int_equal(told_of(*state, NULL, 10, IDLE_MS), 10); /* a minute later */
}

static void who_is_known_is_told_of_each_time(void **state)
{
	assert_int_equal(told_of(*state, "ann", 2000, 0), 2000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_whole_file_is_over_at_once),
		TEST(its_ranges_are_one_download_in_any_order),
		TEST(a_part_is_over_when_nothing_came_for_a_while),
		TEST(what_is_under_way_is_not_over),
		TEST(the_same_bytes_twice_are_not_the_whole),
		TEST(one_that_is_cut_says_why_unless_it_is_completed),
		TEST(others_are_others),
		TEST(more_pieces_than_are_remembered_lose_nothing_but_the_whole),
		TEST(the_table_is_bounded),
		TEST(a_refusal_is_told_at_once_and_a_flood_of_them_as_one),
		TEST(one_refusal_alone_is_told_once),
		TEST(a_network_is_one_address),
		TEST(a_flood_from_many_addresses_is_counted_as_one),
		TEST(who_is_known_is_told_of_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
