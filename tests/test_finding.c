/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/finding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "admin/account/rights.h"
#include "tests/listed.h"

#define MANY 5000

static void they_are_found_by_their_terms_in_whatever_letters(void **state)
{
	static const struct {
		enum term_kind kind;
		const char *text, *found;
	} cases[] = {
		{ TERM_TAG, "LICENSE:mit", "Ann/bert ann/gpt " },
		{ TERM_TAG, "fill-mask", "Ann/bert bob/bert-large " },
		{ TERM_TAG, "transformers", "Ann/bert " },
		{ TERM_TAG, "license", "" },
		{ TERM_PIPELINE, "Fill-Mask", "Ann/bert bob/bert-large " },
		{ TERM_PIPELINE, "jax", "" },
		{ TERM_LIBRARY, "transformers", "Ann/bert " },
		{ TERM_AUTHOR, "ANN", "Ann/bert ann/gpt " },
		{ TERM_AUTHOR, "an", "" },
		{ TERM_GATED, "1", "ann/gpt " },
		{ TERM_GATED, "0", "Ann/bert bob/bert-large bob/w " },
		{ TERM_WORD, "whales", "bob/bert-large " },
		{ TERM_WORD, "bert", "Ann/bert bob/bert-large " },
		{ TERM_WORD, "whale", "" },
	};

	listed_fill(*state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(listed_asked_fini) struct listed_asked a = listed_ask();

		listed_want(&a, cases[i].kind, cases[i].text);
		assert_string_equal(listed_found(*state, &a), cases[i].found);
		listed_want(&a, TERM_TAG, "nobody has this");
		assert_string_equal(listed_found(*state, &a), "");
	}
}

static void parts_of_names_and_counts_of_parameters_narrow_them(void **state)
{
	static const struct {
		const char *name;
		double min, max;
		const char *found;
	} cases[] = {
		{ "BERT", -1, HUGE_VAL, "Ann/bert bob/bert-large " },
		{ "rt-l", -1, HUGE_VAL, "bob/bert-large " },
		{ "w", -1, HUGE_VAL, "bob/w " },
		{ "n/g", -1, HUGE_VAL, "ann/gpt " },
		{ "trebs", -1, HUGE_VAL, "" },
		{ "", 7e6, 7e9, "Ann/bert ann/gpt " },
		{ "", 7e6 + 1, 7e9, "ann/gpt " },
		{ "", 0, 7e9 - 1, "Ann/bert " },
		{ "", 1e10, HUGE_VAL, "bob/w " },
		{ "gpt", 0, 1e6, "" },
	};

	listed_fill(*state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(listed_asked_fini) struct listed_asked a = listed_ask();

		if (*cases[i].name)
			buf_add(&a.names, cases[i].name, strlen(cases[i].name) + 1);
		a.q.parameters_min = cases[i].min;
		a.q.parameters_max = cases[i].max;
		assert_string_equal(listed_found(*state, &a), cases[i].found);
	}
}

static void the_largest_come_first_and_pages_go_on_behind_the_last_row(void **state)
{
	CLEANUP(listed_asked_fini) struct listed_asked a = listed_ask();

	listed_fill(*state);
	a.q.sort = CATALOGUE_LIKES;
	assert_string_equal(listed_found(*state, &a), "ann/gpt bob/bert-large Ann/bert bob/w ");
	a.q.after_number = 50;
	a.q.after_name = "ann/gpt";
	assert_string_equal(listed_found(*state, &a), "bob/bert-large Ann/bert bob/w ");
	a.q.after_name = "bob/a"; /* which is not there any more */
	assert_string_equal(listed_found(*state, &a), "bob/bert-large Ann/bert bob/w ");
	listed_want(&a, TERM_TAG, "fill-mask");
	assert_string_equal(listed_found(*state, &a), "bob/bert-large Ann/bert ");
	a.q.ascending = true;
	assert_string_equal(listed_found(*state, &a), "");
	a.q.after_number = 5;
	a.q.after_name = "Ann/bert";
	assert_string_equal(listed_found(*state, &a), "bob/bert-large ");
	a.q.after_name = "";
	assert_string_equal(listed_found(*state, &a), "Ann/bert bob/bert-large ");
	buf_clear(&a.terms);
	assert_string_equal(listed_found(*state, &a), "bob/w Ann/bert bob/bert-large ann/gpt ");
}

struct word {
	struct repo_id id;
	enum visibility visibility;
};

static int say(struct db_txn *t, void *arg)
{
	const struct word *w = arg;

	return rights_put_visibility(t, &w->id, w->visibility);
}

static void say_of(struct hub_db *h, const char *name, enum visibility visibility)
{
	struct word w = { .visibility = visibility };

	assert_int_equal(repo_id_parse(REPO_MODEL, name, &w.id), 0);
	assert_int_equal(db_write(h->db, say, &w), 0);
}

