/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/collections.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/hub/admit.h"
#include "admin/hub/answer.h"
#include "admin/hub/collection_json.h"
#include "admin/hub/writing.h"
#include "admin/registry/collection.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"

#define LIST 30 /* collections of a page */
#define LIST_MAX 100

/* ---- one that is there ---- */

/* inner: the member of the answer that it is, or NULL. */
static int answer_one(struct ask *a, const struct collection *c, const char *inner)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };
	int r;

	jwrite_object(&w, NULL);
	if (inner) {
		jwrite_bool(&w, "success", true);
		jwrite_object(&w, inner);
	}
	r = collection_write(a, c, false, &w);
	jwrite_object_end(&w);
	if (inner)
		jwrite_object_end(&w);
	if (r < 0 || json.failed)
		return r < 0 ? r : json.failed;
	answer_json(a, 200, &json);
	return 0;
}

struct held {
	struct ask *ask;
	const char *act;
	char owner[ACCOUNT_NAME_MAX + 1], id[OWNED_ID + 1];
	const char *rest; /* of the path */
	struct collection c;
	/* What is done to it, in a transaction; or it is made, or goes. */
	int (*change)(struct held *h);
	bool makes, drops;
	const struct jval *body;
	struct collection_item item;
};

static void held_fini(struct held *h)
{
	collection_fini(&h->c);
}

static int read_it(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct held *h = arg;
	int r = owned_get(t, DB_COLLECTIONS, h->owner, h->id, &row);

	collection_fini(&h->c);
	return r < 0 ? r : collection_parse(buf_str(&row), row.len, &h->c);
}

static int write_it(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct held *h = arg;
	int r = h->makes ? 0 : read_it(t, h);

	if (r == 0 && h->drops)
		return owned_del(t, DB_COLLECTIONS, h->owner, h->id);
	if (r == 0 && h->change)
		r = h->change(h);
	if (r < 0)
		return r;
	h->c.updated_ms = clock_wall_s() * 1000;
	collection_print(&h->c, &row);
	return owned_put(t, DB_COLLECTIONS, h->owner, h->id, &row);
}

static int not_found(struct ask *a)
{
	answer_refuse(a, 404, "Collection not found");
	return 0;
}

/* Finds the one that the target names, which who asks may see. -ENOENT. */
static int find(struct held *h)
{
	if (!collection_find_slug(h->ask->asked.target.path, h->owner, h->id, &h->rest))
		return -ENOENT;
	return collection_read(h->ask, h->owner, h->id, &h->c);
}

int collections_show(struct ask *a)
{
	CLEANUP(held_fini) struct held h = { .ask = a };
	int r = find(&h);

	if (r == -ENOENT || (r == 0 && *h.rest))
		return not_found(a);
	return r < 0 ? r : answer_one(a, &h.c, NULL);
}

/* ---- lists ---- */

struct listing {
	struct ask *ask;
	struct buf owner, item;
	uint64_t first, limit, seen;
	bool more;
	struct buf rows; /* those of the page: their length, then they */
};

static void listing_fini(struct listing *l)
{
	buf_free(&l->owner);
	buf_free(&l->item);
	buf_free(&l->rows);
}

/* "models/ns/name": one that it holds. */
static bool holds(const struct collection *c, const char *item)
{
	struct repo_id id;

	if (!*item)
		return true;
	return repo_id_parse_key(item, &id) == 0 &&
	       collection_item_named(c, repo_type_word(id.type), id.name) < c->count;
}

/* Those of others that are private are in no list, whoever asks. */
static int list_row(void *arg, const char *owner, const char *id UNUSED, const char *text,
		    size_t len)
{
	CLEANUP(collection_fini) struct collection c = { .count = 0 };
	struct listing *l = arg;
	int r = collection_parse(text, len, &c);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if ((c.is_private && !(l->ask->who.known && !strcasecmp(owner, l->ask->who.user))) ||
	    !holds(&c, buf_str(&l->item)))
		return 0;
	if (l->seen++ < l->first)
		return 0;
	l->more = l->seen > l->first + l->limit;
	if (l->more)
		return 1;
	buf_add_u32(&l->rows, (uint32_t)len);
	return buf_add(&l->rows, text, len);
}

