/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/owned.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OWNER_MAX ACCOUNT_NAME_MAX

static struct db_key key_of(struct buf *room, const char *owner, const char *id)
{
	char name[OWNER_MAX + 1];

	snprintf(name, sizeof(name), "%s", owner);
	account_key(name, name);
	return db_pair(room, name, id);
}

int owned_put(struct db_txn *t, enum db_table table, const char *owner, const char *id,
	      const struct buf *text)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	if (text->failed)
		return text->failed;
	return db_put(t, table, key_of(&room, owner, id), buf_str(text), text->len);
}

int owned_get(struct db_txn *t, enum db_table table, const char *owner, const char *id,
	      struct buf *ret)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	return db_get(t, table, key_of(&room, owner, id), ret);
}

int owned_del(struct db_txn *t, enum db_table table, const char *owner, const char *id)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	return db_del(t, table, key_of(&room, owner, id));
}

struct each {
	owned_fn fn;
	void *arg;
};

static int each_row(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each *e = arg;
	char owner[OWNER_MAX + 1], id[OWNED_ID + 1];
	size_t at = strnlen(key.data, key.len);

	snprintf(owner, sizeof(owner), "%.*s", (int)at, (const char *)key.data);
	if (key.len < at + 1)
		return 0;
	snprintf(id, sizeof(id), "%.*s", (int)(key.len - at - 1), (const char *)key.data + at + 1);
	return e->fn(e->arg, owner, id, val, len);
}

int owned_each(struct db_txn *t, enum db_table table, const char *owner, owned_fn fn, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	const struct db_key all = { 0 };
	struct each e = { fn, arg };

	return db_each(t, table, owner ? key_of(&room, owner, "") : all, all, each_row, &e);
}

static int note_id(void *arg, const char *owner UNUSED, const char *id, const char *text UNUSED,
		   size_t len UNUSED)
{
	return buf_printf(arg, "%s\n", id);
}

int owned_del_all(struct db_txn *t, enum db_table table, const char *owner)
{
	CLEANUP(buf_free) struct buf list = { 0 };
	int r = owned_each(t, table, owner, note_id, &list);
	char *at = list.data, *id;

	while (r == 0 && at && (id = strsep(&at, "\n")) && *id)
		r = owned_del(t, table, owner, id);
	return r;
}
