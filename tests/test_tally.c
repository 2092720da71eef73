/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/holdings.h"
#include "tests/kept_repo.h"

#define A KEPT_UID_A, "one"
#define B KEPT_UID_B, "two"
#define NOWHERE "ffffffffffffffffffffffffffffffffffffffff"

static void commit(struct kept *k, const char *uid, const char *name, const char *text, bool lfs)
{
	kept_bring(k, name, text, lfs);
	assert_int_equal(kept_commit(k, uid, name, REGISTRY_MAIN, text, lfs, true), 0);
}

static int rest(void *arg, const struct sweep_counts *so_far UNUSED)
{
	unsigned *rests = arg;

	++*rests;
	return 0;
}

static int stop(void *arg UNUSED, const struct sweep_counts *so_far UNUSED)
{
	return -ECANCELED;
}

/* What it was told of: "namespace size ". */
static int tell(void *arg, const char *namespace, const char *etag, uint64_t size)
{
	assert_true(*etag);
	return buf_printf(arg, "%s %d ", namespace, (int)size);
}

/* One count of all that is there. */
struct counted {
	struct tally t;
	struct sweep s;
	unsigned rests;
	struct buf not_held, wrong;
};

static void counted_fini(struct counted *c)
{
	tally_fini(&c->t);
	buf_free(&c->not_held);
	buf_free(&c->wrong);
}

static void count(struct kept *k, struct counted *c)
{
	c->s = (struct sweep){ .db = k->db, .rest = rest, .arg = &c->rests };
	buf_clear(&c->not_held);
	buf_clear(&c->wrong);
	assert_int_equal(tally_fill(&c->t, &c->s, tell, &c->not_held), 0);
	assert_int_equal(c->t.to, 256);
	assert_int_equal(tally_compare(&c->t, &c->s, tell, &c->wrong), 0);
	assert_true(c->rests > 0);
}

static bool names(const struct counted *c, const char *text, bool lfs)
{
	char etag[DIGEST_HEX_MAX + 1];

	kept_etag(text, lfs, etag);
	return tally_names(&c->t, etag);
}

/* Counts of holders as a defect might have left them. */
struct bent {
	const char *etag;
	uint64_t size, holders;
};

static int bend_in(struct db_txn *t, void *arg)
{
	const struct bent *b = arg;

	return holdings_set(t, "org", b->etag, b->size, b->holders);
}

static void bend(struct kept *k, const char *text, bool lfs, uint64_t holders)
{
	char etag[DIGEST_HEX_MAX + 1];
	struct bent b = { etag, strlen(text), holders };

	kept_etag(text, lfs, etag);
	assert_int_equal(db_write(k->db, bend_in, &b), 0);
}

static void what_objects_and_uploads_name_is_counted(void **state)
{
	CLEANUP(counted_fini) struct counted c = { .t.from = 0 };
	struct kept *k = *state;

	kept_make(k, A);
	kept_make(k, B);
	commit(k, A, "both", true);
	commit(k, B, "both", true);
	kept_bring(k, "one", "on its way", true);
	kept_bring(k, "one", "stray", false);
	count(k, &c);
	assert_true(names(&c, "both", true) && names(&c, "on its way", true));
	assert_false(names(&c, "stray", false) || tally_names(&c.t, NOWHERE));
	assert_string_equal(buf_str(&c.not_held), "");
	assert_string_equal(buf_str(&c.wrong), "");
}

static void rows_that_say_another_number_are_told_of(void **state)
{
	CLEANUP(counted_fini) struct counted c = { .t.from = 0 };
	struct kept *k = *state;

	kept_make(k, A);
	kept_make(k, B);
	commit(k, A, "both", true);
	commit(k, B, "both", true);
	bend(k, "both", true, 1);
	count(k, &c);
	assert_string_equal(buf_str(&c.wrong), "org 4 ");
	assert_string_equal(buf_str(&c.not_held), "");
	bend(k, "both", true, 2);
	bend(k, "nobody's", true, 1);
	count(k, &c);
	assert_string_equal(buf_str(&c.wrong), "org 8 ");
}

static void what_is_named_and_held_by_nobody_is_told_of(void **state)
{
	CLEANUP(counted_fini) struct counted c = { .t.from = 0 };
	struct kept *k = *state;

	kept_make(k, A);
	commit(k, A, "mine", true);
	bend(k, "mine", true, 0);
	count(k, &c);
	assert_string_equal(buf_str(&c.not_held), "org 4 ");
	bend(k, "mine", true, 1);
	count(k, &c);
	assert_string_equal(buf_str(&c.not_held), "");
}

static void a_part_begins_where_it_is_told_to(void **state)
{
	CLEANUP(counted_fini) struct counted c = { .t.from = 0 };
	char etag[DIGEST_HEX_MAX + 1];
	struct kept *k = *state;
	unsigned first;

	kept_make(k, A);
	commit(k, A, "mine", true);
	kept_etag("mine", true, etag);
	first = (unsigned)strtoul((const char[]){ etag[0], etag[1], '\0' }, NULL, 16);
	assert_true(first > 0 && first < 255);
	bend(k, "mine", true, 2);
	c.t.from = first;
	count(k, &c);
	assert_true(names(&c, "mine", true));
	assert_string_equal(buf_str(&c.wrong), "org 4 ");
	c.t.from = first + 1;
	count(k, &c);
	assert_false(names(&c, "mine", true));
	assert_string_equal(buf_str(&c.wrong), "");
}

static void who_must_not_go_on_stops_it(void **state)
{
	CLEANUP(counted_fini) struct counted c = { .t.from = 0 };
	struct kept *k = *state;

	kept_make(k, A);
	commit(k, A, "mine", true);
	c.s = (struct sweep){ .db = k->db, .rest = stop };
	assert_int_equal(tally_fill(&c.t, &c.s, tell, &c.not_held), -ECANCELED);
	assert_int_equal(tally_compare(&c.t, &c.s, tell, &c.wrong), -ECANCELED);
	count(k, &c);
	assert_true(names(&c, "mine", true));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, kept_setup, kept_teardown)
	const struct CMUnitTest tests[] = {
		STORY(what_objects_and_uploads_name_is_counted),
		STORY(rows_that_say_another_number_are_told_of),
		STORY(what_is_named_and_held_by_nobody_is_told_of),
		STORY(a_part_begins_where_it_is_told_to),
		STORY(who_must_not_go_on_stops_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
