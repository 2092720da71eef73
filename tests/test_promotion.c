/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/promotion.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/reflog.h"
#include "daemon/base/err.h"
#include "tests/tagged_repo.h"

#define C1 TAGGED_C1
#define C2 TAGGED_C2
#define C3 TAGGED_C3
#define PROD "refs/tags/prod"

struct asked {
	struct promotion p;
	struct buf why;
};

static int make(struct db_txn *t, void *arg)
{
	struct asked *a = arg;

	return promotion_make(t, &a->p, &a->why);
}

static int run(struct hub_db *h, struct promotion p)
{
	struct asked a = { .p = p };
	int r;

	a.p.uid = TAGGED_UID;
	a.p.to = p.to ? p.to : "prod";
	a.p.user = p.user ? p.user : "ann";
	r = db_write(h->db, make, &a);
	assert_int_equal(r<0, a.why.len> 0 || r == -EEXIST);
	buf_clear(&h->why);
	buf_add_str(&h->why, buf_str(&a.why));
	promotion_fini(&a.p);
	buf_free(&a.why);
	return r;
}

static int from(struct hub_db *h, const char *ref)
{
	return run(h, (struct promotion){ .from = ref, .may_administer = true });
}

static int back(struct hub_db *h)
{
	return run(h, (struct promotion){ .from = NULL, .may_administer = true });
}

struct said {
	const char *commit;
	struct check check;
};

static int put_check(struct db_txn *t, void *arg)
{
	const struct said *s = arg;

	return check_put(t, TAGGED_UID, s->commit, &s->check);
}

static void say(struct hub_db *h, const char *commit, const char *name, bool passed,
		const char *user)
{
	struct said s = { .commit = commit, .check = { .passed = passed } };

	strcpy(s.check.name, name);
	strcpy(s.check.user, user);
	assert_int_equal(db_write(h->db, put_check, &s), 0);
}

/* v1, v2 and v3 name three commits. */
static int setup(void **state)
{
	struct hub_db *h;

	tagged_repo_setup(state);
	h = *state;
	assert_int_equal(tagged_repo_move(h, "refs/tags/v1", C1), 0);
	assert_int_equal(tagged_repo_move(h, "refs/tags/v2", C2), 0);
	assert_int_equal(tagged_repo_move(h, "refs/tags/v3", C3), 0);
	return 0;
}

static void a_tag_gets_what_another_names_as_a_rule_allows_and_without_one_not(void **state)
{
	CLEANUP(buf_free) struct buf log = { 0 };
	struct hub_db *h = *state;

	assert_int_equal(from(h, "v1"), ERR_FORBIDDEN);
	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "test" });
	assert_int_equal(from(h, "v1"), ERR_FORBIDDEN);
	tagged_repo_promotion(h, &(struct promotion_rule){ .name = "other" });
	assert_int_equal(from(h, "v1"), 0);
	assert_int_equal(from(h, "v1"), 0); /* it does already: that is no move */
	assert_int_equal(from(h, "v2"), 0);
	assert_int_equal(from(h, "refs/heads/main"), ERR_FORBIDDEN);
	assert_int_equal(from(h, "none"), -EINVAL);
	assert_int_equal(tagged_repo_move(h, PROD, C3), ERR_TAG_LOCKED);
	tagged_repo_log(h, PROD, &log);
	assert_string_equal(buf_str(&log), "tag.promote ->1 tag.promote 1>2 ");
}

/* Or nobody knew what to do. */
static void a_rule_that_is_damaged_says_so_and_not_that_there_is_none(void **state)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct hub_db *h = *state;

	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "prod" });
	hub_db_damage(h, DB_PROMOTION_RULES, db_pair(&room, TAGGED_UID, "release"));
	assert_int_equal(from(h, "v1"), ERR_FORBIDDEN);
	assert_non_null(strstr(buf_str(&h->why), "\"release\" of promotions is damaged"));
	assert_non_null(strstr(buf_str(&h->why), "remove it and make it anew"));
	assert_int_equal(run(h, (struct promotion){ .from = "v1", .rule = "other" }),
			 ERR_FORBIDDEN);
	assert_non_null(strstr(buf_str(&h->why), "There is no rule \"other\"")); /* twin */
	tagged_repo_promotion(h, &(struct promotion_rule){ .name = "other" });
	assert_int_equal(from(h, "v1"), 0); /* one that is whole leads there */
}

static void a_lock_rule_lets_promotions_through_and_a_lock_of_the_tag_does_not(void **state)
{
	struct hub_db *h = *state;

	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "prod" });
	tagged_repo_rule(h, "acme", "*");
	assert_int_equal(from(h, "v1"), 0);
	assert_int_equal(from(h, "v2"), 0);
	assert_int_equal(tagged_repo_lock(h, "prod"), 0);
	assert_int_equal(from(h, "v3"), ERR_TAG_LOCKED);
	assert_int_equal(back(h), ERR_TAG_LOCKED);
	assert_int_equal(tagged_repo_release(h, "prod"), 0);
	assert_int_equal(from(h, "v3"), 0);
}

