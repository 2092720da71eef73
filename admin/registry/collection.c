/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/collection.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"

void collection_fini(struct collection *c)
{
	free(c->items);
	*c = (struct collection){ .count = 0 };
}

/* ---- as a row ---- */

static void take(const struct jval *v, const char *name, char *ret, size_t cap)
{
	const char *text = jval_get_str(v, name);

	snprintf(ret, cap, "%s", text ? text : "");
}

static int take_items(const struct jval *list, struct collection *c)
{
	size_t count = jval_count(list);

	c->items = calloc(count + 1, sizeof(*c->items));
	if (!c->items)
		return -ENOMEM;
	for (; c->count < count; c->count++) {
		const struct jval *v = jval_at(list, c->count);
		struct collection_item *item = &c->items[c->count];

		take(v, "id", item->id, sizeof(item->id));
		take(v, "type", item->type, sizeof(item->type));
		take(v, "name", item->name, sizeof(item->name));
		take(v, "note", item->note, sizeof(item->note));
	}
	return 0;
}

int collection_parse(const char *row, size_t len, struct collection *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *v;
	int r = jdoc_parse(row, len, &doc);

	if (r < 0)
		return r == -ENOMEM ? r : ERR_CORRUPT;
	v = jdoc_root(doc);
	take(v, "owner", ret->owner, sizeof(ret->owner));
	take(v, "id", ret->id, sizeof(ret->id));
	take(v, "title", ret->title, sizeof(ret->title));
	take(v, "description", ret->description, sizeof(ret->description));
	take(v, "theme", ret->theme, sizeof(ret->theme));
	ret->is_private = jval_bool(jval_get(v, "private")) != 0;
	ret->position = jval_get_size(v, "position");
	ret->updated_ms = jval_get_size(v, "updated");
	return take_items(jval_get(v, "items"), ret);
}

void collection_print(const struct collection *c, struct buf *ret)
{
	struct jwrite w = { .to = ret };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "owner", c->owner);
	jwrite_text(&w, "id", c->id);
	jwrite_text(&w, "title", c->title);
	jwrite_text(&w, "description", c->description);
	jwrite_text(&w, "theme", c->theme);
	jwrite_bool(&w, "private", c->is_private);
	jwrite_int(&w, "position", c->position);
	jwrite_int(&w, "updated", c->updated_ms);
	jwrite_array(&w, "items");
	for (size_t i = 0; i < c->count; i++) {
		jwrite_object(&w, NULL);
		jwrite_text(&w, "id", c->items[i].id);
		jwrite_text(&w, "type", c->items[i].type);
		jwrite_text(&w, "name", c->items[i].name);
		jwrite_text(&w, "note", c->items[i].note);
		jwrite_object_end(&w);
	}
	jwrite_array_end(&w);
	jwrite_object_end(&w);
}

/* ---- its address ---- */

void collection_slug(const struct collection *c, struct buf *ret)
{
	bool begun = false, gap = false;

	buf_printf(ret, "%s/", c->owner);
	for (const char *at = c->title; *at; at++) {
		char letter = (char)tolower((unsigned char)*at);

		if (!isalnum((unsigned char)*at) || (unsigned char)*at >= 128) {
			gap = begun;
			continue;
		}
		if (gap)
			buf_add(ret, "-", 1);
		buf_add(ret, &letter, 1);
		begun = true;
		gap = false;
	}
	buf_printf(ret, "%s%s", begun ? "-" : "", c->id);
}

bool collection_find_slug(const char *path, char ret_owner[static ACCOUNT_NAME_MAX + 1],
			  char ret_id[static OWNED_ID + 1], const char **ret_rest)
{
	size_t owner = strcspn(path, "/"), len;
	const char *slug = path + owner + 1;

	if (!owner || owner > ACCOUNT_NAME_MAX || !path[owner])
		return false;
	len = strcspn(slug, "/");
	if (len < OWNED_ID || (len > OWNED_ID && slug[len - OWNED_ID - 1] != '-'))
		return false;
	snprintf(ret_owner, ACCOUNT_NAME_MAX + 1, "%.*s", (int)owner, path);
	snprintf(ret_id, OWNED_ID + 1, "%.*s", OWNED_ID, slug + len - OWNED_ID);
	*ret_rest = slug + len + (slug[len] == '/');
	return hex_is(ret_id, OWNED_ID);
}

/* ---- its items ---- */

size_t collection_item(const struct collection *c, const char *id)
{
	size_t i = 0;

	while (i < c->count && strcmp(c->items[i].id, id) != 0)
		i++;
	return i;
}

size_t collection_item_named(const struct collection *c, const char *type, const char *name)
{
	size_t i = 0;

	while (i < c->count &&
	       (strcmp(c->items[i].type, type) != 0 || strcasecmp(c->items[i].name, name) != 0))
		i++;
	return i;
}

int collection_add(struct collection *c, const struct collection_item *item)
{
	struct collection_item *items;

	if (collection_item_named(c, item->type, item->name) < c->count)
		return -EEXIST;
	if (c->count >= COLLECTION_ITEMS_MAX)
		return -EFBIG;
	items = reallocarray(c->items, c->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	c->items = items;
	items[c->count++] = *item;
	return 0;
}

void collection_drop(struct collection *c, size_t at)
{
	c->count--;
	memmove(&c->items[at], &c->items[at + 1], (c->count - at) * sizeof(*c->items));
}

void collection_move(struct collection *c, size_t from, size_t to)
{
	struct collection_item item = c->items[from];

	if (to >= c->count)
		to = c->count - 1;
	if (from < to)
		memmove(&c->items[from], &c->items[from + 1], (to - from) * sizeof(item));
	else
		memmove(&c->items[to + 1], &c->items[to], (from - to) * sizeof(item));
	c->items[to] = item;
}
