/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/listed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

static struct catalogue_entry entry_of(const struct listed_model *m)
{
	struct catalogue_entry e = { .hosted = true, .gated = m->gated };

	assert_int_equal(repo_id_parse(REPO_MODEL, m->name, &e.id), 0);
	for (size_t i = 0; i < CATALOGUE_NUMBERS; i++)
		e.numbers[i] = -1;
	e.numbers[CATALOGUE_LIKES] = m->likes;
	e.numbers[CATALOGUE_PARAMETERS] = m->parameters;
	return e;
}

int listed_put(struct db_txn *t, const struct listed_model *m)
{
	struct catalogue_entry e = entry_of(m);
	struct catalogue_texts texts = { m->tags ? m->tags : "\n\n", m->words, m->doc };

	return catalogue_put(t, &e, &texts);
}

static int put(struct db_txn *t, void *arg)
{
	return listed_put(t, arg);
}

void listed_add(struct hub_db *h, struct listed_model m)
{
	assert_int_equal(db_write(h->db, put, &m), 0);
}

static int drop(struct db_txn *t, void *arg)
{
	return catalogue_remove(t, arg);
}

void listed_remove(struct hub_db *h, const char *name)
{
	struct repo_id id;

	assert_int_equal(repo_id_parse(REPO_MODEL, name, &id), 0);
	assert_int_equal(db_write(h->db, drop, &id), 0);
}

void listed_asked_fini(struct listed_asked *a)
{
	buf_free(&a->terms);
	buf_free(&a->names);
	buf_free(&a->seen);
	buf_free(&a->got);
}

struct listed_asked listed_ask(void)
{
	return (struct listed_asked){
		.q = { .parameters_min = -1,
		       .parameters_max = HUGE_VAL,
		       .sort = CATALOGUE_NUMBERS,
		       .sees_all = true },
		.most = SIZE_MAX,
	};
}

static int take(void *arg, const struct catalogue_entry *e)
{
	struct listed_asked *a = arg;

	buf_printf(&a->got, "%s ", e->id.name);
	return ++a->count == a->most;
}

static int find(struct db_txn *t, void *arg)
{
	struct listed_asked *a = arg;

	buf_clear(&a->got);
	a->count = 0;
	a->reads = 0;
	a->q.terms = &a->terms;
	a->q.names = &a->names;
	a->q.seen_terms = &a->seen;
	return finding_each(t, &a->q, take, a, &a->reads);
}

const char *listed_found(struct hub_db *h, struct listed_asked *a)
{
	int r = db_read(h->db, find, a);

	assert_true(r == 0 || (r == 1 && a->count == a->most));
	return buf_str(&a->got);
}

void listed_want(struct listed_asked *a, enum term_kind kind, const char *text)
{
	assert_int_equal(term_add(&a->terms, kind, text, strlen(text)), 0);
}

void listed_fill(struct hub_db *h)
{
	listed_add(h,
		   (struct listed_model){ "Ann/bert", "fill-mask\ntransformers\nen\nlicense:mit\n",
					  5, 7e6, NULL, false, NULL });
	listed_add(h, (struct listed_model){ "ann/gpt", "text-generation\n\nlicense:mit\n", 50, 7e9,
					     NULL, true, NULL });
	listed_add(h, (struct listed_model){ "bob/bert-large", "fill-mask\n\njax\n", 50, -1,
					     "A Large model, said of Whales.", false, NULL });
	listed_add(h, (struct listed_model){ "bob/w", "\n\n", -1, 9e18, NULL, false, NULL });
}
