/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/grants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/hub_db.h"

#define ONE "models/ann/one"
#define TWO "models/ann/two"

/* A token with a value of its own; a role instead of grants if there are none. */
static void add(struct hub_db *h, const char *name, struct grant *grants, size_t count)
{
	struct token token = { .user = "ann", .grants = grants, .grant_count = count };

	strcpy(token.name, name);
	token.role = count ? ROLE_NONE : ROLE_WRITE;
	assert_int_equal(tokens_add(h->db, &token, name, NULL, &h->why), 0);
}

static int list(void *arg, const struct token *token)
{
	int r = buf_printf(arg, "%s(%s):", token->name, role_word(token->role));

	for (size_t i = 0; r == 0 && i < token->grant_count; i++)
		r = buf_printf(arg, " %s=%s", token->grants[i].what,
			       role_word(token->grants[i].role));
	return r < 0 ? r : buf_add_str(arg, "\n");
}

static void check(struct hub_db *h, const char *want)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	assert_int_equal(tokens_each(h->db, "ann", list, &got), 0);
	assert_string_equal(buf_str(&got), want);
}

static int drop_one(struct db_txn *t, void *arg)
{
	return grant_drop(t, arg);
}

static int copy_to(struct db_txn *t, void *arg)
{
	return grant_copy(t, ONE, arg);
}

static int setup(void **state)
{
	struct grant whole[] = { { "ann", ROLE_READ } };
	struct grant one[] = { { ONE, ROLE_WRITE }, { "models/ann/one.more", ROLE_READ } };
	struct grant both[] = { { TWO, ROLE_WRITE }, { ONE, ROLE_READ } };

	hub_db_setup(state);
	hub_db_user(*state, "ann");
	add(*state, "all", NULL, 0);
	add(*state, "both", both, ARRAY_LEN(both));
	add(*state, "one", one, ARRAY_LEN(one));
	add(*state, "whole", whole, ARRAY_LEN(whole));
	return 0;
}

static void what_goes_is_granted_to_nobody_and_what_is_called_alike_stays(void **state)
{
	char key[] = ONE;
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, drop_one, key), 0);
	hub_db_reopen(h);
	check(h, "all(write):\nboth(none): " TWO "=write\none(none): models/ann/one.more=read\n"
		 "whole(none): ann=read\n");
}

static void what_is_copied_holds_for_both_and_the_larger_role_counts(void **state)
{
	char key[] = TWO;
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, copy_to, key), 0);
	hub_db_reopen(h);
	check(h, "all(write):\nboth(none): " TWO "=write " ONE "=read\none(none): " ONE
		 "=write models/ann/one.more=read " TWO "=write\nwhole(none): ann=read\n");
}

/* It says nothing that could be given to anybody. */
static void a_token_that_is_damaged_is_passed_over(void **state)
{
	char key[] = ONE;
	uint8_t digest[TOKEN_DIGEST];
	struct hub_db *h = *state;

	assert_int_equal(token_digest("one", 3, digest), 0);
	hub_db_damage(h, DB_TOKENS, (struct db_key){ digest, sizeof(digest) });
	assert_int_equal(db_write(h->db, drop_one, key), 0);
	check(h, "all(write):\nboth(none): " TWO "=write\nwhole(none): ann=read\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_goes_is_granted_to_nobody_and_what_is_called_alike_stays),
		TEST(what_is_copied_holds_for_both_and_the_larger_role_counts),
		TEST(a_token_that_is_damaged_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