static int list_rows(struct db_txn *t, void *arg)
{
	struct listing *l = arg;
	int r;

	l->seen = 0;
	l->more = false;
	buf_clear(&l->rows);
	r = owned_each(t, DB_COLLECTIONS, l->owner.len ? buf_str(&l->owner) : NULL, list_row, l);
	return r < 0 ? r : 0;
}

static int write_rows(const struct listing *l, struct jwrite *w)
{
	int r = 0;

	jwrite_array(w, NULL);
	for (size_t at = 0; r == 0 && at < l->rows.len;) {
		CLEANUP(collection_fini) struct collection c = { .count = 0 };
		uint32_t len;

		memcpy(&len, l->rows.data + at, sizeof(len));
		at += sizeof(len);
		r = collection_parse(l->rows.data + at, len, &c);
		at += len;
		jwrite_object(w, NULL);
		if (r == 0)
			r = collection_write(l->ask, &c, true, w);
		jwrite_object_end(w);
	}
	jwrite_array_end(w);
	return r;
}

static void add_next(const struct listing *l, struct httpd_head *h)
{
	const char *query = l->ask->asked.query;
	const char *rest = !strncmp(query, "p=", 2) ? query + strcspn(query, "&") : query;

	if (l->more)
		answer_next(l->ask, h, "/api/collections?p=%ju%s%s",
			    (uintmax_t)(l->first / l->limit + 1), *rest && *rest != '&' ? "&" : "",
			    rest);
}

int collections_list(struct ask *a)
{
	CLEANUP(listing_fini) struct listing l = { .ask = a };
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };
	struct httpd_head h;
	int r;

	if (a->server->rights.closed && !a->who.known)
		return ERR_FORBIDDEN;
	if (!ask_aside_or_here(a))
		return PARKED;
	l.limit = min_u64(target_number(a->asked.query, "limit", LIST), LIST_MAX);
	l.limit = l.limit ? l.limit : LIST;
	l.first = target_number(a->asked.query, "p", 0) * l.limit;
	target_field(a->asked.query, "owner", &l.owner);
	target_field(a->asked.query, "item", &l.item);
	r = db_read(a->server->rights.db, list_rows, &l);
	if (r == 0)
		r = write_rows(&l, &w);
	if (r < 0 || json.failed)
		return r < 0 ? r : json.failed;
	h = answer_head(a, 200, ANSWER_JSON);
	add_next(&l, &h);
	answer_json_head(a, &h, &json);
	return 0;
}

/* ---- changes ---- */

/* A text of the body, if it says one, into a field; false: it is too long, which was answered. */
static bool take(struct held *h, const char *name, char *ret, size_t cap)
{
	const char *text = jval_get_str(h->body, name);

	if (text && strlen(text) >= cap) {
		answer_refuse(h->ask, 400, "\"%s\" must have at most %zu bytes", name, cap - 1);
		return false;
	}
	if (text)
		snprintf(ret, cap, "%s", text);
	return true;
}

static bool take_theme(struct held *h)
{
	static const char *const themes[] = {
		"orange", "blue", "green", "purple", "pink", "indigo"
	};
	const char *word = jval_get_str(h->body, "theme");

	for (size_t i = 0; word && i < ARRAY_LEN(themes); i++)
		if (!strcmp(word, themes[i]))
			return take(h, "theme", h->c.theme, sizeof(h->c.theme));
	if (word)
		answer_refuse(
			h->ask, 400,
			"\"theme\" must be one of [orange, blue, green, purple, pink, indigo]");
	return !word;
}

/* False: it makes no sense, which was answered. */
static bool take_members(struct held *h)
{
	int is_private = jval_bool(jval_get(h->body, "private"));
	int64_t position = jval_get_size(h->body, "position");

	if (jval_get(h->body, "private") && is_private < 0) {
		answer_refuse(h->ask, 400, "\"private\" must be true or false");
		return false;
	}
	if (is_private >= 0)
		h->c.is_private = is_private;
	if (position >= 0)
		h->c.position = position;
	return take(h, "title", h->c.title, sizeof(h->c.title)) &&
	       take(h, "description", h->c.description, sizeof(h->c.description)) && take_theme(h);
}

