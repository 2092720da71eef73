/* SPDX-License-Identifier: Apache-2.0 */
/* A change and its record: neither is there without the other, whenever the hub is killed. */
#include "admin/audit/audit_debt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/audit/audit_replay.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/hub_db.h"
#include "tests/trail.h"

struct world {
	struct hub_db *hub;
	struct trail trail; /* for its directory: that of the hub */
	struct audit *audit;
	struct workers *workers;
	struct audit_debts *debts;
	unsigned replayed; /* at the last start */
};

/* A change that puts a row, told of with these words. */
struct change {
	const char *request, *act, *key;
	int failure;      /* of the function that makes it, or 0 */
	unsigned written; /* how often that ran */
};

/* ---- a hub ---- */

static void start_with(struct world *w, bool audited)
{
	const struct workers_conf conf = { "test", 1, 16, false };
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct audit_conf audit = { .dir = w->hub->dir.path,
					  .segment_bytes = 4096,
					  .db = w->hub->db };

	w->audit = NULL;
	if (audited)
		assert_int_equal(audit_open(&audit, &w->audit, &why), 0);
	assert_int_equal(workers_start(&conf, &w->workers), 0);
	assert_int_equal(audit_replay(w->hub->dir.path, w->hub->db, w->audit, &w->replayed), 0);
	assert_int_equal(audit_debts_new(w->hub->db, w->audit, w->workers, &w->debts), 0);
}

static void start(struct world *w)
{
	start_with(w, true);
}

static void stop(struct world *w)
{
	assert_true(workers_stop(w->workers, CLOCK_FOREVER));
	audit_debts_free(w->debts);
	assert_true(audit_stop(w->audit, clock_ms() + 10000));
	audit_free(w->audit);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	void *hub = NULL;

	assert_non_null(w);
	hub_db_setup(&hub);
	w->hub = hub;
	w->trail.dir = w->hub->dir;
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	void *hub = w->hub;

	stop(w);
	free(w);
	return hub_db_teardown(&hub);
}

/* ---- a change ---- */

static void tell(void *arg, struct audit_record *ret)
{
	const struct change *c = arg;

	*ret = (struct audit_record){
		.kind = AUDIT_CHANGE,
		.act = c->act,
		.request_id = c->request,
		.user = "ann",
		.repo = c->key,
		.note = "refs/heads/main",
		.outcome = AUDIT_DONE,
	};
}

static int put(struct db_txn *t, void *arg)
{
	struct change *c = arg;

	c->written++;
	if (c->failure)
		return c->failure;
	return db_put(t, DB_REPOS, db_text(c->key), "x", 1);
}

/* Until the moment before it is recorded. */
static struct audit_debt *make(struct world *w, struct change *c)
{
	struct audit_debt *d = NULL;

	assert_int_equal(audit_debt_new(w->debts, &d), 0);
	assert_int_equal(db_write(audit_debt_db(d, tell, c), put, c), c->failure);
	assert_int_equal(audit_debt_made(d), c->failure == 0);
	return d;
}

/* What was not paid when a hub was killed: the record did not come into the trail. */
static void make_and_die(struct world *w, struct change *c)
{
	audit_debt_free(make(w, c));
	stop(w);
	start(w);
}

struct row {
	const char *key;
	bool there;
};

static int find(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf value = { 0 };
	struct row *row = arg;
	int r = db_get(t, DB_REPOS, db_text(row->key), &value);

	row->there = r == 0;
	return r == -ENOENT ? 0 : r;
}

static bool is_made(struct world *w, const struct change *c)
{
	struct row row = { .key = c->key };

	assert_int_equal(db_read(w->hub->db, find, &row), 0);
	return row.there;
}

static int count_row(void *arg, const char *key UNUSED, const char *line UNUSED, size_t len UNUSED)
{
	++*(unsigned *)arg;
	return 0;
}

static unsigned owed(struct world *w)
{
	unsigned count = 0;

	assert_int_equal(audit_debt_each(w->hub->db, count_row, &count), 0);
	return count;
}

/* The trail is sound; its records with the text. */
static unsigned records(struct world *w, const char *text)
{
	CLEANUP(buf_free) struct buf problems = { 0 };
	struct audit_begins begins;
	unsigned n = 0;

	trail_verify(&w->trail, &problems);
	assert_string_equal(buf_str(&problems), "");
	begins = trail_begins(&w->trail);
	for (size_t i = 0; i < begins.count; i++) {
		CLEANUP(audit_lines_close) struct audit_lines lines = { .fd = -1 };
		CLEANUP(closep) int dirfd = audit_dir_open(w->trail.dir.path);
		const char *line;
		size_t len;

		assert_int_equal(audit_lines_open(dirfd, begins.at[i].number, 0, &lines), 0);
		while (audit_lines_next(&lines, &line, &len) == 1)
			n += memmem(line, len, text, strlen(text)) != NULL;
	}
	audit_begins_free(&begins);
	return n;
}

/* ---- stories ---- */

static void what_was_paid_is_owed_no_more(void **state)
{
	struct change c = { "r1", "commit", "models/a/b", 0, 0 };
	struct world *w = *state;
	struct audit_debt *d = make(w, &c);

	assert_true(is_made(w, &c));
	assert_int_equal(owed(w), 1);
	assert_int_equal(records(w, "models/a/b"), 0);
	assert_int_equal(audit_debt_pay(d), 0);
	assert_false(audit_debt_made(d));
	audit_debt_free(d);
	assert_int_equal(records(w, "models/a/b"), 1);
	stop(w);
	assert_int_equal(owed(w), 0);
	start(w);
	assert_int_equal(w->replayed, 0);
	assert_int_equal(records(w, "models/a/b"), 1);
}

