/* SPDX-License-Identifier: Apache-2.0 */
/* A row is "bytes models/ns/name". */
#include "admin/registry/owners.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/holdings.h"
#include "daemon/base/err.h"

#define UID_MAX 64

static int parse(const char *row, struct owner *ret)
{
	char *end;

	*ret = (struct owner){ .bytes = strtoull(row, &end, 10) };
	if (end == row || *end != ' ' || strlen(end + 1) > REPO_KEY_MAX)
		return ERR_CORRUPT;
	snprintf(ret->repo, sizeof(ret->repo), "%s", end + 1);
	holdings_namespace(ret->repo, ret->namespace);
	return 0;
}

int owners_get(struct db_txn *t, const char *uid, struct owner *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, DB_OWNERS, db_text(uid), &row);

	return r < 0 ? r : parse(buf_str(&row), ret);
}

static int put(struct db_txn *t, const char *uid, uint64_t bytes, const char *repo)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = buf_printf(&row, "%" PRIu64 " %s", bytes, repo);

	return r < 0 ? r : db_put(t, DB_OWNERS, db_text(uid), row.data, row.len);
}

int owners_put(struct db_txn *t, const char *uid, const char *repo)
{
	struct owner old = { .bytes = 0 };
	int r = owners_get(t, uid, &old);

	return r < 0 && r != -ENOENT ? r : put(t, uid, old.bytes, repo);
}

int owners_del(struct db_txn *t, const char *uid)
{
	return db_del(t, DB_OWNERS, db_text(uid));
}

int owners_add(struct db_txn *t, const char *uid, const char *payer, const char *etag,
	       uint64_t size)
{
	struct owner o;
	int r = owners_get(t, uid, &o);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = holdings_add(t, holdings_payer(payer, o.namespace), etag, size);
	return r < 0 ? r : put(t, uid, o.bytes + size, o.repo);
}

int owners_drop(struct db_txn *t, const char *uid, const char *payer, const char *etag,
		uint64_t size)
{
	struct owner o;
	int r = owners_get(t, uid, &o);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = holdings_drop(t, holdings_payer(payer, o.namespace), etag);
	return r < 0 ? r : put(t, uid, o.bytes < size ? 0 : o.bytes - size, o.repo);
}

struct each {
	owners_fn fn;
	void *arg;
};

static int each_row(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each *e = arg;
	char uid[UID_MAX + 1], row[REPO_KEY_MAX + 32];
	struct owner o;

	snprintf(uid, sizeof(uid), "%.*s", (int)key.len, (const char *)key.data);
	snprintf(row, sizeof(row), "%.*s", (int)len, val);
	return parse(row, &o) < 0 ? 0 : e->fn(e->arg, uid, &o);
}

int owners_each(struct db_txn *t, owners_fn fn, void *arg)
{
	const struct db_key all = { 0 };
	struct each e = { fn, arg };

	return db_each(t, DB_OWNERS, all, all, each_row, &e);
}
