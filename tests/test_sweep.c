/* SPDX-License-Identifier: Apache-2.0 */
/* The collector: sweep_rows, sweep_blobs, tally, reach, aside, together. */
#include "admin/registry/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/aside.h"
#include "admin/registry/holdings.h"
#include "admin/registry/likes.h"
#include "admin/registry/owners.h"
#include "admin/registry/reach.h"
#include "admin/registry/sweep_blobs.h"
#include "admin/registry/uploads.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/kept_repo.h"

#define A KEPT_UID_A, "one"
#define B KEPT_UID_B, "two"
#define SIDE "refs/heads/side"
#define ALL KEPT_SPARES_NOTHING
#define LONG_AGO 0

static void commit(struct kept *k, const char *uid, const char *name, const char *branch,
		   const char *text, bool lfs, bool first)
{
	kept_bring(k, name, text, lfs);
	assert_int_equal(kept_commit(k, uid, name, branch, text, lfs, first), 0);
}

static struct sweep_counts collect(struct kept *k, int64_t before_s)
{
	return kept_collect(k, before_s, false, 0);
}

static void what_a_history_has_stays_and_what_nobody_has_goes(void **state)
{
	struct kept *k = *state;
	struct sweep_counts n;

	kept_make(k, A);
	commit(k, A, REGISTRY_MAIN, "old", true, true);
	commit(k, A, REGISTRY_MAIN, "new", false, false);
	kept_bring(k, "one", "stray", false);
	n = collect(k, LONG_AGO);
	assert_true(n.blobs == 0 && n.spared == 1 && kept_has(k, "stray", false));
	n = collect(k, ALL);
	assert_true(n.blobs == 1 && n.bytes == 5 && n.objects == 0 && n.mended == 0);
	assert_false(kept_has(k, "stray", false));
	assert_true(kept_has(k, "old", true) && kept_has(k, "new", false));
	n = collect(k, ALL);
	assert_true(n.blobs == 0 && n.looked == 2);
}

static void what_a_deleted_branch_had_goes_after_the_grace(void **state)
{
	struct kept *k = *state;
	struct sweep_counts n;

	kept_make(k, A);
	commit(k, A, REGISTRY_MAIN, "main", true, true);
	commit(k, A, SIDE, "side", true, true);
	kept_drop_ref(k, KEPT_UID_A, SIDE);
	n = collect(k, clock_wall_s() - 60);
	assert_true(n.objects == 0 && kept_has(k, "side", true));
	n = kept_collect(k, ALL, true, 0);
	assert_true(n.objects == 3 && n.blobs == 1 && n.bytes == 4 && kept_has(k, "side", true));
	/* What clients were told is here has been spoken of: the files stay, the commit goes. */
	n = collect(k, clock_wall_s() + 60);
	assert_true(n.objects == 3 && n.blobs == 1);
	assert_false(kept_has(k, "side", true));
	assert_true(kept_has(k, "main", true));
	assert_int_equal(collect(k, ALL).objects, 0);
}

static void a_repository_that_went_leaves_its_bytes_to_who_has_them_too(void **state)
{
	struct kept *k = *state;

	kept_make(k, A);
	kept_make(k, B);
	commit(k, A, REGISTRY_MAIN, "alone", true, true);
	commit(k, A, REGISTRY_MAIN, "both", true, false);
	commit(k, B, REGISTRY_MAIN, "both", true, true);
	kept_unmake(k, A);
	assert_int_equal(collect(k, ALL).blobs, 1);
	assert_false(kept_has(k, "alone", true));
	assert_true(kept_has(k, "both", true));
	kept_unmake(k, B);
	assert_int_equal(collect(k, ALL).blobs, 1);
}

struct liking {
	const char *uid, *user;
	uint64_t count;
	bool orphans; /* the row of its name goes, and nothing else */
};

static int like(struct db_txn *t, void *arg)
{
	const struct liking *l = arg;
	struct registry_repo repo = { .id = { REPO_MODEL, "org/one" } };
	int r;

	strcpy(repo.uid, l->uid);
	r = like_put(t, &repo, l->user, 5);
	return r == 0 && l->orphans ? db_del(t, DB_HOSTED, db_text("models/org/one")) : r;
}

static int count_one(void *arg, const struct liked *liked UNUSED)
{
	++*(uint64_t *)arg;
	return 0;
}

static int count_likes(struct db_txn *t, void *arg)
{
	struct liking *l = arg;
	int r = likes_count(t, l->uid, &l->count);

	return r < 0 ? r : likes_of(t, l->user, "", count_one, &l->count);
}

