/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/renaming.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/account/rules.h"
#include "daemon/base/err.h"
#include "tests/hub_db.h"

#define UID_A "aaaaaaaaaaaaaaaaaaaaaaaa"
#define UID_B "bbbbbbbbbbbbbbbbbbbbbbbb"

struct call {
	struct registry_repo repo;
	struct repo_id id;
	struct buf list;
};

static struct repo_id id_of(const char *name)
{
	struct repo_id id;

	assert_int_equal(repo_id_parse(REPO_MODEL, name, &id), 0);
	return id;
}

static int add(struct db_txn *t, void *arg)
{
	struct call *c = arg;
	int r = registry_add(t, &c->repo);

	return r < 0 ? r : renaming_take(t, &c->repo.id);
}

static void make(struct hub_db *h, const char *name, const char *uid)
{
	struct call c = { .repo.id = id_of(name) };

	strcpy(c.repo.uid, uid);
	assert_int_equal(db_write(h->db, add, &c), 0);
}

static int move_in(struct db_txn *t, void *arg)
{
	struct call *c = arg;
	struct registry_repo repo = c->repo;

	return renaming_move(t, &repo, &c->id);
}

static int move(struct hub_db *h, const char *uid, const char *from, const char *to)
{
	struct call c = { .repo.id = id_of(from), .id = id_of(to) };

	strcpy(c.repo.uid, uid);
	return db_write(h->db, move_in, &c);
}

static int get(struct db_txn *t, void *arg)
{
	struct call *c = arg;

	return renaming_get(t, &c->id, &c->repo);
}

/* The name of what is found by that one; "" if there is nothing. */
static const char *found(struct hub_db *h, const char *name)
{
	static struct call c;
	int r;

	c.id = id_of(name);
	r = db_read(h->db, get, &c);
	assert_true(r == 0 || r == -ENOENT);
	return r == 0 ? c.repo.id.name : "";
}

static int drop(struct db_txn *t, void *arg)
{
	struct call *c = arg;
	int r = renaming_drop(t, &c->repo.id);

	return r < 0 ? r : registry_remove(t, &c->repo);
}

static int list_name(void *arg, const struct repo_id *was)
{
	return buf_printf(arg, "%s ", was->name);
}

static int list_in(struct db_txn *t, void *arg)
{
	struct call *c = arg;

	return renaming_each(t, list_name, &c->list);
}

static void check_former(struct hub_db *h, const char *want)
{
	struct call c = { .list = { 0 } };

	assert_int_equal(db_read(h->db, list_in, &c), 0);
	assert_string_equal(buf_str(&c.list), want);
	buf_free(&c.list);
}

static void all_names_it_had_lead_to_the_one_it_has(void **state)
{
	struct hub_db *h = *state;

	make(h, "Ann/One", UID_A);
	assert_string_equal(found(h, "ann/one"), "Ann/One");
	check_former(h, "");
	assert_int_equal(move(h, UID_A, "ann/one", "org/Two"), 0);
	assert_int_equal(move(h, UID_A, "Org/two", "org/three"), 0);
	hub_db_reopen(h);
	assert_string_equal(found(h, "ANN/one"), "org/three");
	assert_string_equal(found(h, "org/two"), "org/three");
	assert_string_equal(found(h, "org/three"), "org/three");
	assert_string_equal(found(h, "org/four"), "");
	check_former(h, "ann/one org/two ");
}

static void a_name_it_comes_back_to_is_its_own(void **state)
{
	struct hub_db *h = *state;

	make(h, "ann/one", UID_A);
	assert_int_equal(move(h, UID_A, "ann/one", "ann/two"), 0);
	assert_int_equal(move(h, UID_A, "ann/two", "ann/one"), 0);
	assert_string_equal(found(h, "ann/two"), "ann/one");
	assert_int_equal(move(h, UID_A, "ann/one", "Ann/ONE"), 0);
	assert_string_equal(found(h, "ann/one"), "Ann/ONE");
	assert_string_equal(found(h, "ann/two"), "Ann/ONE");
	check_former(h, "ann/two ");
}

