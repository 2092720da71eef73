/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/refs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "admin/account/retire.h"
#include "daemon/base/err.h"
#include "tests/tagged_repo.h"

#define C1 TAGGED_C1
#define C2 TAGGED_C2
#define C3 TAGGED_C3
#define V1 "refs/tags/v1"
#define PROD "refs/tags/prod"

static void hold_nothing(struct hub_db *h UNUSED)
{
}

static void hold_by_itself(struct hub_db *h)
{
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
}

static void hold_by_its_repository(struct hub_db *h)
{
	tagged_repo_rule(h, NULL, "v*");
}

static void hold_by_its_namespace(struct hub_db *h)
{
	tagged_repo_rule(h, "acme", "v?");
}

static void hold_by_promotion(struct hub_db *h)
{
	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "v1" });
}

static void hold_others(struct hub_db *h)
{
	tagged_repo_rule(h, "acme", "prod");
	tagged_repo_rule(h, "acm", "*");
	tagged_repo_rule(h, NULL, "v1?");
}

static const struct {
	void (*hold)(struct hub_db *h);
	bool held;
} holds[] = {
	{ hold_nothing, false },         { hold_others, false },
	{ hold_by_itself, true },        { hold_by_its_repository, true },
	{ hold_by_its_namespace, true }, { hold_by_promotion, true },
};

static int check_repo(struct db_txn *t, void *arg)
{
	buf_clear(arg);
	return ref_check_repo(t, TAGGED_UID, arg);
}

static void a_locked_tag_neither_moves_nor_goes_and_any_other_does(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(holds); i++) {
		int want = holds[i].held ? ERR_TAG_LOCKED : 0;
		struct hub_db *h;

		tagged_repo_setup(state);
		h = *state;
		assert_int_equal(tagged_repo_move(h, V1, C1), 0);
		holds[i].hold(h);
		hub_db_reopen(h);
		assert_int_equal(db_write(h->db, check_repo, &h->why), want);
		assert_true(!want || strstr(buf_str(&h->why), "\"v1\""));
		assert_int_equal(tagged_repo_move(h, V1, C2), want);
		assert_int_equal(tagged_repo_at(h, V1), want ? '1' : '2');
		assert_int_equal(tagged_repo_move(h, V1, NULL), want);
		assert_int_equal(tagged_repo_at(h, V1), want ? '1' : '-');
		assert_int_equal(tagged_repo_move(h, REGISTRY_MAIN, C2), 0);
		tagged_repo_teardown(state);
	}
}

/* Readers find a branch before a tag. */
static void no_branch_gets_the_name_of_a_locked_tag(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(holds); i++) {
		int want = holds[i].held ? ERR_TAG_LOCKED : 0;
		struct hub_db *h;

		tagged_repo_setup(state);
		h = *state;
		assert_int_equal(tagged_repo_move(h, V1, C1), 0);
		holds[i].hold(h);
		assert_int_equal(tagged_repo_move(h, "refs/heads/v1", C2), want);
		tagged_repo_teardown(state);
	}
}

static void nor_does_one_that_has_it_move_but_it_may_go(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_move(h, "refs/heads/v1", C1), 0);
	assert_int_equal(tagged_repo_move(h, "refs/heads/v1", C2), 0);
	tagged_repo_rule(h, "acme", "v1");
	assert_int_equal(tagged_repo_move(h, "refs/heads/v1", C3), ERR_TAG_LOCKED);
	assert_int_equal(tagged_repo_move(h, "refs/heads/v1", NULL), 0);
}

static void what_matches_a_rule_is_locked_from_its_birth(void **state)
{
	struct hub_db *h = *state;

	tagged_repo_rule(h, "acme", "v*");
	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_move(h, V1, C2), ERR_TAG_LOCKED);
	assert_int_equal(tagged_repo_move(h, PROD, C1), 0);
	assert_int_equal(tagged_repo_move(h, PROD, C2), 0);
	assert_int_equal(tagged_repo_move(h, "refs/heads/v2", C1), 0);
	assert_int_equal(tagged_repo_move(h, "refs/tags/v2", C1), ERR_TAG_LOCKED);
}

static void what_moves_by_promotion_is_not_made_in_another_way(void **state)
{
	struct hub_db *h = *state;

	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "prod" });
	assert_int_equal(tagged_repo_move(h, PROD, C1), ERR_TAG_LOCKED);
	assert_int_equal(tagged_repo_move(h, "refs/tags/product", C1), 0);
}

