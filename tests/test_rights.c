/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/rights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/heard.h"
#include "admin/account/rules.h"
#include "admin/registry/renaming.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/workers.h"
#include "tests/hub_db.h"

#define NAMES(n, ...) (&(struct repo_names){ { __VA_ARGS__ }, (n), false })

static struct repo_id repo_of(const char *key)
{
	struct repo_id id;

	assert_int_equal(repo_id_parse_key(key, &id), 0);
	return id;
}

/* Somebody with a token of that role, as auth finds them. */
static struct identity who(struct hub_db *h, const char *user, enum role role)
{
	struct identity ret = { .known = true, .token.role = role };
	struct account a;

	assert_int_equal(accounts_get(h->db, user, &a), 0);
	strcpy(ret.user, a.name);
	ret.is_hub_admin = a.is_admin;
	return ret;
}

static const struct identity nobody = { .known = false };

/* What lists show. */
static bool sees(const struct rights *r, const struct identity *who, const struct repo_names *names)
{
	struct rights_row row = { .names = *names };

	assert_int_equal(rights_look(r, who, &row, 1), 0);
	return row.sees;
}

/* The most they may do, by asking for each. */
static enum role most(const struct rights *r, const struct identity *i, const char *key)
{
	struct repo_id id = repo_of(key);
	enum role role = ROLE_NONE;

	while (role < ROLE_ADMIN && rights_check(r, i, NAMES(1, &id), role + 1, NULL) == 0)
		role++;
	if (role == ROLE_NONE)
		assert_int_equal(rights_check(r, i, NAMES(1, &id), ROLE_ADMIN, NULL), ERR_NOREPO);
	else if (role < ROLE_ADMIN)
		assert_int_equal(rights_check(r, i, NAMES(1, &id), role + 1, NULL), ERR_FORBIDDEN);
	assert_int_equal(sees(r, i, NAMES(1, &id)), role >= ROLE_READ);
	return role;
}

static void say(struct hub_db *h, const char *key, enum visibility v)
{
	struct repo_id id = repo_of(key);

	assert_int_equal(rights_set_visibility(h->db, NAMES(1, &id), v), 0);
}

static const struct workers_conf one_worker = { "test", 1, 16, false };

/* An upstream has said so, and it is written. */
static int learn(struct hub_db *h, const struct repo_id *id, enum visibility v)
{
	struct rights r = { .db = h->db };
	struct workers *workers = NULL;
	int e;

	assert_int_equal(workers_start(&one_worker, &workers), 0);
	assert_int_equal(heard_new(h->db, workers, &r.heard), 0);
	e = rights_learn(&r, id, v);
	assert_true(workers_stop(workers, clock_ms() + 10000));
	heard_free(r.heard);
	return e;
}

static void rule(struct hub_db *h, const char *what, const char *whom, enum role role)
{
	struct rule rule = { .role = role };

	strcpy(rule.what, what);
	strcpy(rule.whom, whom);
	assert_int_equal(rules_set(h->db, &rule, &h->why), 0);
}

static void people(struct hub_db *h)
{
	hub_db_admin(h, "root");
	hub_db_user(h, "Owner");
	hub_db_user(h, "reader");
	hub_db_user(h, "writer");
	hub_db_user(h, "chief");
	hub_db_user(h, "stranger");
	hub_db_org(h, "Lab");
	assert_int_equal(membership_set(h->db, "lab", "reader", ROLE_READ, &h->why), 0);
	assert_int_equal(membership_set(h->db, "lab", "writer", ROLE_WRITE, &h->why), 0);
	assert_int_equal(membership_set(h->db, "lab", "chief", ROLE_ADMIN, &h->why), 0);
}