static int refuse(struct held *h, const struct writing_act *act, int r)
{
	switch (r) {
	case -ENOENT:
		writing_refuse(h->ask, act, 404, "%s not found", h->change ? "Item" : "Collection");
		return ANSWERED;
	case -EFBIG:
		writing_refuse(h->ask, act, 400, "A collection has at most %d items",
			       COLLECTION_ITEMS_MAX);
		return ANSWERED;
	case -EEXIST:
		answer_refuse(h->ask, 409, "This item is in the collection already");
		return ANSWERED;
	default:
		return writing_note_failure(h->ask, act, r);
	}
}

/* ANSWERED: it was not, which was answered. */
static int save(struct held *h)
{
	char note[ACCOUNT_NAME_MAX + OWNED_ID + 2];
	const struct writing_act act = { h->act, NULL, NULL, note };
	int r;

	snprintf(note, sizeof(note), "%s/%s", h->owner, h->id);
	r = db_write(writing_db(h->ask, &act), write_it, h);
	return r < 0 ? refuse(h, &act, r) : writing_done(h->ask, &act);
}

int collections_add(struct ask *a)
{
	CLEANUP(held_fini) struct held h = { .ask = a, .act = "collection.create", .makes = true };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	struct account owner;
	const char *namespace;
	int r;

	if (!writing_begin_own(a, &r))
		return r;
	r = writing_body(a, &body);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	h.body = jdoc_root(body);
	namespace = jval_get_str(h.body, "namespace");
	namespace = namespace ? namespace : a->who.user;
	r = accounts_get(a->server->rights.db, namespace, &owner);
	if (r == 0)
		r = rights_create(&a->server->rights, &a->who, owner.name);
	if (r == 0)
		r = registry_make_uid(h.id);
	if (r < 0)
		return r == -ENOENT ? ERR_FORBIDDEN : r;
	memcpy(h.owner, owner.name, sizeof(h.owner));
	memcpy(h.c.owner, owner.name, sizeof(h.c.owner));
	memcpy(h.c.id, h.id, sizeof(h.c.id));
	strcpy(h.c.theme, "orange");
	if (!take_members(&h))
		return 0;
	if (!*h.c.title) {
		answer_refuse(a, 400, "\"title\" is required");
		return 0;
	}
	r = save(&h);
	return r != 0 ? (r < 0 ? r : 0) : answer_one(a, &h.c, NULL);
}

/* find, for who may change it. False: it is answered, or goes on elsewhere. */
static bool find_own(struct held *h, struct jdoc **body, int *ret)
{
	if (!writing_begin_own(h->ask, ret))
		return false;
	*ret = find(h);
	if (*ret == -ENOENT) {
		*ret = not_found(h->ask);
		return false;
	}
	if (*ret == 0)
		*ret = rights_create(&h->ask->server->rights, &h->ask->who, h->owner);
	if (*ret == 0)
		*ret = writing_body(h->ask, body);
	if (*ret == 0)
		h->body = jdoc_root(*body);
	else if (*ret == ANSWERED)
		*ret = 0;
	return h->body != NULL;
}

/* "items/ID": the id, or NULL. */
static const char *item_of(const struct held *h)
{
	return strncmp(h->rest, "items/", 6) ? NULL : h->rest + 6;
}

static int change_item(struct held *h)
{
	size_t at = collection_item(&h->c, item_of(h));
	int64_t to = jval_get_size(h->body, "position");
	const char *note = jval_get_str(h->body, "note");

	if (at == h->c.count)
		return -ENOENT;
	if (note)
		snprintf(h->c.items[at].note, sizeof(h->c.items[at].note), "%s", note);
	if (to >= 0)
		collection_move(&h->c, at, (size_t)to);
	return 0;
}

static int drop_item(struct held *h)
{
	size_t at = collection_item(&h->c, item_of(h));

	if (at == h->c.count)
		return -ENOENT;
	collection_drop(&h->c, at);
	return 0;
}

