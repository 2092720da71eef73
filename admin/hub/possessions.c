/* SPDX-License-Identifier: Apache-2.0 */
/* A repository's storage is what its main holds, as "usedStorage" and lists tell it; that of its
 * namespace, of which it is a part, what the quota counts. */
#include "admin/hub/possessions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/catalogue/catalogue.h"
#include "admin/hub/answer.h"
#include "admin/registry/holdings.h"
#include "admin/registry/registry.h"
#include "daemon/base/err.h"

#define PAGE 1000

struct possession {
	struct repo_id id;
	int64_t at_s;
	uint64_t bytes;
};

struct page {
	struct ask *ask;
	const char *namespace;
	struct repo_id after; /* of the last one of the page before, ... */
	bool has_after;       /* ... if there was one */
	unsigned limit;
	struct possession *list;
	struct rights_row *rows;
	size_t count; /* of those looked at */
	size_t end;   /* those before it are told, if they may be seen */
	bool more;
	bool knows_all;     /* who asks may know what the namespace holds: */
	uint64_t all_bytes; /* so much */
	struct db_txn *txn;
};

static void page_fini(struct page *p)
{
	free(p->list);
	free(p->rows);
}

/* In the order in which a namespace's repositories are told: by kind, then by name. */
static bool is_behind(const struct repo_id *id, const struct repo_id *after)
{
	char one[REPO_KEY_MAX + 1], other[REPO_KEY_MAX + 1];

	if (id->type != after->type)
		return id->type > after->type;
	repo_id_key_small(id, one);
	repo_id_key_small(after, other);
	return strcmp(one, other) > 0;
}

static int note(void *arg, const struct registry_repo *repo)
{
	struct page *p = arg;
	struct possession *here = &p->list[p->count];
	struct catalogue_entry e;
	int r;

	if (p->has_after && !is_behind(&repo->id, &p->after))
		return 0;
	p->more = p->count == PAGE;
	if (p->more)
		return 1;
	*here = (struct possession){ .id = repo->id, .at_s = repo->created_s };
	r = catalogue_get(p->txn, &repo->id, &e);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && e.numbers[CATALOGUE_MODIFIED] > 0)
		here->at_s = (int64_t)e.numbers[CATALOGUE_MODIFIED];
	if (r == 0 && e.numbers[CATALOGUE_SIZE] > 0)
		here->bytes = (uint64_t)e.numbers[CATALOGUE_SIZE];
	p->count++;
	return 0;
}

static int find(struct db_txn *t, void *arg)
{
	struct page *p = arg;
	char key[ACCOUNT_NAME_MAX + 1];
	struct holdings_use use;
	int r;

	p->txn = t;
	p->count = 0;
	p->more = false;
	account_key(p->namespace, key);
	r = holdings_use(t, key, &use);
	p->all_bytes = use.bytes;
	if (r == 0)
		r = registry_each_in(t, p->namespace, note, p);
	return r < 0 ? r : 0;
}

/* Those of the page that who asks may see. */
static int look(struct page *p)
{
	struct server *s = p->ask->server;

	for (size_t i = 0; i < p->count; i++)
		known_names_of(node_known(s->node), &p->list[i].id, &p->rows[i].names);
	return rights_look(&s->rights, &p->ask->who, p->rows, p->count);
}

/* As many as were asked for: a cursor is the name of the last one that is told. */
static void pick(struct page *p)
{
	unsigned told = 0;
	size_t i;

	for (p->end = i = 0; i < p->count && told < p->limit; i++)
		if (p->rows[i].sees) {
			told++;
			p->end = i + 1;
		}
	for (; i < p->count; i++)
		p->more |= p->rows[i].sees;
}

/* Goes on until there is something to tell, or nothing any more. */
static int find_page(struct page *p)
{
	const struct server *s = p->ask->server;
	int r;

	do {
		r = db_read(s->rights.db, find, p);
		if (r == 0)
			r = look(p);
		if (r < 0)
			return r;
		pick(p);
		if (p->count)
			p->after = p->list[p->count - 1].id;
		p->has_after = true;
	} while (p->end == 0 && p->more);
	return 0;
}

/* Files that are there twice are held once: then they would be more than all. */
static double percent(uint64_t bytes, uint64_t all)
{
	if (bytes >= all)
		return bytes ? 100 : 0;
	return 100.0 * (double)bytes / (double)all;
}

static void write_page(const struct page *p, struct jwrite *w)
{
	jwrite_array(w, NULL);
	for (size_t i = 0; i < p->end; i++) {
		const struct possession *here = &p->list[i];

		if (!p->rows[i].sees)
			continue;
		jwrite_object(w, NULL);
		jwrite_text(w, "id", here->id.name);
		jwrite_text(w, "type", repo_type_word(here->id.type));
		jwrite_time(w, "updatedAt", here->at_s * 1000);
		jwrite_text(w, "visibility", p->rows[i].is_private ? "private" : "public");
		jwrite_uint(w, "storage", here->bytes);
		if (p->knows_all)
			jwrite_number(w, "storagePercent", percent(here->bytes, p->all_bytes));
		jwrite_object_end(w);
	}
	jwrite_array_end(w);
}

static void add_next(const struct page *p, struct httpd_head *h)
{
	const char *target = httpd_target(p->ask->http);
	char key[REPO_KEY_MAX + 1];

	repo_id_key(&p->list[p->end - 1].id, key);
	answer_next(p->ask, h, "%.*s?limit=%u&cursor=%s", (int)strcspn(target, "?"), target,
		    p->limit, key);
}

static int take_query(struct page *p)
{
	CLEANUP(buf_free) struct buf cursor = { 0 };
	const char *query = p->ask->asked.query;

	p->limit = target_limit(query, PAGE);
	p->has_after = target_field(query, "cursor", &cursor) &&
		       repo_id_parse_key(buf_str(&cursor), &p->after) == 0;
	p->list = calloc(PAGE, sizeof(*p->list));
	p->rows = calloc(PAGE, sizeof(*p->rows));
	return p->list && p->rows ? 0 : -ENOMEM;
}

static int answer_page(struct ask *a, const char *namespace)
{
	CLEANUP(page_fini) struct page p = { .ask = a, .namespace = namespace };
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };
	struct httpd_head h;
	int r = take_query(&p);

	if (r == 0)
		r = find_page(&p);
	if (r < 0)
		return r;
	p.knows_all = rights_namespace(&a->server->rights, &a->who, namespace, ROLE_READ) == 0;
	write_page(&p, &w);
	if (json.failed)
		return json.failed;
	h = answer_head(a, 200, ANSWER_JSON);
	if (p.more)
		add_next(&p, &h);
	answer_json_head(a, &h, &json);
	return 0;
}

int possessions_own(struct ask *a)
{
	if (!a->who.known)
		return ERR_FORBIDDEN;
	return ask_aside_or_here(a) ? answer_page(a, a->who.user) : PARKED;
}

int possessions_of(struct ask *a, const char *organization)
{
	int r = rights_namespace(&a->server->rights, &a->who, organization, ROLE_READ);

	return r < 0 ? r : answer_page(a, organization);
}
