/* SPDX-License-Identifier: Apache-2.0 */
/* A token is three rows: its fields, JSON under the digest of its value; the digest under "user NUL
 * name"; and under the digest again the time of its last use, apart, so that a use disturbs no
 * change. */
#include "admin/account/tokens.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"
#include "daemon/base/why.h"

#define TOKEN_LETTERS 37 /* as many as clients look for behind "hf_" */

/* ---- values ---- */

int token_digest(const char *value, size_t len, uint8_t ret[static TOKEN_DIGEST])
{
	return digest_of(DIGEST_SHA256, value, len, ret);
}

/* Letters and digits, each as likely as the others. */
int token_make(struct buf *ret)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t count = sizeof(letters) - 1, left = TOKEN_LETTERS;

	buf_add_str(ret, "hf_");
	while (left) {
		uint8_t byte;

		if (getrandom(&byte, 1, 0) != 1)
			return -errno;
		if (byte >= 256 / count * count)
			continue;
		buf_add(ret, &letters[byte % count], 1);
		left--;
	}
	return ret->failed;
}

static bool is_value(const char *value)
{
	size_t len = strlen(value);

	for (size_t i = 0; i < len; i++)
		if (value[i] <= ' ' || value[i] > '~')
			return false;
	return len > 0 && len <= TOKEN_VALUE_MAX;
}

/* ---- fields ---- */

void token_fini(struct token *t)
{
	free(t->grants);
	*t = (struct token){ 0 };
}

bool token_scope_valid(const char *what, char ret[static REPO_KEY_MAX + 1])
{
	struct repo_id id;
	char key[REPO_KEY_MAX + 1];

	if (strlen(what) > REPO_KEY_MAX)
		return false;
	if (!repo_part_valid(what, strlen(what))) {
		if (repo_id_parse_key(what, &id) < 0)
			return false;
		repo_id_key(&id, key);
		what = key;
	}
	account_key(what, ret);
	return true;
}

static bool is_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			return false;
	return len > 0 && len <= TOKEN_NAME_MAX;
}

static int check_grants(const struct token *t, struct buf *why)
{
	char key[REPO_KEY_MAX + 1];

	if (t->grant_count > GRANTS_MAX)
		return complain_as(-EINVAL, why, "a token has at most %d grants", GRANTS_MAX);
	for (size_t i = 0; i < t->grant_count; i++) {
		const struct grant *g = &t->grants[i];

		if (token_scope_valid(g->what, key) &&
		    (g->role == ROLE_READ || g->role == ROLE_WRITE))
			continue;
		return complain_as(
			-EINVAL, why,
			"\"%.250s\" cannot be granted: read or write, for a namespace or a "
			"repository as models/namespace/name",
			g->what);
	}
	return 0;
}

static int check(const struct token *t, const char *value, struct buf *why)
{
	if (!is_name(t->name))
		return complain_as(-EINVAL, why, "a token's name has 1 to %d bytes on one line",
				   TOKEN_NAME_MAX);
	if (t->expires_s < 0 || (t->expires_s && t->expires_s <= clock_wall_s()))
		return complain_as(-EINVAL, why, "a token expires in the future, or never");
	if (t->role != ROLE_NONE && t->grant_count)
		return complain_as(-EINVAL, why, "a token has either a role or grants");
	if (value && !is_value(value))
		return complain_as(-EINVAL, why,
				   "a token's value has 1 to %d printable bytes and no blanks",
				   TOKEN_VALUE_MAX);
	return check_grants(t, why);
}

/* ---- rows ---- */

static struct db_key digest_key(const uint8_t digest[static TOKEN_DIGEST])
{
	return (struct db_key){ digest, TOKEN_DIGEST };
}

static struct db_key name_key(struct buf *room, const char *user, const char *name)
{
	char key[ACCOUNT_NAME_MAX + 1];

	if (strlen(user) > ACCOUNT_NAME_MAX || strlen(name) > TOKEN_NAME_MAX)
		return (struct db_key){ 0 };
	account_key(user, key);
	return db_pair(room, key, name);
}

static int parse_grants(const struct jval *list, struct token *ret)
{
	size_t count = jval_count(list);

	ret->grants = count ? calloc(count, sizeof(*ret->grants)) : NULL;
	if (count && !ret->grants)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct grant *g = &ret->grants[ret->grant_count];
		const char *what = jval_get_str(jval_at(list, i), "what");

		if (!what || !token_scope_valid(what, g->what) ||
		    !role_parse(jval_get_str(jval_at(list, i), "role"), &g->role))
			return ERR_CORRUPT;
		ret->grant_count++;
	}
	return 0;
}

