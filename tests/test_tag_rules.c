/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/tag_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/hub_db.h"

#define UID_A "aaaaaaaaaaaaaaaaaaaaaaaa"

static void a_star_is_any_letters_and_a_question_mark_is_one(void **state UNUSED)
{
	static const struct {
		const char *glob, *yes, *no;
	} cases[] = {
		{ "v*", "v1.2", "1.2" },
		{ "v*", "v", "prod" },
		{ "prod", "prod", "prod2" },
		{ "*", "a/b/c", NULL },
		{ "v?.*", "v1.0", "v10" },
		{ "*-rc?", "v1-rc2", "v1-rc" },
		{ "release/*", "release/a/b", "release" },
		{ "a*b*c", "aXbXbXc", "aXbXbX" },
		{ "**x", "yyx", "yy" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(tag_glob_valid(cases[i].glob));
		assert_true(tag_glob_matches(cases[i].glob, cases[i].yes));
		assert_false(cases[i].no && tag_glob_matches(cases[i].glob, cases[i].no));
	}
	assert_false(tag_glob_valid(""));
	assert_false(tag_glob_valid("v[1]"));
	assert_false(tag_glob_valid("a..b"));
	assert_false(tag_glob_valid("a b"));
}

static void many_stars_take_no_longer_than_both_lengths(void **state UNUSED)
{
	char glob[TAG_GLOB_MAX + 1], name[REVISION_MAX + 1];

	memset(name, 'a', REVISION_MAX);
	name[REVISION_MAX] = '\0';
	for (size_t i = 0; i + 1 < TAG_GLOB_MAX; i += 2)
		memcpy(glob + i, "*a", 3);
	assert_true(tag_glob_matches(glob, name));
	glob[TAG_GLOB_MAX - 1] = 'b';
	glob[TAG_GLOB_MAX] = '\0';
	assert_false(tag_glob_matches(glob, name));
}

static void whoever_is_meant_is_an_account_and_perhaps_a_role(void **state UNUSED)
{
	char name[ACCOUNT_NAME_MAX + 1];
	enum role role;

	assert_true(tag_who_parse("ann", name, &role));
	assert_string_equal(name, "ann");
	assert_int_equal(role, ROLE_READ);
	assert_true(tag_who_parse("acme:admin", name, &role));
	assert_string_equal(name, "acme");
	assert_int_equal(role, ROLE_ADMIN);
	assert_false(tag_who_parse("acme:none", name, &role));
	assert_false(tag_who_parse("acme:owner", name, &role));
	assert_false(tag_who_parse(":read", name, &role));
	assert_false(tag_who_parse("", name, &role));
}

/* ---- rows ---- */

static int list_lock(void *arg, const struct tag_scope *s, const struct lock_rule *r)
{
	return buf_printf(arg, "%s %s %s %s;", s->key, r->tags, r->user, r->why);
}

static int list_promotion(void *arg, const struct tag_scope *s, const struct promotion_rule *r)
{
	buf_printf(arg, "%.1s %s %s<%s", s->key, r->name, r->to, r->from);
	for (unsigned i = 0; i < r->who_count; i++)
		buf_printf(arg, " %s", r->who[i]);
	for (unsigned i = 0; i < r->require_count; i++)
		buf_printf(arg, " +%s", r->require[i]);
	return buf_add_str(arg, ";");
}

static int put_locks(struct db_txn *t, void *arg UNUSED)
{
	struct lock_rule rule = { .tags = "v*", .user = "ann", .why = "ours" };
	struct tag_scope repo = tag_scope_of_repo(UID_A), acme = tag_scope_of_namespace("Acme");
	int r = lock_rule_put(t, &repo, &rule);

	strcpy(rule.tags, "prod");
	if (r == 0)
		r = lock_rule_put(t, &acme, &rule);
	strcpy(rule.why, "anew");
	return r < 0 ? r : lock_rule_put(t, &acme, &rule);
}

static int list_locks(struct db_txn *t, void *arg)
{
	return lock_rule_each(t, NULL, list_lock, arg);
}

static int list_acme(struct db_txn *t, void *arg)
{
	struct tag_scope acme = tag_scope_of_namespace("acme");

	return lock_rule_each(t, &acme, list_lock, arg);
}

static int del_acme(struct db_txn *t, void *arg)
{
	struct tag_scope acme = tag_scope_of_namespace("ACME");

	return lock_rule_del(t, &acme, arg);
}

static void a_rule_is_of_a_namespace_or_of_a_repository_and_is_set_anew(void **state)
{
	CLEANUP(buf_free) struct buf all = { 0 }, acme = { 0 };
	char prod[] = "prod";
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, put_locks, NULL), 0);
	hub_db_reopen(h);
	assert_int_equal(db_read(h->db, list_locks, &all), 0);
	assert_string_equal(buf_str(&all), "/acme prod ann anew;" UID_A " v* ann ours;");
	assert_int_equal(db_read(h->db, list_acme, &acme), 0);
	assert_string_equal(buf_str(&acme), "/acme prod ann anew;");
	assert_int_equal(db_write(h->db, del_acme, prod), 0);
	assert_int_equal(db_write(h->db, del_acme, prod), -ENOENT);
}

