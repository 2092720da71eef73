/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/grants.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"

/* Digests of the tokens that a name may be in: rows are not changed while they are walked. */
struct pile {
	const char *what;
	struct buf digests;
};

static void pile_fini(struct pile *p)
{
	buf_free(&p->digests);
}

/* A text of the row that has the name in it is looked at closer later. */
static int collect(void *arg, struct db_key key, const char *val, size_t len)
{
	struct pile *p = arg;

	if (key.len != TOKEN_DIGEST || !memmem(val, len, p->what, strlen(p->what)))
		return 0;
	return buf_add(&p->digests, key.data, key.len);
}

static struct grant *find(const struct token *token, const char *what)
{
	for (size_t i = 0; i < token->grant_count; i++)
		if (!strcmp(token->grants[i].what, what))
			return &token->grants[i];
	return NULL;
}

static int grant(struct token *token, const char *what, enum role role)
{
	struct grant *g = find(token, what);

	if (g) {
		g->role = role > g->role ? role : g->role;
		return 0;
	}
	g = reallocarray(token->grants, token->grant_count + 1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	token->grants = g;
	g += token->grant_count++;
	snprintf(g->what, sizeof(g->what), "%s", what);
	g->role = role;
	return 0;
}

static void drop(struct token *token, const char *what)
{
	size_t kept = 0;

	for (size_t i = 0; i < token->grant_count; i++)
		if (strcmp(token->grants[i].what, what) != 0)
			token->grants[kept++] = token->grants[i];
	token->grant_count = kept;
}

/* to NULL: it goes. A token that cannot be read lets nobody in. */
static int change_one(struct db_txn *t, const uint8_t digest[static TOKEN_DIGEST], const char *from,
		      const char *to)
{
	CLEANUP(token_fini) struct token token = { 0 };
	int r = token_get(t, digest, &token);
	const struct grant *g = r == 0 ? find(&token, from) : NULL;

	if (!g)
		return r == ERR_CORRUPT ? 0 : r;
	if (to)
		r = grant(&token, to, g->role);
	else
		drop(&token, from);
	return r < 0 ? r : token_put(t, digest, &token);
}

static int change_all(struct db_txn *t, const char *from, const char *to)
{
	CLEANUP(pile_fini) struct pile p = { .what = from };
	const struct db_key all = { 0 };
	int r = db_each(t, DB_TOKENS, all, all, collect, &p);

	for (size_t at = 0; r == 0 && at < p.digests.len; at += TOKEN_DIGEST)
		r = change_one(t, (const uint8_t *)p.digests.data + at, from, to);
	return r;
}

int grant_drop(struct db_txn *t, const char *what)
{
	return change_all(t, what, NULL);
}

int grant_copy(struct db_txn *t, const char *from, const char *to)
{
	return change_all(t, from, to);
}