static void who_is_private_is_found_by_those_alone_who_may_see_it(void **state)
{
	CLEANUP(listed_asked_fini) struct listed_asked a = listed_ask(), tagged = listed_ask();
	struct repo_id large;

	say_of(*state, "ann/bert", VISIBILITY_PRIVATE); /* before it is there */
	listed_fill(*state);
	say_of(*state, "Bob/BERT-large", VISIBILITY_PRIVATE);
	listed_want(&tagged, TERM_TAG, "fill-mask");
	assert_string_equal(listed_found(*state, &a), "Ann/bert ann/gpt bob/bert-large bob/w ");
	a.q.sees_all = tagged.q.sees_all = false;
	assert_string_equal(listed_found(*state, &a), "ann/gpt bob/w ");
	assert_string_equal(listed_found(*state, &tagged), "");
	term_add(&a.seen, TERM_AUTHOR, "ann", 3);
	assert_string_equal(listed_found(*state, &a), "Ann/bert ann/gpt bob/w ");
	assert_int_equal(repo_id_parse(REPO_MODEL, "BOB/bert-large", &large), 0);
	tagged.q.seen = &large;
	tagged.q.seen_count = 1;
	assert_string_equal(listed_found(*state, &tagged), "bob/bert-large ");
	say_of(*state, "bob/bert-large", VISIBILITY_PUBLIC);
	say_of(*state, "ann/bert", VISIBILITY_UNSAID);
	tagged.q.seen_count = 0;
	assert_string_equal(listed_found(*state, &tagged), "Ann/bert bob/bert-large ");
}

/* ---- how much is read ---- */

static int put_many(struct db_txn *t, void *arg UNUSED)
{
	int r = 0;

	for (int i = 0; r == 0 && i < MANY; i++) {
		char name[32], tags[64];
		struct listed_model m = { name, tags, i * 7919 % MANY, i, NULL, false, NULL };

		snprintf(name, sizeof(name), "u%d/model-%d", i % 40, i);
		snprintf(tags, sizeof(tags), "\n\neven:%d\ntenth:%d\none:%d\n", i % 2, i % 10, i);
		r = listed_put(t, &m);
	}
	return r;
}

static int hide_all_but_one(struct db_txn *t, void *arg UNUSED)
{
	int r = 0;

	for (int i = 0; r == 0 && i < MANY; i++) {
		struct word w = { .visibility = i % 40 ? VISIBILITY_PRIVATE : VISIBILITY_PUBLIC };
		char name[32];

		snprintf(name, sizeof(name), "u%d/model-%d", i % 40, i);
		assert_int_equal(repo_id_parse(REPO_MODEL, name, &w.id), 0);
		r = say(t, &w);
	}
	return r;
}

static void a_page_reads_about_as_many_rows_as_it_shows(void **state)
{
	struct hub_db *h = *state;
	CLEANUP(listed_asked_fini)
	struct listed_asked all = listed_ask(), half = listed_ask(), tenth = listed_ask(),
			    one = listed_ask(), few = listed_ask();

	assert_int_equal(db_write(h->db, put_many, NULL), 0);
	all.most = half.most = tenth.most = few.most = 20;
	all.q.sort = half.q.sort = few.q.sort = CATALOGUE_LIKES;
	listed_found(h, &all);
	assert_int_equal(all.reads, 2 * 20); /* a place and a head each */
	all.q.after_number = 100;
	all.q.after_name = "u1/x";
	listed_found(h, &all);
	assert_int_equal(all.reads, 2 * 20);
	all.q.ascending = true;
	listed_found(h, &all);
	assert_int_equal(all.reads, 2 * 20);
	listed_want(&half, TERM_TAG, "even:1");
	listed_found(h, &half);
	assert_true(half.reads <= 1 + 2 * 20 + 20); /* the term, each second place, heads */
	listed_want(&one, TERM_TAG, "one:77");
	assert_string_equal(listed_found(h, &one), "u37/model-77 ");
	assert_int_equal(one.reads, 1 + 2);
	listed_want(&tenth, TERM_TAG, "tenth:3");
	listed_found(h, &tenth);
	assert_int_equal(tenth.reads, 1 + MANY / 10 + 20);
	/* Somebody who sees little does not read what they may not see. */
	assert_int_equal(db_write(h->db, hide_all_but_one, NULL), 0);
	few.q.sees_all = false;
	listed_found(h, &few);
	assert_true(few.reads < MANY / 40 + 20 + 8);
	few.q.sees_all = true;
	listed_found(h, &few);
	assert_int_equal(few.reads, 2 * 20);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)
	const struct CMUnitTest tests[] = {
		TEST(they_are_found_by_their_terms_in_whatever_letters),
		TEST(parts_of_names_and_counts_of_parameters_narrow_them),
		TEST(the_largest_come_first_and_pages_go_on_behind_the_last_row),
		TEST(who_is_private_is_found_by_those_alone_who_may_see_it),
		TEST(a_page_reads_about_as_many_rows_as_it_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
