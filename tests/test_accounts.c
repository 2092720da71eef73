/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/accounts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/account/retire.h"
#include "admin/account/rules.h"
#include "admin/registry/holdings.h"
#include "admin/registry/registry.h"
#include "admin/registry/uploads.h"
#include "daemon/base/clock.h"
#include "tests/hub_db.h"

#define as_is (&ACCOUNT_AS_IS)

static int add(struct hub_db *h, enum account_kind kind, const char *name)
{
	return accounts_add(h->db, kind, name, as_is, &h->why);
}

/* Who had the name before has it again. */
static void come_again(struct hub_db *h, const char *name)
{
	struct account_change with = ACCOUNT_AS_IS;

	with.again = true;
	assert_int_equal(accounts_add(h->db, ACCOUNT_USER, name, &with, &h->why), 0);
}

static void an_account_is_found_by_any_case_and_keeps_its_own(void **state)
{
	struct hub_db *h = *state;
	struct account_change with = ACCOUNT_AS_IS;
	struct account a;

	with.full_name = "Ann Bönnemann";
	with.email = "ann@example.com";
	assert_int_equal(accounts_add(h->db, ACCOUNT_USER, "Ann.B", &with, &h->why), 0);
	hub_db_reopen(h);
	assert_int_equal(accounts_get(h->db, "aNN.b", &a), 0);
	assert_string_equal(a.name, "Ann.B");
	assert_string_equal(a.full_name, with.full_name);
	assert_string_equal(a.email, with.email);
	assert_int_equal(a.kind, ACCOUNT_USER);
	assert_false(a.disabled || a.is_admin || a.private_default);
	assert_true(a.created_s > 1700000000);
	assert_true(account_is_author(&a, a.created_s * 1000));
	assert_false(account_is_author(&a, a.created_s * 1000 - 1)); /* somebody else's then */
	assert_int_equal(accounts_get(h->db, "ann", &a), -ENOENT);
}

static void one_name_is_one_account(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(add(h, ACCOUNT_USER, "ann"), 0);
	assert_int_equal(add(h, ACCOUNT_ORG, "ANN"), -EEXIST);
	assert_string_equal(buf_str(&h->why), "there is a user or an organisation ann already");
	assert_int_equal(add(h, ACCOUNT_ORG, "lab"), 0);
	assert_int_equal(add(h, ACCOUNT_USER, "lab"), -EEXIST);
}