static void one_that_is_released_changes_once_and_is_held_again(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_release(h, "v1"), -ENOENT);
	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_release(h, "v1"), -ENOENT);
	tagged_repo_rule(h, "acme", "v*");
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	assert_int_equal(tagged_repo_release(h, "v1"), -ENOENT);
	assert_int_equal(tagged_repo_move(h, V1, C2), 0);
	assert_int_equal(tagged_repo_move(h, V1, C3), ERR_TAG_LOCKED);
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
	assert_int_equal(tagged_repo_move(h, V1, C3), ERR_TAG_LOCKED);
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	assert_int_equal(tagged_repo_move(h, V1, NULL), 0);
	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_move(h, V1, C2), ERR_TAG_LOCKED);
}

static void one_that_was_locked_by_itself_is_free_when_it_is_released(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_lock(h, "v1"), -ENOENT);
	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), -EEXIST);
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	assert_int_equal(tagged_repo_move(h, V1, C2), 0);
	assert_int_equal(tagged_repo_move(h, V1, C3), 0);
}

static void one_that_a_branch_hides_is_not_locked_by_itself(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_move(h, "refs/heads/v1", C2), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), -ENOTUNIQ);
	assert_int_equal(tagged_repo_move(h, V1, C2), 0);
	assert_int_equal(tagged_repo_move(h, "refs/heads/v1", NULL), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
	assert_int_equal(tagged_repo_move(h, V1, C3), ERR_TAG_LOCKED);
}

static int get_lock(struct db_txn *t, void *arg)
{
	return tag_lock_get(t, TAGGED_UID, "v1", arg);
}

static struct tag_lock lock_of_v1(struct hub_db *h)
{
	struct tag_lock l;

	assert_int_equal(db_read(h->db, get_lock, &l), 0);
	return l;
}

static bool lock_holds(struct hub_db *h)
{
	struct tag_lock l = lock_of_v1(h);

	return tag_lock_holds(&l);
}

/* Each act of an administrator takes back one thing that holds it. */
static void one_that_is_locked_twice_is_released_twice(void **state)
{
	struct tag_lock l;
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	tagged_repo_rule(h, "acme", "v*");
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
	l = lock_of_v1(h);
	assert_int_equal(l.kind, LOCK_TAG);
	assert_int_equal(l.beneath, LOCK_RULE);
	assert_string_equal(l.rule, "v*");
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	l = lock_of_v1(h);
	assert_true(l.kind == LOCK_RULE && tag_lock_holds(&l));
	assert_int_equal(l.beneath, LOCK_NONE);
	assert_int_equal(tagged_repo_move(h, V1, C2), ERR_TAG_LOCKED);
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	assert_int_equal(tagged_repo_move(h, V1, C2), 0);
}

static int del_rule(struct db_txn *t, void *arg)
{
	struct tag_scope s = tag_scope_of_namespace("acme");

	return lock_rule_del(t, &s, arg);
}

static int count_lock(void *arg, const struct tag_scope *s UNUSED, const struct lock_rule *r)
{
	*(unsigned *)arg += r->damaged;
	return 0;
}

static int count_promotion(void *arg, const struct tag_scope *s UNUSED,
			   const struct promotion_rule *r)
{
	*(unsigned *)arg += r->damaged;
	return 0;
}

static int count_damaged(struct db_txn *t, void *arg)
{
	int r = lock_rule_each(t, NULL, count_lock, arg);

	return r < 0 ? r : promotion_rule_each(t, NULL, count_promotion, arg);
}

static void who_released_it_from_one_rule_released_it_from_no_other(void **state)
{
	char glob[] = "v*";
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	tagged_repo_rule(h, "acme", glob);
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	assert_int_equal(db_write(h->db, del_rule, glob), 0);
	tagged_repo_rule(h, "acme", "v1");
	assert_int_equal(tagged_repo_move(h, V1, C2), ERR_TAG_LOCKED);
}

/* ---- what cannot be read ---- */

static void damage(struct hub_db *h, enum db_table table, const char *scope, const char *name)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	hub_db_damage(h, table, db_pair(&room, scope, name));
}

static unsigned damaged(struct hub_db *h)
{
	unsigned count = 0;

	assert_int_equal(db_read(h->db, count_damaged, &count), 0);
	return count;
}