static int parse_token(const struct buf *row, struct token *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *v;
	const char *user, *name;
	int r = jdoc_parse(buf_str(row), row->len, &doc);

	if (r < 0)
		return r == -ENOMEM ? r : ERR_CORRUPT;
	v = jdoc_root(doc);
	user = jval_get_str(v, "user");
	name = jval_get_str(v, "name");
	if (!user || !name || !role_parse(jval_get_str(v, "role"), &ret->role))
		return ERR_CORRUPT;
	snprintf(ret->user, sizeof(ret->user), "%s", user);
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	ret->created_s = jval_get_size(v, "created");
	ret->expires_s = jval_get_size(v, "expires");
	return parse_grants(jval_get(v, "grants"), ret);
}

static int read_use(struct db_txn *t, const uint8_t digest[static TOKEN_DIGEST], int64_t *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, DB_TOKEN_USES, digest_key(digest), &row);

	*ret = r == 0 ? strtoll(buf_str(&row), NULL, 10) : 0;
	return r == -ENOENT || r == ERR_CORRUPT ? 0 : r;
}

int token_get(struct db_txn *t, const uint8_t digest[static TOKEN_DIGEST], struct token *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	CLEANUP(token_fini) struct token token = { 0 };
	int r = db_get(t, DB_TOKENS, digest_key(digest), &row);

	if (r == 0)
		r = parse_token(&row, &token);
	if (r == 0)
		r = read_use(t, digest, &token.used_s);
	if (r < 0)
		return r;
	*ret = token;
	token = (struct token){ 0 };
	return 0;
}

void token_write_grants(const struct token *t, struct jwrite *w)
{
	jwrite_array(w, "grants");
	for (size_t i = 0; i < t->grant_count; i++) {
		jwrite_object(w, NULL);
		jwrite_text(w, "what", t->grants[i].what);
		jwrite_text(w, "role", role_word(t->grants[i].role));
		jwrite_object_end(w);
	}
	jwrite_array_end(w);
}

static void write_token(struct jwrite *w, const struct token *t)
{
	jwrite_object(w, NULL);
	jwrite_text(w, "user", t->user);
	jwrite_text(w, "name", t->name);
	jwrite_text(w, "role", role_word(t->role));
	jwrite_int(w, "created", t->created_s);
	jwrite_int(w, "expires", t->expires_s);
	token_write_grants(t, w);
	jwrite_object_end(w);
}

int token_put(struct db_txn *t, const uint8_t digest[static TOKEN_DIGEST],
	      const struct token *token)
{
	CLEANUP(buf_free) struct buf row = { 0 }, room = { 0 };
	struct jwrite w = { .to = &row };
	int r;

	write_token(&w, token);
	if (row.failed)
		return row.failed;
	r = db_put(t, DB_TOKENS, digest_key(digest), row.data, row.len);
	if (r == 0)
		r = db_put(t, DB_TOKEN_NAMES, name_key(&room, token->user, token->name), digest,
			   TOKEN_DIGEST);
	return r;
}

int token_put_use(struct db_txn *t, const uint8_t digest[static TOKEN_DIGEST], int64_t at_s)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, DB_TOKENS, digest_key(digest), &row);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* it was taken away meanwhile */
	buf_clear(&row);
	r = buf_printf(&row, "%jd", (intmax_t)at_s);
	return r < 0 ? r : db_put(t, DB_TOKEN_USES, digest_key(digest), row.data, row.len);
}

static int del_rows(struct db_txn *t, struct db_key name, const uint8_t digest[static TOKEN_DIGEST])
{
	int r = db_del(t, DB_TOKEN_NAMES, name);

	if (r == 0)
		r = db_del(t, DB_TOKENS, digest_key(digest));
	return r < 0 ? r : db_del(t, DB_TOKEN_USES, digest_key(digest));
}

int token_find(struct db_txn *t, const char *user, const char *name,
	       uint8_t ret[static TOKEN_DIGEST])
{
	CLEANUP(buf_free) struct buf room = { 0 }, digest = { 0 };
	int r = db_get(t, DB_TOKEN_NAMES, name_key(&room, user, name), &digest);

	if (r < 0)
		return r;
	if (digest.len != TOKEN_DIGEST)
		return ERR_CORRUPT;
	memcpy(ret, digest.data, TOKEN_DIGEST);
	return 0;
}