static uint64_t likes(struct kept *k, const char *uid, const char *user)
{
	struct liking l = { uid, user, 0, false };

	assert_int_equal(db_read(k->db, count_likes, &l), 0);
	return l.count;
}

static void what_people_liked_of_a_repository_that_nobody_owns_goes_with_it(void **state)
{
	struct liking ann = { KEPT_UID_A, "ann", 0, true }, bob = { KEPT_UID_B, "bob", 0, false };
	struct kept *k = *state;

	kept_make(k, A);
	commit(k, A, REGISTRY_MAIN, "alone", true, true);
	assert_int_equal(db_write(k->db, like, &ann), 0);
	kept_make(k, KEPT_UID_B, "one"); /* another one of its name */
	assert_int_equal(db_write(k->db, like, &bob), 0);
	assert_int_equal(likes(k, KEPT_UID_A, "ann"), 2);
	collect(k, ALL);
	assert_int_equal(likes(k, KEPT_UID_A, "ann"), 0);
	assert_int_equal(likes(k, KEPT_UID_B, "bob"), 2); /* twin */
}

static void an_upload_is_forgotten_when_nothing_comes_any_more(void **state)
{
	struct kept *k = *state;
	struct sweep_counts n;

	kept_make(k, A);
	kept_bring(k, "one", "waits", true);
	kept_bring(k, "one", "too", true);
	n = collect(k, clock_wall_s() - 60);
	assert_true(n.uploads == 0 && n.blobs == 0);
	n = kept_collect(k, ALL, true, 0);
	assert_true(n.uploads == 2 && n.blobs == 2 && kept_has(k, "waits", true));
	n = collect(k, ALL);
	assert_true(n.uploads == 2 && n.blobs == 2);
	assert_false(kept_has(k, "waits", true));
	assert_int_equal(kept_commit(k, A, REGISTRY_MAIN, "waits", true, true), -ENODATA);
}

static void a_file_in_parts_keeps_the_others_of_its_upload(void **state)
{
	const struct parts_of of = {
		"models/org/one",
		"a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447", 12, 5
	};
	struct kept *k = *state;
	struct part *w;

	kept_make(k, A);
	kept_bring(k, "one", "first", true);
	assert_int_equal(parts_begin(k->parts, &of, 1, &w), 0);
	assert_true(parts_coming(k->parts, "models/org/one", clock_wall_s() - 60));
	assert_false(parts_coming(k->parts, "models/org/two", clock_wall_s() - 60));
	assert_false(parts_coming(k->parts, "models/org/one", clock_wall_s() + 60));
	part_drop(w);
}

#define XORBS 700

static int put_xorbs(struct db_txn *t, void *arg)
{
	const struct xorb_owner owner = { KEPT_UID_A, "ann" };
	int r = 0;

	for (uint32_t i = 1; r == 0 && i <= XORBS; i++) {
		CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
		CLEANUP(buf_free) struct buf all = { 0 };
		struct xorb_piece p = { 0, 1, 0, "" };
		uint8_t hash[XET_HASH] = { 0 };

		memcpy(hash, &i, sizeof(i));
		memcpy(p.etag, arg, sizeof(p.etag));
		r = xorb_map_add(&m, hash, 5);
		if (r == 0)
			r = buf_add(&m.pieces, &p, sizeof(p));
		if (r == 0)
			r = xorb_rows_put(t, hash, &m, &m.pieces, &owner, &all);
	}
	return r;
}

static int count_row(void *arg, struct db_key key UNUSED, const char *val UNUSED, size_t len UNUSED)
{
	++*(unsigned *)arg;
	return 0;
}

static int count_xorbs(struct db_txn *t, void *arg)
{
	*(unsigned *)arg = 0;
	return db_each(t, DB_XORBS, (struct db_key){ 0 }, (struct db_key){ 0 }, count_row, arg);
}

/* Between two transactions of a run. */
struct watching {
	struct kept *k;
	unsigned was, most; /* that went in one of them */
	int stop;           /* what the run ends with once some went */
};

static int watch(void *arg, const struct sweep_counts *so_far UNUSED)
{
	struct watching *w = arg;
	unsigned now;

	assert_int_equal(db_read(w->k->db, count_xorbs, &now), 0);
	if (w->was - now > w->most)
		w->most = w->was - now;
	w->was = now;
	return now < XORBS ? w->stop : 0;
}

static void tell_nobody(void *arg UNUSED, const struct sweep_item *item UNUSED)
{
}

