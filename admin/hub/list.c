/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for is found in the catalogue; who may see it is asked only of what a page could
 * show. */
#include "admin/hub/list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/admit.h"
#include "admin/hub/answer.h"
#include "admin/hub/info.h"
#include "admin/hub/listing.h"
#include "admin/hub/tree.h"
#include "daemon/base/err.h"
#include "daemon/base/jscan.h"
#include "daemon/base/num.h"

#define PAGE_MAX 1000
#define FULL_PAGE_MAX 100 /* with the files of each */

struct list {
	struct listing l;
	bool expands, full; /* what is told is named; also of files */
};

static void list_fini(struct list *l)
{
	listing_fini(&l->l);
}

/* --- one item */

/* What hubs tell only of who asks for it by name, or by a field of its own; it is most of what they
 * know. */
static bool is_rare(const struct ask *a, const char *name)
{
	static const char *const rare[] = {
		"config",     "safetensors",      "gguf",     "model-index", "widgetData",
		"spaces",     "transformersInfo", "citation", "usedStorage", "evalResults",
		"mask_token", "baseModels",
	};

	if (strcmp(name, "cardData") == 0 || strcmp(name, "config") == 0)
		return !target_flag(a->asked.query, name);
	for (size_t i = 0; i < ARRAY_LEN(rare); i++)
		if (strcmp(rare[i], name) == 0)
			return true;
	return false;
}

static bool is_expanded(const struct ask *a, const char *name)
{
	CLEANUP(buf_free) struct buf want = { 0 };
	const char *at = a->asked.query;

	for (unsigned n = 0; n < EXPANDS_MAX && target_next_field(&at, "expand", &want); n++)
		if (strcmp(buf_str(&want), name) == 0)
			return true;
	return false;
}

static bool is_told(const struct list *l, const char *name)
{
	return l->expands ? is_expanded(l->l.a, name) : !is_rare(l->l.a, name);
}

struct reading {
	const struct repo_id *id;
	struct buf *doc;
};

static int read_own(struct db_txn *t, void *arg)
{
	const struct reading *d = arg;

	buf_clear(d->doc);
	return catalogue_doc(t, d->id, d->doc);
}

/* What is told of it, as it was kept; "" if nothing is. */
static int read_doc(const struct list *l, const struct shown *s, struct buf *ret)
{
	CLEANUP(buf_free) struct buf tail = { 0 };
	struct reading d = { &s->e.id, ret };
	int r = s->e.commit[0] ? info_tail(s->e.commit, &tail) : -ENOENT;

	if (s->e.hosted)
		r = db_read(l->l.a->server->rights.db, read_own, &d);
	else if (r == 0)
		r = node_doc_kept(l->l.a->server->node, s->repo, buf_str(&tail), ret);
	return r == -ENOMEM ? r : 0;
}

static void write_told(const struct list *l, struct jwrite *w, const char *doc)
{
	CLEANUP(buf_free) struct buf name = { 0 }, value = { 0 };
	struct jscan_member m;

	while (jscan_next(&doc, &m)) {
		buf_clear(&name);
		buf_clear(&value);
		if (buf_add(&name, m.name, m.name_len) == 0 && !info_is_named(name.data) &&
		    is_told(l, name.data) && buf_add(&value, m.value, m.value_len) == 0)
			jwrite_json(w, name.data, value.data);
	}
}

/* Of an upstream only those are told that were asked for before; our own are read, if they were not
 * yet: then it may be gone already, and is PARKED. */
static int write_files(struct ask *a, struct jwrite *w, const struct shown *row)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
	struct tree_view view;
	int r = row->e.hosted
			? node_snapshot(a->server->node, row->repo, row->e.commit, &a->waiter, &s)
			: known_snapshot(node_known(a->server->node), row->repo, row->e.commit, &s);

	if (r != 0)
		return r == -ENOENT ? 0 : r;
	tree_view(a, row->repo, s, &view);
	return tree_siblings(&view, false, w);
}