static void public_is_for_all_to_read(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };
	struct identity i;

	people(h);
	assert_int_equal(most(&r, &nobody, "models/lab/x"), ROLE_READ);
	i = who(h, "stranger", ROLE_ADMIN);
	assert_int_equal(most(&r, &i, "models/lab/x"), ROLE_SPEAK);
	assert_int_equal(most(&r, &i, "models/gpt2"), ROLE_SPEAK);
	assert_int_equal(most(&r, &i, "datasets/stranger/x"), ROLE_ADMIN);
}

static void private_is_for_those_it_belongs_to(void **state)
{
	static const struct {
		const char *user;
		enum role of_lab, of_owner;
	} cases[] = {
		{ "root", ROLE_ADMIN, ROLE_ADMIN },  { "Owner", ROLE_NONE, ROLE_ADMIN },
		{ "reader", ROLE_SPEAK, ROLE_NONE }, { "writer", ROLE_WRITE, ROLE_NONE },
		{ "chief", ROLE_ADMIN, ROLE_NONE },  { "stranger", ROLE_NONE, ROLE_NONE },
	};
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };

	people(h);
	say(h, "models/lab/x", VISIBILITY_PRIVATE);
	say(h, "datasets/OWNER/x", VISIBILITY_PRIVATE);
	assert_int_equal(most(&r, &nobody, "models/LAB/X"), ROLE_NONE);
	assert_int_equal(most(&r, &nobody, "datasets/owner/x"), ROLE_NONE);
	assert_int_equal(most(&r, &nobody, "datasets/lab/x"), ROLE_READ);
	for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
		struct identity i = who(h, cases[n].user, ROLE_ADMIN);

		assert_int_equal(most(&r, &i, "models/LAB/X"), cases[n].of_lab);
		assert_int_equal(most(&r, &i, "datasets/owner/x"), cases[n].of_owner);
	}
}

static void a_token_does_no_more_than_its_role_and_its_user_may_more(void **state)
{
	static const char *const users[] = { "root", "Owner", "chief" };
	struct repo_id id = repo_of("models/o/x");
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };

	people(h);
	rule(h, "models/o/x", "Owner", ROLE_ADMIN);
	rule(h, "models/o/x", "chief", ROLE_ADMIN);
	say(h, "models/o/x", VISIBILITY_PRIVATE);
	for (size_t n = 0; n < ARRAY_LEN(users); n++)
		for (enum role role = ROLE_NONE; role <= ROLE_ADMIN; role++) {
			struct identity i = who(h, users[n], role);

			assert_int_equal(most(&r, &i, "models/o/x"), role);
			assert_int_equal(rights_check_user(&r, &i, NAMES(1, &id), ROLE_ADMIN), 0);
		}
}

static void grants_reach_as_far_as_they_say(void **state)
{
	struct grant grants[] = { { "models/lab/a", ROLE_WRITE }, { "owner", ROLE_READ } };
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };
	struct identity i;

	people(h);
	say(h, "models/lab/a", VISIBILITY_PRIVATE);
	say(h, "models/lab/b", VISIBILITY_PRIVATE);
	say(h, "models/owner/x", VISIBILITY_PRIVATE);
	i = who(h, "writer", ROLE_NONE);
	i.token.grants = grants;
	i.token.grant_count = 2;
	assert_int_equal(most(&r, &i, "models/Lab/A"), ROLE_WRITE);
	assert_int_equal(most(&r, &i, "models/lab/b"), ROLE_NONE);
	assert_int_equal(most(&r, &i, "datasets/lab/a"), ROLE_READ); /* it is public */
	assert_int_equal(most(&r, &i, "models/owner/x"), ROLE_NONE); /* the user may not */
	i = who(h, "Owner", ROLE_NONE);
	i.token.grants = grants;
	i.token.grant_count = 2;
	assert_int_equal(most(&r, &i, "models/owner/x"), ROLE_READ);
	assert_int_equal(most(&r, &i, "models/lab/a"), ROLE_NONE);
	i = who(h, "root", ROLE_NONE);
	assert_int_equal(most(&r, &i, "models/lab/a"), ROLE_NONE);
}