static void a_name_that_another_one_takes_leads_there(void **state)
{
	struct hub_db *h = *state;

	make(h, "ann/one", UID_A);
	assert_int_equal(move(h, UID_A, "ann/one", "ann/two"), 0);
	make(h, "ann/one", UID_B);
	check_former(h, "");
	assert_int_equal(move(h, UID_A, "ann/two", "ann/one"), -EEXIST);
	assert_int_equal(move(h, UID_A, "ann/two", "ann/three"), 0);
	assert_int_equal(move(h, UID_B, "ann/one", "ann/two"), 0); /* moved to it */
	assert_string_equal(found(h, "ann/one"), "ann/two");
	assert_string_equal(found(h, "ann/two"), "ann/two");
	assert_string_equal(found(h, "ann/three"), "ann/three");
	check_former(h, "ann/one ");
}

static void what_is_not_there_by_that_name_is_not_moved(void **state)
{
	struct hub_db *h = *state;

	make(h, "ann/one", UID_A);
	assert_int_equal(move(h, UID_A, "ann/none", "ann/two"), -ENOENT);
	assert_int_equal(move(h, UID_B, "ann/one", "ann/two"),
			 -ENOENT); /* another one of its name */
	assert_string_equal(found(h, "ann/one"), "ann/one");
	assert_string_equal(found(h, "ann/two"), "");
}

static void with_a_repository_go_the_names_that_led_to_it(void **state)
{
	struct hub_db *h = *state;
	struct call c = { .repo.id = id_of("ann/two") };

	strcpy(c.repo.uid, UID_A);
	make(h, "ann/one", UID_A);
	make(h, "ann/other", UID_B);
	assert_int_equal(move(h, UID_A, "ann/one", "ann/two"), 0);
	assert_int_equal(move(h, UID_B, "ann/other", "ann/else"), 0);
	assert_int_equal(db_write(h->db, drop, &c), 0);
	assert_string_equal(found(h, "ann/one"), "");
	assert_string_equal(found(h, "ann/other"), "ann/else");
	check_former(h, "ann/other ");
}

/* ---- rules and grants ---- */

static void allow(struct hub_db *h, const char *what, const char *whom, enum role role)
{
	struct rule rule = { .role = role };

	snprintf(rule.what, sizeof(rule.what), "%s", what);
	snprintf(rule.whom, sizeof(rule.whom), "%s", whom);
	assert_int_equal(rules_set(h->db, &rule, &h->why), 0);
}

static int list_rule(void *arg, const struct rule *rule)
{
	return buf_printf(arg, "%s %s %s; ", rule->what, rule->whom, role_word(rule->role));
}

static void check_rules(struct hub_db *h, const char *want)
{
	struct buf list = { 0 };

	assert_int_equal(rules_each(h->db, NULL, list_rule, &list), 0);
	assert_string_equal(buf_str(&list), want);
	buf_free(&list);
}

static int forget(struct db_txn *t, void *arg)
{
	return renaming_forget(t, arg);
}

static void leave(struct hub_db *h, const char *name)
{
	struct repo_id id = id_of(name);

	assert_int_equal(db_write(h->db, forget, &id), 0);
}

static void delete_it(struct hub_db *h, const char *name, const char *uid)
{
	struct call c = { .repo.id = id_of(name) };

	strcpy(c.repo.uid, uid);
	assert_int_equal(db_write(h->db, drop, &c), 0);
}

static void rules_go_where_their_repository_goes(void **state)
{
	struct hub_db *h = *state;

	hub_db_user(h, "bob");
	make(h, "ann/one", UID_A);
	allow(h, "models/Ann/One", "bob", ROLE_WRITE);
	allow(h, "ann", "bob", ROLE_READ);
	allow(h, "models/org/two", "bob", ROLE_READ); /* before there is one */
	assert_int_equal(move(h, UID_A, "ann/one", "Org/Two"), 0);
	check_rules(h, "ann bob read; models/ann/one bob write; models/org/two bob write; ");
	leave(h, "ann/one"); /* until then it is known by that name alone */
	check_rules(h, "ann bob read; models/org/two bob write; ");
	assert_int_equal(move(h, UID_A, "org/two", "ann/one"), 0); /* and back */
	leave(h, "org/two");
	check_rules(h, "ann bob read; models/ann/one bob write; ");
	assert_int_equal(move(h, UID_A, "ann/one", "Ann/ONE"), 0); /* the same name */
	leave(h, "ann/one");
	check_rules(h, "ann bob read; models/ann/one bob write; ");
}