static void a_rule_that_is_damaged_locks_until_it_is_removed(void **state)
{
	char glob[] = "v*";
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_move(h, PROD, C1), 0);
	tagged_repo_rule(h, "acme", glob);
	assert_int_equal(damaged(h), 0);
	damage(h, DB_LOCK_RULES, "/acme", glob);
	assert_int_equal(damaged(h), 1);
	assert_int_equal(tagged_repo_move(h, V1, C2), ERR_TAG_LOCKED);
	assert_int_equal(db_write(h->db, check_repo, &h->why), ERR_TAG_LOCKED);
	assert_int_equal(tagged_repo_move(h, PROD, C2), 0); /* twin: the key still says which */
	assert_int_equal(db_write(h->db, del_rule, glob), 0);
	assert_int_equal(damaged(h), 0);
	assert_int_equal(tagged_repo_move(h, V1, C2), 0);
}

static int del_promotion(struct db_txn *t, void *arg)
{
	struct tag_scope s = tag_scope_of_repo(TAGGED_UID);

	return promotion_rule_del(t, &s, arg);
}

static int say_lock(struct db_txn *t, void *arg)
{
	struct tag_lock lock;
	int r = tag_lock_get(t, TAGGED_UID, "v1", &lock);

	buf_clear(arg);
	tag_lock_say(&lock, "v1", arg);
	return r;
}

/* Which tag it held cannot be told. */
static void a_rule_of_promotions_that_is_damaged_holds_all_tags(void **state)
{
	char name[] = "release";
	struct hub_db *h = *state;

	hub_db_user(h, "leaver");
	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "prod" });
	assert_int_equal(tagged_repo_move(h, V1, C2), 0); /* twin */
	damage(h, DB_PROMOTION_RULES, TAGGED_UID, name);
	assert_int_equal(damaged(h), 1);
	assert_int_equal(tagged_repo_move(h, V1, C3), ERR_TAG_LOCKED);
	assert_int_equal(tagged_repo_move(h, PROD, C3), ERR_TAG_LOCKED);
	assert_int_equal(db_read(h->db, say_lock, &h->why), 0);
	assert_non_null(strstr(buf_str(&h->why), TAG_RULE_DAMAGED)); /* or nobody knew the cure */
	assert_int_equal(retire_account(h->db, "leaver", &h->why), -EBUSY);
	assert_non_null(strstr(buf_str(&h->why), "damaged and may name leaver: remove it"));
	assert_int_equal(tagged_repo_move(h, REGISTRY_MAIN, C2), 0);
	assert_int_equal(db_write(h->db, del_promotion, name), 0);
	assert_int_equal(retire_account(h->db, "leaver", &h->why), 0);
	assert_int_equal(tagged_repo_move(h, V1, C3), 0);
}

static void a_lock_that_is_damaged_holds_until_it_is_released(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_move(h, PROD, C1), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
	damage(h, DB_TAG_LOCKS, TAGGED_UID, "v1");
	assert_int_equal(tagged_repo_move(h, V1, C2), ERR_TAG_LOCKED);
	assert_int_equal(tagged_repo_move(h, PROD, C2), 0); /* twin */
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	assert_int_equal(tagged_repo_move(h, V1, C2), 0);
}

static int rename_it(struct db_txn *t, void *arg)
{
	struct registry_repo repo;
	struct repo_id id;

	assert_int_equal(repo_id_parse_key("models/acme/m", &id), 0);
	assert_int_equal(registry_get(t, &id, &repo), 0);
	assert_int_equal(repo_id_parse_key(arg, &repo.id), 0);
	return registry_change(t, &repo);
}

struct coming {
	char key[sizeof("models/Third/m")];
	struct buf *why;
};

/* As a move does. */
static int arrive(struct db_txn *t, void *arg)
{
	struct coming *c = arg;
	int r = rename_it(t, c->key);

	buf_clear(c->why);
	return r < 0 ? r : ref_check_arrival(t, TAGGED_UID, c->why);
}

static int move_to(struct hub_db *h, const char *key)
{
	struct coming c = { .why = &h->why };
	int r;

	strcpy(c.key, key);
	r = db_write(h->db, arrive, &c);
	assert_int_equal(r == ERR_TAG_LOCKED, h->why.len > 0);
	return r;
}

static int put_promotion(struct db_txn *t, void *arg)
{
	struct promotion_rule rule = { .name = "release", .to = "prod", .from = "v*" };
	struct tag_scope s = tag_scope_of_namespace(arg);

	return promotion_rule_put(t, &s, &rule);
}