static void rules_open_what_is_closed(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };
	struct identity stranger, reader;

	people(h);
	stranger = who(h, "stranger", ROLE_ADMIN);
	reader = who(h, "reader", ROLE_ADMIN);
	say(h, "models/meta/llama", VISIBILITY_PRIVATE);
	say(h, "models/meta/other", VISIBILITY_PRIVATE);
	rule(h, "models/Meta/Llama", "Stranger", ROLE_READ);
	assert_int_equal(most(&r, &stranger, "models/meta/llama"), ROLE_SPEAK);
	assert_int_equal(most(&r, &stranger, "models/meta/other"), ROLE_NONE);
	assert_int_equal(most(&r, &reader, "models/meta/llama"), ROLE_NONE);
	rule(h, "META", "lab", ROLE_WRITE);
	assert_int_equal(most(&r, &reader, "models/meta/llama"), ROLE_WRITE);
	assert_int_equal(most(&r, &reader, "models/meta/other"), ROLE_WRITE);
	assert_int_equal(most(&r, &reader, "models/metal/other"), ROLE_SPEAK);
	assert_int_equal(most(&r, &stranger, "models/meta/other"), ROLE_NONE);
	rule(h, "meta", RULE_EVERYBODY, ROLE_READ);
	assert_int_equal(most(&r, &stranger, "models/meta/other"), ROLE_SPEAK);
	assert_int_equal(most(&r, &nobody, "models/meta/other"), ROLE_NONE);
	rule(h, "meta", RULE_EVERYBODY, ROLE_NONE);
	rule(h, "models/meta/llama", "stranger", ROLE_NONE);
	assert_int_equal(most(&r, &stranger, "models/meta/llama"), ROLE_NONE);
}

static int note(void *arg, const struct rule *rule)
{
	return buf_printf(arg, "%s %s %s, ", rule->what, rule->whom, role_word(rule->role));
}

static void rules_are_listed_and_checked(void **state)
{
	CLEANUP(buf_free) struct buf all = { 0 }, one = { 0 };
	struct rule bad = { .what = "a/b", .whom = "*", .role = ROLE_READ };
	struct hub_db *h = *state;

	people(h);
	rule(h, "meta", "*", ROLE_READ);
	rule(h, "models/meta/x", "Lab", ROLE_WRITE);
	rule(h, "metal", "owner", ROLE_ADMIN);
	assert_int_equal(rules_each(h->db, NULL, note, &all), 0);
	assert_string_equal(buf_str(&all),
			    "meta * read, metal owner admin, models/meta/x lab write, ");
	assert_int_equal(rules_each(h->db, "Meta", note, &one), 0);
	assert_string_equal(buf_str(&one), "meta * read, ");
	assert_int_equal(rules_set(h->db, &bad, &h->why), -EINVAL);
	assert_true(h->why.len > 0);
	strcpy(bad.what, "meta");
	strcpy(bad.whom, "unknown");
	assert_int_equal(rules_set(h->db, &bad, &h->why), -ENOENT);
}

/* ---- what is private ---- */

static void check_why(const struct rights *r, const char *key, enum visibility want,
		      const char *why)
{
	struct repo_id id = repo_of(key);
	enum visibility v;
	const char *got;

	assert_int_equal(rights_visibility(r, NAMES(1, &id), &v, &got), 0);
	assert_int_equal(v, want);
	assert_non_null(strstr(got, why));
}

