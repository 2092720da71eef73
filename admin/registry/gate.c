/* SPDX-License-Identifier: Apache-2.0 */
/* Rows are JSON, by the repository's uid and the user's name in small letters. */
#include "admin/registry/gate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"

static const char *const words[GATE_STATUS_COUNT] = { "", "pending", "accepted", "rejected",
						      "reset" };

const char *gate_word(enum gate_status status)
{
	return words[status];
}

enum gate_status gate_status_of(const char *word)
{
	for (int i = GATE_PENDING; word && i < GATE_STATUS_COUNT; i++)
		if (!strcmp(words[i], word))
			return (enum gate_status)i;
	return GATE_UNASKED;
}

void gate_request_fini(struct gate_request *r)
{
	buf_free(&r->fields);
}

/* ---- rows ---- */

static struct db_key row_key(struct buf *room, const char *uid, const char *user)
{
	char key[ACCOUNT_NAME_MAX + 1] = "";

	if (strlen(user) < sizeof(key))
		account_key(user, key);
	return db_pair(room, uid, key);
}

static void copy_text(const struct jval *v, const char *name, char *ret, size_t cap)
{
	const char *text = jval_get_str(v, name);

	snprintf(ret, cap, "%s", text ? text : "");
}

static int parse(const char *row, size_t len, struct gate_request *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *v, *fields;
	int r = jdoc_parse(row, len, &doc);

	gate_request_fini(ret);
	*ret = (struct gate_request){ .status = GATE_UNASKED };
	if (r < 0)
		return r == -ENOMEM ? r : ERR_CORRUPT;
	v = jdoc_root(doc);
	copy_text(v, "id", ret->id, sizeof(ret->id));
	copy_text(v, "user", ret->user, sizeof(ret->user));
	copy_text(v, "by", ret->by, sizeof(ret->by));
	ret->status = gate_status_of(jval_get_str(v, "status"));
	ret->asked_s = jval_get_size(v, "asked");
	ret->reviewed_s = jval_get_size(v, "reviewed");
	fields = jval_get(v, "fields");
	r = fields ? jdoc_print(fields, NULL, NULL, &ret->fields) : 0;
	return r == 0 && ret->status == GATE_UNASKED ? ERR_CORRUPT : r;
}

int gate_get(struct db_txn *t, const char *uid, const char *user, struct gate_request *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 }, room = { 0 };
	int r = db_get(t, DB_GATE, row_key(&room, uid, user), &row);

	return r < 0 ? r : parse(buf_str(&row), row.len, ret);
}

int gate_put(struct db_txn *t, const char *uid, const struct gate_request *r)
{
	CLEANUP(buf_free) struct buf row = { 0 }, room = { 0 };
	struct jwrite w = { .to = &row };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "id", r->id);
	jwrite_text(&w, "user", r->user);
	jwrite_text(&w, "status", words[r->status]);
	jwrite_int(&w, "asked", r->asked_s);
	jwrite_int(&w, "reviewed", r->reviewed_s);
	jwrite_text(&w, "by", r->by);
	if (r->fields.len)
		jwrite_json(&w, "fields", r->fields.data);
	jwrite_object_end(&w);
	return row.failed ? row.failed
			  : db_put(t, DB_GATE, row_key(&room, uid, r->user), row.data, row.len);
}

int gate_del(struct db_txn *t, const char *uid, const char *user)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	return db_del(t, DB_GATE, row_key(&room, uid, user));
}

struct each {
	gate_fn fn;
	void *arg;
};

static int each_row(void *arg, struct db_key key UNUSED, const char *val, size_t len)
{
	CLEANUP(gate_request_fini) struct gate_request request = { .status = GATE_UNASKED };
	const struct each *e = arg;
	int r = parse(val, len, &request);

	return r == -ENOMEM ? r : r < 0 ? 0 : e->fn(e->arg, &request);
}

int gate_each(struct db_txn *t, const char *uid, const char *after, gate_fn fn, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 }, from = { 0 };
	struct db_key prefix = row_key(&room, uid, ""), behind = { 0 };
	struct each e = { fn, arg };

	if (*after)
		behind = row_key(&from, uid, after);
	return db_each(t, DB_GATE, prefix, behind, each_row, &e);
}

/* ---- an account that goes ---- */

struct leaver {
	char key[ACCOUNT_NAME_MAX + 1];
	struct buf uids; /* a line each */
};

static int note_uid(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	struct leaver *l = arg;
	size_t name = strlen(l->key);
	const char *data = key.data;

	if (key.len != REGISTRY_UID + 1 + name || memcmp(data + REGISTRY_UID + 1, l->key, name))
		return 0;
	return buf_printf(&l->uids, "%.*s\n", REGISTRY_UID, data);
}

int gate_forget_user(struct db_txn *t, const char *user)
{
	const struct db_key all = { 0 };
	struct leaver l = { .key = "" };
	char *at, *uid;
	int r;

	account_key(user, l.key);
	r = db_each(t, DB_GATE, all, all, note_uid, &l);
	at = l.uids.data;
	while (r == 0 && at && (uid = strsep(&at, "\n")) && *uid)
		r = gate_del(t, uid, user);
	buf_free(&l.uids);
	return r;
}