static void a_tag_does_not_come_with_its_repository_to_where_it_is_promoted(void **state)
{
	char guarded[] = "third";
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, PROD, C1), 0);
	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(db_write(h->db, put_promotion, guarded), 0);
	assert_int_equal(move_to(h, "models/Other/m"), 0); /* twin: no rule is there */
	assert_int_equal(move_to(h, "models/Third/m"), ERR_TAG_LOCKED);
	assert_non_null(strstr(buf_str(&h->why), "\"prod\""));
	assert_int_equal(tagged_repo_move(h, PROD, NULL), 0);
	assert_int_equal(move_to(h, "models/Third/m"), 0);
}

static void nor_does_one_that_would_be_locked_while_a_branch_hides_it(void **state)
{
	struct hub_db *h = *state;

	tagged_repo_rule(h, "third", "v*");
	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_move(h, "refs/heads/v1", C2), 0);
	assert_int_equal(move_to(h, "models/Third/m"), ERR_TAG_LOCKED);
	assert_non_null(strstr(buf_str(&h->why), "branch"));
	assert_int_equal(tagged_repo_move(h, "refs/heads/v1", NULL), 0);
	assert_int_equal(move_to(h, "models/Third/m"), 0);
	assert_int_equal(tagged_repo_move(h, V1, C2), ERR_TAG_LOCKED);
}

/* Rules of two namespaces may be called alike. */
static void what_one_namespace_released_another_one_holds(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	tagged_repo_rule(h, "acme", "v*");
	tagged_repo_rule(h, "third", "v*");
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	assert_false(lock_holds(h));
	assert_int_equal(move_to(h, "models/Third/m"), 0);
	assert_true(lock_holds(h));
}

static void rules_of_a_namespace_count_where_a_repository_is_now(void **state)
{
	char name[] = "models/Other/m";
	struct hub_db *h = *state;

	tagged_repo_rule(h, "acme", "v*");
	tagged_repo_rule(h, "other", "prod");
	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_move(h, PROD, C1), 0);
	assert_int_equal(db_write(h->db, rename_it, name), 0);
	assert_int_equal(tagged_repo_move(h, V1, C2), 0);
	assert_int_equal(tagged_repo_move(h, PROD, C2), ERR_TAG_LOCKED);
}

static void refs_do_not_stand_above_or_below_others(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, "refs/tags/a/b", C1), 0);
	assert_int_equal(tagged_repo_move(h, "refs/tags/a", C1), -EEXIST);
	assert_int_equal(tagged_repo_move(h, "refs/tags/a/b/c", C1), -EEXIST);
	assert_int_equal(tagged_repo_move(h, "refs/tags/a/c", C1), 0);
	assert_int_equal(tagged_repo_move(h, "refs/tags/none", NULL), -ENOENT);
}

static void each_move_of_a_tag_is_kept(void **state)
{
	CLEANUP(buf_free) struct buf v1 = { 0 }, all = { 0 };
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
	assert_int_equal(tagged_repo_move(h, V1, C2), ERR_TAG_LOCKED);
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	assert_int_equal(tagged_repo_move(h, V1, C2), 0);
	assert_int_equal(tagged_repo_move(h, V1, NULL), 0);
	assert_int_equal(tagged_repo_move(h, "refs/tags/v10", C3), 0);
	hub_db_reopen(h);
	tagged_repo_log(h, V1, &v1);
	assert_string_equal(buf_str(&v1), "set ->1 tag.lock 1>1 tag.unlock 1>1 set 1>2 del 2>- ");
	tagged_repo_log(h, NULL, &all);
	assert_non_null(strstr(buf_str(&all), "del 2>- set ->3 "));
}

static int remove_it(struct db_txn *t, void *arg UNUSED)
{
	struct registry_repo repo;
	struct repo_id id;
	int r = repo_id_parse_key("models/acme/m", &id);

	if (r == 0)
		r = registry_get(t, &id, &repo);
	return r < 0 ? r : registry_remove(t, &repo);
}

static void what_is_said_of_tags_goes_with_their_repository(void **state)
{
	CLEANUP(buf_free) struct buf all = { 0 };
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
	tagged_repo_rule(h, NULL, "*");
	assert_int_equal(db_write(h->db, remove_it, NULL), 0);
	tagged_repo_log(h, NULL, &all);
	assert_string_equal(buf_str(&all), "");
	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(tagged_repo_move(h, V1, C2), 0);
}