static void the_nearest_word_counts(void **state)
{
	struct account_change c = ACCOUNT_AS_IS;
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };
	struct repo_id id = repo_of("models/lab/x");

	people(h);
	check_why(&r, "models/lab/x", VISIBILITY_PUBLIC, "anybody");
	assert_int_equal(learn(h, &id, VISIBILITY_GATED), 0);
	check_why(&r, "models/lab/x", VISIBILITY_GATED, "upstream");
	assert_int_equal(most(&r, &nobody, "models/lab/x"), ROLE_NONE);
	assert_int_equal(learn(h, &id, VISIBILITY_PUBLIC), 0);
	check_why(&r, "models/lab/x", VISIBILITY_PUBLIC, "upstream");
	c.private_default = 1;
	assert_int_equal(accounts_change(h->db, "lab", &c, &h->why), 0);
	check_why(&r, "models/lab/x", VISIBILITY_PRIVATE, "namespace");
	say(h, "models/lab/x", VISIBILITY_PUBLIC);
	check_why(&r, "models/lab/x", VISIBILITY_PUBLIC, "set here");
	assert_int_equal(learn(h, &id, VISIBILITY_PRIVATE), 0);
	check_why(&r, "models/lab/x", VISIBILITY_PUBLIC, "set here");
	say(h, "models/lab/x", VISIBILITY_UNSAID);
	check_why(&r, "models/lab/x", VISIBILITY_PRIVATE, "namespace");
}

static int host(struct db_txn *t, void *arg UNUSED)
{
	return db_put(t, DB_HOSTED, db_text("models/lab/x"), "{}", 2);
}

/* Without a word nobody gets what no upstream would give them. */
static void what_is_hosted_here_is_private_until_something_is_said(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };

	people(h);
	assert_int_equal(db_write(h->db, host, NULL), 0);
	check_why(&r, "models/lab/x", VISIBILITY_PRIVATE, "nowhere but here");
	assert_int_equal(most(&r, &nobody, "models/lab/x"), ROLE_NONE);
	check_why(&r, "models/lab/y", VISIBILITY_PUBLIC, "anybody");
	say(h, "models/lab/x", VISIBILITY_PUBLIC);
	check_why(&r, "models/lab/x", VISIBILITY_PUBLIC, "set here");
}

static void what_is_private_by_a_former_name_is_private_by_the_new_one(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };
	struct repo_id now = repo_of("models/new/x"), old = repo_of("models/lab/x");
	const struct repo_names *both = NAMES(2, &now, &old);
	struct account_change c = ACCOUNT_AS_IS;
	enum visibility v;
	const char *why;

	people(h);
	assert_true(sees(&r, &nobody, both));
	say(h, "models/lab/x", VISIBILITY_PRIVATE);
	assert_false(sees(&r, &nobody, both));
	assert_true(sees(&r, &nobody, NAMES(1, &now)));
	assert_int_equal(rights_visibility(&r, both, &v, &why), 0);
	assert_non_null(strstr(why, "a name it had"));
	say(h, "models/new/x", VISIBILITY_PUBLIC); /* what it is called now comes first */
	assert_true(sees(&r, &nobody, both));
	say(h, "models/new/x", VISIBILITY_UNSAID);
	say(h, "models/lab/x", VISIBILITY_PUBLIC); /* ... and opens nothing by a former one */
	c.private_default = 1;
	hub_db_org(h, "new");
	assert_int_equal(accounts_change(h->db, "new", &c, &h->why), 0);
	assert_false(sees(&r, &nobody, both));
	c.private_default = 0;
	assert_int_equal(accounts_change(h->db, "new", &c, &h->why), 0);
	c.private_default = 1;
	assert_int_equal(accounts_change(h->db, "lab", &c, &h->why), 0);
	assert_false(sees(&r, &nobody, both));
	assert_true(sees(&r, &nobody, NAMES(1, &now)));
}

static void what_is_said_takes_the_place_of_what_was_said_of_any_name(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };
	struct repo_id now = repo_of("models/lab/y"), old = repo_of("models/lab/x");
	const struct repo_names *both = NAMES(2, &now, &old);

	say(h, "models/lab/x", VISIBILITY_PRIVATE);
	assert_int_equal(rights_set_visibility(h->db, both, VISIBILITY_UNSAID), 0);
	assert_true(sees(&r, &nobody, both));
	assert_int_equal(rights_set_visibility(h->db, both, VISIBILITY_PRIVATE), 0);
	assert_false(sees(&r, &nobody, NAMES(1, &now)));
	assert_true(sees(&r, &nobody, NAMES(1, &old)));
}