static int sweep_watched(struct watching *w)
{
	struct sweep s = { .db = w->k->db,
			   .intake = w->k->in,
			   .parts = w->k->parts,
			   .xorbs = w->k->xorbs,
			   .before_s = ALL,
			   .rest = watch,
			   .tell = tell_nobody,
			   .arg = w };

	return sweep_blobs(&s, false);
}

/* Who commits meanwhile does not wait for all of them. */
static void what_xorbs_had_in_a_large_blob_goes_little_by_little(void **state)
{
	struct kept *k = *state;
	struct watching w = { .k = k, .was = XORBS, .stop = -ECANCELED };
	char etag[DIGEST_HEX_MAX + 1];

	kept_make(k, A);
	kept_bring(k, "one", "stray", true);
	kept_unmake(k, A);
	kept_make(k, A);
	kept_etag("stray", true, etag);
	assert_int_equal(db_write(k->db, put_xorbs, etag), 0);
	/* Cut off in between it is begun again. */
	assert_int_equal(sweep_watched(&w), -ECANCELED);
	assert_true(w.was > 0 && w.was < XORBS && kept_has(k, "stray", true));
	w.stop = 0;
	assert_int_equal(sweep_watched(&w), 0);
	assert_int_equal(w.was, 0);
	assert_true(w.most <= XORB_ROWS_SOME);
	assert_false(kept_has(k, "stray", true));
	/* Twin: what somebody has keeps them. */
	commit(k, A, REGISTRY_MAIN, "stray", true, true);
	assert_int_equal(db_write(k->db, put_xorbs, etag), 0);
	assert_int_equal(sweep_watched(&w), 0);
	assert_int_equal(w.was, XORBS);
}

struct holding {
	const char *etag;
	uint64_t count;
};

static int set_count(struct db_txn *t, void *arg)
{
	const struct holding *x = arg;

	return holdings_set(t, "org", x->etag, 3, x->count);
}

static int get_count(struct db_txn *t, void *arg)
{
	struct holding *x = arg;

	return holdings_count(t, "org", x->etag, &x->count);
}

static void a_wrong_count_costs_nothing_and_is_mended(void **state)
{
	struct kept *k = *state;
	char etag[DIGEST_HEX_MAX + 1];
	struct holding x = { .etag = etag };

	kept_make(k, A);
	commit(k, A, REGISTRY_MAIN, "all", true, true);
	kept_etag("all", true, etag);
	for (unsigned wrong = 0; wrong < 4; wrong += 3) {
		x.count = wrong;
		assert_int_equal(db_write(k->db, set_count, &x), 0);
		assert_int_equal(collect(k, ALL).mended, 1);
		assert_true(kept_has(k, "all", true));
		assert_int_equal(db_read(k->db, get_count, &x), 0);
		assert_int_equal(x.count, 1);
	}
	kept_etag("nobody's", true, etag);
	x.count = 2;
	assert_int_equal(db_write(k->db, set_count, &x), 0);
	kept_bring(k, "one", "nobody's", false);
	assert_int_equal(collect(k, ALL).mended, 1);
	assert_int_equal(db_read(k->db, get_count, &x), 0);
	assert_int_equal(x.count, 0);
}

static void a_damaged_count_costs_nothing_and_is_mended(void **state)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct kept *k = *state;
	char etag[DIGEST_HEX_MAX + 1];
	struct holding x = { .etag = etag };

	kept_make(k, A);
	commit(k, A, REGISTRY_MAIN, "all", true, true);
	kept_etag("all", true, etag);
	hub_db_damage(k->hub, DB_HOLDINGS, holdings_key(&room, etag, "org"));
	k->db = k->hub->db;
	assert_int_equal(collect(k, ALL).mended, 1);
	assert_true(kept_has(k, "all", true));
	assert_int_equal(db_read(k->db, get_count, &x), 0);
	assert_int_equal(x.count, 1);
}

/* Uploads that wait, of another: each of them is looked at for each count. */
static int make_waiting(struct db_txn *t, void *arg)
{
	const unsigned *count = arg;
	char etag[2 * GIT_ID + 1];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < *count; i++) {
		snprintf(etag, sizeof(etag), "%08x%032x", i * 2654435761u, 1);
		r = uploads_note(t, "models/other/many", "", etag, 1, 1);
	}
	return r;
}

static int count_writes(struct db_txn *t, void *arg)
{
	(void)t;
	++*(unsigned *)arg;
	return 0;
}

static int go_on(void *arg, const struct sweep_counts *so_far)
{
	(void)arg, (void)so_far;
	return 0;
}

