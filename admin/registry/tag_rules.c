/* SPDX-License-Identifier: Apache-2.0 */
/* The key of a row is "scope NUL glob", and "scope NUL name" of promotions: no uid begins with the
 * slash of a namespace, and what hangs on a uid goes with its repository. */
#include "admin/registry/tag_rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"

/* ---- what they are about ---- */

bool tag_scope_is_repo(const struct tag_scope *s)
{
	return s->key[0] != '/';
}

struct tag_scope tag_scope_of_repo(const char *uid)
{
	struct tag_scope s;

	snprintf(s.key, sizeof(s.key), "%s", uid);
	return s;
}

struct tag_scope tag_scope_of_namespace(const char *namespace)
{
	struct tag_scope s;

	snprintf(s.key, sizeof(s.key), "/%s", namespace);
	account_key(s.key, s.key);
	return s;
}

int tag_scope_above(struct db_txn *t, const char *uid, struct tag_scope *ret)
{
	char namespace[ACCOUNT_NAME_MAX + 1];
	struct repo_id id = { .name = "/" };
	int r = registry_name(t, uid, &id);

	snprintf(namespace, sizeof(namespace), "%.*s", (int)strcspn(id.name, "/"), id.name);
	*ret = tag_scope_of_namespace(namespace);
	return r == -ENOENT ? 0 : r;
}

/* ---- names ---- */

bool tag_glob_valid(const char *glob)
{
	char name[TAG_GLOB_MAX + 1];

	if (strlen(glob) > TAG_GLOB_MAX)
		return false;
	snprintf(name, sizeof(name), "%s", glob);
	for (char *at = name; *at; at++)
		if (*at == '*' || *at == '?')
			*at = 'x';
	return revision_valid(name);
}

/* What a star took is given back letter by letter, of the last star alone: no more is needed, and
 * no more time than the product of both lengths. */
bool tag_glob_matches(const char *glob, const char *name)
{
	const char *star = NULL, *back = NULL;

	while (*name) {
		if (*glob == '*') {
			star = glob++;
			back = name;
		} else if (*glob == '?' || *glob == *name) {
			glob++;
			name++;
		} else if (star) {
			glob = star + 1;
			name = ++back;
		} else {
			return false;
		}
	}
	return !glob[strspn(glob, "*")];
}

bool tag_name_valid(const char *name)
{
	return revision_valid(name) && strncmp(name, "refs/", 5) != 0 && !commit_valid(name) &&
	       strcmp(name, "HEAD") != 0;
}

bool tag_who_parse(const char *who, char ret_name[static ACCOUNT_NAME_MAX + 1], enum role *ret_role)
{
	size_t len = strcspn(who, ":");

	*ret_role = ROLE_READ;
	if (len > ACCOUNT_NAME_MAX || (who[len] && !role_parse(who + len + 1, ret_role)) ||
	    *ret_role == ROLE_NONE)
		return false;
	snprintf(ret_name, ACCOUNT_NAME_MAX + 1, "%.*s", (int)len, who);
	return account_name_valid(ret_name);
}

/* ---- rows ---- */

#define ROW_MAX (TAG_SCOPE_MAX + 1 + TAG_GLOB_MAX + 1)
_Static_assert(TAG_RULE_NAME_MAX <= TAG_GLOB_MAX, "a name has no room");

static struct db_key key_of(const struct tag_scope *s, const char *name, char room[static ROW_MAX])
{
	size_t len = strlen(s->key), more = strnlen(name, TAG_GLOB_MAX);

	memcpy(room, s->key, len + 1);
	memcpy(room + len + 1, name, more);
	return (struct db_key){ room, len + 1 + more };
}

static int del(struct db_txn *t, enum db_table table, const struct tag_scope *s, const char *name)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[ROW_MAX];
	int r = db_get(t, table, key_of(s, name, room), &row);

	return r < 0 && r != ERR_CORRUPT ? r : db_del(t, table, key_of(s, name, room));
}

