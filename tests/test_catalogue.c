/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "admin/account/rights.h"
#include "tests/hub_db.h"

#define MANY 5000

/* One model, as it is put in. */
struct model {
	const char *name, *tags;
	double likes, parameters;
	const char *words;
	bool gated;
	const char *doc;
};

static struct catalogue_entry entry_of(const struct model *m)
{
	struct catalogue_entry e = { .hosted = true, .gated = m->gated };

	assert_int_equal(repo_id_parse(REPO_MODEL, m->name, &e.id), 0);
	for (size_t i = 0; i < CATALOGUE_NUMBERS; i++)
		e.numbers[i] = -1;
	e.numbers[CATALOGUE_LIKES] = m->likes;
	e.numbers[CATALOGUE_PARAMETERS] = m->parameters;
	return e;
}

static int put(struct db_txn *t, void *arg)
{
	const struct model *m = arg;
	struct catalogue_entry e = entry_of(m);
	struct catalogue_texts texts = { m->tags ? m->tags : "\n\n", m->words, m->doc };

	return catalogue_put(t, &e, &texts);
}

static void add(struct hub_db *h, struct model m)
{
	assert_int_equal(db_write(h->db, put, &m), 0);
}

static int drop(struct db_txn *t, void *arg)
{
	return catalogue_remove(t, arg);
}

static void remove_model(struct hub_db *h, const char *name)
{
	struct repo_id id;

	assert_int_equal(repo_id_parse(REPO_MODEL, name, &id), 0);
	assert_int_equal(db_write(h->db, drop, &id), 0);
}

/* A question, and what was found: "name name ". */
struct asked {
	struct catalogue_query q;
	struct buf terms, names, seen, got;
	size_t most, count;
	uint64_t reads;
};

static void asked_fini(struct asked *a)
{
	buf_free(&a->terms);
	buf_free(&a->names);
	buf_free(&a->seen);
	buf_free(&a->got);
}

static struct asked ask(void)
{
	return (struct asked){
		.q = { .parameters_min = -1,
		       .parameters_max = HUGE_VAL,
		       .sort = CATALOGUE_NUMBERS,
		       .sees_all = true },
		.most = SIZE_MAX,
	};
}

static int take(void *arg, const struct catalogue_entry *e)
{
	struct asked *a = arg;

	buf_printf(&a->got, "%s ", e->id.name);
	return ++a->count == a->most;
}

static int find(struct db_txn *t, void *arg)
{
	struct asked *a = arg;

	buf_clear(&a->got);
	a->count = 0;
	a->reads = 0;
	a->q.terms = &a->terms;
	a->q.names = &a->names;
	a->q.seen_terms = &a->seen;
	return catalogue_find(t, &a->q, take, a, &a->reads);
}

static const char *found(struct hub_db *h, struct asked *a)
{
	int r = db_read(h->db, find, a);

	assert_true(r == 0 || (r == 1 && a->count == a->most));
	return buf_str(&a->got);
}

static void want(struct asked *a, enum term_kind kind, const char *text)
{
	assert_int_equal(term_add(&a->terms, kind, text, strlen(text)), 0);
}

static void fill(struct hub_db *h)
{
	add(h, (struct model){ "Ann/bert", "fill-mask\ntransformers\nen\nlicense:mit\n", 5, 7e6,
			       NULL, false, NULL });
	add(h, (struct model){ "ann/gpt", "text-generation\n\nlicense:mit\n", 50, 7e9, NULL, true,
			       NULL });
	add(h, (struct model){ "bob/bert-large", "fill-mask\n\njax\n", 50, -1,
			       "A Large model, said of Whales.", false, NULL });
	add(h, (struct model){ "bob/w", "\n\n", -1, 9e18, NULL, false, NULL });
}

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

	fill(*state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(asked_fini) struct asked a = ask();

		want(&a, cases[i].kind, cases[i].text);
		assert_string_equal(found(*state, &a), cases[i].found);
		want(&a, TERM_TAG, "nobody has this");
		assert_string_equal(found(*state, &a), "");
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

	fill(*state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(asked_fini) struct asked a = ask();

		if (*cases[i].name)
			buf_add(&a.names, cases[i].name, strlen(cases[i].name) + 1);
		a.q.parameters_min = cases[i].min;
		a.q.parameters_max = cases[i].max;
		assert_string_equal(found(*state, &a), cases[i].found);
	}
}