static void what_a_branch_hides_is_not_promoted_to_until_that_goes(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(tagged_repo_move(h, PROD, C1), 0);
	assert_int_equal(tagged_repo_move(h, "refs/heads/prod", C3), 0);
	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "prod" });
	assert_int_equal(from(h, "v2"), ERR_TAG_LOCKED);
	assert_non_null(strstr(buf_str(&h->why), "delete the branch"));
	assert_int_equal(tagged_repo_at(h, PROD), '1');
	assert_int_equal(tagged_repo_move(h, "refs/heads/prod", NULL), 0);
	assert_int_equal(from(h, "v2"), 0);
	assert_int_equal(tagged_repo_at(h, PROD), '2');
}

static void who_may_is_whom_the_rule_names(void **state)
{
	static const struct {
		const char *user;
		bool owner;
		int want;
	} cases[] = {
		{ "ann", false, 0 },
		{ "ANN", false, 0 },
		{ "bob", false, 0 },
		{ "cid", false, ERR_FORBIDDEN },
		{ "cid", true, ERR_FORBIDDEN },
		{ "eve", false, ERR_FORBIDDEN },
	};
	struct hub_db *h = *state;

	hub_db_org(h, "ops");
	hub_db_user(h, "bob");
	hub_db_user(h, "cid");
	assert_int_equal(membership_set(h->db, "ops", "bob", ROLE_ADMIN, &h->why), 0);
	assert_int_equal(membership_set(h->db, "ops", "cid", ROLE_READ, &h->why), 0);
	tagged_repo_promotion(
		h, &(struct promotion_rule){ .who = { "ann", "ops:write" }, .who_count = 2 });
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(run(h, (struct promotion){ .from = i % 2 ? "v1" : "v2",
							    .user = cases[i].user,
							    .may_administer = cases[i].owner }),
				 cases[i].want);
}

static void a_rule_that_names_nobody_is_for_who_administers_the_repository(void **state)
{
	struct hub_db *h = *state;

	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "prod" });
	assert_int_equal(run(h, (struct promotion){ .from = "v1" }), ERR_FORBIDDEN);
	assert_int_equal(run(h, (struct promotion){ .from = "v1", .may_administer = true }), 0);
}

static void a_rule_leads_from_the_refs_it_names(void **state)
{
	struct hub_db *h = *state;

	tagged_repo_promotion(h, &(struct promotion_rule){ .from = "v1" });
	assert_int_equal(from(h, "v1"), 0);
	assert_int_equal(from(h, "refs/tags/v1"), 0);
	assert_int_equal(from(h, "v2"), ERR_FORBIDDEN);
	assert_int_equal(from(h, "refs/heads/main"), ERR_FORBIDDEN);
	tagged_repo_promotion(h,
			      &(struct promotion_rule){ .name = "main", .from = "refs/heads/*" });
	assert_int_equal(from(h, "refs/heads/main"), 0);
	assert_int_equal(from(h, "v2"), ERR_FORBIDDEN);
	assert_int_equal(
		run(h, (struct promotion){ .from = "v1", .rule = "main", .may_administer = true }),
		ERR_FORBIDDEN);
	assert_int_equal(
		run(h, (struct promotion){ .from = "v1", .rule = "none", .may_administer = true }),
		ERR_FORBIDDEN);
}

static void checks_must_have_passed_and_by_whom_it_says(void **state)
{
	struct promotion more = {
		.from = "v2", .may_administer = true, .require = { "scan" }, .require_count = 1
	};
	struct hub_db *h = *state;

	tagged_repo_promotion(
		h, &(struct promotion_rule){ .require = { "eval@ci" }, .require_count = 1 });
	assert_int_equal(from(h, "v1"), -ENODATA);
	say(h, C1, "eval", true, "ann");
	assert_int_equal(from(h, "v1"), -ENODATA);
	say(h, C1, "eval", false, "ci");
	assert_int_equal(from(h, "v1"), -ENODATA);
	say(h, C1, "eval", true, "CI");
	assert_int_equal(from(h, "v1"), 0);
	assert_int_equal(from(h, "v2"), -ENODATA);
	say(h, C2, "eval", true, "ci");
	assert_int_equal(run(h, more), -ENODATA);
	assert_non_null(strstr(buf_str(&h->why), "\"scan\""));
	say(h, C2, "scan", true, "bob");
	assert_int_equal(run(h, more), 0);
}