static void rules_and_grants_about_a_former_name_hold(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };
	struct repo_id now = repo_of("models/new/x"), old = repo_of("models/lab/x");
	const struct repo_names *both = NAMES(2, &now, &old);
	struct grant grant = { "models/lab/x", ROLE_WRITE };
	struct identity i;

	people(h);
	say(h, "models/new/x", VISIBILITY_PRIVATE);
	i = who(h, "stranger", ROLE_ADMIN);
	assert_false(sees(&r, &i, both));
	rule(h, "models/lab/x", "stranger", ROLE_WRITE);
	assert_int_equal(rights_check(&r, &i, both, ROLE_WRITE, NULL), 0);
	assert_int_equal(rights_check(&r, &i, NAMES(1, &now), ROLE_READ, NULL), ERR_NOREPO);
	i.token = (struct token){ .role = ROLE_NONE, .grants = &grant, .grant_count = 1 };
	assert_int_equal(rights_check(&r, &i, both, ROLE_WRITE, NULL), 0);
	grant = (struct grant){ "models/lab/z", ROLE_WRITE };
	assert_int_equal(rights_check(&r, &i, both, ROLE_READ, NULL), ERR_NOREPO);
	i = who(h, "reader", ROLE_ADMIN); /* of the namespace that it has left */
	assert_false(sees(&r, &i, both));
}

static void with_too_many_names_it_is_private(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };
	struct repo_id id = repo_of("models/lab/x");
	struct repo_names names = { { &id }, 1, true };

	assert_false(sees(&r, &nobody, &names));
	say(h, "models/lab/x", VISIBILITY_PUBLIC);
	assert_true(sees(&r, &nobody, &names));
}

static void wait_to_go(void *arg, uint64_t number UNUSED)
{
	sem_wait(arg);
}

static void what_an_upstream_has_just_said_counts_before_it_is_written(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db, .guarded = true };
	struct repo_id id = repo_of("models/lab/x");
	struct workers *workers = NULL;
	sem_t go;

	assert_int_equal(learn(h, &id, VISIBILITY_PUBLIC), 0);
	assert_true(sees(&r, &nobody, NAMES(1, &id)));
	assert_int_equal(sem_init(&go, 0, 0), 0);
	assert_int_equal(workers_start(&one_worker, &workers), 0);
	assert_int_equal(heard_new(h->db, workers, &r.heard), 0);
	assert_int_equal(workers_add(workers, &(struct work){ .fn = wait_to_go, .arg = &go }), 0);
	assert_int_equal(rights_learn(&r, &id, VISIBILITY_PRIVATE), 0);
	assert_false(sees(&r, &nobody, NAMES(1, &id))); /* in lists, too */
	sem_post(&go);
	assert_true(workers_stop(workers, clock_ms() + 10000));
	heard_free(steal(r.heard));
	assert_false(sees(&r, &nobody, NAMES(1, &id)));
}

/* A page is long, and the worker may be done with it meanwhile. */
static void what_is_written_while_a_page_is_looked_at_counts_for_all_of_it(void **state)
{
	static struct rights_row rows[2000];
	struct hub_db *h = *state;
	struct rights r = { .db = h->db, .guarded = true };
	struct repo_id id = repo_of("models/lab/x");
	struct workers *workers = NULL;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i].names = *NAMES(1, &id);
	assert_int_equal(workers_start(&one_worker, &workers), 0);
	assert_int_equal(heard_new(h->db, workers, &r.heard), 0);
	for (unsigned round = 0; round < 40; round++) {
		assert_int_equal(rights_learn(&r, &id, VISIBILITY_PUBLIC), 0);
		while (heard_get(r.heard, "models/lab/x"))
			sched_yield();
		assert_int_equal(rights_learn(&r, &id, VISIBILITY_PRIVATE), 0);
		assert_int_equal(rights_look(&r, &nobody, rows, ARRAY_LEN(rows)), 0);
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			assert_false(rows[i].sees);
	}
	assert_true(workers_stop(workers, clock_ms() + 10000));
	heard_free(r.heard);
}