static void names_that_cannot_be_namespaces_are_refused(void **state)
{
	static const char *const bad[] = { "",         "-a",      "a-",    "a--b", "a..b", ".a",
					   "a/b",      "a b",     "a.git", "ä",    "api",  "Models",
					   "DATASETS", "healthz", "a\nb",  "a%2fb" };
	static const char *const good[] = { "a", "a-b", "a_b", "a.b", "0x1", "models2", "Api-1" };
	struct hub_db *h = *state;
	char name[98];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		buf_clear(&h->why);
		assert_int_equal(add(h, ACCOUNT_USER, bad[i]), -EINVAL);
		assert_true(h->why.len > 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(add(h, ACCOUNT_USER, good[i]), 0);
	memset(name, 'n', sizeof(name));
	name[97] = '\0';
	assert_int_equal(add(h, ACCOUNT_ORG, name), -EINVAL);
	name[96] = '\0';
	assert_int_equal(add(h, ACCOUNT_ORG, name), 0);
}

static void texts_that_do_not_fit_on_a_line_are_refused(void **state)
{
	struct hub_db *h = *state;
	struct account_change with = ACCOUNT_AS_IS;
	char text[ACCOUNT_TEXT_MAX + 2];

	memset(text, 'x', sizeof(text));
	text[ACCOUNT_TEXT_MAX + 1] = '\0';
	with.full_name = text;
	assert_int_equal(accounts_add(h->db, ACCOUNT_USER, "ann", &with, &h->why), -EINVAL);
	text[ACCOUNT_TEXT_MAX] = '\0';
	assert_int_equal(accounts_add(h->db, ACCOUNT_USER, "ann", &with, &h->why), 0);
	with.full_name = "two\nlines";
	assert_int_equal(accounts_change(h->db, "ann", &with, &h->why), -EINVAL);
	with = ACCOUNT_AS_IS;
	with.email = "a\x7f";
	assert_int_equal(accounts_change(h->db, "ann", &with, &h->why), -EINVAL);
}

static void a_change_changes_what_it_names(void **state)
{
	struct hub_db *h = *state;
	struct account_change with = ACCOUNT_AS_IS;
	struct account a;

	hub_db_admin(h, "root");
	hub_db_user(h, "ann");
	with.full_name = "Ann";
	with.disabled = 1;
	assert_int_equal(accounts_change(h->db, "Ann", &with, &h->why), 0);
	with = ACCOUNT_AS_IS;
	with.is_admin = 1;
	assert_int_equal(accounts_change(h->db, "ann", &with, &h->why), 0);
	assert_int_equal(accounts_get(h->db, "ann", &a), 0);
	assert_string_equal(a.full_name, "Ann");
	assert_true(a.disabled && a.is_admin);
	assert_int_equal(accounts_change(h->db, "bob", &with, &h->why), -ENOENT);
	assert_string_equal(buf_str(&h->why), "there is no user or organisation bob");
}

static void an_organisation_is_neither_disabled_nor_administrator(void **state)
{
	struct hub_db *h = *state;
	struct account_change with = ACCOUNT_AS_IS;
	struct account a;

	hub_db_org(h, "lab");
	with.is_admin = 1;
	assert_int_equal(accounts_change(h->db, "lab", &with, &h->why), -EINVAL);
	with = ACCOUNT_AS_IS;
	with.private_default = 1;
	assert_int_equal(accounts_change(h->db, "lab", &with, &h->why), 0);
	assert_int_equal(accounts_get(h->db, "lab", &a), 0);
	assert_true(a.private_default);
}

static void the_last_administrator_stays_one(void **state)
{
	struct hub_db *h = *state;
	struct account_change no_admin = ACCOUNT_AS_IS, disabled = ACCOUNT_AS_IS;

	no_admin.is_admin = 0;
	disabled.disabled = 1;
	hub_db_admin(h, "root");
	hub_db_user(h, "ann");
	assert_int_equal(accounts_change(h->db, "root", &no_admin, &h->why), -EBUSY);
	assert_int_equal(accounts_change(h->db, "root", &disabled, &h->why), -EBUSY);
	assert_int_equal(retire_account(h->db, "root", &h->why), -EBUSY);
	hub_db_admin(h, "other");
	assert_int_equal(accounts_change(h->db, "root", &disabled, &h->why), 0);
	assert_int_equal(retire_account(h->db, "other", &h->why), -EBUSY);
	assert_int_equal(retire_account(h->db, "root", &h->why), 0);
}

/* ---- lists ---- */

static int note_account(void *arg, const struct account *a)
{
	return buf_printf(arg, "%s ", a->name);
}

static void check_list(struct hub_db *h, enum account_kind kind, const char *after,
		       const char *want)
{
	CLEANUP(buf_free) struct buf names = { 0 };

	assert_int_equal(accounts_each(h->db, kind, after, note_account, &names), 0);
	assert_string_equal(buf_str(&names), want);
}

static void lists_are_in_order_and_go_on_behind_a_name(void **state)
{
	struct hub_db *h = *state;

	hub_db_user(h, "cy");
	hub_db_user(h, "Ann");
	hub_db_user(h, "bob");
	hub_db_org(h, "blab");
	check_list(h, ACCOUNT_USER, NULL, "Ann bob cy ");
	check_list(h, ACCOUNT_USER, "ANN", "bob cy ");
	check_list(h, ACCOUNT_USER, "b", "bob cy ");
	check_list(h, ACCOUNT_USER, "cy", "");
	check_list(h, ACCOUNT_ORG, NULL, "blab ");
}

static int note_member(void *arg, const char *name, enum role role)
{
	return buf_printf(arg, "%s:%s ", name, role_word(role));
}

static void check_members(struct hub_db *h, const char *name, const char *want)
{
	CLEANUP(buf_free) struct buf names = { 0 };

	assert_int_equal(memberships_each(h->db, name, note_member, &names), 0);
	assert_string_equal(buf_str(&names), want);
}

static void members_are_known_from_both_sides(void **state)
{
	struct hub_db *h = *state;

	hub_db_user(h, "Ann");
	hub_db_user(h, "bob");
	hub_db_org(h, "Lab");
	hub_db_org(h, "lab2");
	assert_int_equal(membership_set(h->db, "lab", "ann", ROLE_READ, &h->why), 0);
	assert_int_equal(membership_set(h->db, "LAB", "bob", ROLE_ADMIN, &h->why), 0);
	assert_int_equal(membership_set(h->db, "lab2", "ANN", ROLE_WRITE, &h->why), 0);
	check_members(h, "lab", "Ann:read bob:admin ");
	check_members(h, "ann", "Lab:read lab2:write ");
	assert_int_equal(membership_set(h->db, "lab", "ann", ROLE_WRITE, &h->why), 0);
	check_members(h, "Ann", "Lab:write lab2:write ");
	assert_int_equal(membership_set(h->db, "lab", "ann", ROLE_NONE, &h->why), 0);
	check_members(h, "ann", "lab2:write ");
	check_members(h, "lab", "bob:admin ");
}

static void only_users_are_members_and_only_of_organisations(void **state)
{
	struct hub_db *h = *state;

	hub_db_user(h, "ann");
	hub_db_org(h, "lab");
	assert_int_equal(membership_set(h->db, "ann", "ann", ROLE_READ, &h->why), -ENOENT);
	assert_int_equal(membership_set(h->db, "lab", "lab", ROLE_READ, &h->why), -ENOENT);
	assert_int_equal(membership_set(h->db, "none", "ann", ROLE_READ, &h->why), -ENOENT);
	assert_int_equal(membership_set(h->db, "lab", "none", ROLE_READ, &h->why), -ENOENT);
	check_members(h, "lab", "");
}

static int note_rule(void *arg, const struct rule *rule)
{
	return buf_printf(arg, "%s>%s ", rule->what, rule->whom);
}

static void who_goes_leaves_nothing_behind(void **state)
{
	CLEANUP(buf_free) struct buf value = { 0 }, rules = { 0 };
	struct rule rule = { .what = "models/o/r", .whom = "Ann", .role = ROLE_READ };
	struct token token = { .user = "ann", .name = "a", .role = ROLE_READ };
	struct hub_db *h = *state;

	hub_db_user(h, "ann");
	hub_db_user(h, "anna");
	hub_db_org(h, "lab");
	assert_int_equal(membership_set(h->db, "lab", "ann", ROLE_READ, &h->why), 0);
	assert_int_equal(membership_set(h->db, "lab", "anna", ROLE_READ, &h->why), 0);
	assert_int_equal(rules_set(h->db, &rule, &h->why), 0);
	strcpy(rule.whom, "anna");
	assert_int_equal(rules_set(h->db, &rule, &h->why), 0);
	assert_int_equal(tokens_add(h->db, &token, NULL, &value, &h->why), 0);
	assert_int_equal(retire_account(h->db, "ANN", &h->why), 0);
	check_members(h, "lab", "anna:read ");
	assert_int_equal(rules_each(h->db, NULL, note_rule, &rules), 0);
	assert_string_equal(buf_str(&rules), "models/o/r>anna ");
	come_again(h, "ann"); /* and has none of it */
	check_members(h, "ann", "");
	assert_int_equal(tokens_remove(h->db, "ann", "a"), -ENOENT);
	strcpy(token.user, "anna");
	assert_int_equal(tokens_add(h->db, &token, buf_str(&value), NULL, &h->why), 0);
	assert_int_equal(retire_account(h->db, "lab", &h->why), 0);
	check_members(h, "anna", "");
	assert_int_equal(retire_account(h->db, "lab", &h->why), -ENOENT);
}

#define PULLED "0123456789abcdef01234567"

/* Bob brings a file for a repository of others, in a pull request, and one that waits. */
static int bring_of_bob(struct db_txn *t, void *arg)
{
	static const uint8_t id[GIT_ID] = { 1 };
	int r = objects_own(t, PULLED, "models/lab/m");

	(void)arg;
	if (r == 0)
		r = holdings_limit(t, "bob", 1000);
	if (r == 0)
		r = objects_charge(t, PULLED, id, "bob");
	if (r == 0)
		r = registry_put_object(t, PULLED, REGISTRY_FILE, id, "700", 3);
	return r < 0 ? r : uploads_note(t, "models/lab/m", "bob", PULLED, 30, 1);
}

static void check_use(struct hub_db *h, const char *namespace, uint64_t bytes, uint64_t limit)
{
	struct holdings_use use = hub_db_use(h, namespace);

	assert_int_equal(use.bytes, bytes);
	assert_int_equal(use.limit, limit);
}

static void who_gets_a_name_pays_for_nothing_that_another_brought(void **state)
{
	struct hub_db *h = *state;

	hub_db_user(h, "root");
	hub_db_user(h, "Bob");
	hub_db_user(h, "bo");
	assert_int_equal(db_write(h->db, bring_of_bob, NULL), 0);
	assert_int_equal(retire_account(h->db, "bo", &h->why), 0);
	check_use(h, "bob", 730, 1000); /* twin */
	assert_int_equal(retire_account(h->db, "Bob", &h->why), 0);
	come_again(h, "bob");
	check_use(h, "bob", 0, 0);
	check_use(h, HOLDINGS_NOBODY, 730, 0);
	check_use(h, "lab", 0, 0);
}

static void a_name_that_was_left_is_nobody_elses(void **state)
{
	struct hub_db *h = *state;
	struct account a;
	int64_t made_s;

	hub_db_user(h, "Bob");
	hub_db_user(h, "ann");
	assert_int_equal(accounts_get(h->db, "bob", &a), 0);
	made_s = a.created_s;
	clock_sleep_ms(1100); /* times are whole seconds */
	assert_int_equal(retire_account(h->db, "bob", &h->why), 0);
	assert_int_equal(add(h, ACCOUNT_USER, "bob"), -EEXIST);
	assert_non_null(strstr(buf_str(&h->why), "--again"));
	hub_db_reopen(h);
	assert_int_equal(add(h, ACCOUNT_ORG, "BOB"), -EEXIST);
	assert_int_equal(accounts_get(h->db, "bob", &a), -ENOENT);
	assert_int_equal(add(h, ACCOUNT_ORG, "bobby"), 0); /* twin */
	come_again(h, "bob");
	assert_int_equal(accounts_get(h->db, "Bob", &a), 0);
	assert_int_equal(a.created_s, made_s);
	assert_int_equal(retire_account(h->db, "bob", &h->why), 0);
	assert_int_equal(add(h, ACCOUNT_USER, "bob"), -EEXIST);
}

static void what_is_damaged_keeps_no_account(void **state)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct hub_db *h = *state;

	hub_db_user(h, "bob");
	assert_int_equal(db_write(h->db, bring_of_bob, NULL), 0);
	hub_db_damage(h, DB_USAGE, db_text("bob"));
	hub_db_damage(h, DB_OWNERS, db_text(PULLED));
	hub_db_damage(h, DB_HOLDINGS, db_pair(&room, PULLED, "bob"));
	assert_int_equal(retire_account(h->db, "bob", &h->why), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)

static void the_words_of_roles_are_those_that_can_be_given(void **state UNUSED)
{
	static const enum role given[] = { ROLE_READ, ROLE_WRITE, ROLE_ADMIN };
	CLEANUP(buf_free) struct buf words = { 0 };
	enum role role;

	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		buf_printf(&words, "%s%s", i ? "|" : "", role_word(given[i]));
		assert_true(role_parse(role_word(given[i]), &role));
		assert_int_equal(role, given[i]);
	}
	assert_string_equal(buf_str(&words), ROLE_WORDS);
	assert_false(role_parse("hub", &role));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_account_is_found_by_any_case_and_keeps_its_own),
		TEST(one_name_is_one_account),
		TEST(names_that_cannot_be_namespaces_are_refused),
		TEST(texts_that_do_not_fit_on_a_line_are_refused),
		TEST(a_change_changes_what_it_names),
		TEST(an_organisation_is_neither_disabled_nor_administrator),
		TEST(the_last_administrator_stays_one),
		TEST(lists_are_in_order_and_go_on_behind_a_name),
		TEST(members_are_known_from_both_sides),
		TEST(only_users_are_members_and_only_of_organisations),
		TEST(who_goes_leaves_nothing_behind),
		TEST(who_gets_a_name_pays_for_nothing_that_another_brought),
		TEST(a_name_that_was_left_is_nobody_elses),
		TEST(what_is_damaged_keeps_no_account),
		cmocka_unit_test(the_words_of_roles_are_those_that_can_be_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
