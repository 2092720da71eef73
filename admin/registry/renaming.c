/* SPDX-License-Identifier: Apache-2.0 */
/* A row says of a name what its repository is called now, so that no chain is to be followed: a
 * move writes all rows that led to it anew. They are few: a row for each move. */
#include "admin/registry/renaming.h"

#include <errno.h>
#include <string.h>

#include "admin/account/grants.h"
#include "admin/account/rules.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

static int find_now(struct db_txn *t, const struct repo_id *was, struct repo_id *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char key[REPO_KEY_MAX + 1];
	int r;

	repo_id_key_small(was, key);
	r = db_get(t, DB_FORMER, db_text(key), &row);
	if (r < 0)
		return r;
	return repo_id_parse_key(buf_str(&row), ret) < 0 ? ERR_CORRUPT : 0;
}

int renaming_get(struct db_txn *t, const struct repo_id *id, struct registry_repo *ret)
{
	struct repo_id now;
	int r = registry_get(t, id, ret);

	if (r != -ENOENT)
		return r;
	r = find_now(t, id, &now);
	return r < 0 ? r : registry_get(t, &now, ret);
}

/* ---- all names of one ---- */

struct former {
	char key[REPO_KEY_MAX + 1]; /* of the repository */
	struct buf names;           /* the keys of its former names, a line each */
};

static void former_fini(struct former *f)
{
	buf_free(&f->names);
}

static int note_name(void *arg, struct db_key key, const char *val, size_t len)
{
	struct former *f = arg;
	char now[REPO_KEY_MAX + 1];

	if (len >= sizeof(now))
		return 0;
	memcpy(now, val, len);
	now[len] = '\0';
	account_key(now, now);
	return strcmp(now, f->key)
		       ? 0
		       : buf_printf(&f->names, "%.*s\n", (int)key.len, (const char *)key.data);
}

/* All are found before any is changed. */
static int find_former(struct db_txn *t, const struct repo_id *id, struct former *ret)
{
	const struct db_key all = { 0 };

	repo_id_key_small(id, ret->key);
	return db_each(t, DB_FORMER, all, all, note_name, ret);
}

/* ---- what is said of names ---- */

/* Rules name it, and grants of tokens. */
static int drop_said(struct db_txn *t, const char *key)
{
	int r = rule_drop(t, key);

	return r < 0 ? r : grant_drop(t, key);
}

static int copy_said(struct db_txn *t, const char *from, const char *to)
{
	int r = rule_copy(t, from, to);

	return r < 0 ? r : grant_copy(t, from, to);
}

/* A name is given up. Until it is forgotten (renaming_forget), what is said of who may see it
 * stays; after a move the rules about it as well, after a deletion they are gone already. */
static int give_up(struct db_txn *t, const char *key)
{
	return db_put(t, DB_GIVEN_UP, db_text(key), "1", 1);
}

/* 0 if the name was given up, and is not forgotten; -ENOENT. */
static int is_given_up(struct db_txn *t, const char *key)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, DB_GIVEN_UP, db_text(key), &row);

	return r == ERR_CORRUPT ? 0 : r;
}

int renaming_forget(struct db_txn *t, const struct repo_id *name)
{
	char key[REPO_KEY_MAX + 1];
	int r;

	repo_id_key_small(name, key);
	r = is_given_up(t, key);
	if (r == 0)
		r = drop_said(t, key);
	return r == 0 ? db_del(t, DB_GIVEN_UP, db_text(key)) : r == -ENOENT ? 0 : r;
}

/* Rules about a name that led to another repository were about that one, and are so by the name it
 * has. */
static int give_back_rules(struct db_txn *t, const struct repo_id *name, const char *key)
{
	char owner[REPO_KEY_MAX + 1];
	struct repo_id now;
	int r = find_now(t, name, &now);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	repo_id_key_small(&now, owner);
	if (!strcmp(owner, key))
		return 0;
	r = copy_said(t, key, owner);
	return r < 0 ? r : drop_said(t, key);
}

static int lead_to(struct db_txn *t, struct former *f, const struct repo_id *to)
{
	char key[REPO_KEY_MAX + 1];
	char *at = f->names.data, *name;
	int r = 0;

	repo_id_key(to, key);
	while (r == 0 && at && (name = strsep(&at, "\n")) && *name)
		r = db_put(t, DB_FORMER, db_text(name), key, strlen(key));
	return r;
}