static void a_rollback_goes_back_step_by_step_and_not_to_what_was_taken_back(void **state)
{
	CLEANUP(buf_free) struct buf log = { 0 };
	struct hub_db *h = *state;

	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "prod" });
	assert_int_equal(back(h), -EINVAL);
	assert_int_equal(from(h, "v1"), 0);
	assert_int_equal(back(h), -EINVAL);
	assert_int_equal(from(h, "v2"), 0);
	assert_int_equal(from(h, "v3"), 0);
	assert_int_equal(back(h), 0);
	assert_int_equal(tagged_repo_at(h, PROD), '2');
	assert_int_equal(back(h), 0);
	assert_int_equal(tagged_repo_at(h, PROD), '1');
	assert_int_equal(back(h), -EINVAL);
	assert_int_equal(from(h, "v3"), 0);
	assert_int_equal(back(h), 0);
	tagged_repo_log(h, PROD, &log);
	assert_string_equal(buf_str(&log),
			    "tag.promote ->1 tag.promote 1>2 tag.promote 2>3 tag.rollback 3>2 "
			    "tag.rollback 2>1 tag.promote 1>3 tag.rollback 3>1 ");
}

/* What a rule demands today the older one may never have been asked for. */
static void a_rollback_asks_that_nothing_has_failed_since(void **state)
{
	const struct promotion_rule strict = { .require = { "eval" }, .require_count = 1 };
	struct hub_db *h = *state;

	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "prod" });
	assert_int_equal(from(h, "v1"), 0);
	assert_int_equal(from(h, "v2"), 0);
	tagged_repo_promotion(h, &strict);
	say(h, C1, "eval", false, "ci");
	assert_int_equal(back(h), -ENODATA);
	say(h, C1, "eval", true, "ci");
	assert_int_equal(back(h), 0);
	assert_int_equal(run(h, (struct promotion){ .from = NULL }), -EINVAL);
	assert_int_equal(from(h, "v2"), -ENODATA);
}

/* ---- at once ---- */

#define THREADS 3
#define TURNS 15

struct promoter {
	struct hub_db *hub;
	unsigned id;
};

static void *keep_promoting(void *arg)
{
	static const char *const refs[] = { "v1", "v2", "v3" };
	const struct promoter *p = arg;

	for (unsigned i = 0; i < TURNS; i++) {
		struct asked a = { .p = { .uid = TAGGED_UID,
					  .to = "prod",
					  .from = refs[(p->id + i) % 3],
					  .user = "ann",
					  .may_administer = true } };

		assert_int_equal(db_write(p->hub->db, make, &a), 0);
		promotion_fini(&a.p);
		buf_free(&a.why);
	}
	return NULL;
}

struct chain {
	char at[COMMIT_HEX + 1];
	unsigned count;
};

static int follow(void *arg, const struct ref_event *e)
{
	struct chain *c = arg;

	assert_string_equal(e->was ? e->was : "", c->at);
	assert_string_not_equal(e->commit, c->at);
	snprintf(c->at, sizeof(c->at), "%s", e->commit);
	c->count++;
	return 0;
}

static int follow_all(struct db_txn *t, void *arg)
{
	return reflog_each(t, TAGGED_UID, PROD, follow, arg);
}

/* Each is told with what it took the place of: nobody's promotion is lost between two others. */
static void promotions_at_once_follow_one_another(void **state)
{
	struct hub_db *h = *state;
	struct promoter promoters[THREADS];
	pthread_t threads[THREADS];
	struct chain c = { .count = 0 };

	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "prod" });
	for (unsigned i = 0; i < THREADS; i++) {
		promoters[i] = (struct promoter){ h, i };
		assert_int_equal(pthread_create(&threads[i], NULL, keep_promoting, &promoters[i]),
				 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(db_read(h->db, follow_all, &c), 0);
	assert_in_range(c.count, TURNS, THREADS * TURNS);
	assert_int_equal(c.at[0], tagged_repo_at(h, PROD));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, tagged_repo_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_tag_gets_what_another_names_as_a_rule_allows_and_without_one_not),
		STORY(a_rule_that_is_damaged_says_so_and_not_that_there_is_none),
		STORY(a_lock_rule_lets_promotions_through_and_a_lock_of_the_tag_does_not),
		STORY(what_a_branch_hides_is_not_promoted_to_until_that_goes),
		STORY(who_may_is_whom_the_rule_names),
		STORY(a_rule_that_names_nobody_is_for_who_administers_the_repository),
		STORY(a_rule_leads_from_the_refs_it_names),
		STORY(checks_must_have_passed_and_by_whom_it_says),
		STORY(a_rollback_goes_back_step_by_step_and_not_to_what_was_taken_back),
		STORY(a_rollback_asks_that_nothing_has_failed_since),
		STORY(promotions_at_once_follow_one_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
