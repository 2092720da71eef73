/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/handover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/holdings.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "tests/history.h"

#define OWNER "acme"

static void id_of(const char *text, uint8_t ret[static GIT_ID])
{
	assert_int_equal(digest_git_object("blob", text, strlen(text), ret), 0);
}

/* A text in a file that is there, and who holds it. */
struct held {
	const char *text, *who;
	uint64_t count;
};

static int make_held(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	char etag[2 * GIT_ID + 1];
	const struct held *h = arg;
	uint8_t id[GIT_ID];
	int r;

	id_of(h->text, id);
	hex_print(id, GIT_ID, etag);
	r = db_put(t, DB_PAYERS, db_pair(&room, HISTORY_UID, etag), h->who, strlen(h->who));
	if (r == 0)
		r = holdings_drop(t, OWNER, etag);
	return r < 0 ? r : holdings_add(t, h->who, etag, strlen(h->text));
}

static int get_held(struct db_txn *t, void *arg)
{
	char etag[2 * GIT_ID + 1], payer[ACCOUNT_NAME_MAX + 1];
	struct held *h = arg;
	uint8_t id[GIT_ID];
	int r;

	id_of(h->text, id);
	hex_print(id, GIT_ID, etag);
	r = objects_has_id(t, HISTORY_UID, id, payer);
	assert_string_equal(r == 1 ? payer : "?", h->who);
	return holdings_count(t, h->who, etag, &h->count);
}

static void assert_holds(struct hub_db *h, const char *who, const char *text)
{
	struct held held = { text, who, 0 };

	assert_int_equal(db_read(h->db, get_held, &held), 0);
	assert_int_equal(held.count, 1);
}

static int add(struct db_txn *t, void *arg)
{
	return discussion_add(t, HISTORY_UID, arg);
}

/* A pull request of somebody, with files of these texts, each named by itself: its number. It was
 * made from `base`, or else from what main names. */
static unsigned propose_from(struct hub_db *h, const char *who, const char *words, const char *base)
{
	struct discussion d = { .is_pull = true, .created_ms = (clock_wall_s() + 1) * 1000 };
	char ref[REGISTRY_REF_MAX + 1], commit[COMMIT_HEX + 1];

	snprintf(d.author, sizeof(d.author), "%s", who);
	snprintf(d.onto, sizeof(d.onto), REGISTRY_MAIN);
	history_at(h, HISTORY_UID, REGISTRY_MAIN, commit);
	snprintf(d.base, sizeof(d.base), "%s", base ? base : commit);
	assert_int_equal(db_write(h->db, add, &d), 0);
	discussion_ref(d.num, ref);
	assert_int_equal(tagged_repo_move(h, ref, commit), 0);
	history_commit(h, ref, words, commit);
	return d.num;
}

static unsigned propose(struct hub_db *h, const char *who, const char *words)
{
	return propose_from(h, who, words, NULL);
}

static int let_go(struct db_txn *t, void *arg)
{
	char ref[REGISTRY_REF_MAX + 1];
	struct discussion d;
	int r = discussion_get(t, HISTORY_UID, *(unsigned *)arg, &d);

	discussion_ref(d.num, ref);
	if (r == 0)
		r = registry_drop_ref(t, HISTORY_UID, ref);
	return r < 0 ? r : handover_pull(t, HISTORY_UID, &d);
}

static void pays(struct hub_db *h, const char *who, const char *text)
{
	struct held held = { text, who, 0 };

	assert_int_equal(db_write(h->db, make_held, &held), 0);
}

static int setup(void **state)
{
	char commit[COMMIT_HEX + 1];
	int r = history_setup(state);

	history_commit(*state, REGISTRY_MAIN, "readme=main", commit);
	hub_db_user(*state, "Bob");
	hub_db_user(*state, "carol");
	return r;
}

static void what_another_one_has_proposed_as_well_is_theirs_to_hold(void **state)
{
	struct hub_db *h = *state;
	unsigned num = propose(h, "Bob", "a=both b=alone");

	propose(h, "Carol", "dir/x=both y=hers");
	pays(h, "bob", "both");
	pays(h, "bob", "alone");
	assert_int_equal(db_write(h->db, let_go, &num), 0);
	assert_holds(h, "carol", "both");
	assert_holds(h, "bob", "alone"); /* until it is collected */
}