static void what_a_token_brought_is_private_until_it_is_known(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db, .guarded = true };
	struct repo_id id = repo_of("models/lab/x");
	enum visibility heard;

	assert_int_equal(most(&r, &nobody, "models/lab/x"), ROLE_NONE);
	assert_int_equal(learn(h, &id, VISIBILITY_PUBLIC), 0);
	assert_int_equal(most(&r, &nobody, "models/lab/x"), ROLE_READ);
	assert_int_equal(learn(h, &id, VISIBILITY_PRIVATE), 0);
	id = repo_of("models/lab/z"); /* what cannot be kept counts all the same */
	heard = VISIBILITY_PUBLIC;
	assert_int_equal(rights_check(&r, &nobody, NAMES(1, &id), ROLE_READ, &heard), 0);
	heard = VISIBILITY_UNSAID;
	assert_int_equal(rights_check(&r, &nobody, NAMES(1, &id), ROLE_READ, &heard), ERR_NOREPO);
	r.guarded = false; /* it was, and what it brought is still here */
	assert_int_equal(most(&r, &nobody, "models/lab/x"), ROLE_NONE);
	assert_int_equal(most(&r, &nobody, "models/lab/y"), ROLE_READ);
}

static void a_closed_hub_has_nothing_for_nobody(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db, .closed = true };
	struct identity i;

	people(h);
	i = who(h, "stranger", ROLE_NONE);
	say(h, "models/lab/x", VISIBILITY_PUBLIC);
	assert_int_equal(most(&r, &nobody, "models/lab/x"), ROLE_NONE);
	assert_int_equal(most(&r, &i, "models/lab/x"), ROLE_READ);
}

/* ---- the hub itself ---- */

static void only_administrators_with_a_token_for_that_run_the_hub(void **state)
{
	struct hub_db *h = *state;
	struct identity i;

	people(h);
	i = who(h, "root", ROLE_ADMIN);
	assert_int_equal(rights_admin(&i), 0);
	i = who(h, "root", ROLE_WRITE);
	assert_int_equal(rights_admin(&i), ERR_FORBIDDEN);
	i = who(h, "chief", ROLE_ADMIN);
	assert_int_equal(rights_admin(&i), ERR_FORBIDDEN);
	assert_int_equal(rights_admin(&nobody), ERR_FORBIDDEN);
}

static void repositories_are_made_where_one_may_write(void **state)
{
	static const struct {
		const char *user;
		enum role token;
		int lab, owner;
	} cases[] = {
		{ "root", ROLE_WRITE, 0, 0 },
		{ "root", ROLE_READ, ERR_FORBIDDEN, ERR_FORBIDDEN },
		{ "Owner", ROLE_WRITE, ERR_FORBIDDEN, 0 },
		{ "reader", ROLE_WRITE, ERR_FORBIDDEN, ERR_FORBIDDEN },
		{ "writer", ROLE_WRITE, 0, ERR_FORBIDDEN },
		{ "writer", ROLE_READ, ERR_FORBIDDEN, ERR_FORBIDDEN },
	};
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };

	people(h);
	for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
		struct identity i = who(h, cases[n].user, cases[n].token);

		assert_int_equal(rights_create(&r, &i, "lab"), cases[n].lab);
		assert_int_equal(rights_create(&r, &i, "OWNER"), cases[n].owner);
		assert_int_equal(rights_create(&r, &i, "../x"), ERR_FORBIDDEN);
	}
	assert_int_equal(rights_create(&r, &nobody, "lab"), ERR_FORBIDDEN);
}

/* ---- gated files ---- */

#define GATED_UID "aaaaaaaaaaaaaaaaaaaaaaaa"

