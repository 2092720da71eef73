/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/hub_db.h"

/* A model that says what it was made from, and how. */
struct model {
	const char *name, *base, *relation; /* base NULL: of nothing */
	bool hosted;
};

static int put_one(struct db_txn *t, const struct model *m)
{
	CLEANUP(buf_free) struct buf tags = { 0 }, doc = { 0 };
	struct catalogue_entry e = { .hosted = m->hosted };
	struct catalogue_texts texts = { .tags = "\n\n" };

	assert_int_equal(repo_id_parse(REPO_MODEL, m->name, &e.id), 0);
	for (size_t i = 0; i < CATALOGUE_NUMBERS; i++)
		e.numbers[i] = -1;
	if (m->base) {
		buf_printf(&tags, "\n\nbase_model:%s\n", m->base);
		buf_printf(&doc,
			   "{\"baseModels\":{\"relation\":\"%s\",\"models\":[{\"id\":\"%s\"}]}}",
			   m->relation, m->base);
		texts.tags = buf_str(&tags);
		texts.doc = buf_str(&doc);
	}
	return catalogue_put(t, &e, &texts);
}

static int put_all(struct db_txn *t, void *arg)
{
	int r = 0;

	for (const struct model *m = arg; r == 0 && m->name; m++)
		r = put_one(t, m);
	return r;
}

struct asked {
	const char *name;
	struct buf up, down;
};

static int tell(void *arg, const struct descent_step *s)
{
	return buf_printf(arg, "%u%s %s %s %s;", s->depth, s->hosted ? "!" : "", s->name,
			  s->relation, s->from);
}

static int ask(struct db_txn *t, void *arg)
{
	struct asked *q = arg;
	struct repo_id id;
	int r = repo_id_parse(REPO_MODEL, q->name, &id);

	if (r == 0)
		r = descent_ancestors(t, &id, tell, &q->up);
	return r < 0 ? r : descent_descendants(t, &id, tell, &q->down);
}

static void check(struct hub_db *h, const char *name, const char *up, const char *down)
{
	struct asked q = { .name = name };

	assert_int_equal(db_read(h->db, ask, &q), 0);
	assert_string_equal(buf_str(&q.up), up);
	assert_string_equal(buf_str(&q.down), down);
	buf_free(&q.up);
	buf_free(&q.down);
}

static void a_model_is_followed_to_what_it_was_made_from_and_to_what_was_made_from_it(void **state)
{
	struct model models[] = {
		{ "up/base", NULL, NULL, false },
		{ "Acme/tuned", "up/Base", "finetune", true },
		{ "acme/small", "acme/TUNED", "quantized", true },
		{ "bob/other", "up/base", "adapter", true },
		{ "bob/longer", "up/base2", "adapter", true },
		{ "bob/alone", NULL, NULL, true },
		{ NULL, NULL, NULL, false },
	};
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, put_all, models), 0);
	check(h, "acme/small", "1! Acme/tuned quantized acme/small;2 up/base finetune Acme/tuned;",
	      "");
	check(h, "up/base", "",
	      "1! Acme/tuned finetune up/base;1! bob/other adapter up/base;"
	      "2! acme/small quantized Acme/tuned;");
	check(h, "bob/alone", "", "");
	check(h, "nobody/knows", "", "");
}

static void what_is_not_here_is_an_ancestor_all_the_same(void **state)
{
	struct model models[] = {
		{ "acme/m", "far/away", "merge", true },
		{ NULL, NULL, NULL, false },
	};
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, put_all, models), 0);
	check(h, "acme/m", "1 far/away merge acme/m;", "");
	check(h, "far/away", "", "1! acme/m merge far/away;");
}

static void a_circle_is_gone_round_once(void **state)
{
	struct model models[] = {
		{ "a/x", "a/y", "finetune", true },
		{ "a/y", "a/x", "finetune", true },
		{ "a/z", "a/z", "finetune", true },
		{ NULL, NULL, NULL, false },
	};
	struct hub_db *h = *state;

	assert_int_equal(db_write(h->db, put_all, models), 0);
	check(h, "a/x", "1! a/y finetune a/x;", "1! a/y finetune a/x;");
	check(h, "a/z", "", "");
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_model_is_followed_to_what_it_was_made_from_and_to_what_was_made_from_it),
		STORY(what_is_not_here_is_an_ancestor_all_the_same),
		STORY(a_circle_is_gone_round_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
