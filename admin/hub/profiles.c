/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/profiles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/likers.h"
#include "admin/hub/people.h"
#include "admin/hub/possessions.h"
#include "daemon/base/err.h"
#include "daemon/base/grow.h"

/* What is found of one, in a transaction. */
struct profile {
	struct ask *ask;
	enum account_kind kind;
	char name[ACCOUNT_NAME_MAX + 1];
	const char *what; /* of the path */
	struct account account;
	uint64_t members;
	struct repo_id *repos; /* hosted ones in its namespace */
	size_t count, cap;
	struct buf json; /* its organizations, or its members: items of an array */
	struct jwrite w;
	struct db_txn *txn;
};

static void profile_fini(struct profile *p)
{
	free(p->repos);
	buf_free(&p->json);
}

static int note_repo(void *arg, const struct registry_repo *repo)
{
	struct profile *p = arg;
	int r = grow_list(p->repos, p->count, p->cap);

	if (r == 0)
		p->repos[p->count++] = repo->id;
	return r;
}

/* Of a user: an organization it is in. Of an organization: a member. */
static int tell_member(void *arg, const char *name, enum role role)
{
	struct profile *p = arg;
	struct account a;
	int r = account_get(p->txn, name, &a);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	p->members++;
	jwrite_object(&p->w, NULL);
	people_write_id(&p->w, "_id", a.name);
	people_write_name(&p->w, p->kind == ACCOUNT_ORG ? "user" : "name", &a);
	jwrite_text(&p->w, "avatarUrl", "");
	if (p->kind == ACCOUNT_ORG) {
		jwrite_text(&p->w, "type", "user");
		jwrite_text(&p->w, "role", role_word(role));
		jwrite_bool(&p->w, "isPro", false);
	}
	jwrite_object_end(&p->w);
	return 0;
}

static int find(struct db_txn *t, void *arg)
{
	struct profile *p = arg;
	int r = account_get(t, p->name, &p->account);

	p->txn = t;
	p->members = p->count = 0;
	buf_clear(&p->json);
	p->w = (struct jwrite){ .to = &p->json };
	if (r == 0 && p->account.kind != p->kind)
		r = -ENOENT;
	if (r < 0)
		return r;
	jwrite_array(&p->w, NULL);
	r = member_each(t, p->name, tell_member, p);
	jwrite_array_end(&p->w);
	return r < 0 ? r : registry_each_in(t, p->name, note_repo, p);
}

/* Those who ask may see, by kind. */
static int count_seen(struct profile *p, uint64_t counts[static REPO_TYPE_COUNT])
{
	struct rights_row *rows = calloc(p->count + 1, sizeof(*rows));
	const struct server *s = p->ask->server;
	int r;

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < p->count; i++)
		known_names_of(node_known(s->node), &p->repos[i], &rows[i].names);
	r = rights_look(&s->rights, &p->ask->who, rows, p->count);
	for (size_t i = 0; i < p->count; i++)
		counts[p->repos[i].type] += rows[i].sees;
	free(rows);
	return r;
}

static void tell_names(struct profile *p, struct jwrite *w)
{
	const struct account *a = &p->account;

	people_write_id(w, "_id", a->name);
	people_write_name(w, p->kind == ACCOUNT_USER ? "user" : "name", a);
	jwrite_text(w, "avatarUrl", "");
	jwrite_text(w, "type", p->kind == ACCOUNT_USER ? "user" : "org");
	jwrite_time(w, "createdAt", a->created_s * 1000);
}

static int answer_overview(struct profile *p)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	uint64_t counts[REPO_TYPE_COUNT] = { 0 };
	struct jwrite w = { .to = &json };
	uint64_t likes = 0;
	int r = count_seen(p, counts);

	if (r == 0 && p->kind == ACCOUNT_USER)
		r = likers_count(p->ask, p->account.name, &likes);
	jwrite_object(&w, NULL);
	tell_names(p, &w);
	jwrite_uint(&w, "numModels", counts[REPO_MODEL]);
	jwrite_uint(&w, "numDatasets", counts[REPO_DATASET]);
	jwrite_uint(&w, "numSpaces", counts[REPO_SPACE]);
	jwrite_uint(&w, "numPapers", 0);
	jwrite_uint(&w, "numFollowers", 0);
	jwrite_bool(&w, "isFollowing", false);
	if (p->kind == ACCOUNT_USER) {
		jwrite_bool(&w, "isPro", false);
		jwrite_uint(&w, "numDiscussions", 0);
		jwrite_uint(&w, "numUpvotes", 0);
		jwrite_uint(&w, "numLikes", likes);
		jwrite_uint(&w, "numFollowing", 0);
		jwrite_json(&w, "orgs", buf_str(&p->json));
	} else {
		jwrite_bool(&w, "isVerified", false);
		jwrite_uint(&w, "numUsers", p->members);
	}
	jwrite_object_end(&w);
	if (r < 0 || json.failed)
		return r < 0 ? r : json.failed;
	answer_json(p->ask, 200, &json);
	return 0;
}

static int answer_list(struct profile *p, bool members)
{
	if (!members) {
		buf_clear(&p->json);
		buf_add_str(&p->json, "[]");
	}
	answer_json(p->ask, 200, &p->json);
	return 0;
}

static int answer_nothing(struct ask *a)
{
	answer_refuse(a, 404, "Sorry, there is nothing at this address");
	return 0;
}

/* Finds the account that the path names; false: it is answered, or *ret says why not. */
static bool begin(struct profile *p, int *ret)
{
	struct ask *a = p->ask;
	const char *path = a->asked.target.path;
	size_t len = strcspn(path, "/");

	*ret = PARKED;
	if (!ask_aside_or_here(a))
		return false;
	*ret = 0;
	if (len > ACCOUNT_NAME_MAX)
		len = 0; /* nobody's name */
	if (a->server->rights.closed && !a->who.known) {
		*ret = ERR_FORBIDDEN;
		return false;
	}
	snprintf(p->name, sizeof(p->name), "%.*s", (int)len, path);
	p->what = path + len + (path[len] == '/');
	*ret = db_read(a->server->rights.db, find, p);
	if (*ret == -ENOENT) {
		answer_refuse(a, 404, "This %s does not exist",
			      p->kind == ACCOUNT_USER ? "user" : "organization");
		*ret = 0;
		return false;
	}
	return *ret == 0;
}

int profiles_user(struct ask *a)
{
	CLEANUP(profile_fini) struct profile p = { .ask = a, .kind = ACCOUNT_USER };
	int r;

	if (!begin(&p, &r))
		return r;
	if (!strcmp(p.what, "overview"))
		return answer_overview(&p);
	if (!strcmp(p.what, "likes"))
		return likers_liked(a, p.name);
	if (!strcmp(p.what, "followers") || !strcmp(p.what, "following"))
		return answer_list(&p, false);
	return answer_nothing(a);
}

int profiles_org(struct ask *a)
{
	CLEANUP(profile_fini) struct profile p = { .ask = a, .kind = ACCOUNT_ORG };
	int r;

	if (!begin(&p, &r))
		return r;
	if (!strcmp(p.what, "overview"))
		return answer_overview(&p);
	if (!strcmp(p.what, "members") || !strcmp(p.what, "followers"))
		return answer_list(&p, *p.what == 'm');
	if (!strcmp(p.what, "settings/repositories"))
		return possessions_of(a, p.name);
	return answer_nothing(a);
}