static void what_somebody_has_proposed_twice_stays_theirs(void **state)
{
	struct hub_db *h = *state;
	unsigned num = propose(h, "bob", "a=both");

	propose(h, "carol", "x=both");
	propose(h, "Bob", "z=both");
	pays(h, "bob", "both");
	assert_int_equal(db_write(h->db, let_go, &num), 0);
	assert_holds(h, "bob", "both");
}

static void what_others_let_go_before_is_not_theirs(void **state)
{
	struct hub_db *h = *state;
	unsigned num = propose(h, "bob", "a=both"), hers = propose(h, "carol", "x=both");

	pays(h, "bob", "both");
	assert_int_equal(db_write(h->db, let_go, &hers), 0);
	assert_int_equal(db_write(h->db, let_go, &num), 0);
	assert_holds(h, "bob", "both");
}

static void what_is_of_somebody_who_is_gone_is_held_by_nobody(void **state)
{
	struct hub_db *h = *state;
	unsigned num = propose(h, "bob", "a=both");

	propose(h, "none", "x=both");
	pays(h, "bob", "both");
	assert_int_equal(db_write(h->db, let_go, &num), 0);
	assert_holds(h, HOLDINGS_NOBODY, "both");
}

#define GONE "ffffffffffffffffffffffffffffffffffffffff"

/* All of a repository would have to be gone through to know what it changes. */
static void what_was_made_from_a_commit_that_is_gone_is_passed_over(void **state)
{
	struct hub_db *h = *state;
	unsigned num = propose(h, "bob", "a=both b=other");

	propose_from(h, "carol", "x=both", GONE);
	propose(h, "carol", "x=other"); /* twin */
	pays(h, "bob", "both");
	pays(h, "bob", "other");
	assert_int_equal(db_write(h->db, let_go, &num), 0);
	assert_holds(h, "bob", "both");
	assert_holds(h, "carol", "other");
}

/* Nobody is looked up of whom nothing can come of it. */
static void who_proposed_after_all_is_settled_is_not_looked_at(void **state)
{
	struct hub_db *h = *state;
	unsigned num = propose(h, "bob", "a=both"), more = propose(h, "bob", "a=alone");

	hub_db_user(h, "dan");
	propose(h, "dan", "x=both");
	propose(h, "carol", "x=both"); /* the newest is looked at first */
	pays(h, "bob", "both");
	hub_db_damage(h, DB_ACCOUNTS, db_text("dan"));
	assert_int_equal(db_write(h->db, let_go, &num), 0);
	assert_holds(h, "carol", "both");
	pays(h, "bob", "alone");
	assert_int_equal(db_write(h->db, let_go, &more), ERR_CORRUPT); /* twin */
}

static void what_cannot_be_read_is_passed_over_and_what_cannot_be_handed_over_is_not(void **state)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	char ref[REGISTRY_REF_MAX + 1], head[COMMIT_HEX + 1], etag[2 * GIT_ID + 1];
	struct hub_db *h = *state;
	unsigned num = propose(h, "bob", "a=both"), more = propose(h, "bob", "a=more"), hers;
	uint8_t id[GIT_ID];

	propose(h, "carol", "x=more");
	hers = propose(h, "carol", "dir/x=both");
	pays(h, "bob", "both");
	discussion_ref(hers, ref);
	history_at(h, HISTORY_UID, ref, head);
	history_find(h, head, "dir", id);
	history_lose(h, id);
	assert_int_equal(db_write(h->db, let_go, &num), 0);
	assert_holds(h, "bob", "both");
	pays(h, "bob", "more");
	id_of("more", id);
	hex_print(id, GIT_ID, etag);
	hub_db_damage(h, DB_OBJECTS, db_pair(&room, HISTORY_UID, etag));
	assert_int_equal(db_write(h->db, let_go, &more), ERR_CORRUPT); /* twin */
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, tagged_repo_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(what_another_one_has_proposed_as_well_is_theirs_to_hold),
		STORY(what_somebody_has_proposed_twice_stays_theirs),
		STORY(what_others_let_go_before_is_not_theirs),
		STORY(what_is_of_somebody_who_is_gone_is_held_by_nobody),
		STORY(what_was_made_from_a_commit_that_is_gone_is_passed_over),
		STORY(who_proposed_after_all_is_settled_is_not_looked_at),
		STORY(what_cannot_be_read_is_passed_over_and_what_cannot_be_handed_over_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