static int put_promotion(struct db_txn *t, void *arg)
{
	struct tag_scope repo = tag_scope_of_repo(UID_A);

	return promotion_rule_put(t, &repo, arg);
}

static int list_promotions(struct db_txn *t, void *arg)
{
	struct tag_scope repo = tag_scope_of_repo(UID_A);

	return promotion_rule_each(t, &repo, list_promotion, arg);
}

/* Else whoever changes it would unlock a tag and say nothing of it. */
static void a_rule_of_promotions_keeps_its_tag(void **state)
{
	CLEANUP(buf_free) struct buf list = { 0 };
	struct promotion_rule rule = { .name = "release",
				       .to = "prod",
				       .from = "v*",
				       .who = { "ann", "acme:write" },
				       .who_count = 2,
				       .require = { "eval@ci" },
				       .require_count = 1 };
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, put_promotion, &rule), 0);
	rule.who_count = 1;
	assert_int_equal(db_write(h->db, put_promotion, &rule), 0);
	strcpy(rule.to, "test");
	assert_int_equal(db_write(h->db, put_promotion, &rule), -EEXIST);
	assert_int_equal(db_read(h->db, list_promotions, &list), 0);
	assert_string_equal(buf_str(&list), "a release prod<v* ann +eval@ci;");
}

static void a_rule_names_who_may_and_whose_word_it_takes(void **state UNUSED)
{
	const struct promotion_rule rule = { .who = { "ann", "acme:write" },
					     .who_count = 2,
					     .require = { "eval@ci", "scan" },
					     .require_count = 2 };

	assert_true(promotion_rule_names(&rule, "Ann"));
	assert_true(promotion_rule_names(&rule, "acme"));
	assert_true(promotion_rule_names(&rule, "ci"));
	assert_false(promotion_rule_names(&rule, "scan"));
	assert_false(promotion_rule_names(&rule, "bob"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_star_is_any_letters_and_a_question_mark_is_one),
		cmocka_unit_test(many_stars_take_no_longer_than_both_lengths),
		cmocka_unit_test(whoever_is_meant_is_an_account_and_perhaps_a_role),
		cmocka_unit_test(a_rule_names_who_may_and_whose_word_it_takes),
		cmocka_unit_test_setup_teardown(
			a_rule_is_of_a_namespace_or_of_a_repository_and_is_set_anew, hub_db_setup,
			hub_db_teardown),
		cmocka_unit_test_setup_teardown(a_rule_of_promotions_keeps_its_tag, hub_db_setup,
						hub_db_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