static int put_gated(struct db_txn *t, void *arg)
{
	struct registry_repo repo = { .id = repo_of("models/org/gated"), .uid = GATED_UID };
	struct gate_request in = { .id = GATED_UID, .user = "reader", .status = GATE_ACCEPTED };
	int r;

	repo.gating = *(enum registry_gating *)arg;
	r = registry_change(t, &repo);
	if (r == 0)
		r = rights_put_visibility(t, &repo.id, VISIBILITY_PUBLIC);
	if (r == 0)
		r = gate_put(t, GATED_UID, &in);
	strcpy(in.user, "writer");
	in.status = GATE_PENDING;
	return r < 0 ? r : gate_put(t, GATED_UID, &in);
}

/* 0: they may have its files; else one more than how far they have come. */
static int kept_back(const struct rights *r, const struct identity *i)
{
	struct repo_id id = repo_of("models/org/gated");
	enum gate_status status;
	int e = rights_pass(r, i, NAMES(1, &id), &status);

	assert_true(e == 0 || e == ERR_GATED);
	return e == 0 ? 0 : (int)status + 1;
}

static void files_of_a_gated_repository_are_for_its_people_and_who_was_let_in(void **state)
{
	static const char *const in[] = { "root", "member", "ruled", "reader" };
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };
	enum registry_gating gating = REGISTRY_GATED_AUTO;
	struct identity i;

	hub_db_admin(h, "root");
	hub_db_org(h, "org");
	hub_db_user(h, "member");
	hub_db_user(h, "ruled");
	hub_db_user(h, "reader");
	hub_db_user(h, "writer");
	assert_int_equal(membership_set(h->db, "org", "member", ROLE_READ, &h->why), 0);
	rule(h, "models/org/gated", "ruled", ROLE_READ);
	assert_int_equal(db_write(h->db, put_gated, &gating), 0);
	for (size_t n = 0; n < ARRAY_LEN(in); n++) {
		i = who(h, in[n], ROLE_ADMIN);
		assert_int_equal(kept_back(&r, &i), 0);
	}
	i = who(h, "reader", ROLE_NONE); /* a token that reaches nothing */
	assert_int_equal(kept_back(&r, &i), GATE_ACCEPTED + 1);
	i = who(h, "writer", ROLE_ADMIN);
	assert_int_equal(kept_back(&r, &i), GATE_PENDING + 1);
	assert_int_equal(kept_back(&r, &nobody), GATE_UNASKED + 1);
	gating = REGISTRY_OPEN; /* twin */
	assert_int_equal(db_write(h->db, put_gated, &gating), 0);
	assert_int_equal(kept_back(&r, &nobody), 0);
}

static int move_word(struct db_txn *t, void *arg)
{
	const struct repo_id *ids = arg;

	return rights_move_visibility(t, &ids[0], &ids[1]);
}

static void what_is_said_of_a_repository_holds_for_the_name_it_gets(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db };
	struct repo_id ids[] = { repo_of("models/org/a"), repo_of("models/org/b") };

	say(h, "models/org/a", VISIBILITY_PUBLIC);
	assert_int_equal(db_write(h->db, move_word, ids), 0);
	assert_int_equal(most(&r, &nobody, "models/org/b"), ROLE_READ);
	say(h, "models/org/a", VISIBILITY_UNSAID); /* what nobody spoke of is not for all */
	assert_int_equal(db_write(h->db, move_word, ids), 0);
	assert_int_equal(most(&r, &nobody, "models/org/b"), ROLE_NONE);
}

static int give_up(struct db_txn *t, void *arg)
{
	struct registry_repo repo = { .id = *(struct repo_id *)arg, .uid = GATED_UID };
	int r = registry_get(t, &repo.id, &repo) == 0 ? 0 : registry_add(t, &repo);

	if (r == 0)
		r = renaming_drop(t, &repo.id);
	return r < 0 ? r : registry_remove(t, &repo);
}