static void the_largest_come_first_and_pages_go_on_behind_the_last_row(void **state)
{
	CLEANUP(asked_fini) struct asked a = ask();

	fill(*state);
	a.q.sort = CATALOGUE_LIKES;
	assert_string_equal(found(*state, &a), "ann/gpt bob/bert-large Ann/bert bob/w ");
	a.q.after_number = 50;
	a.q.after_name = "ann/gpt";
	assert_string_equal(found(*state, &a), "bob/bert-large Ann/bert bob/w ");
	a.q.after_name = "bob/a"; /* which is not there any more */
	assert_string_equal(found(*state, &a), "bob/bert-large Ann/bert bob/w ");
	want(&a, TERM_TAG, "fill-mask");
	assert_string_equal(found(*state, &a), "bob/bert-large Ann/bert ");
	a.q.ascending = true;
	assert_string_equal(found(*state, &a), "");
	a.q.after_number = 5;
	a.q.after_name = "Ann/bert";
	assert_string_equal(found(*state, &a), "bob/bert-large ");
	a.q.after_name = "";
	assert_string_equal(found(*state, &a), "Ann/bert bob/bert-large ");
	buf_clear(&a.terms);
	assert_string_equal(found(*state, &a), "bob/w Ann/bert bob/bert-large ann/gpt ");
}

static void what_is_changed_stands_in_its_new_place_alone(void **state)
{
	CLEANUP(asked_fini) struct asked a = ask(), tagged = ask(), jax = ask();

	fill(*state);
	want(&tagged, TERM_TAG, "license:mit");
	want(&jax, TERM_TAG, "jax");
	a.q.sort = CATALOGUE_LIKES;
	add(*state, (struct model){ "ann/BERT", "\n\njax\n", 100, 1, NULL, false, NULL });
	assert_string_equal(found(*state, &a), "ann/BERT ann/gpt bob/bert-large bob/w ");
	assert_string_equal(found(*state, &tagged), "ann/gpt ");
	assert_string_equal(found(*state, &jax), "ann/BERT bob/bert-large ");
	remove_model(*state, "ann/bert");
	remove_model(*state, "ann/bert");
	assert_string_equal(found(*state, &a), "ann/gpt bob/bert-large bob/w ");
	assert_string_equal(found(*state, &jax), "bob/bert-large ");
	add(*state, (struct model){ "ann/bert", "\n\njax\n", 0, 1, NULL, false, NULL });
	assert_string_equal(found(*state, &jax), "ann/bert bob/bert-large ");
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
	CLEANUP(asked_fini) struct asked a = ask(), tagged = ask();
	struct repo_id large;

	say_of(*state, "ann/bert", VISIBILITY_PRIVATE); /* before it is there */
	fill(*state);
	say_of(*state, "Bob/BERT-large", VISIBILITY_PRIVATE);
	want(&tagged, TERM_TAG, "fill-mask");
	assert_string_equal(found(*state, &a), "Ann/bert ann/gpt bob/bert-large bob/w ");
	a.q.sees_all = tagged.q.sees_all = false;
	assert_string_equal(found(*state, &a), "ann/gpt bob/w ");
	assert_string_equal(found(*state, &tagged), "");
	term_add(&a.seen, TERM_AUTHOR, "ann", 3);
	assert_string_equal(found(*state, &a), "Ann/bert ann/gpt bob/w ");
	assert_int_equal(repo_id_parse(REPO_MODEL, "BOB/bert-large", &large), 0);
	tagged.q.seen = &large;
	tagged.q.seen_count = 1;
	assert_string_equal(found(*state, &tagged), "bob/bert-large ");
	say_of(*state, "bob/bert-large", VISIBILITY_PUBLIC);
	say_of(*state, "ann/bert", VISIBILITY_UNSAID);
	tagged.q.seen_count = 0;
	assert_string_equal(found(*state, &tagged), "Ann/bert bob/bert-large ");
}

/* ---- how much is read ---- */

