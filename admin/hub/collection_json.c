/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/collection_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/writing.h"
#include "daemon/base/err.h"

#define LISTED_ITEMS 4 /* of each in a list */

enum repo_type collection_repo_type(const char *word)
{
	for (int type = 0; type < REPO_TYPE_COUNT; type++)
		if (!strcmp(word, repo_type_word((enum repo_type)type)))
			return (enum repo_type)type;
	return REPO_TYPE_COUNT;
}

/* ---- one of another's items ---- */

struct reading {
	const char *owner, *id;
	struct collection *ret;
};

static int read_row(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	const struct reading *x = arg;
	int r = owned_get(t, DB_COLLECTIONS, x->owner, x->id, &row);

	collection_fini(x->ret);
	return r < 0 ? r : collection_parse(buf_str(&row), row.len, x->ret);
}

static int check_seen(struct ask *a, const struct collection *c)
{
	const struct rights *rights = &a->server->rights;
	int r;

	if (rights->closed && !a->who.known)
		return -ENOENT;
	if (!c->is_private)
		return 0;
	r = rights_namespace(rights, &a->who, c->owner, ROLE_READ);
	return r == ERR_FORBIDDEN ? -ENOENT : r;
}

int collection_read(struct ask *a, const char *owner, const char *id, struct collection *ret)
{
	struct reading x = { owner, id, ret };
	int r = db_read(a->server->rights.db, read_row, &x);

	return r < 0 ? r : check_seen(a, ret);
}

int collection_slug_now(struct ask *a, const char *slug, struct buf *ret)
{
	CLEANUP(collection_fini) struct collection c = { .count = 0 };
	char owner[ACCOUNT_NAME_MAX + 1], id[OWNED_ID + 1];
	const char *rest;
	int r;

	if (!collection_find_slug(slug, owner, id, &rest) || *rest)
		return -ENOENT;
	r = collection_read(a, owner, id, &c);
	if (r == 0)
		collection_slug(&c, ret);
	return r < 0 ? r : ret->failed;
}

/* ---- its items ---- */

/* Which items are there for who asks: a row each. */
static int look(struct ask *a, const struct collection *c, struct repo_id *ids,
		struct rights_row *rows)
{
	struct known *k = node_known(a->server->node);
	int r;

	for (size_t i = 0; i < c->count; i++) {
		enum repo_type type = collection_repo_type(c->items[i].type);

		if (type == REPO_TYPE_COUNT || repo_id_parse(type, c->items[i].name, &ids[i]) < 0)
			ids[i] = (struct repo_id){ .name = "" };
		known_names_of(k, &ids[i], &rows[i].names);
	}
	r = rights_look(&a->server->rights, &a->who, rows, c->count);
	for (size_t i = 0; i < c->count; i++) /* it went */
		rows[i].sees &= known_repo_like(k, &ids[i]) != NULL;
	return r;
}

static void write_item(struct jwrite *w, const struct collection_item *item, const char *name,
		       bool is_private, size_t position)
{
	jwrite_object(w, NULL);
	jwrite_text(w, "_id", item->id);
	jwrite_text(w, "id", name);
	jwrite_text(w, "type", item->type);
	jwrite_uint(w, "position", position);
	jwrite_bool(w, "private", is_private);
	if (*item->note) {
		jwrite_object(w, "note");
		jwrite_text(w, "text", item->note);
		jwrite_object_end(w);
	}
	jwrite_object_end(w);
}

/* Another collection, by the slug it has now; nothing if it is not there for who asks. */
static int write_nested(struct ask *a, const struct collection_item *item, struct jwrite *w,
			size_t *shown)
{
	CLEANUP(buf_free) struct buf slug = { 0 };
	int r = collection_slug_now(a, item->name, &slug);

	if (r == 0)
		write_item(w, item, buf_str(&slug), false, (*shown)++);
	return r == -ENOENT ? 0 : r;
}

static int write_items(struct ask *a, const struct collection *c, size_t max, struct jwrite *w)
{
	CLEANUP(freep) struct rights_row *rows = calloc(c->count + 1, sizeof(*rows));
	CLEANUP(freep) struct repo_id *ids = calloc(c->count + 1, sizeof(*ids));
	size_t shown = 0;
	int r = rows && ids ? look(a, c, ids, rows) : -ENOMEM;

	jwrite_array(w, "items");
	for (size_t i = 0; r == 0 && i < c->count && shown < max; i++) {
		const struct collection_item *item = &c->items[i];

		if (!strcmp(item->type, COLLECTION_NESTED))
			r = write_nested(a, item, w, &shown);
		else if (rows[i].sees)
			write_item(w, item, rows[i].names.list[0]->name, rows[i].is_private,
				   shown++);
	}
	jwrite_array_end(w);
	return r;
}

int collection_write(struct ask *a, const struct collection *c, bool listed, struct jwrite *w)
{
	CLEANUP(buf_free) struct buf slug = { 0 };

	collection_slug(c, &slug);
	jwrite_text(w, "slug", buf_str(&slug));
	jwrite_text(w, "title", c->title);
	if (*c->description)
		jwrite_text(w, "description", c->description);
	jwrite_text(w, "owner", c->owner);
	jwrite_time(w, "lastUpdated", c->updated_ms);
	jwrite_bool(w, "gating", false);
	jwrite_bool(w, "private", c->is_private);
	jwrite_text(w, "theme", c->theme);
	jwrite_uint(w, "upvotes", 0);
	jwrite_bool(w, "isUpvotedByUser", false);
	if (!listed)
		jwrite_int(w, "position", c->position);
	return write_items(a, c, listed ? LISTED_ITEMS : COLLECTION_ITEMS_MAX, w);
}
