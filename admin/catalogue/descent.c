/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/descent.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/catalogue/finding.h"
#include "daemon/base/grow.h"
#include "daemon/base/jdoc.h"

/* Names in the order in which they were reached, each once. */
struct walk {
	struct db_txn *txn;
	descent_fn fn;
	void *arg;
	struct reached {
		struct repo_id id;
		unsigned depth;
	} * list; /* owned */
	size_t count, cap;
	size_t at; /* whose neighbours are looked at */
};

static bool is_new(const struct walk *w, const char *name)
{
	for (size_t i = 0; i < w->count; i++)
		if (!strcasecmp(w->list[i].id.name, name))
			return false;
	return true;
}

static int push(struct walk *w, const struct repo_id *id, unsigned depth)
{
	int r = grow_list(w->list, w->count, w->cap);

	if (r == 0)
		w->list[w->count++] = (struct reached){ *id, depth };
	return r;
}

/* One that stands beside the one at w->at. Its name as it is written, if it is known here. */
static int reach(struct walk *w, const char *name, const char *relation)
{
	struct reached from = w->list[w->at];
	struct catalogue_entry e = { .hosted = false };
	struct repo_id id;
	int r;

	if (repo_id_parse(REPO_MODEL, name, &id) < 0 || !is_new(w, id.name))
		return 0;
	if (w->count > DESCENT_MAX)
		return 1;
	r = catalogue_get(w->txn, &id, &e);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0)
		id = e.id;
	r = push(w, &id, from.depth + 1);
	return r < 0 ? r
		     : w->fn(w->arg, &(struct descent_step){ .name = id.name,
							     .from = from.id.name,
							     .relation = relation ? relation : "",
							     .depth = from.depth + 1,
							     .hosted = e.hosted });
}

/* What is told of a model, if it is hosted here; NULL if nothing is. */
static int read_bases(struct db_txn *t, const struct repo_id *id, struct jdoc **ret,
		      const struct jval **ret_bases)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = catalogue_doc(t, id, &text);

	*ret_bases = NULL;
	if (r == 0)
		r = jdoc_parse(buf_str(&text), text.len, ret);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*ret_bases = jval_get(jdoc_root(*ret), "baseModels");
	return 0;
}

/* ---- up ---- */

static int look_up(struct walk *w)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *bases, *models;
	int r = read_bases(w->txn, &w->list[w->at].id, &doc, &bases);

	models = jval_get(bases, "models");
	for (size_t i = 0; r == 0 && i < jval_count(models); i++) {
		const char *name = jval_get_str(jval_at(models, i), "id");

		r = name ? reach(w, name, jval_get_str(bases, "relation")) : 0;
	}
	return r;
}

/* ---- down ---- */

static int take_child(void *arg, const struct catalogue_entry *e)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	struct walk *w = arg;
	const struct jval *bases;
	int r = read_bases(w->txn, &e->id, &doc, &bases);

	return r < 0 ? r : reach(w, e->id.name, jval_get_str(bases, "relation"));
}

/* A card says it, so it is among the tags. */
static int look_down(struct walk *w)
{
	CLEANUP(buf_free) struct buf terms = { 0 }, tag = { 0 };
	const struct finding_query q = {
		.type = REPO_MODEL,
		.terms = &terms,
		.parameters_min = -1,
		.parameters_max = HUGE_VAL,
		.sort = CATALOGUE_NUMBERS,
		.sees_all = true,
	};
	uint64_t reads = 0;

	buf_printf(&tag, "base_model:%s", w->list[w->at].id.name);
	term_add(&terms, TERM_TAG, buf_str(&tag), tag.len);
	if (tag.failed || terms.failed)
		return -ENOMEM;
	return terms.len ? finding_each(w->txn, &q, take_child, w, &reads) : 0;
}

/* ---- all of it ---- */

static int walk(struct walk *w, const struct repo_id *id, int (*look)(struct walk *w))
{
	struct catalogue_entry e;
	int r = catalogue_get(w->txn, id, &e);

	if (r == 0 || r == -ENOENT)
		r = push(w, r == 0 ? &e.id : id, 0);
	for (w->at = 0; r == 0 && w->at < w->count; w->at++)
		r = look(w);
	free(w->list);
	return r;
}

int descent_ancestors(struct db_txn *t, const struct repo_id *id, descent_fn fn, void *arg)
{
	struct walk w = { .txn = t, .fn = fn, .arg = arg };

	return walk(&w, id, look_up);
}

int descent_descendants(struct db_txn *t, const struct repo_id *id, descent_fn fn, void *arg)
{
	struct walk w = { .txn = t, .fn = fn, .arg = arg };

	return walk(&w, id, look_down);
}
