/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/uploads.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/holdings.h"
#include "daemon/base/err.h"

#define ROW_MAX (48 + ACCOUNT_NAME_MAX)

/* What a row says: "size second", and of whose bytes others pay for " namespace". */
struct row {
	uint64_t size;
	int64_t came_s;
	char payer[ACCOUNT_NAME_MAX + 1]; /* or "" */
};

static int parse(const char *text, struct row *ret)
{
	char *end;

	*ret = (struct row){ .size = strtoull(text, &end, 10) };
	if (*end != ' ')
		return ERR_CORRUPT;
	ret->came_s = strtoll(end, &end, 10);
	if (*end == ' ')
		snprintf(ret->payer, sizeof(ret->payer), "%s", end + 1);
	return 0;
}

static int get(struct db_txn *t, const char *repo, const char *etag, struct row *ret)
{
	CLEANUP(buf_free) struct buf room = { 0 }, text = { 0 };
	int r = db_get(t, DB_UPLOADS, db_pair(&room, repo, etag), &text);

	return r < 0 ? r : parse(buf_str(&text), ret);
}

static int put(struct db_txn *t, const char *repo, const char *etag, const struct row *row)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	char text[ROW_MAX];
	int len = snprintf(text, sizeof(text), "%" PRIu64 " %" PRId64 "%s%s", row->size,
			   row->came_s, *row->payer ? " " : "", row->payer);

	return db_put(t, DB_UPLOADS, db_pair(&room, repo, etag), text, (size_t)len);
}

int uploads_note(struct db_txn *t, const char *repo, const char *payer, const char *etag,
		 uint64_t size, int64_t now_s)
{
	char namespace[ACCOUNT_NAME_MAX + 1];
	struct row row;
	int r = get(t, repo, etag, &row);

	if (r != 0)
		snprintf(row.payer, sizeof(row.payer), "%s", payer);
	holdings_namespace(repo, namespace);
	if (r == -ENOENT)
		r = holdings_add(t, holdings_payer(row.payer, namespace), etag, size);
	if (r < 0 && r != ERR_CORRUPT)
		return r;
	row.size = size;
	row.came_s = now_s;
	return put(t, repo, etag, &row);
}

int uploads_find(struct db_txn *t, const char *repo, const char *etag, uint64_t *ret_size)
{
	struct row row;
	int r = get(t, repo, etag, &row);

	if (r == 0)
		*ret_size = row.size;
	return r;
}

int uploads_forget(struct db_txn *t, const char *repo, const char *etag)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	char namespace[ACCOUNT_NAME_MAX + 1];
	struct row old = { .size = 0 };
	int r = get(t, repo, etag, &old);

	holdings_namespace(repo, namespace);
	if (r == 0)
		r = holdings_drop(t, holdings_payer(old.payer, namespace), etag);
	if (r < 0 && r != ERR_CORRUPT)
		return r == -ENOENT ? 0 : r;
	return db_del(t, DB_UPLOADS, db_pair(&room, repo, etag));
}

/* The etag is what follows the NUL. */
static int list_etag(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	const char *nul = memchr(key.data, '\0', key.len);
	size_t etag_len = nul ? key.len - (size_t)(nul + 1 - (const char *)key.data) : 0;

	return nul ? buf_printf(arg, "%.*s\n", (int)etag_len, nul + 1) : 0;
}

static int move(struct db_txn *t, const char *from, const char *to, const char *etag, int64_t now_s)
{
	struct row row;
	int r = get(t, from, etag, &row);

	if (r == 0)
		r = uploads_note(t, to, row.payer, etag, row.size, now_s);
	return r < 0 ? r : uploads_forget(t, from, etag);
}

int uploads_move(struct db_txn *t, const char *from, const char *to, int64_t now_s)
{
	CLEANUP(buf_free) struct buf room = { 0 }, list = { 0 };
	int r = db_each(t, DB_UPLOADS, db_pair(&room, from, ""), (struct db_key){ 0 }, list_etag,
			&list);
	char *at = strcmp(from, to) ? list.data : NULL, *etag;

	while (r == 0 && at && (etag = strsep(&at, "\n")) && *etag)
		r = move(t, from, to, etag, now_s);
	return r;
}