/* They lead nowhere, and the rules about them go. */
static int lead_nowhere(struct db_txn *t, struct former *f)
{
	char *at = f->names.data, *name;
	int r = 0;

	while (r == 0 && at && (name = strsep(&at, "\n")) && *name) {
		r = db_del(t, DB_FORMER, db_text(name));
		if (r == 0)
			r = drop_said(t, name);
	}
	return r;
}

int renaming_take(struct db_txn *t, const struct repo_id *name)
{
	char key[REPO_KEY_MAX + 1];
	int r;

	repo_id_key_small(name, key);
	r = renaming_forget(t, name);
	if (r == 0)
		r = give_back_rules(t, name, key);
	return r < 0 ? r : db_del(t, DB_FORMER, db_text(key));
}

int renaming_drop(struct db_txn *t, const struct repo_id *id)
{
	CLEANUP(former_fini) struct former f = { .key = "" };
	int r = find_former(t, id, &f);

	if (r == 0)
		r = lead_nowhere(t, &f);
	if (r == 0)
		r = drop_said(t, f.key);
	return r < 0 ? r : give_up(t, f.key);
}

/* ---- a move ---- */

/* By the old name they hold until it is forgotten: the node may know no other yet. */
static int take_rules_along(struct db_txn *t, const char *from, const struct repo_id *to)
{
	char key[REPO_KEY_MAX + 1];
	int r;

	repo_id_key_small(to, key);
	if (!strcmp(from, key))
		return 0;
	r = copy_said(t, from, key);
	return r < 0 ? r : give_up(t, from);
}

/* The name that is given up leads where the others do. */
static int leave(struct db_txn *t, const struct repo_id *from, const struct repo_id *to)
{
	CLEANUP(former_fini) struct former f = { .key = "" };
	int r = find_former(t, from, &f);

	if (r == 0)
		r = buf_printf(&f.names, "%s\n", f.key);
	if (r == 0)
		r = lead_to(t, &f, to);
	if (r == 0)
		r = renaming_take(t, to);
	return r < 0 ? r : take_rules_along(t, f.key, to);
}

int renaming_move(struct db_txn *t, struct registry_repo *repo, const struct repo_id *to)
{
	const struct repo_id from = repo->id;
	struct registry_repo other;
	int r = registry_get(t, &from, &other);

	if (r < 0 || strcmp(other.uid, repo->uid) != 0)
		return r < 0 ? r : -ENOENT;
	*repo = other;
	r = registry_get(t, to, &other);
	if (r != -ENOENT && (r < 0 || strcmp(other.uid, repo->uid) != 0))
		return r < 0 ? r : -EEXIST;
	r = registry_rename(t, repo, to);
	return r < 0 ? r : leave(t, &from, to);
}

/* ---- all of them ---- */

struct each {
	renaming_fn fn;
	void *arg;
};

static int each_row(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	const struct each *e = arg;
	char text[REPO_KEY_MAX + 1];
	struct repo_id was;

	if (key.len >= sizeof(text))
		return 0;
	memcpy(text, key.data, key.len);
	text[key.len] = '\0';
	return repo_id_parse_key(text, &was) < 0 ? 0 : e->fn(e->arg, &was);
}

int renaming_each(struct db_txn *t, renaming_fn fn, void *arg)
{
	const struct db_key all = { 0 };
	struct each e = { fn, arg };

	return db_each(t, DB_FORMER, all, all, each_row, &e);
}

/* The key is all that such a row says. */
static int each_given_up(void *arg, struct db_key key, const char *val, size_t len)
{
	if (!val)
		log_warn(ERR_CORRUPT, "the row of a name that was given up is damaged name=%.*s",
			 (int)key.len, (const char *)key.data);
	return each_row(arg, key, val, len);
}

int renaming_each_given_up(struct db_txn *t, renaming_fn fn, void *arg)
{
	struct each e = { fn, arg };

	return db_each_all(t, DB_GIVEN_UP, (struct db_key){ 0 }, each_given_up, &e);
}
