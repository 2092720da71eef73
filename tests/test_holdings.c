/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/holdings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/err.h"
#include "tests/hub_db.h"

#define A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define B "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

enum step { ADD, DROP, SET, LIMIT, CHECK, ANY };

struct asked {
	enum step step;
	const char *namespace, *etag;
	uint64_t n;
};

static int run(struct db_txn *t, void *arg)
{
	const struct asked *q = arg;

	switch (q->step) {
	case ADD:
		return holdings_add(t, q->namespace, q->etag, q->n);
	case DROP:
		return holdings_drop(t, q->namespace, q->etag);
	case SET:
		return holdings_set(t, q->namespace, q->etag, 5, q->n);
	case LIMIT:
		return holdings_limit(t, q->namespace, q->n);
	case CHECK:
		return holdings_check(t, q->namespace, q->n);
	default:
		return holdings_any(t, q->etag);
	}
}

static int ask(struct hub_db *h, enum step step, const char *namespace, const char *etag,
	       uint64_t n)
{
	struct asked q = { step, namespace, etag, n };

	return step < CHECK ? db_write(h->db, run, &q) : db_read(h->db, run, &q);
}

static void check_use(struct hub_db *h, const char *namespace, uint64_t bytes, uint64_t files)
{
	struct holdings_use use = hub_db_use(h, namespace);

	assert_true(use.bytes == bytes && use.files == files);
}

static void a_blob_counts_once_however_many_of_a_namespace_hold_it(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(ask(h, ANY, "", A, 0), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(h, ADD, "org", A, 100), 0);
	assert_int_equal(ask(h, ADD, "org", B, 7), 0);
	assert_int_equal(ask(h, ADD, "other", A, 100), 0);
	check_use(h, "org", 107, 2);
	check_use(h, "other", 100, 1);
	hub_db_reopen(h);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ask(h, DROP, "org", A, 0), 0);
	check_use(h, "org", 107, 2);
	assert_int_equal(ask(h, DROP, "org", A, 0), 0);
	check_use(h, "org", 7, 1);
	assert_int_equal(ask(h, ANY, "", A, 0), 1);
	assert_int_equal(ask(h, DROP, "other", A, 0), 0);
	assert_int_equal(ask(h, DROP, "other", A, 0), 0); /* it is not held any more */
	assert_int_equal(ask(h, ANY, "", A, 0), 0);
	assert_int_equal(ask(h, ANY, "", B, 0), 1);
	check_use(h, "other", 0, 0);
}

static void who_has_a_limit_gets_no_more_and_keeps_what_he_has(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(ask(h, ADD, "org", A, 100), 0);
	assert_int_equal(ask(h, LIMIT, "org", NULL, 120), 0);
	assert_int_equal(ask(h, CHECK, "org", NULL, 20), 0);
	assert_int_equal(ask(h, CHECK, "org", NULL, 21), ERR_QUOTA);
	assert_int_equal(ask(h, ADD, "org", B, 21), ERR_QUOTA);
	check_use(h, "org", 100, 1);
	assert_int_equal(ask(h, ANY, "", B, 0), 0);
	assert_int_equal(ask(h, ADD, "org", A, 100), 0); /* it has that */
	assert_int_equal(ask(h, ADD, "org", B, 20), 0);
	assert_int_equal(ask(h, LIMIT, "org", NULL, 50), 0);
	check_use(h, "org", 120, 2);
	assert_int_equal(ask(h, ADD, "org", B, 20), 0);
	assert_int_equal(ask(h, CHECK, "org", NULL, 0), 0);
	assert_int_equal(ask(h, CHECK, "org", NULL, UINT64_MAX), ERR_QUOTA);
	assert_int_equal(ask(h, LIMIT, "org", NULL, 0), 0);
	assert_int_equal(ask(h, CHECK, "org", NULL, UINT64_MAX), 0);
}

static void what_is_counted_anew_is_as_if_it_had_always_been_so(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(ask(h, SET, "org", A, 3), 0);
	check_use(h, "org", 5, 1);
	assert_int_equal(ask(h, SET, "org", A, 1), 0);
	check_use(h, "org", 5, 1);
	assert_int_equal(ask(h, DROP, "org", A, 0), 0);
	check_use(h, "org", 0, 0);
	assert_int_equal(ask(h, SET, "org", A, 0), 0);
	assert_int_equal(ask(h, ANY, "", A, 0), 0);
}

