/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/likes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/hub_db.h"

#define UID_A "aaaaaaaaaaaaaaaaaaaaaaaa"
#define UID_B "bbbbbbbbbbbbbbbbbbbbbbbb"

struct act {
	const char *uid, *user;
	uint64_t count;
	struct buf said;
	const char *after;
};

static int put(struct db_txn *t, void *arg)
{
	const struct act *a = arg;
	struct registry_repo repo = { .id = { .type = REPO_MODEL } };

	strcpy(repo.uid, a->uid);
	strcpy(repo.id.name, strcmp(a->uid, UID_B) ? "ns/a" : "ns/b");
	return like_put(t, &repo, a->user, 5);
}

static int del(struct db_txn *t, void *arg)
{
	const struct act *a = arg;

	return like_del(t, a->uid, a->user);
}

static int forget(struct db_txn *t, void *arg)
{
	const struct act *a = arg;

	return a->uid ? likes_forget(t, a->uid) : likes_forget_user(t, a->user);
}

static void run(struct hub_db *h, db_fn fn, const char *uid, const char *user)
{
	struct act a = { .uid = uid, .user = user };

	assert_int_equal(db_write(h->db, fn, &a), 0);
}

static int tell_liker(void *arg, const char *user)
{
	return buf_printf(arg, "%s ", user);
}

static int tell_liked(void *arg, const struct liked *liked)
{
	return buf_printf(arg, "%.1s:%s:%jd ", liked->uid, liked->then.name, (intmax_t)liked->at_s);
}

static int look(struct db_txn *t, void *arg)
{
	struct act *a = arg;
	int r = a->uid ? likes_count(t, a->uid, &a->count) : 0;

	if (r == 0 && a->uid)
		r = likes_each(t, a->uid, a->after, tell_liker, &a->said);
	return r == 0 && a->user ? likes_of(t, a->user, a->after, tell_liked, &a->said) : r;
}

static void check_after(struct hub_db *h, const char *uid, const char *user, const char *after,
			uint64_t count, const char *want)
{
	struct act a = { .uid = uid, .user = user, .after = after };

	assert_int_equal(db_read(h->db, look, &a), 0);
	assert_int_equal(a.count, count);
	assert_string_equal(buf_str(&a.said), want);
	buf_free(&a.said);
}

static void check(struct hub_db *h, const char *uid, const char *user, uint64_t count,
		  const char *want)
{
	check_after(h, uid, user, "", count, want);
}

static int make(struct db_txn *t, void *arg UNUSED)
{
	struct registry_repo a = { .id = { .type = REPO_MODEL } }, b = a;

	strcpy(a.uid, UID_A);
	strcpy(a.id.name, "ns/a");
	strcpy(b.uid, UID_B);
	strcpy(b.id.name, "ns/b");
	assert_int_equal(registry_add(t, &a), 0);
	return registry_add(t, &b);
}

static int setup(void **state)
{
	hub_db_setup(state);
	return db_write(((struct hub_db *)*state)->db, make, NULL);
}

static void what_is_gone_cannot_be_liked(void **state)
{
	struct act a = { .uid = "cccccccccccccccccccccccc", .user = "ann" };
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, put, &a), ERR_NOREPO);
	check(h, a.uid, "ann", 0, "");
}

static void each_counts_once_from_either_side(void **state)
{
	struct hub_db *h = *state;

	run(h, put, UID_A, "Ann");
	run(h, put, UID_A, "ann");
	run(h, put, UID_A, "bob");
	run(h, put, UID_B, "ann");
	check(h, UID_A, NULL, 2, "ann bob ");
	check(h, UID_B, NULL, 1, "ann ");
	check(h, NULL, "ANN", 0, "a:ns/a:5 b:ns/b:5 ");
}

