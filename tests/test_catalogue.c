/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/listed.h"

static void what_is_changed_stands_in_its_new_place_alone(void **state)
{
	CLEANUP(listed_asked_fini)
	struct listed_asked a = listed_ask(), tagged = listed_ask(), jax = listed_ask();

	listed_fill(*state);
	listed_want(&tagged, TERM_TAG, "license:mit");
	listed_want(&jax, TERM_TAG, "jax");
	a.q.sort = CATALOGUE_LIKES;
	listed_add(*state,
		   (struct listed_model){ "ann/BERT", "\n\njax\n", 100, 1, NULL, false, NULL });
	assert_string_equal(listed_found(*state, &a), "ann/BERT ann/gpt bob/bert-large bob/w ");
	assert_string_equal(listed_found(*state, &tagged), "ann/gpt ");
	assert_string_equal(listed_found(*state, &jax), "ann/BERT bob/bert-large ");
	listed_remove(*state, "ann/bert");
	listed_remove(*state, "ann/bert");
	assert_string_equal(listed_found(*state, &a), "ann/gpt bob/bert-large bob/w ");
	assert_string_equal(listed_found(*state, &jax), "bob/bert-large ");
	listed_add(*state,
		   (struct listed_model){ "ann/bert", "\n\njax\n", 0, 1, NULL, false, NULL });
	assert_string_equal(listed_found(*state, &jax), "ann/bert bob/bert-large ");
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

	listed_fill(h);
	assert_int_equal(db_read(h->db, tell_all, &n), 0);
	assert_string_equal(buf_str(&n.got), "license:mit ");
	n = (struct names){ n.got, TERM_PIPELINE, "" };
	assert_int_equal(db_read(h->db, tell_all, &n), 0);
	assert_string_equal(buf_str(&n.got), "fill-mask text-generation ");
	listed_remove(h, "ann/gpt");
	assert_int_equal(db_read(h->db, tell_all, &n), 0);
	assert_string_equal(buf_str(&n.got), "fill-mask ");
	buf_free(&n.got);
}

/* ---- one of them ---- */

struct looked {
	const char *name;
	enum catalogue_number which;
	double value;
	struct catalogue_entry e;
	struct buf doc;
};

static int look(struct db_txn *t, void *arg)
{
	struct looked *l = arg;
	struct repo_id id;
	int r = repo_id_parse(REPO_MODEL, l->name, &id);

	buf_clear(&l->doc);
	if (r == 0)
		r = catalogue_get(t, &id, &l->e);
	return r < 0 ? r : catalogue_doc(t, &id, &l->doc);
}

static int set(struct db_txn *t, void *arg)
{
	const struct looked *l = arg;
	struct repo_id id;
	int r = repo_id_parse(REPO_MODEL, l->name, &id);

	return r < 0 ? r : catalogue_set(t, &id, l->which, l->value);
}

static void one_is_looked_up_in_whatever_letters(void **state)
{
	struct looked l = { .name = "ORG/m" }, none = { .name = "org/other" };
	struct hub_db *h = *state;

	listed_add(h, (struct listed_model){ "Org/M", NULL, 7, -1, NULL, true, "{\"a\":1}" });
	assert_int_equal(db_read(h->db, look, &l), 0);
	assert_string_equal(l.e.id.name, "Org/M");
	assert_true(l.e.hosted && l.e.gated && !l.e.manual);
	assert_true(l.e.numbers[CATALOGUE_LIKES] == 7 && l.e.numbers[CATALOGUE_SIZE] == -1);
	assert_string_equal(buf_str(&l.doc), "{\"a\":1}");
	assert_int_equal(db_read(h->db, look, &none), -ENOENT);
	buf_free(&l.doc);
	buf_free(&none.doc);
}

static void a_number_is_set_of_what_is_there_alone(void **state)
{
	struct looked l = { .name = "bob/w", .which = CATALOGUE_DOWNLOADS, .value = 9 };
	struct looked none = { .name = "bob/none", .which = CATALOGUE_DOWNLOADS, .value = 9 };
	CLEANUP(listed_asked_fini) struct listed_asked a = listed_ask();
	struct hub_db *h = *state;

	listed_fill(h);
	a.q.sort = CATALOGUE_DOWNLOADS;
	assert_string_equal(listed_found(h, &a), "Ann/bert ann/gpt bob/bert-large bob/w ");
	assert_int_equal(db_write(h->db, set, &none), 0);
	assert_string_equal(listed_found(h, &a), "Ann/bert ann/gpt bob/bert-large bob/w ");
	assert_int_equal(db_write(h->db, set, &l), 0);
	assert_string_equal(listed_found(h, &a), "bob/w Ann/bert ann/gpt bob/bert-large ");
}

static void numbers_have_the_names_that_clients_say(void **state UNUSED)
{
	for (unsigned i = 0; i < CATALOGUE_NUMBERS; i++) {
		const char *name = catalogue_number_name((enum catalogue_number)i);

		assert_int_equal(catalogue_number_of(name), i);
	}
	assert_string_equal(catalogue_number_name(CATALOGUE_MODIFIED), "lastModified");
	assert_int_equal(catalogue_number_of("lastmodified"), CATALOGUE_NUMBERS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_changed_stands_in_its_new_place_alone),
		TEST(the_terms_of_a_kind_are_told_each_once),
		TEST(one_is_looked_up_in_whatever_letters),
		TEST(a_number_is_set_of_what_is_there_alone),
		TEST(numbers_have_the_names_that_clients_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