static void the_word_of_what_was_deleted_does_not_outlive_a_hub_that_was_killed(void **state)
{
	struct hub_db *h = *state;
	struct rights r = { .db = h->db, .guarded = true };
	struct repo_id gone = repo_of("models/org/gone");
	unsigned kept = 7;

	say(h, "models/org/gone", VISIBILITY_PUBLIC);
	say(h, "models/org/other", VISIBILITY_PUBLIC); /* twin: an administrator's */
	assert_int_equal(db_write(h->db, give_up, &gone), 0);
	hub_db_reopen(h);
	r.db = h->db;
	assert_int_equal(most(&r, &nobody, "models/org/gone"), ROLE_READ);
	assert_int_equal(rights_forget_names(h->db, &kept), 0);
	assert_int_equal(kept, 0);
	assert_int_equal(most(&r, &nobody, "models/org/gone"), ROLE_NONE);
	assert_int_equal(most(&r, &nobody, "models/org/other"), ROLE_READ);
	say(h, "models/org/gone", VISIBILITY_PUBLIC); /* what is said later stays */
	assert_int_equal(rights_forget_names(h->db, &kept), 0);
	assert_int_equal(most(&r, &nobody, "models/org/gone"), ROLE_READ);
}

/* The first one's row is damaged; of the second one something else is. */
static void what_is_damaged_of_one_name_stops_no_hub_and_keeps_no_other(void **state)
{
	static const char *const names[] = { "models/org/a", "models/org/b", "models/org/c" };
	struct hub_db *h = *state;
	struct rights r = { .guarded = true };
	struct repo_id id;
	unsigned kept = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		id = repo_of(names[i]);
		say(h, names[i], VISIBILITY_PUBLIC);
		assert_int_equal(db_write(h->db, give_up, &id), 0);
	}
	hub_db_damage(h, DB_GIVEN_UP, db_text(names[0]));
	hub_db_damage(h, DB_HOSTED, db_text(names[1]));
	r.db = h->db;
	assert_int_equal(rights_forget_names(h->db, &kept), 0);
	assert_int_equal(kept, 1);
	assert_int_equal(most(&r, &nobody, names[0]), ROLE_NONE);
	assert_int_equal(most(&r, &nobody, names[1]), ROLE_READ);
	assert_int_equal(most(&r, &nobody, names[2]), ROLE_NONE);
	assert_int_equal(rights_forget_names(h->db, &kept), 0);
	assert_int_equal(kept, 1); /* it is not lost */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(public_is_for_all_to_read),
		TEST(private_is_for_those_it_belongs_to),
		TEST(a_token_does_no_more_than_its_role_and_its_user_may_more),
		TEST(grants_reach_as_far_as_they_say),
		TEST(rules_open_what_is_closed),
		TEST(rules_are_listed_and_checked),
		TEST(the_nearest_word_counts),
		TEST(what_is_hosted_here_is_private_until_something_is_said),
		TEST(what_is_private_by_a_former_name_is_private_by_the_new_one),
		TEST(what_is_said_takes_the_place_of_what_was_said_of_any_name),
		TEST(rules_and_grants_about_a_former_name_hold),
		TEST(with_too_many_names_it_is_private),
		TEST(what_an_upstream_has_just_said_counts_before_it_is_written),
		TEST(what_is_written_while_a_page_is_looked_at_counts_for_all_of_it),
		TEST(what_a_token_brought_is_private_until_it_is_known),
		TEST(a_closed_hub_has_nothing_for_nobody),
		TEST(only_administrators_with_a_token_for_that_run_the_hub),
		TEST(repositories_are_made_where_one_may_write),
		TEST(files_of_a_gated_repository_are_for_its_people_and_who_was_let_in),
		TEST(what_is_said_of_a_repository_holds_for_the_name_it_gets),
		TEST(the_word_of_what_was_deleted_does_not_outlive_a_hub_that_was_killed),
		TEST(what_is_damaged_of_one_name_stops_no_hub_and_keeps_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