/* ---- what must stay ---- */

static int list_held(void *arg, const char *commit)
{
	return buf_printf(arg, "%c", *commit);
}

static int list_all_held(struct db_txn *t, void *arg)
{
	return ref_each_held(t, TAGGED_UID, list_held, arg);
}

static void what_locked_tags_name_is_held_and_what_promoted_ones_named(void **state)
{
	CLEANUP(buf_free) struct buf held = { 0 };
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, PROD, C1), 0);
	assert_int_equal(tagged_repo_move(h, PROD, C2), 0);
	assert_int_equal(tagged_repo_move(h, V1, C3), 0);
	assert_int_equal(db_read(h->db, list_all_held, &held), 0);
	assert_string_equal(buf_str(&held), "");
	tagged_repo_rule(h, "acme", "v*");
	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "prod" });
	assert_int_equal(db_read(h->db, list_all_held, &held), 0);
	assert_string_equal(buf_str(&held), "1223");
	buf_clear(&held);
	/* Also by itself: that takes nothing away, and is told of once more. */
	assert_int_equal(tagged_repo_lock(h, "prod"), 0);
	assert_int_equal(db_read(h->db, list_all_held, &held), 0);
	assert_string_equal(buf_str(&held), "12223");
}

/* ---- at once ---- */

struct mover {
	struct hub_db *hub;
	atomic_bool stop;
	unsigned moved, refused;
};

static void *keep_moving(void *arg)
{
	struct mover *m = arg;

	for (unsigned i = 0; !m->stop; i++) {
		int r = tagged_repo_move(m->hub, V1, i % 2 ? C1 : C2);

		assert_true(r == 0 || r == ERR_TAG_LOCKED);
		*(r == 0 ? &m->moved : &m->refused) += 1;
	}
	return NULL;
}

/* The lock holds from the moment on at which it is there, whoever is just moving the tag. */
static void a_lock_that_comes_while_a_tag_moves_holds_it_where_it_is(void **state)
{
	struct hub_db *h = *state;
	struct mover m = { .hub = h };
	pthread_t thread;

	assert_int_equal(tagged_repo_move(h, V1, C1), 0);
	assert_int_equal(pthread_create(&thread, NULL, keep_moving, &m), 0);
	for (unsigned i = 0; i < 10; i++) {
		char at;

		assert_int_equal(tagged_repo_lock(h, "v1"), 0);
		at = tagged_repo_at(h, V1);
		for (unsigned k = 0; k < 10; k++)
			assert_int_equal(tagged_repo_at(h, V1), at);
		assert_int_equal(tagged_repo_release(h, "v1"), 0);
	}
	m.stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_locked_tag_neither_moves_nor_goes_and_any_other_does),
		cmocka_unit_test(no_branch_gets_the_name_of_a_locked_tag),
#define STORY(name) cmocka_unit_test_setup_teardown(name, tagged_repo_setup, tagged_repo_teardown)
		STORY(nor_does_one_that_has_it_move_but_it_may_go),
		STORY(what_matches_a_rule_is_locked_from_its_birth),
		STORY(what_moves_by_promotion_is_not_made_in_another_way),
		STORY(one_that_is_released_changes_once_and_is_held_again),
		STORY(one_that_was_locked_by_itself_is_free_when_it_is_released),
		STORY(one_that_a_branch_hides_is_not_locked_by_itself),
		STORY(one_that_is_locked_twice_is_released_twice),
		STORY(who_released_it_from_one_rule_released_it_from_no_other),
		STORY(a_rule_that_is_damaged_locks_until_it_is_removed),
		STORY(a_rule_of_promotions_that_is_damaged_holds_all_tags),
		STORY(a_lock_that_is_damaged_holds_until_it_is_released),
		STORY(a_tag_does_not_come_with_its_repository_to_where_it_is_promoted),
		STORY(nor_does_one_that_would_be_locked_while_a_branch_hides_it),
		STORY(what_one_namespace_released_another_one_holds),
		STORY(rules_of_a_namespace_count_where_a_repository_is_now),
		STORY(refs_do_not_stand_above_or_below_others),
		STORY(each_move_of_a_tag_is_kept),
		STORY(what_is_said_of_tags_goes_with_their_repository),
		STORY(what_locked_tags_name_is_held_and_what_promoted_ones_named),
		STORY(a_lock_that_comes_while_a_tag_moves_holds_it_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