/* What is said was checked before: of a copy, whose members go into the row. */
static int change_members(struct held *h)
{
	return take_members(h) ? 0 : -EINVAL;
}

int collections_change(struct ask *a)
{
	CLEANUP(held_fini) struct held h = { .ask = a, .act = "collection.update" };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	char note[COLLECTION_TEXT_MAX + 1];
	int r;

	if (!find_own(&h, &body, &r))
		return r;
	if (*h.rest && !item_of(&h))
		return not_found(a);
	if (item_of(&h) ? !take(&h, "note", note, sizeof(note)) : !take_members(&h))
		return 0;
	h.change = item_of(&h) ? change_item : change_members;
	r = save(&h);
	return r != 0 ? (r < 0 ? r : 0) : answer_one(a, &h.c, "data");
}

int collections_remove(struct ask *a)
{
	CLEANUP(held_fini) struct held h = { .ask = a, .act = "collection.delete", .drops = true };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	int r;

	if (!find_own(&h, &body, &r))
		return r;
	if (*h.rest && !item_of(&h))
		return not_found(a);
	if (item_of(&h)) {
		h.drops = false;
		h.act = "collection.update";
		h.change = drop_item;
	}
	r = save(&h);
	if (r == 0)
		writing_answer_done(a);
	return r < 0 ? r : 0;
}

/* ---- one more item ---- */

static int add_item(struct held *h)
{
	return collection_add(&h->c, &h->item);
}

/* Another collection must be there for who asks. */
static int find_nested(struct held *h, const char *slug)
{
	CLEANUP(buf_free) struct buf now = { 0 };
	int r = collection_slug_now(h->ask, slug, &now);

	if (r == 0 && strstr(buf_str(&now), h->id))
		r = -ENOENT; /* itself */
	if (r == -ENOENT) {
		answer_refuse(h->ask, 404, "Item not found");
		return ANSWERED;
	}
	snprintf(h->item.type, sizeof(h->item.type), "%s", COLLECTION_NESTED);
	snprintf(h->item.name, sizeof(h->item.name), "%s", buf_str(&now));
	return r;
}

/* The repository must be there for who asks: it is looked for as if it were asked for. */
static int find_repo_item(struct held *h, const struct jval *item)
{
	const char *type = jval_get_str(item, "type"), *name = jval_get_str(item, "id");
	struct ask *a = h->ask;
	enum repo_type kind = type ? collection_repo_type(type) : REPO_TYPE_COUNT;
	int r;

	if (kind == REPO_TYPE_COUNT || !name) {
		answer_refuse(
			a, 400,
			"\"item\" must have an \"id\", and a \"type\" of [model, dataset, space]");
		return ANSWERED;
	}
	if (repo_id_parse(kind, name, &a->asked.target.repo) < 0)
		return ERR_NOREPO;
	a->role = ROLE_READ;
	r = admit_ask(a);
	if (r == PARKED || (r != 0 && r != ERR_MOVED))
		return r; /* it may be gone already */
	snprintf(h->item.type, sizeof(h->item.type), "%s", type);
	snprintf(h->item.name, sizeof(h->item.name), "%s",
		 repo_id_of(repo_canonical(a->repo))->name);
	return 0;
}

static int find_item(struct held *h, const struct jval *item)
{
	const char *type = jval_get_str(item, "type"), *id = jval_get_str(item, "id");

	return type && id && !strcmp(type, COLLECTION_NESTED) ? find_nested(h, id)
							      : find_repo_item(h, item);
}

int collections_add_item(struct ask *a)
{
	CLEANUP(held_fini)
	struct held h = { .ask = a, .act = "collection.update", .change = add_item };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	int r;

	if (!find_own(&h, &body, &r))
		return r;
	if (strcmp(h.rest, "items") != 0)
		return not_found(a);
	if (!take(&h, "note", h.item.note, sizeof(h.item.note)))
		return 0;
	r = find_item(&h, jval_get(h.body, "item"));
	if (r == PARKED)
		return r; /* it may be gone already */
	if (r == 0)
		r = registry_make_uid(h.item.id);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	r = save(&h);
	return r != 0 ? (r < 0 ? r : 0) : answer_one(a, &h.c, NULL);
}