static void who_gets_a_name_that_was_given_up_gets_no_rules_with_it(void **state)
{
	struct hub_db *h = *state;

	hub_db_user(h, "bob");
	make(h, "ann/one", UID_A);
	allow(h, "models/ann/one", "bob", ROLE_WRITE);
	assert_int_equal(move(h, UID_A, "ann/one", "ann/two"), 0);
	hub_db_reopen(h); /* it was killed before it let go */
	make(h, "ann/one", UID_B);
	check_rules(h, "models/ann/two bob write; ");
	allow(h, "models/ann/one", "bob", ROLE_READ); /* twin: of the one that is there */
	leave(h, "ann/one");
	check_rules(h, "models/ann/one bob read; models/ann/two bob write; ");
}

static void rules_about_a_former_name_are_not_for_who_takes_it(void **state)
{
	struct hub_db *h = *state;

	hub_db_user(h, "bob");
	hub_db_user(h, "eve");
	make(h, "ann/one", UID_A);
	assert_int_equal(move(h, UID_A, "ann/one", "ann/two"), 0);
	leave(h, "ann/one");
	allow(h, "models/ann/one", "bob", ROLE_READ); /* it is found by that name */
	allow(h, "models/ann/one", "eve", ROLE_WRITE);
	allow(h, "models/ann/two", "bob", ROLE_WRITE);
	make(h, "ann/one", UID_B);
	check_rules(h, "models/ann/two bob write; models/ann/two eve write; ");
}

static void with_a_repository_go_the_rules_about_it(void **state)
{
	struct hub_db *h = *state;

	hub_db_user(h, "bob");
	make(h, "ann/one", UID_A);
	make(h, "ann/other", UID_B);
	assert_int_equal(move(h, UID_A, "ann/one", "ann/two"), 0);
	leave(h, "ann/one");
	allow(h, "models/ann/one", "bob", ROLE_READ);
	allow(h, "models/ann/two", "bob", ROLE_READ);
	allow(h, "models/ann/other", "bob", ROLE_READ);
	allow(h, "ann", "bob", ROLE_READ);
	delete_it(h, "ann/two", UID_A);
	check_rules(h, "ann bob read; models/ann/other bob read; ");
	make(h, "ann/two", UID_A);
	leave(h, "ann/two"); /* late */
	check_rules(h, "ann bob read; models/ann/other bob read; ");
}

static int list_grants(void *arg, const struct token *token)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < token->grant_count; i++)
		r = buf_printf(arg, "%s %s; ", token->grants[i].what,
			       role_word(token->grants[i].role));
	return r;
}

static void check_grants(struct hub_db *h, const char *want)
{
	struct buf list = { 0 };

	assert_int_equal(tokens_each(h->db, "ann", list_grants, &list), 0);
	assert_string_equal(buf_str(&list), want);
	buf_free(&list);
}

static void a_grant_goes_where_its_repository_goes_and_not_to_the_next_of_its_name(void **state)
{
	struct grant grants[] = { { "models/ann/one", ROLE_WRITE },
				  { "models/ann/oneself", ROLE_READ } };
	struct token token = { .user = "ann", .name = "ci", .grants = grants, .grant_count = 2 };
	struct hub_db *h = *state;

	hub_db_user(h, "ann");
	assert_int_equal(tokens_add(h->db, &token, NULL, NULL, &h->why), 0);
	make(h, "ann/one", UID_A);
	check_grants(h, "models/ann/one write; models/ann/oneself read; ");
	assert_int_equal(move(h, UID_A, "ann/one", "Ann/Two"), 0);
	make(h, "ann/one", UID_B);
	check_grants(h, "models/ann/oneself read; models/ann/two write; ");
	delete_it(h, "ann/two", UID_A);
	check_grants(h, "models/ann/oneself read; ");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_names_it_had_lead_to_the_one_it_has),
		TEST(a_name_it_comes_back_to_is_its_own),
		TEST(a_name_that_another_one_takes_leads_there),
		TEST(what_is_not_there_by_that_name_is_not_moved),
		TEST(with_a_repository_go_the_names_that_led_to_it),
		TEST(rules_go_where_their_repository_goes),
		TEST(who_gets_a_name_that_was_given_up_gets_no_rules_with_it),
		TEST(rules_about_a_former_name_are_not_for_who_takes_it),
		TEST(with_a_repository_go_the_rules_about_it),
		TEST(a_grant_goes_where_its_repository_goes_and_not_to_the_next_of_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
