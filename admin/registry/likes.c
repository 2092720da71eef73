/* SPDX-License-Identifier: Apache-2.0 */
/* A like has two rows: by the repository's uid and the user, and the other way round, with the name
 * and the time. The row of a uid alone is how many it has. */
#include "admin/registry/likes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/catalogue/catalogue.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

static void user_key(const char *user, char ret[static ACCOUNT_NAME_MAX + 1])
{
	snprintf(ret, ACCOUNT_NAME_MAX + 1, "%s", user);
	account_key(ret, ret);
}

static int count_row(void *arg, struct db_key key UNUSED, const char *val UNUSED, size_t len UNUSED)
{
	++*(uint64_t *)arg;
	return 0;
}

/* Its own row is there so that nobody has to count: who cannot read it does. */
int likes_count(struct db_txn *t, const char *uid, uint64_t *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 }, room = { 0 };
	int r = db_get(t, DB_LIKES, db_text(uid), &text);

	*ret = r == 0 ? strtoull(buf_str(&text), NULL, 10) : 0;
	if (r == ERR_CORRUPT)
		return db_each_all(t, DB_LIKES, db_pair(&room, uid, ""), count_row, ret);
	return r == -ENOENT ? 0 : r;
}

static int set_count(struct db_txn *t, const char *uid, uint64_t count)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, count);

	return count ? db_put(t, DB_LIKES, db_text(uid), text, (size_t)len)
		     : db_del(t, DB_LIKES, db_text(uid));
}

/* Lists are sorted by it, too. */
static int tell_catalogue(struct db_txn *t, const char *uid, uint64_t count)
{
	struct registry_repo now;
	int r = registry_now(t, uid, &now);

	if (r < 0)
		return r == ERR_NOREPO ? 0 : r;
	return catalogue_set(t, &now.id, CATALOGUE_LIKES, (double)count);
}

static int put_count(struct db_txn *t, const char *uid, uint64_t count)
{
	int r = set_count(t, uid, count);

	return r < 0 ? r : tell_catalogue(t, uid, count);
}

/* That it is there is all that a row says: so does one that is damaged. */
static int has(struct db_txn *t, const char *uid, const char *user)
{
	CLEANUP(buf_free) struct buf room = { 0 }, row = { 0 };
	int r = db_get(t, DB_LIKES, db_pair(&room, uid, user), &row);

	return r == ERR_CORRUPT ? 0 : r;
}

/* Both rows. */
static int del_rows(struct db_txn *t, const char *uid, const char *user)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	int r = db_del(t, DB_LIKES, db_pair(&room, uid, user));

	return r < 0 ? r : db_del(t, DB_LIKED, db_pair(&room, user, uid));
}

int like_put(struct db_txn *t, const struct registry_repo *repo, const char *user, int64_t now_s)
{
	CLEANUP(buf_free) struct buf room = { 0 }, row = { 0 };
	char key[REPO_KEY_MAX + 1], name[ACCOUNT_NAME_MAX + 1];
	struct registry_repo now;
	uint64_t count = 0;
	int r = registry_now(t, repo->uid, &now);

	user_key(user, name);
	if (r == 0)
		r = has(t, repo->uid, name);
	if (r != -ENOENT)
		return r;
	repo_id_key(&repo->id, key);
	buf_printf(&row, "%" PRId64 " %s", now_s, key);
	r = row.failed ? row.failed : likes_count(t, repo->uid, &count);
	if (r == 0)
		r = db_put(t, DB_LIKES, db_pair(&room, repo->uid, name), "1", 1);
	if (r == 0)
		r = db_put(t, DB_LIKED, db_pair(&room, name, repo->uid), row.data, row.len);
	return r < 0 ? r : put_count(t, repo->uid, count + 1);
}

int like_del(struct db_txn *t, const char *uid, const char *user)
{
	char name[ACCOUNT_NAME_MAX + 1];
	uint64_t count;
	int r;

	user_key(user, name);
	r = has(t, uid, name);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = likes_count(t, uid, &count);
	if (r == 0)
		r = del_rows(t, uid, name);
	return r < 0 ? r : put_count(t, uid, count - (count > 0));
}