static void a_page_goes_on_behind_the_one_before(void **state)
{
	struct hub_db *h = *state;

	run(h, put, UID_A, "ann");
	run(h, put, UID_A, "bob");
	run(h, put, UID_B, "ann");
	check_after(h, UID_A, NULL, "Ann", 2, "bob ");
	check_after(h, UID_A, NULL, "b", 2, "bob "); /* who went meanwhile is no obstacle */
	check_after(h, UID_A, NULL, "bob", 2, "");
	check_after(h, NULL, "ann", UID_A, 0, "b:ns/b:5 ");
	check_after(h, NULL, "ann", UID_B, 0, "");
}

static void what_is_taken_back_is_gone_on_both_sides(void **state)
{
	struct hub_db *h = *state;

	run(h, put, UID_A, "ann");
	run(h, put, UID_A, "bob");
	run(h, del, UID_A, "ANN");
	run(h, del, UID_A, "ann");
	check(h, UID_A, NULL, 1, "bob ");
	check(h, NULL, "ann", 0, "");
}

static void a_repository_or_a_user_goes_with_all(void **state)
{
	struct hub_db *h = *state;

	run(h, put, UID_A, "ann");
	run(h, put, UID_A, "bob");
	run(h, put, UID_B, "ann");
	run(h, forget, NULL, "ann");
	check(h, UID_A, NULL, 1, "bob ");
	check(h, UID_B, NULL, 0, "");
	run(h, forget, UID_A, NULL);
	check(h, UID_A, NULL, 0, "");
	check(h, NULL, "bob", 0, "");
}

static void damage(struct hub_db *h, enum db_table table, const char *first, const char *second)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	hub_db_damage(h, table, second ? db_pair(&room, first, second) : db_text(first));
}

static void a_count_that_is_damaged_is_made_again_from_likes(void **state)
{
	struct hub_db *h = *state;

	run(h, put, UID_A, "ann");
	run(h, put, UID_A, "bob");
	damage(h, DB_LIKES, UID_A, NULL);
	check(h, UID_A, NULL, 2, "ann bob ");
	run(h, put, UID_A, "eve");
	check(h, UID_A, NULL, 3, "ann bob eve ");
	damage(h, DB_LIKES, UID_A, NULL);
	run(h, del, UID_A, "bob");
	check(h, UID_A, NULL, 2, "ann eve ");
}

static void what_is_damaged_keeps_no_repository_and_goes_with_it(void **state)
{
	struct hub_db *h = *state;

	run(h, put, UID_A, "ann");
	run(h, put, UID_A, "bob");
	damage(h, DB_LIKES, UID_A, NULL);
	damage(h, DB_LIKES, UID_A, "ann");
	run(h, forget, UID_A, NULL);
	check(h, UID_A, NULL, 0, "");
	check(h, NULL, "ann", 0, "");
	check(h, NULL, "bob", 0, "");
}

static void what_is_damaged_keeps_no_user_and_goes_with_them(void **state)
{
	struct hub_db *h = *state;

	run(h, put, UID_A, "ann");
	run(h, put, UID_A, "bob");
	run(h, put, UID_B, "ann");
	damage(h, DB_LIKES, UID_A, NULL);
	damage(h, DB_LIKES, UID_A, "ann");
	damage(h, DB_LIKED, "ann", UID_B);
	damage(h, DB_HOSTED, "models/ns/b", NULL);
	run(h, forget, NULL, "ann");
	check(h, UID_A, NULL, 1, "bob ");
	check(h, UID_B, NULL, 0, "");
	check(h, NULL, "ann", 0, "");
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(each_counts_once_from_either_side),
		STORY(what_is_gone_cannot_be_liked),
		STORY(a_page_goes_on_behind_the_one_before),
		STORY(what_is_taken_back_is_gone_on_both_sides),
		STORY(a_repository_or_a_user_goes_with_all),
		STORY(a_count_that_is_damaged_is_made_again_from_likes),
		STORY(what_is_damaged_keeps_no_repository_and_goes_with_it),
		STORY(what_is_damaged_keeps_no_user_and_goes_with_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
