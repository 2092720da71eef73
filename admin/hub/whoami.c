/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/whoami.h"

#include <errno.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/people.h"
#include "daemon/base/err.h"
#include "daemon/base/jwrite.h"

struct telling {
	const struct ask *ask;
	struct account user;
	struct buf *json;
	struct jwrite w;
	struct db_txn *txn;
};

static void write_names(struct jwrite *w, const struct account *a)
{
	people_write_id(w, "id", a->name);
	people_write_name(w, "name", a);
	if (*a->email)
		jwrite_text(w, "email", a->email);
	jwrite_bool(w, "canPay", false);
	jwrite_text(w, "avatarUrl", "");
}

/* ---- organisations ---- */

static int write_org(void *arg, const char *name, enum role role)
{
	struct telling *t = arg;
	struct account org;
	int r = account_get(t->txn, name, &org);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	jwrite_object(&t->w, NULL);
	jwrite_text(&t->w, "type", "org");
	write_names(&t->w, &org);
	jwrite_bool(&t->w, "isEnterprise", false);
	jwrite_text(&t->w, "roleInOrg", role_word(role));
	jwrite_object_end(&t->w);
	return 0;
}

/* ---- the token ---- */

/* "models/ns/name" is a model, "ns" an organisation or a user. */
static int write_entity(struct telling *t, const struct grant *g)
{
	struct repo_id id;
	struct account a;
	int r;

	jwrite_object(&t->w, "entity");
	people_write_id(&t->w, "_id", g->what);
	if (repo_id_parse_key(g->what, &id) == 0) {
		jwrite_text(&t->w, "type", repo_type_word(id.type));
		jwrite_text(&t->w, "name", id.name);
		jwrite_object_end(&t->w);
		return 0;
	}
	r = account_get(t->txn, g->what, &a);
	jwrite_text(&t->w, "type", r == 0 && a.kind == ACCOUNT_USER ? "user" : "org");
	jwrite_text(&t->w, "name", r == 0 ? a.name : g->what);
	jwrite_object_end(&t->w);
	return r == -ENOENT ? 0 : r;
}

static int write_grant(struct telling *t, const struct grant *g)
{
	int r;

	jwrite_object(&t->w, NULL);
	r = write_entity(t, g);
	jwrite_array(&t->w, "permissions");
	jwrite_text(&t->w, NULL, "repo.content.read");
	if (g->role >= ROLE_WRITE)
		jwrite_text(&t->w, NULL, "repo.write");
	jwrite_array_end(&t->w);
	jwrite_object_end(&t->w);
	return r;
}

static int write_grants(struct telling *t, const struct token *token)
{
	int r = 0;

	jwrite_object(&t->w, "fineGrained");
	jwrite_bool(&t->w, "canReadGatedRepos", false);
	jwrite_array(&t->w, "global");
	jwrite_array_end(&t->w);
	jwrite_array(&t->w, "scoped");
	for (size_t i = 0; r == 0 && i < token->grant_count; i++)
		r = write_grant(t, &token->grants[i]);
	jwrite_array_end(&t->w);
	jwrite_object_end(&t->w);
	return r;
}

/* Clients know the roles "read", "write" and "fineGrained" alone. */
static const char *role_of(const struct token *token)
{
	if (token->role == ROLE_NONE)
		return "fineGrained";
	return token->role == ROLE_READ ? "read" : "write";
}

static int write_auth(struct telling *t, const struct token *token)
{
	int r = 0;

	jwrite_object(&t->w, "auth");
	jwrite_text(&t->w, "type", "access_token");
	jwrite_object(&t->w, "accessToken");
	jwrite_text(&t->w, "displayName", token->name);
	jwrite_text(&t->w, "role", role_of(token));
	jwrite_time(&t->w, "createdAt", token->created_s * 1000);
	if (token->expires_s)
		jwrite_time(&t->w, "expiresAt", token->expires_s * 1000);
	if (token->role == ROLE_NONE)
		r = write_grants(t, token);
	jwrite_object_end(&t->w);
	jwrite_object_end(&t->w);
	return r;
}

/* ---- the answer ---- */

static int tell(struct db_txn *txn, void *arg)
{
	struct telling *t = arg;
	const struct identity *who = &t->ask->who;
	int r = account_get(txn, who->user, &t->user);

	if (r < 0)
		return r;
	buf_clear(t->json);
	t->w = (struct jwrite){ .to = t->json };
	t->txn = txn;
	jwrite_object(&t->w, NULL);
	jwrite_text(&t->w, "type", "user");
	write_names(&t->w, &t->user);
	jwrite_bool(&t->w, "emailVerified", *t->user.email != '\0');
	jwrite_bool(&t->w, "isPro", false);
	jwrite_null(&t->w, "periodEnd");
	jwrite_array(&t->w, "orgs");
	r = member_each(txn, who->user, write_org, t);
	jwrite_array_end(&t->w);
	if (r == 0)
		r = write_auth(t, &who->token);
	jwrite_object_end(&t->w);
	return r;
}

int whoami(struct ask *a)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct telling t = { .ask = a, .json = &json };
	int r;

	if (!a->who.known) {
		answer_refuse(a, 401, "Invalid username or password.");
		return 0;
	}
	r = db_read(a->server->rights.db, tell, &t);
	if (r < 0)
		return r == -ENOENT ? ERR_TOKEN : r;
	answer_json(a, 200, &json);
	return 0;
}
