/* SPDX-License-Identifier: Apache-2.0 */
/* The key of a row is "what NUL whom" in small letters; its value is the role. */
#include "admin/account/rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"

static struct db_key key_of(struct buf *room, const struct rule *rule)
{
	char what[REPO_KEY_MAX + 1], whom[ACCOUNT_NAME_MAX + 1];

	account_key(rule->what, what);
	account_key(rule->whom, whom);
	return db_pair(room, what, whom);
}

static int check_whom(struct db_txn *t, const struct rule *rule, struct buf *why)
{
	struct account a;
	int r = strcmp(rule->whom, RULE_EVERYBODY) == 0 ? 0 : account_get(t, rule->whom, &a);

	if (r == -ENOENT)
		buf_printf(why, "there is no user or organisation %s", rule->whom);
	return r;
}

struct setting {
	const struct rule *rule;
	struct buf *why;
};

static int set(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	const struct setting *s = arg;
	const char *word = role_word(s->rule->role);
	int r;

	buf_clear(s->why);
	if (s->rule->role == ROLE_NONE)
		return db_del(t, DB_RULES, key_of(&room, s->rule));
	r = check_whom(t, s->rule, s->why);
	return r < 0 ? r : db_put(t, DB_RULES, key_of(&room, s->rule), word, strlen(word));
}

int rules_set(struct db *db, const struct rule *rule, struct buf *why)
{
	struct rule valid = *rule;
	struct setting s = { &valid, why };

	if (token_scope_valid(rule->what, valid.what))
		return db_write(db, set, &s);
	buf_printf(why,
		   "\"%.250s\" is neither a namespace nor a repository as models/namespace/name",
		   rule->what);
	return -EINVAL;
}

struct each {
	const char *what;
	rule_fn fn;
	void *arg;
};

/* A row as a rule; false if it makes no sense. */
static bool parse(struct db_key key, const char *val, size_t len, struct rule *ret)
{
	char text[sizeof(ret->what) + sizeof(ret->whom)], word[16];
	size_t what;

	if (key.len >= sizeof(text))
		return false;
	memcpy(text, key.data, key.len);
	text[key.len] = '\0';
	what = strlen(text);
	if (what >= key.len || what >= sizeof(ret->what) || key.len - what - 1 >= sizeof(ret->whom))
		return false;
	memcpy(ret->what, text, what + 1);
	memcpy(ret->whom, text + what + 1, key.len - what);
	snprintf(word, sizeof(word), "%.*s", (int)len, val);
	return role_parse(word, &ret->role);
}

static int each_row(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each *e = arg;
	struct rule rule;

	return parse(key, val, len, &rule) ? e->fn(e->arg, &rule) : 0;
}

int rule_each(struct db_txn *t, const char *what, rule_fn fn, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct each e = { what, fn, arg };
	struct db_key prefix = { 0 }, none = { 0 };
	char key[REPO_KEY_MAX + 1];

	if (what) {
		if (!token_scope_valid(what, key))
			return 0;
		prefix = db_pair(&room, key, "");
		if (!prefix.len)
			return -ENOMEM;
	}
	return db_each(t, DB_RULES, prefix, none, each_row, &e);
}

static int each_rule(struct db_txn *t, void *arg)
{
	const struct each *e = arg;

	return rule_each(t, e->what, e->fn, e->arg);
}

int rules_each(struct db *db, const char *what, rule_fn fn, void *arg)
{
	struct each e = { what, fn, arg };

	return db_read(db, each_rule, &e);
}

/* Rules that are found before any is changed. */
struct pile {
	const char *whom; /* only theirs, in small letters; NULL: all */
	struct buf rules; /* of struct rule */
};

static void pile_fini(struct pile *p)
{
	buf_free(&p->rules);
}

static int collect(void *arg, const struct rule *rule)
{
	struct pile *p = arg;

	return p->whom && strcmp(rule->whom, p->whom) != 0
		       ? 0
		       : buf_add(&p->rules, rule, sizeof(*rule));
}

static int each_of(struct db_txn *t, const struct pile *p,
		   int (*fn)(struct db_txn *t, struct rule *rule, const char *arg), const char *arg)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < p->rules.len; at += sizeof(struct rule)) {
		struct rule rule;

		memcpy(&rule, p->rules.data + at, sizeof(rule));
		r = fn(t, &rule, arg);
	}
	return r;
}

static int del(struct db_txn *t, struct rule *rule, const char *arg UNUSED)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	return db_del(t, DB_RULES, key_of(&room, rule));
}

int rule_del_all(struct db_txn *t, const char *whom)
{
	char key[ACCOUNT_NAME_MAX + 1];
	CLEANUP(pile_fini) struct pile p = { .whom = key };
	int r;

	account_key(whom, key);
	r = rule_each(t, NULL, collect, &p);
	return r < 0 ? r : each_of(t, &p, del, NULL);
}

int rule_drop(struct db_txn *t, const char *what)
{
	CLEANUP(pile_fini) struct pile p = { .whom = NULL };
	int r = rule_each(t, what, collect, &p);

	return r < 0 ? r : each_of(t, &p, del, NULL);
}

/* Two rules that meet have let in both ways: the larger one does it still. */
static int put_larger(struct db_txn *t, struct rule *rule, const char *to)
{
	CLEANUP(buf_free) struct buf room = { 0 }, row = { 0 };
	enum role there = ROLE_NONE;
	const char *word = role_word(rule->role);
	int r;

	snprintf(rule->what, sizeof(rule->what), "%s", to);
	r = db_get(t, DB_RULES, key_of(&room, rule), &row);
	if (r < 0 && r != -ENOENT && r != ERR_CORRUPT)
		return r;
	if (r == 0 && role_parse(buf_str(&row), &there) && there >= rule->role)
		return 0;
	return db_put(t, DB_RULES, key_of(&room, rule), word, strlen(word));
}

int rule_copy(struct db_txn *t, const char *from, const char *to)
{
	CLEANUP(pile_fini) struct pile p = { .whom = NULL };
	int r = rule_each(t, from, collect, &p);

	return r < 0 ? r : each_of(t, &p, put_larger, to);
}