/* In how many transactions, which others wait for, three wrong counts are mended. */
static unsigned writes_to_mend(struct kept *k)
{
	static const char *const texts[] = { "a", "b", "c" };
	char etag[DIGEST_HEX_MAX + 1];
	struct holding x = { .etag = etag, .count = 5 };
	struct sweep s = { .intake = k->in, .rest = go_on };
	unsigned writes = 0;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		kept_etag(texts[i], true, etag);
		assert_int_equal(db_write(k->db, set_count, &x), 0);
	}
	assert_int_equal(db_also(k->db, count_writes, &writes, &s.db), 0);
	assert_int_equal(sweep_blobs(&s, true), 0);
	db_close(s.db);
	assert_int_equal(s.counts.mended, 3);
	return writes / 2; /* each is rehearsed */
}

static void nobody_waits_longer_the_more_there_is_to_be_counted(void **state)
{
	struct kept *k = *state;
	unsigned many = 5000;

	assert_int_equal(writes_to_mend(k), 1);
	assert_int_equal(db_write(k->db, make_waiting, &many), 0);
	assert_int_equal(writes_to_mend(k), 3);
}

static int spoil(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	return db_del(t, DB_OBJECTS, db_pair(&room, KEPT_UID_A, arg));
}

static void beside_a_damaged_repository_nothing_is_taken(void **state)
{
	struct kept *k = *state;
	struct sweep_counts n;
	char etag[DIGEST_HEX_MAX + 1];

	kept_make(k, A);
	commit(k, A, REGISTRY_MAIN, "a", false, true);
	kept_etag("a", false, etag);
	assert_int_equal(db_write(k->db, spoil, etag), 0);
	kept_bring(k, "one", "stray", false);
	n = kept_collect(k, ALL, false, ERR_CORRUPT);
	assert_true(n.left_alone == 1 && n.blobs == 0 && n.objects == 0);
	assert_true(kept_has(k, "a", false) && kept_has(k, "stray", false));
}

static void what_was_aside_when_the_hub_was_killed_comes_back(void **state)
{
	struct kept *k = *state;
	char etag[DIGEST_HEX_MAX + 1];

	kept_bring(k, "one", "here", false);
	kept_etag("here", false, etag);
	assert_int_equal(aside_take(k->in, etag, aside_spoken_s(k->in, etag)), 0);
	assert_int_equal(aside_take(k->in, etag, ALL), 1);
	assert_false(kept_has(k, "here", false));
	assert_int_equal(aside_take(k->in, etag, ALL), 0);
	aside_restore(k->in);
	assert_true(kept_has(k, "here", false));
	assert_int_equal(aside_take(k->in, etag, ALL), 1);
	kept_bring(k, "one", "here", false); /* once more, meanwhile */
	aside_remove(k->in, etag);
	assert_true(kept_has(k, "here", false));
}

static void a_digest_list_goes_with_its_blob(void **state)
{
	struct kept *k = *state;

	kept_make(k, A);
	commit(k, A, REGISTRY_MAIN, "a", false, true);
	kept_bring(k, "one", "stray", false);
	kept_put_list(k, "a", false);
	kept_put_list(k, "stray", false);
	assert_int_equal(collect(k, ALL).blobs, 1);
	assert_false(kept_has_list(k, "stray", false));
	assert_true(kept_has_list(k, "a", false));
}

static int count_owned(struct db_txn *t, void *arg)
{
	return owners_get(t, KEPT_UID_A, arg);
}

static int disown(struct db_txn *t, void *arg)
{
	(void)arg;
	return objects_disown(t, KEPT_UID_A);
}

static void what_nobody_counted_yet_is_counted(void **state)
{
	struct kept *k = *state;
	struct owner o;

	kept_make(k, A);
	commit(k, A, REGISTRY_MAIN, "12345", true, true);
	commit(k, A, REGISTRY_MAIN, "678", false, false);
	assert_int_equal(db_read(k->db, count_owned, &o), 0);
	assert_true(o.bytes == 8 && !strcmp(o.namespace, "org"));
	assert_int_equal(db_write(k->db, disown, NULL), 0);
	assert_int_equal(db_read(k->db, count_owned, &o), -ENOENT);
	assert_int_equal(collect(k, ALL).blobs, 0);
	assert_int_equal(db_read(k->db, count_owned, &o), 0);
	assert_true(o.bytes == 8 && kept_has(k, "12345", true) && kept_has(k, "678", false));
}

/* ---- while others are at it ---- */

#define WRITERS 3
#define TURNS 60
#define TEXTS 6 /* so few that what goes is wanted again soon */