static void write_names(const struct list *l, struct jwrite *w, const struct repo_id *id)
{
	if (!l->expands) {
		info_write_names(w, id);
		return;
	}
	info_write_ids(w, id);
	if (is_told(l, "author"))
		info_write_author(w, id);
}

/* What is counted here of a repository that is hosted here. */
static void write_own(const struct list *l, struct jwrite *w, const struct catalogue_entry *e)
{
	CLEANUP(buf_free) struct buf state = { 0 };
	struct jwrite all = { .to = &state };

	jwrite_object(&all, NULL);
	answer_repo_counts(&all, e);
	jwrite_object_end(&all);
	if (!state.failed)
		write_told(l, w, buf_str(&state));
}

static int write_item(const struct list *l, struct jwrite *w, const struct shown *s)
{
	CLEANUP(buf_free) struct buf doc = { 0 };
	int r = read_doc(l, s, &doc);

	if (r < 0)
		return r;
	jwrite_object(w, NULL);
	write_names(l, w, repo_id_of(s->repo));
	if (s->e.commit[0] && is_told(l, "sha"))
		jwrite_text(w, "sha", s->e.commit);
	if (is_told(l, "private"))
		jwrite_bool(w, "private", s->is_private);
	if (s->e.hosted)
		write_own(l, w, &s->e);
	if (doc.len)
		write_told(l, w, doc.data);
	else if (!l->expands)
		answer_repo_state(w, NULL);
	if (l->full && s->e.commit[0])
		r = write_files(l->l.a, w, s);
	jwrite_object_end(w);
	return r;
}

/* --- pages */

/* The same question, from where this page ended. */
static void add_next(const struct list *l, struct httpd_head *h)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	const struct ask *a = l->l.a;
	const char *target = httpd_target(a->http), *field = a->asked.query;

	buf_printf(&path, "%.*s?", (int)strcspn(target, "?"), target);
	for (size_t len; *field; field += len + (field[len] == '&')) {
		len = strcspn(field, "&");
		if (len && strncmp(field, "cursor=", 7) != 0 && !memchr(field, '>', len))
			buf_printf(&path, "%.*s&", (int)len, field);
	}
	buf_add_str(&path, "cursor=");
	if (search_cursor(&l->l.search, &l->l.page[l->l.count - 1].e, &path) == 0)
		answer_next(a, h, "%s", buf_str(&path));
}

static int answer_page(struct list *l)
{
	struct ask *a = l->l.a;
	unsigned limit = target_limit(a->asked.query, l->full ? FULL_PAGE_MAX : PAGE_MAX);
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };
	struct httpd_head h;
	int r;

	r = listing_turn(&l->l, limit);
	jwrite_array(&w, NULL);
	for (size_t i = 0; r == 0 && i < l->l.count; i++)
		r = write_item(l, &w, &l->l.page[i]);
	jwrite_array_end(&w);
	if (r != 0)
		return r;
	h = answer_head(a, 200, ANSWER_JSON);
	if (l->l.more)
		add_next(l, &h);
	answer_json_head(a, &h, &json);
	return 0;
}

static int answer_list(struct ask *a, enum repo_type type)
{
	CLEANUP(list_fini) struct list l = { .l.a = a };
	CLEANUP(buf_free) struct buf why = { 0 }, expand = { 0 };
	int r = search_read(a->asked.query, type, &l.l.search, &why);

	if (r == -EINVAL)
		answer_refuse(a, 400, "%s", buf_str(&why));
	if (r == -EINVAL || !info_may_expand(a))
		return 0;
	if (r == 0)
		r = listing_begin(a, &l.l);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	l.expands = target_field(a->asked.query, "expand", &expand);
	l.full = l.expands ? is_expanded(a, "siblings") : target_flag(a->asked.query, "full");
	return answer_page(&l);
}

int list_repos(struct ask *a)
{
	return answer_list(a, a->asked.target.repo.type);
}

int list_found_spaces(struct ask *a)
{
	return answer_list(a, REPO_SPACE);
}