/* What a row's key is made of: the glob or name is its end. */
static void split(struct db_key key, struct tag_scope *s, char ret[static TAG_GLOB_MAX + 1])
{
	size_t len = strnlen(key.data, key.len), at = len < key.len ? len + 1 : len;

	snprintf(s->key, sizeof(s->key), "%.*s", (int)len, (const char *)key.data);
	snprintf(ret, TAG_GLOB_MAX + 1, "%.*s", (int)(key.len - at), (const char *)key.data + at);
}

static int each(struct db_txn *t, enum db_table table, const struct tag_scope *s, db_each_fn fn,
		void *arg)
{
	char room[ROW_MAX];
	struct db_key all = { 0 };

	return db_each_all(t, table, s ? key_of(s, "", room) : all, fn, arg);
}

static void copy_text(const struct jval *v, const char *name, char *ret, size_t cap)
{
	const char *text = name ? jval_get_str(v, name) : jval_str(v);

	snprintf(ret, cap, "%s", text ? text : "");
}

/* ---- locks ---- */

int lock_rule_put(struct db_txn *t, const struct tag_scope *s, const struct lock_rule *r)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct jwrite w = { .to = &row };
	char room[ROW_MAX];

	jwrite_object(&w, NULL);
	jwrite_text(&w, "user", r->user);
	jwrite_text(&w, "why", r->why);
	jwrite_int(&w, "at", clock_wall_s());
	jwrite_object_end(&w);
	if (row.failed)
		return row.failed;
	return db_put(t, DB_LOCK_RULES, key_of(s, r->tags, room), row.data, row.len);
}

int lock_rule_del(struct db_txn *t, const struct tag_scope *s, const char *tags)
{
	return del(t, DB_LOCK_RULES, s, tags);
}

struct each_lock {
	lock_rule_fn fn;
	void *arg;
};

/* A row that makes no sense, or is damaged, locks all the same. */
static int each_lock(void *arg, struct db_key key, const char *val, size_t len)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct each_lock *e = arg;
	struct lock_rule rule = { .at_s = 0 };
	struct tag_scope s;
	int r = val ? jdoc_parse(val, len, &doc) : ERR_CORRUPT;

	if (r == -ENOMEM)
		return r;
	split(key, &s, rule.tags);
	if (r < 0 || !jval_is_object(jdoc_root(doc))) {
		rule.damaged = true;
		snprintf(rule.why, sizeof(rule.why), "%s", TAG_RULE_DAMAGED);
	} else {
		copy_text(jdoc_root(doc), "user", rule.user, sizeof(rule.user));
		copy_text(jdoc_root(doc), "why", rule.why, sizeof(rule.why));
		rule.at_s = jval_get_size(jdoc_root(doc), "at");
	}
	return e->fn(e->arg, &s, &rule);
}

int lock_rule_each(struct db_txn *t, const struct tag_scope *s, lock_rule_fn fn, void *arg)
{
	struct each_lock e = { fn, arg };

	return each(t, DB_LOCK_RULES, s, each_lock, &e);
}

/* ---- promotions ---- */

void promotion_rule_write(struct jwrite *w, const struct promotion_rule *r)
{
	jwrite_text(w, "to", r->to);
	jwrite_text(w, "from", r->from);
	jwrite_array(w, "who");
	for (unsigned i = 0; i < r->who_count; i++)
		jwrite_text(w, NULL, r->who[i]);
	jwrite_array_end(w);
	jwrite_array(w, "require");
	for (unsigned i = 0; i < r->require_count; i++)
		jwrite_text(w, NULL, r->require[i]);
	jwrite_array_end(w);
}

static void print_promotion(const struct promotion_rule *r, struct jwrite *w)
{
	jwrite_object(w, NULL);
	promotion_rule_write(w, r);
	jwrite_text(w, "user", r->user);
	jwrite_int(w, "at", clock_wall_s());
	jwrite_object_end(w);
}

