/* SPDX-License-Identifier: Apache-2.0 */
/* The key of a row is "uid NUL commit NUL name". */
#include "admin/registry/checks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"
#include "daemon/base/why.h"

#define PREFIX (REGISTRY_UID + 1 + COMMIT_HEX + 1)
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* Length of the name at the beginning, 0 if there is none. */
static size_t name_len(const char *text)
{
	size_t len = strspn(text, NAME_LETTERS);

	return len <= CHECK_NAME_MAX ? len : 0;
}

bool check_name_valid(const char *name)
{
	size_t len = name_len(name);

	return len && !name[len];
}

bool check_wanted_valid(const char *wanted)
{
	size_t len = name_len(wanted);

	return len &&
	       (!wanted[len] || (wanted[len] == '@' && account_name_valid(wanted + len + 1)));
}

static struct db_key key_of(const char *uid, const char *commit, const char *name,
			    char room[static PREFIX + CHECK_NAME_MAX])
{
	size_t len = strnlen(name, CHECK_NAME_MAX);

	memcpy(room, uid, REGISTRY_UID + 1);
	memcpy(room + REGISTRY_UID + 1, commit, COMMIT_HEX + 1);
	memcpy(room + PREFIX, name, len);
	return (struct db_key){ room, PREFIX + len };
}

static int put(struct db_txn *t, const char *uid, const char *commit, const struct check *check)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[PREFIX + CHECK_NAME_MAX];
	struct jwrite w = { .to = &row };

	jwrite_object(&w, NULL);
	jwrite_bool(&w, "passed", check->passed);
	jwrite_text(&w, "user", check->user);
	jwrite_text(&w, "url", check->url);
	jwrite_int(&w, "at", check->at_s);
	jwrite_object_end(&w);
	if (row.failed)
		return row.failed;
	return db_put(t, DB_CHECKS, key_of(uid, commit, check->name, room), row.data, row.len);
}

int check_put(struct db_txn *t, const char *uid, const char *commit, const struct check *check)
{
	struct check now = *check;

	now.at_s = clock_wall_s();
	return put(t, uid, commit, &now);
}

static int parse(const char *name, const char *row, size_t len, struct check *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r = jdoc_parse(row, len, &doc);
	const struct jval *v;
	const char *user, *url;

	if (r < 0)
		return r == -ENOMEM ? r : ERR_CORRUPT;
	v = jdoc_root(doc);
	user = jval_get_str(v, "user");
	url = jval_get_str(v, "url");
	*ret = (struct check){ .passed = jval_bool(jval_get(v, "passed")) == 1,
			       .at_s = jval_get_size(v, "at") };
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->user, sizeof(ret->user), "%s", user ? user : "");
	snprintf(ret->url, sizeof(ret->url), "%s", url ? url : "");
	return 0;
}

int check_get(struct db_txn *t, const char *uid, const char *commit, const char *name,
	      struct check *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[PREFIX + CHECK_NAME_MAX];
	int r = db_get(t, DB_CHECKS, key_of(uid, commit, name, room), &row);

	return r < 0 ? r : parse(name, buf_str(&row), row.len, ret);
}

struct each {
	check_fn fn;
	void *arg;
};

static int each_row(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each *e = arg;
	char name[CHECK_NAME_MAX + 1];
	struct check check;
	int r;

	snprintf(name, sizeof(name), "%.*s", (int)(key.len - PREFIX),
		 (const char *)key.data + PREFIX);
	r = parse(name, val, len, &check);
	return r == -ENOMEM ? r : r < 0 ? 0 : e->fn(e->arg, &check);
}

int check_each(struct db_txn *t, const char *uid, const char *commit, check_fn fn, void *arg)
{
	char room[PREFIX + CHECK_NAME_MAX];
	struct each e = { fn, arg };

	return db_each(t, DB_CHECKS, key_of(uid, commit, "", room), (struct db_key){ 0 }, each_row,
		       &e);
}

/* ---- commits that are written anew ---- */

static int note(void *arg, const struct check *check)
{
	return buf_add(arg, check, sizeof(*check));
}

/* What was said of that very commit stays. */
static int follow(struct db_txn *t, const char *uid, const char *to, const struct check *check)
{
	struct check there;
	int r = check_get(t, uid, to, check->name, &there);

	return r == -ENOENT ? put(t, uid, to, check) : r;
}

int check_follow(struct db_txn *t, const char *uid, const char *from, const char *to)
{
	CLEANUP(buf_free) struct buf all = { 0 };
	int r = check_each(t, uid, from, note, &all);

	for (size_t at = 0; r == 0 && at < all.len; at += sizeof(struct check)) {
		struct check check;

		memcpy(&check, all.data + at, sizeof(check));
		r = follow(t, uid, to, &check);
	}
	return r;
}

static int note_name(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	return buf_printf(arg, "%.*s\n", (int)(key.len - PREFIX), (const char *)key.data + PREFIX);
}

int check_forget(struct db_txn *t, const char *uid, const char *commit)
{
	CLEANUP(buf_free) struct buf names = { 0 };
	char room[PREFIX + CHECK_NAME_MAX];
	int r = db_each_all(t, DB_CHECKS, key_of(uid, commit, "", room), note_name, &names);
	char *at = names.data, *name;

	while (r == 0 && at && (name = strsep(&at, "\n")) && *name)
		r = db_del(t, DB_CHECKS, key_of(uid, commit, name, room));
	return r;
}

int check_demand(struct db_txn *t, const char *uid, const char *commit, const char *wanted,
		 bool lenient, struct buf *why)
{
	const char *user = strchr(wanted, '@');
	char name[CHECK_NAME_MAX + 1];
	struct check check;
	int r;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(wanted, "@"), wanted);
	r = check_get(t, uid, commit, name, &check);
	if (r == -ENOENT)
		return lenient ? 0
			       : complain_as(-ENODATA, why,
					     "Nobody has said yet that \"%s\" passed "
					     "for the commit %.8s",
					     name, commit);
	if (r < 0)
		return r;
	if (!check.passed)
		return complain_as(-ENODATA, why, "The check \"%s\" failed for the commit %.8s",
				   name, commit);
	if (!lenient && user && strcasecmp(check.user, user + 1) != 0)
		return complain_as(-ENODATA, why,
				   "The check \"%s\" of the commit %.8s counts if %s says so, but "
				   "it was %s",
				   name, commit, user + 1, check.user);
	return 0;
}