/* ---- who or what goes, with all ---- */

/* What follows the NUL. */
static void second_of(struct db_key key, char *ret, size_t cap)
{
	size_t at = strnlen(key.data, key.len);

	snprintf(ret, cap, "%.*s", at < key.len ? (int)(key.len - at - 1) : 0,
		 (const char *)key.data + at + (at < key.len));
}

/* A line each: all are found before any is taken away. Those that are damaged go as well. */
static int note_second(void *arg, struct db_key key, const char *val, size_t len UNUSED)
{
	char second[ACCOUNT_NAME_MAX + REGISTRY_UID + 1];

	second_of(key, second, sizeof(second));
	if (!val)
		log_warn(ERR_CORRUPT, "a like whose row is damaged goes of=%s", second);
	return *second ? buf_printf(arg, "%s\n", second) : 0;
}

int likes_forget(struct db_txn *t, const char *uid)
{
	CLEANUP(buf_free) struct buf room = { 0 }, list = { 0 };
	int r = db_each_all(t, DB_LIKES, db_pair(&room, uid, ""), note_second, &list);
	char *at = list.data, *user;

	while (r == 0 && at && (user = strsep(&at, "\n")) && *user)
		r = del_rows(t, uid, user);
	return r < 0 ? r : set_count(t, uid, 0);
}

/* What is damaged keeps nobody here: counts are made again from rows, the catalogue at a start. */
static int forget_one(struct db_txn *t, const char *uid, const char *name)
{
	int r = like_del(t, uid, name);

	if (r == ERR_CORRUPT)
		log_warn(r, "lists do not tell yet who likes a repository no more uid=%s", uid);
	return r < 0 && r != ERR_CORRUPT ? r : del_rows(t, uid, name);
}

int likes_forget_user(struct db_txn *t, const char *user)
{
	CLEANUP(buf_free) struct buf room = { 0 }, list = { 0 };
	char name[ACCOUNT_NAME_MAX + 1];
	char *at, *uid;
	int r;

	user_key(user, name);
	r = db_each_all(t, DB_LIKED, db_pair(&room, name, ""), note_second, &list);
	at = list.data;
	while (r == 0 && at && (uid = strsep(&at, "\n")) && *uid)
		r = forget_one(t, uid, name);
	return r;
}

/* ---- lists ---- */

struct each {
	liker_fn liker;
	liked_fn liked;
	void *arg;
};

static int each_liker(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	const struct each *e = arg;
	char user[ACCOUNT_NAME_MAX + 1];

	second_of(key, user, sizeof(user));
	return e->liker(e->arg, user);
}

static int each(struct db_txn *t, enum db_table table, const char *first, const char *after,
		db_each_fn fn, void *arg)
{
	CLEANUP(buf_free) struct buf all = { 0 }, from = { 0 };
	struct db_key prefix = db_pair(&all, first, ""), behind = { 0 };

	if (*after)
		behind = db_pair(&from, first, after);
	return db_each(t, table, prefix, behind, fn, arg);
}

int likes_each(struct db_txn *t, const char *uid, const char *after, liker_fn fn, void *arg)
{
	struct each e = { .liker = fn, .arg = arg };
	char name[ACCOUNT_NAME_MAX + 1];

	user_key(after, name);
	return each(t, DB_LIKES, uid, name, each_liker, &e);
}

static int each_liked(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each *e = arg;
	char text[REPO_KEY_MAX + 32];
	struct liked liked;
	char *end;

	snprintf(text, sizeof(text), "%.*s", (int)len, val);
	liked.at_s = strtoll(text, &end, 10);
	second_of(key, liked.uid, sizeof(liked.uid));
	if (*end != ' ' || repo_id_parse_key(end + 1, &liked.then) < 0)
		return 0;
	return e->liked(e->arg, &liked);
}

int likes_of(struct db_txn *t, const char *user, const char *after, liked_fn fn, void *arg)
{
	struct each e = { .liked = fn, .arg = arg };
	char name[ACCOUNT_NAME_MAX + 1];

	user_key(user, name);
	return each(t, DB_LIKED, name, after, each_liked, &e);
}