/* What a row says. ERR_CORRUPT. */
static int parse_promotion(const char *name, const char *row, size_t len,
			   struct promotion_rule *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r = jdoc_parse(row, len, &doc);
	const struct jval *v, *who, *require;

	if (r < 0)
		return r == -ENOMEM ? r : ERR_CORRUPT;
	v = jdoc_root(doc);
	who = jval_get(v, "who");
	require = jval_get(v, "require");
	*ret = (struct promotion_rule){ .at_s = jval_get_size(v, "at") };
	snprintf(ret->name, sizeof(ret->name), "%.*s", TAG_RULE_NAME_MAX, name);
	copy_text(v, "to", ret->to, sizeof(ret->to));
	copy_text(v, "from", ret->from, sizeof(ret->from));
	copy_text(v, "user", ret->user, sizeof(ret->user));
	if (jval_count(who) > TAG_RULE_LIST_MAX || jval_count(require) > TAG_RULE_LIST_MAX)
		return ERR_CORRUPT;
	for (size_t i = 0; i < jval_count(who); i++)
		copy_text(jval_at(who, i), NULL, ret->who[ret->who_count++], TAG_WHO_MAX + 1);
	for (size_t i = 0; i < jval_count(require); i++)
		copy_text(jval_at(require, i), NULL, ret->require[ret->require_count++],
			  TAG_WANTED_MAX + 1);
	return *ret->to ? 0 : ERR_CORRUPT;
}

int promotion_rule_put(struct db_txn *t, const struct tag_scope *s, const struct promotion_rule *r)
{
	CLEANUP(buf_free) struct buf row = { 0 }, old = { 0 };
	struct jwrite w = { .to = &row };
	char room[ROW_MAX];
	struct db_key key = key_of(s, r->name, room);
	struct promotion_rule was;
	int e = db_get(t, DB_PROMOTION_RULES, key, &old);

	if (e == 0)
		e = parse_promotion(r->name, buf_str(&old), old.len, &was);
	if (e == 0 && strcmp(was.to, r->to) != 0)
		return -EEXIST;
	if (e < 0 && e != -ENOENT)
		return e;
	print_promotion(r, &w);
	return row.failed ? row.failed : db_put(t, DB_PROMOTION_RULES, key, row.data, row.len);
}

bool promotion_rule_names(const struct promotion_rule *r, const char *account)
{
	char name[ACCOUNT_NAME_MAX + 1];
	enum role role;

	if (r->damaged)
		return true; /* it may have */
	for (unsigned i = 0; i < r->who_count; i++)
		if (tag_who_parse(r->who[i], name, &role) && !strcasecmp(name, account))
			return true;
	for (unsigned i = 0; i < r->require_count; i++) {
		const char *user = strchr(r->require[i], '@');

		if (user && !strcasecmp(user + 1, account))
			return true;
	}
	return false;
}

int promotion_rule_del(struct db_txn *t, const struct tag_scope *s, const char *name)
{
	return del(t, DB_PROMOTION_RULES, s, name);
}

struct each_promotion {
	promotion_rule_fn fn;
	void *arg;
};

static int each_promotion(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each_promotion *e = arg;
	char name[TAG_GLOB_MAX + 1];
	struct promotion_rule rule;
	struct tag_scope s;
	int r;

	split(key, &s, name);
	r = val ? parse_promotion(name, val, len, &rule) : ERR_CORRUPT;
	if (r == ERR_CORRUPT) {
		rule = (struct promotion_rule){ .to = TAG_ANY, .damaged = true };
		snprintf(rule.name, sizeof(rule.name), "%.*s", TAG_RULE_NAME_MAX, name);
		r = 0;
	}
	return r < 0 ? r : e->fn(e->arg, &s, &rule);
}

int promotion_rule_each(struct db_txn *t, const struct tag_scope *s, promotion_rule_fn fn,
			void *arg)
{
	struct each_promotion e = { fn, arg };

	return each(t, DB_PROMOTION_RULES, s, each_promotion, &e);
}