static void a_change_whose_hub_was_killed_is_recorded_at_the_next_start_once(void **state)
{
	struct change c = { "r1", "commit", "models/a/b", 0, 0 };
	struct world *w = *state;

	make_and_die(w, &c);
	assert_int_equal(w->replayed, 1);
	assert_true(is_made(w, &c));
	assert_int_equal(records(w, "\"note\":\"refs/heads/main; " AUDIT_REPLAYED "\""), 1);
	assert_int_equal(owed(w), 0);
	stop(w);
	start(w);
	assert_int_equal(w->replayed, 0);
	assert_int_equal(records(w, "models/a/b"), 1);
}

/* The record became durable, but its row was still there. */
static void what_the_trail_has_is_not_recorded_again(void **state)
{
	struct change c = { "r1", "commit", "models/a/b", 0, 0 };
	struct world *w = *state;
	struct audit_debt *d = make(w, &c);
	struct audit_record rec;

	tell(&c, &rec);
	assert_int_equal(audit_commit(w->audit, &rec, NULL), 0);
	audit_debt_free(d);
	for (unsigned i = 0; i < 100; i++) /* some segments later */
		audit_note(w->audit, &(struct audit_record){ .kind = AUDIT_HUB, .act = "noise" });
	stop(w);
	assert_int_equal(owed(w), 1);
	start(w);
	assert_int_equal(w->replayed, 0);
	assert_int_equal(owed(w), 0);
	assert_int_equal(records(w, "models/a/b"), 1);
}

/* The twin: neither another act of the request, nor its failure, nor another request is it. */
static void what_others_did_does_not_stand_for_it(void **state)
{
	struct change c = { "r1", "commit", "models/a/b", 0, 0 };
	struct change act = { "r1", "tag.create", "models/a/b", 0, 0 };
	struct change request = { "r2", "commit", "models/a/b", 0, 0 };
	struct world *w = *state;
	struct audit_record rec;

	audit_debt_free(make(w, &c));
	tell(&c, &rec);
	rec.outcome = AUDIT_FAILED;
	assert_int_equal(audit_commit(w->audit, &rec, NULL), 0);
	tell(&act, &rec);
	assert_int_equal(audit_commit(w->audit, &rec, NULL), 0);
	tell(&request, &rec);
	assert_int_equal(audit_commit(w->audit, &rec, NULL), 0);
	stop(w);
	start(w);
	assert_int_equal(w->replayed, 1);
	assert_int_equal(records(w, AUDIT_REPLAYED), 1);
}

/* A number that was given before the record was owed, as by a clock that went back. */
static void a_record_from_before_does_not_stand_for_it(void **state)
{
	struct change c = { "r1", "commit", "models/a/b", 0, 0 };
	struct world *w = *state;
	struct audit_record rec;

	tell(&c, &rec);
	assert_int_equal(audit_commit(w->audit, &rec, NULL), 0);
	make_and_die(w, &c);
	assert_int_equal(w->replayed, 1);
}

static void what_was_not_made_is_not_owed(void **state)
{
	struct change c = { "r1", "commit", "models/a/b", -ESTALE, 0 };
	struct world *w = *state;

	make_and_die(w, &c);
	assert_false(is_made(w, &c));
	assert_int_equal(w->replayed, 0);
	assert_int_equal(owed(w), 0);
	assert_int_equal(records(w, "models/a/b"), 0);
}

static void many_are_recorded_in_their_order(void **state)
{
	char requests[20][8];
	struct world *w = *state;

	for (unsigned i = 0; i < 20; i++) {
		struct change c = { requests[i], "commit", "models/a/b", 0, 0 };

		/* Not in the order of their keys. */
		snprintf(requests[i], sizeof(requests[i]), "r%02u", 19 - i);
		audit_debt_free(make(w, &c));
		assert_int_equal(owed(w), i + 1);
	}
	stop(w);
	start(w);
	assert_int_equal(w->replayed, 20);
	assert_int_equal(records(w, AUDIT_REPLAYED), 20);
	assert_int_equal(owed(w), 0);
}

static void several_writes_of_one_change_owe_one_record(void **state)
{
	struct change c = { "r1", "rule.remove", "models/a/b", 0, 0 };
	struct world *w = *state;
	struct audit_debt *d = make(w, &c);

	assert_int_equal(db_write(audit_debt_db(d, tell, &c), put, &c), 0);
	assert_int_equal(owed(w), 1);
	audit_debt_free(d);
	stop(w);
	start(w);
	assert_int_equal(w->replayed, 1);
}

static void without_a_trail_nothing_is_owed_and_nothing_forgotten(void **state)
{
	struct change before = { "r1", "commit", "models/a/b", 0, 0 };
	struct change c = { "r2", "commit", "models/a/c", 0, 0 };
	struct world *w = *state;
	struct audit_debt *d;

	audit_debt_free(make(w, &before));
	stop(w);
	start_with(w, false);
	d = make(w, &c);
	assert_int_equal(owed(w), 1);
	assert_int_equal(audit_debt_pay(d), 0);
	audit_debt_free(d);
	stop(w);
	start(w);
	assert_int_equal(w->replayed, 1);
	assert_int_equal(records(w, "models/a/c"), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_paid_is_owed_no_more),
		TEST(a_change_whose_hub_was_killed_is_recorded_at_the_next_start_once),
		TEST(what_the_trail_has_is_not_recorded_again),
		TEST(what_others_did_does_not_stand_for_it),
		TEST(a_record_from_before_does_not_stand_for_it),
		TEST(what_was_not_made_is_not_owed),
		TEST(many_are_recorded_in_their_order),
		TEST(several_writes_of_one_change_owe_one_record),
		TEST(without_a_trail_nothing_is_owed_and_nothing_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