int token_del(struct db_txn *t, const char *user, const char *name)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	uint8_t digest[TOKEN_DIGEST];
	int r = token_find(t, user, name, digest);

	return r < 0 ? r : del_rows(t, name_key(&room, user, name), digest);
}

/* ---- tokens ---- */

struct adding {
	struct token token;
	uint8_t digest[TOKEN_DIGEST];
	struct buf *why;
};

static int add(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 }, row = { 0 };
	struct adding *a = arg;
	struct account user;
	int r = account_get(t, a->token.user, &user);

	buf_clear(a->why);
	if (r == -ENOENT || (r == 0 && user.kind != ACCOUNT_USER))
		return complain_as(-ENOENT, a->why, "there is no user %s", a->token.user);
	if (r == 0)
		r = db_get(t, DB_TOKEN_NAMES, name_key(&room, user.name, a->token.name), &row);
	if (r == 0)
		return complain_as(-EEXIST, a->why, "there is a token \"%s\" of that user already",
				   a->token.name);
	if (r == -ENOENT)
		r = db_get(t, DB_TOKENS, digest_key(a->digest), &row);
	if (r == 0)
		return complain_as(-EEXIST, a->why, "somebody has a token of that value already");
	if (r != -ENOENT)
		return r;
	memcpy(a->token.user, user.name, sizeof(user.name));
	return token_put(t, a->digest, &a->token);
}

int tokens_add(struct db *db, const struct token *token, const char *value, struct buf *ret_value,
	       struct buf *why)
{
	CLEANUP(buf_free) struct buf made = { 0 };
	struct adding a = { .token = *token, .why = why };
	int r = check(token, value, why);

	if (r == 0)
		r = value ? buf_add_str(&made, value) : token_make(&made);
	if (r == 0)
		r = token_digest(made.data, made.len, a.digest);
	a.token.created_s = clock_wall_s();
	if (r == 0)
		r = db_write(db, add, &a);
	if (r == 0 && ret_value)
		r = buf_add(ret_value, made.data, made.len);
	if (made.data)
		explicit_bzero(made.data, made.cap);
	return r;
}

struct named {
	const char *user, *name;
	token_fn fn;
	void *arg;
	struct db_txn *txn;
};

static int remove_named(struct db_txn *t, void *arg)
{
	const struct named *n = arg;

	return token_del(t, n->user, n->name);
}

int tokens_remove(struct db *db, const char *user, const char *name)
{
	struct named n = { .user = user, .name = name };

	return db_write(db, remove_named, &n);
}

static int each_token(void *arg, struct db_key key UNUSED, const char *val, size_t len)
{
	CLEANUP(token_fini) struct token token = { 0 };
	const struct named *n = arg;
	int r = len == TOKEN_DIGEST ? token_get(n->txn, (const uint8_t *)val, &token) : -ENOENT;

	if (r < 0)
		return r == -ENOENT || r == ERR_CORRUPT ? 0 : r;
	return n->fn(n->arg, &token);
}

static int each(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct named *n = arg;
	struct db_key key = name_key(&room, n->user, ""), none = { 0 };

	n->txn = t;
	return key.len ? db_each(t, DB_TOKEN_NAMES, key, none, each_token, n) : 0;
}

int tokens_each(struct db *db, const char *user, token_fn fn, void *arg)
{
	struct named n = { .user = user, .fn = fn, .arg = arg };

	return db_read(db, each, &n);
}

/* Names, each with its NUL: rows are not deleted while they are walked. */
static int collect(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	const char *name = (const char *)key.data + strlen(key.data) + 1;
	struct buf *names = arg;

	buf_add(names, name, key.len - (size_t)(name - (const char *)key.data));
	return buf_add(names, "", 1);
}

int token_del_all(struct db_txn *t, const char *user)
{
	CLEANUP(buf_free) struct buf room = { 0 }, names = { 0 };
	struct db_key key = name_key(&room, user, ""), none = { 0 };
	int r = key.len ? db_each(t, DB_TOKEN_NAMES, key, none, collect, &names) : 0;

	for (const char *n = names.data; r == 0 && n < names.data + names.len; n += strlen(n) + 1)
		r = token_del(t, user, n);
	return r;
}