struct writer {
	struct kept *k;
	unsigned number, made;
	char uid[REGISTRY_UID + 1], name[8];
};

/* Bytes that were collected between their coming and their commit are refused, never missed. */
static void turn(struct writer *w, unsigned i)
{
	char text[16], branch[32];
	bool lfs = i % 2;
	int r;

	snprintf(text, sizeof(text), "text %u", (i * 7 + w->number) % TEXTS);
	snprintf(branch, sizeof(branch), "refs/heads/b%u", i % 3);
	kept_bring(w->k, w->name, text, lfs);
	if (i % 5 == 4)
		kept_drop_ref(w->k, w->uid, branch);
	r = kept_commit(w->k, w->uid, w->name, branch, text, lfs, false);
	if (r == ERR_NOREV)
		r = kept_commit(w->k, w->uid, w->name, branch, text, lfs, true);
	if (r != -ENODATA && r != ERR_BUSY)
		assert_int_equal(r, 0);
	w->made += r == 0;
}

static void *write_on(void *arg)
{
	struct writer *w = arg;

	for (unsigned i = 0; i < TURNS; i++)
		turn(w, i);
	return NULL;
}

static int check_object(struct db_txn *t, struct kept *k, const char *uid,
			const struct reach_object *o)
{
	struct manifest_file f;
	char etag[DIGEST_HEX_MAX + 1];
	int r;

	if (!o->reached || (o->kind != REGISTRY_POINTER && o->kind != REGISTRY_FILE))
		return 0;
	r = registry_file(t, uid, o->id, &f);
	manifest_etag(&f, etag);
	assert_int_equal(r, 0);
	assert_true(intake_is_there(k->in, etag));
	assert_int_equal(holdings_any(t, etag), 1);
	return 1;
}

/* All that is reached is there. */
static int check_reached(struct db_txn *t, void *arg)
{
	struct writer *w = arg;
	struct reach r = { .uid = w->uid, .left_s = LONG_AGO };
	unsigned files = 0;

	r.left_s = INT64_MAX;
	assert_int_equal(reach_find(t, &r), 0);
	for (size_t i = 0; i < reach_count(&r); i++)
		files += (unsigned)check_object(t, w->k, w->uid, reach_object(&r, i));
	assert_true(!w->made || files > 0);
	reach_fini(&r);
	return 0;
}

static void nothing_that_is_reached_goes_while_many_write(void **state)
{
	struct kept *k = *state;
	struct writer w[WRITERS] = { { NULL } };
	pthread_t threads[WRITERS];
	unsigned blobs = 0, made = 0;

	for (unsigned i = 0; i < WRITERS; i++) {
		w[i].k = k;
		w[i].number = i;
		snprintf(w[i].name, sizeof(w[i].name), "r%u", i);
		snprintf(w[i].uid, sizeof(w[i].uid), "%024x", i + 1);
		kept_make(k, w[i].uid, w[i].name);
		assert_int_equal(pthread_create(&threads[i], NULL, write_on, &w[i]), 0);
	}
	for (unsigned i = 0; i < 20; i++) {
		struct sweep_counts n = collect(k, ALL);

		blobs += (unsigned)n.blobs;
		assert_int_equal(n.mended, 0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		made += w[i].made;
	}
	assert_true(made > 0);
	collect(k, ALL);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(db_read(k->db, check_reached, &w[i]), 0);
	print_message("%u commits, %u blobs collected meanwhile\n", made, blobs);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kept_setup, kept_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_history_has_stays_and_what_nobody_has_goes),
		TEST(what_a_deleted_branch_had_goes_after_the_grace),
		TEST(a_repository_that_went_leaves_its_bytes_to_who_has_them_too),
		TEST(what_people_liked_of_a_repository_that_nobody_owns_goes_with_it),
		TEST(what_xorbs_had_in_a_large_blob_goes_little_by_little),
		TEST(an_upload_is_forgotten_when_nothing_comes_any_more),
		TEST(a_file_in_parts_keeps_the_others_of_its_upload),
		TEST(a_wrong_count_costs_nothing_and_is_mended),
		TEST(a_damaged_count_costs_nothing_and_is_mended),
		TEST(nobody_waits_longer_the_more_there_is_to_be_counted),
		TEST(beside_a_damaged_repository_nothing_is_taken),
		TEST(what_was_aside_when_the_hub_was_killed_comes_back),
		TEST(a_digest_list_goes_with_its_blob),
		TEST(what_nobody_counted_yet_is_counted),
		TEST(nothing_that_is_reached_goes_while_many_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
