/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/taglist.h"

#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/listing.h"
#include "daemon/base/jwrite.h"

/* Those of a kind that begin so. */
static int tell_term(void *arg, const char *text, size_t len)
{
	struct buf *lines = arg;

	buf_add(lines, text, len);
	return buf_add(lines, "\n", 1);
}

struct question {
	enum repo_type type;
	enum term_kind kind;
	const char *begin;
	struct buf *lines;
};

static int find_terms(struct db_txn *t, void *arg)
{
	const struct question *q = arg;

	buf_clear(q->lines);
	return catalogue_terms(t, q->type, q->kind, q->begin, tell_term, q->lines);
}

/* Nobody learns of a tag that only others' repositories have. */
static int is_seen(struct listing *l, enum term_kind kind, const char *tag, size_t len, bool *ret)
{
	int r;

	buf_clear(&l->search.terms);
	buf_clear(&l->search.after_name);
	l->search.unanswerable = false;
	search_add(&l->search, kind, tag, len);
	r = listing_turn(l, 1);
	*ret = r == 0 && l->count;
	return r;
}

static void write_tag(struct jwrite *w, const char *tag, const char *type)
{
	const char *colon = strchr(tag, ':');

	jwrite_object(w, NULL);
	jwrite_text(w, "id", tag);
	jwrite_text(w, "label", colon ? colon + 1 : tag);
	jwrite_text(w, "type", type);
	jwrite_object_end(w);
}

static int write_type(struct jwrite *w, struct listing *l, const char *type, enum term_kind kind)
{
	CLEANUP(buf_free) struct buf lines = { 0 }, begin = { 0 };
	struct question q = { l->search.type, kind, "", &lines };
	int r = kind == TERM_TAG ? buf_printf(&begin, "%s:", type) : 0;

	q.begin = buf_str(&begin);
	if (r == 0)
		r = db_read(l->a->server->rights.db, find_terms, &q);
	jwrite_array(w, type);
	for (const char *at = buf_str(&lines); r == 0 && *at; at += strcspn(at, "\n") + 1) {
		CLEANUP(buf_free) struct buf tag = { 0 };
		bool seen;

		buf_add(&tag, at, strcspn(at, "\n"));
		r = is_seen(l, kind, buf_str(&tag), tag.len, &seen);
		if (r == 0 && seen)
			write_tag(w, buf_str(&tag), type);
	}
	jwrite_array_end(w);
	return r;
}

static int write_types(struct listing *l, struct buf *json)
{
	static const char *const types[] = { "license",  "dataset",         "region",
					     "language", "size_categories", "task_categories",
					     "format" };
	struct jwrite w = { .to = json };
	int r;

	jwrite_object(&w, NULL);
	r = write_type(&w, l, "pipeline_tag", TERM_PIPELINE);
	if (r == 0)
		r = write_type(&w, l, "library_name", TERM_LIBRARY);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(types); i++)
		r = write_type(&w, l, types[i], TERM_TAG);
	jwrite_object_end(&w);
	return r;
}

static int answer_tags(struct ask *a, enum repo_type type)
{
	CLEANUP(listing_fini) struct listing l = { .a = a };
	CLEANUP(buf_free) struct buf json = { 0 }, why = { 0 };
	int r;

	if (!ask_aside(a, LANE_TAGS, &r))
		return r;
	r = search_read("", type, &l.search, &why);
	if (r == 0)
		r = listing_begin(a, &l);
	if (r == 0)
		r = write_types(&l, &json);
	if (r == 0)
		answer_json(a, 200, &json);
	return r == ANSWERED ? 0 : r;
}

int taglist_models(struct ask *a)
{
	return answer_tags(a, REPO_MODEL);
}

int taglist_datasets(struct ask *a)
{
	return answer_tags(a, REPO_DATASET);
}