int uploads_forget_all(struct db_txn *t, const char *repo)
{
	CLEANUP(buf_free) struct buf room = { 0 }, list = { 0 };
	int r = db_each(t, DB_UPLOADS, db_pair(&room, repo, ""), (struct db_key){ 0 }, list_etag,
			&list);
	char *at = list.data, *etag;

	while (r == 0 && at && (etag = strsep(&at, "\n")) && *etag)
		r = uploads_forget(t, repo, etag);
	return r;
}

/* ---- all that one pays for ---- */

struct leaver {
	const char *name;
	struct buf list; /* a repository's key, a blank and an etag each, a line */
};

/* What came for repositories of the namespace stays its own, as they do. */
static int list_paid(void *arg, const struct upload_row *u)
{
	struct leaver *l = arg;
	char own[ACCOUNT_NAME_MAX + 1];

	holdings_namespace(u->repo, own);
	return strcmp(u->namespace, l->name) != 0 || !strcmp(own, l->name)
		       ? 0
		       : buf_printf(&l->list, "%s %s\n", u->repo, u->etag);
}

/* Counts that cannot be read are the collector's to mend: nobody stays for them. */
static int leave_one(struct db_txn *t, const char *repo, const char *etag, const char *payer)
{
	struct row row;
	int r = get(t, repo, etag, &row);

	if (r < 0)
		return r;
	r = holdings_drop(t, payer, etag);
	if (r == 0)
		r = holdings_add(t, HOLDINGS_NOBODY, etag, row.size);
	snprintf(row.payer, sizeof(row.payer), "%s", HOLDINGS_NOBODY);
	return r < 0 && r != ERR_CORRUPT ? r : put(t, repo, etag, &row);
}

int uploads_leave(struct db_txn *t, const char *payer)
{
	struct leaver l = { .name = payer };
	int r = uploads_each(t, NULL, list_paid, &l);
	char *at = l.list.data, *repo;

	while (r == 0 && at && (repo = strsep(&at, "\n")) && *repo) {
		char *etag = strchr(repo, ' ');

		*etag++ = '\0';
		r = leave_one(t, repo, etag, payer);
	}
	buf_free(&l.list);
	return r;
}

/* ---- all of them ---- */

struct each {
	uploads_fn fn;
	void *arg;
};

static int each_row(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each *e = arg;
	char room[DB_KEY_MAX + 1], text[ROW_MAX], namespace[ACCOUNT_NAME_MAX + 1];
	struct upload_row u = { .repo = room };
	struct row row;

	memcpy(room, key.data, key.len);
	room[key.len] = '\0';
	u.etag = room + strlen(room) + 1;
	snprintf(text, sizeof(text), "%.*s", (int)len, val);
	if (u.etag > room + key.len || parse(text, &row) < 0)
		return 0;
	holdings_namespace(room, namespace);
	u.namespace = holdings_payer(row.payer, namespace);
	u.size = row.size;
	u.came_s = row.came_s;
	return e->fn(e->arg, &u);
}

int uploads_each(struct db_txn *t, const char *after_repo, uploads_fn fn, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct each e = { fn, arg };
	struct db_key after = { 0 };

	/* Behind all etags: they are hex digits. */
	if (after_repo)
		after = db_pair(&room, after_repo, "g");
	return db_each(t, DB_UPLOADS, (struct db_key){ 0 }, after, each_row, &e);
}

struct age {
	int64_t newest_s;
	uint64_t count, bytes;
};

static int take_age(void *arg, const struct upload_row *u)
{
	struct age *a = arg;

	a->newest_s = u->came_s > a->newest_s ? u->came_s : a->newest_s;
	a->count++;
	a->bytes += u->size;
	return 0;
}

int uploads_abandoned(struct db_txn *t, const char *repo, int64_t before_s, uint64_t *ret_count,
		      uint64_t *ret_bytes)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct age a = { .newest_s = 0 };
	struct each e = { take_age, &a };
	int r = db_each(t, DB_UPLOADS, db_pair(&room, repo, ""), (struct db_key){ 0 }, each_row,
			&e);

	*ret_count = a.count;
	*ret_bytes = a.bytes;
	return r < 0 ? r : a.count && a.newest_s < before_s;
}