static int put_many(struct db_txn *t, void *arg UNUSED)
{
	int r = 0;

	for (int i = 0; r == 0 && i < MANY; i++) {
		char name[32], tags[64];
		struct model m = { name, tags, i * 7919 % MANY, i, NULL, false, NULL };

		snprintf(name, sizeof(name), "u%d/model-%d", i % 40, i);
		snprintf(tags, sizeof(tags), "\n\neven:%d\ntenth:%d\none:%d\n", i % 2, i % 10, i);
		r = put(t, &m);
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
	CLEANUP(asked_fini)
	struct asked all = ask(), half = ask(), tenth = ask(), one = ask(), few = ask();

	assert_int_equal(db_write(h->db, put_many, NULL), 0);
	all.most = half.most = tenth.most = few.most = 20;
	all.q.sort = half.q.sort = few.q.sort = CATALOGUE_LIKES;
	found(h, &all);
	assert_int_equal(all.reads, 2 * 20); /* a place and a head each */
	all.q.after_number = 100;
	all.q.after_name = "u1/x";
	found(h, &all);
	assert_int_equal(all.reads, 2 * 20);
	all.q.ascending = true;
	found(h, &all);
	assert_int_equal(all.reads, 2 * 20);
	want(&half, TERM_TAG, "even:1");
	found(h, &half);
	assert_true(half.reads <= 1 + 2 * 20 + 20); /* the term, each second place, heads */
	want(&one, TERM_TAG, "one:77");
	assert_string_equal(found(h, &one), "u37/model-77 ");
	assert_int_equal(one.reads, 1 + 2);
	want(&tenth, TERM_TAG, "tenth:3");
	found(h, &tenth);
	assert_int_equal(tenth.reads, 1 + MANY / 10 + 20);
	/* Somebody who sees little does not read what they may not see. */
	assert_int_equal(db_write(h->db, hide_all_but_one, NULL), 0);
	few.q.sees_all = false;
	found(h, &few);
	assert_true(few.reads < MANY / 40 + 20 + 8);
	few.q.sees_all = true;
	found(h, &few);
	assert_int_equal(few.reads, 2 * 20);
}

struct names {
	struct buf got;
	enum term_kind kind;
	const char *begin;
};

static int tell(void *arg, const char *text, size_t len)
{
	return buf_printf(arg, "%.*s ", (int)len, text);
}

static int tell_all(struct db_txn *t, void *arg)
{
	struct names *n = arg;

	buf_clear(&n->got);
	return catalogue_terms(t, REPO_MODEL, n->kind, n->begin, tell, &n->got);
}

static void the_terms_of_a_kind_are_told_each_once(void **state)
{
	struct hub_db *h = *state;
	struct names n = { .kind = TERM_TAG, .begin = "license:" };

	fill(h);
	assert_int_equal(db_read(h->db, tell_all, &n), 0);
	assert_string_equal(buf_str(&n.got), "license:mit ");
	n = (struct names){ n.got, TERM_PIPELINE, "" };
	assert_int_equal(db_read(h->db, tell_all, &n), 0);
	assert_string_equal(buf_str(&n.got), "fill-mask text-generation ");
	remove_model(h, "ann/gpt");
	assert_int_equal(db_read(h->db, tell_all, &n), 0);
	assert_string_equal(buf_str(&n.got), "fill-mask ");
	buf_free(&n.got);
}

static int add_child(void *arg, const struct catalogue_entry *e)
{
	return buf_printf(arg, "%s ", e->id.name);
}

static int add_base(void *arg, const char *name)
{
	return buf_printf(arg, "<%s ", name);
}

static int tell_family(struct db_txn *t, void *arg)
{
	struct repo_id id;
	int r = catalogue_children(t, "Org/Base", add_child, arg);

	assert_int_equal(repo_id_parse(REPO_MODEL, "ann/tuned", &id), 0);
	return r < 0 ? r : catalogue_bases(t, &id, add_base, arg);
}

static void children_and_bases_of_a_model_are_told(void **state)
{
	struct hub_db *h = *state;
	CLEANUP(buf_free) struct buf got = { 0 };

	assert_int_equal(db_read(h->db, tell_family, &got), 0);
	assert_string_equal(buf_str(&got), "");
	fill(h);
	add(h, (struct model){ "ann/tuned", "\n\nbase_model:org/base\n", 0, 0, NULL, false,
			       "{\"baseModels\":{\"models\":[{\"id\":\"org/base\"}]}}" });
	add(h, (struct model){ "bob/base_model", "\n\nbase_model:org/base2\n", 0, 0, NULL, false,
			       NULL });
	assert_int_equal(db_read(h->db, tell_family, &got), 0);
	assert_string_equal(buf_str(&got), "ann/tuned <org/base ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)
	const struct CMUnitTest tests[] = {
		TEST(they_are_found_by_their_terms_in_whatever_letters),
		TEST(parts_of_names_and_counts_of_parameters_narrow_them),
		TEST(the_largest_come_first_and_pages_go_on_behind_the_last_row),
		TEST(what_is_changed_stands_in_its_new_place_alone),
		TEST(who_is_private_is_found_by_those_alone_who_may_see_it),
		TEST(a_page_reads_about_as_many_rows_as_it_shows),
		TEST(the_terms_of_a_kind_are_told_each_once),
		TEST(children_and_bases_of_a_model_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