/* How many lines say that a limit of "org" is gone, while that is done twice. */
static unsigned lines_of(struct hub_db *h, enum step step, uint64_t n)
{
	char path[] = "/tmp/holdings-XXXXXX", line[4096];
	int fd = mkstemp(path), was = dup(STDERR_FILENO);
	unsigned lines = 0;
	FILE *f;

	assert_true(fd >= 0 && was >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ask(h, step, "org", A, n), 0);
	assert_true(dup2(was, STDERR_FILENO) >= 0);
	close(was);
	f = fdopen(fd, "r");
	rewind(f);
	while (fgets(line, sizeof(line), f))
		lines += strstr(line, "has no limit until one is set namespace=org") != NULL;
	fclose(f);
	unlink(path);
	return lines;
}

static void that_a_limit_is_gone_is_logged_by_who_mends_it_and_not_by_who_reads(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(ask(h, ADD, "org", A, 100), 0);
	assert_int_equal(ask(h, LIMIT, "org", NULL, 120), 0);
	hub_db_damage(h, DB_USAGE, db_text("org"));
	assert_int_equal(lines_of(h, CHECK, 1000), 0);
	check_use(h, "org", 100, 1);
	assert_int_equal(lines_of(h, ADD, 100), 1); /* the row is whole then */
	check_use(h, "org", 100, 1);
}

static void a_sum_that_is_damaged_is_made_again_and_keeps_nobody(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(ask(h, ADD, "org", A, 100), 0);
	assert_int_equal(ask(h, ADD, "org", A, 100), 0);
	assert_int_equal(ask(h, ADD, "org", B, 7), 0);
	assert_int_equal(ask(h, ADD, "other", B, 7), 0);
	hub_db_damage(h, DB_USAGE, db_text("org"));
	check_use(h, "org", 107, 2);
	assert_int_equal(ask(h, DROP, "org", B, 0), 0);
	check_use(h, "org", 100, 1);
	check_use(h, "other", 7, 1); /* twin */
	hub_db_damage(h, DB_USAGE, db_text("org"));
	assert_int_equal(ask(h, LIMIT, "org", NULL, 120), 0);
	assert_int_equal(ask(h, ADD, "org", B, 21), ERR_QUOTA);
	check_use(h, "org", 100, 1);
}

static void a_count_that_is_damaged_is_none_and_keeps_nobody(void **state)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct hub_db *h = *state;

	assert_int_equal(ask(h, LIMIT, "org", NULL, 200), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(h, ADD, "org", A, 100), 0);
		assert_int_equal(ask(h, ADD, "org", B, 7), 0);
		assert_int_equal(ask(h, ADD, "other", A, 100), 0);
		hub_db_damage(h, DB_HOLDINGS, holdings_key(&room, A, "org"));
		assert_int_equal(ask(h, i ? SET : DROP, "org", A, 2), 0);
		check_use(h, "org", i ? 7 + 5 : 7, 1 + (unsigned)i);
		check_use(h, "other", 100, 1); /* twin */
	}
	assert_int_equal(ask(h, CHECK, "org", NULL, 200), ERR_QUOTA); /* the limit is as it was */
	hub_db_damage(h, DB_HOLDINGS, holdings_key(&room, B, "org"));
	assert_int_equal(ask(h, ADD, "org", B, 7), 0);
	check_use(h, "org", 12, 2);
}

static void the_refusal_names_what_is_used_and_what_may_be(void **state)
{
	const struct holdings_use use = { .bytes = UINT64_C(3) << 29, .limit = 1 << 30 };
	CLEANUP(buf_free) struct buf text = { 0 };
	char namespace[ACCOUNT_NAME_MAX + 1];

	(void)state;
	holdings_namespace("models/Org/name", namespace);
	assert_string_equal(namespace, "org");
	holdings_complain(namespace, &use, &text);
	assert_non_null(strstr(buf_str(&text), "\"org\" uses 1.5 GiB of the 1 GiB"));
	holdings_namespace("nonsense", namespace);
	assert_string_equal(namespace, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_blob_counts_once_however_many_of_a_namespace_hold_it),
		TEST(who_has_a_limit_gets_no_more_and_keeps_what_he_has),
		TEST(what_is_counted_anew_is_as_if_it_had_always_been_so),
		TEST(that_a_limit_is_gone_is_logged_by_who_mends_it_and_not_by_who_reads),
		TEST(a_sum_that_is_damaged_is_made_again_and_keeps_nobody),
		TEST(a_count_that_is_damaged_is_none_and_keeps_nobody),
		TEST(the_refusal_names_what_is_used_and_what_may_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
