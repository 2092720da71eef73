/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_repos.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/grow.h"
#include "daemon/keeper.h"
#include "daemon/nap.h"

#define COMMITS_MAX 100 /* whose bytes are counted: each of their files is looked at */

/* --- shapes */

#define TYPE \
	{ \
		.name = "type", .kind = API_WORD, .needed = true, .words = REPO_TYPE_WORDS \
	}

#define VISIBILITY \
	{ \
		.name = "visibility", .kind = API_WORD, .needed = true, .words = VISIBILITY_WORDS \
	}
#define BECAUSE \
	{ \
		.name = "because", .kind = API_TEXT, .needed = true, .doc = "Who says so." \
	}

static const struct api_field repo_fields[] = {
	TYPE,
	API_TEXT_ROW("id"),
	VISIBILITY,
	BECAUSE,
	{ .name = "formerly",
	  .kind = API_TEXT,
	  .doc = "The name it was asked for by, if it had that." },
	{ 0 },
};
const struct api_shape api_repo_shape = { "Repository", repo_fields };

static const struct api_field ref_fields[] = {
	API_TEXT_ROW("name"),
	API_TEXT_ROW("commit"),
	{ 0 },
};
static const struct api_shape ref_shape = { "Ref", ref_fields };

static const struct api_field commit_fields[] = {
	API_TEXT_ROW("commit"),
	{ .name = "date", .kind = API_COUNT, .needed = true, .null = true },
	API_COUNT_ROW("files"),
	API_COUNT_ROW("bytes"),
	API_COUNT_ROW("cached_bytes"),
	{ 0 },
};
static const struct api_shape commit_shape = { "Commit", commit_fields };

static const struct api_field info_fields[] = {
	TYPE,
	API_TEXT_ROW("id"),
	VISIBILITY,
	BECAUSE,
	{ .name = "refs", .kind = API_LIST, .needed = true, .of = &ref_shape },
	{ .name = "commits",
	  .kind = API_LIST,
	  .needed = true,
	  .of = &commit_shape,
	  .doc = "Those whose files are known, at most 100." },
	{ 0 },
};
const struct api_shape api_repo_info_shape = { "RepositoryInfo", info_fields };

static const struct api_field change_fields[] = {
	{ .name = "visibility",
	  .kind = API_WORD,
	  .needed = true,
	  .words = VISIBILITY_WORDS "|default",
	  .doc = "\"default\": what its namespace or the upstream says." },
	{ 0 },
};
const struct api_shape api_repo_change_shape = { "RepositoryChange", change_fields };

static const struct api_field freed_fields[] = { API_COUNT_ROW("freed_bytes"), { 0 } };
const struct api_shape api_freed_shape = { "Freed", freed_fields };

/* --- lists */

static int write_id(struct api_call *c, const struct repo_names *names)
{
	const struct repo_id *id = names->list[0];
	enum visibility visibility = VISIBILITY_UNSAID;
	const char *because = "";
	int r = rights_visibility(&c->ask->server->rights, names, &visibility, &because);
	char type[16]; /* "model" of "models" */

	snprintf(type, sizeof(type), "%.*s", (int)strlen(repo_type_plural(id->type)) - 1,
		 repo_type_plural(id->type));
	jwrite_text(&c->w, "type", type);
	jwrite_text(&c->w, "id", id->name);
	jwrite_text(&c->w, "visibility", visibility == VISIBILITY_PRIVATE ? "private" : "public");
	jwrite_text(&c->w, "because", because);
	return r;
}

struct listing {
	const char *type, *search; /* or NULL */
	const char *after;
	struct repo **found; /* owned */
	size_t count, room;
	bool failed;
};

static bool is_wanted(const struct listing *l, const struct repo *r)
{
	const struct repo_id *id = repo_id_of(r);

	if (l->type && strncmp(repo_type_plural(id->type), l->type, strlen(l->type)) != 0)
		return false;
	return (!l->search || strcasestr(id->name, l->search)) &&
	       (!l->after || strcmp(repo_key(r), l->after) > 0);
}

static int collect(void *arg, struct repo *r)
{
	struct listing *l = arg;

	if (!is_wanted(l, r))
		return 0;
	if (grow_list(l->found, l->count, l->room) < 0)
		return -ENOMEM;
	l->found[l->count++] = r;
	return 0;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(repo_key(*(struct repo *const *)a), repo_key(*(struct repo *const *)b));
}

static int write_found(struct api_call *c, struct api_page *p, const struct listing *l)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->count && api_page_room(p, repo_key(l->found[i])); i++) {
		struct repo_names names;

		known_names(node_known(c->ask->server->node), l->found[i], &names);
		jwrite_object(&c->w, NULL);
		r = write_id(c, &names);
		jwrite_object_end(&c->w);
	}
	return r;
}

int api_repos(struct api_call *c)
{
	CLEANUP(buf_free) struct buf type = { 0 }, search = { 0 }, after = { 0 };
	struct listing l = { .type = api_query(c, "type", &type),
			     .search = api_query(c, "search", &search) };
	struct api_page p = api_page_begin(c, &after, &l.after);
	int r = known_each_repo(node_known(c->ask->server->node), collect, &l);

	if (l.count)
		qsort(l.found, l.count, sizeof(struct repo *), by_key);
	if (r == 0)
		r = write_found(c, &p, &l);
	free(l.found);
	api_page_end(&p);
	return r;
}

/* --- one */

static int repo_of(struct api_call *c, struct repo_id *ret)
{
	for (int t = 0; t < REPO_TYPE_COUNT; t++)
		if (!strcmp(repo_type_plural((enum repo_type)t), c->params[0]) &&
		    repo_id_parse((enum repo_type)t, c->params[1], ret) == 0)
			return 0;
	return api_complain(c, -ENOENT, "there is no repository \"%s/%s\"", c->params[0],
			    c->params[1]);
}

static int write_ref(void *arg, const char *ref, const char *commit)
{
	struct jwrite *w = arg;

	jwrite_object(w, NULL);
	jwrite_text(w, "name", ref);
	jwrite_text(w, "commit", commit);
	jwrite_object_end(w);
	return 0;
}

static uint64_t cached_bytes(struct node *n, const struct manifest *m)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < manifest_count(m); i++) {
		const struct manifest_file *f = manifest_file(m, i);
		char etag[DIGEST_HEX_MAX + 1];

		if (!f)
			continue;
		manifest_etag(f, etag);
		bytes += node_present_bytes(n, etag, f->size);
	}
	return bytes;
}

struct telling {
	struct api_call *call;
	struct repo *repo;
	unsigned commits;
};

static int write_commit(void *arg, const char *commit)
{
	struct telling *t = arg;
	struct node *n = t->call->ask->server->node;
	struct jwrite *w = &t->call->w;
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;

	if (known_snapshot(node_known(n), t->repo, commit, &s) < 0)
		return 0;
	jwrite_object(w, NULL);
	jwrite_text(w, "commit", commit);
	if (s->date_s >= 0)
		jwrite_int(w, "date", s->date_s);
	else
		jwrite_null(w, "date");
	jwrite_uint(w, "files", manifest_file_count(s->files));
	jwrite_uint(w, "bytes", manifest_total_bytes(s->files));
	jwrite_uint(w, "cached_bytes",
		    repo_is_hosted(t->repo) ? manifest_total_bytes(s->files)
					    : cached_bytes(n, s->files));
	jwrite_object_end(w);
	return ++t->commits == COMMITS_MAX;
}

int api_repo(struct api_call *c)
{
	struct known *k = node_known(c->ask->server->node);
	struct telling t = { .call = c };
	struct repo_names names;
	struct repo_id id;
	int r = repo_of(c, &id);

	if (r < 0)
		return r;
	t.repo = known_repo(k, &id);
	if (!t.repo)
		return api_complain(c, -ENOENT, "nothing of \"%s\" is known here", id.name);
	t.repo = repo_canonical(t.repo);
	known_names(k, t.repo, &names);
	jwrite_object(&c->w, NULL);
	r = write_id(c, &names);
	jwrite_array(&c->w, "refs");
	if (r == 0)
		r = known_each_ref(k, t.repo, write_ref, &c->w);
	jwrite_array_end(&c->w);
	jwrite_array(&c->w, "commits");
	if (r == 0)
		r = known_each_commit(k, t.repo, write_commit, &t);
	jwrite_array_end(&c->w);
	jwrite_object_end(&c->w);
	return r < 0 ? r : 0;
}

/* What a name is of that was never asked for, the hubs know. It is not waited for long, and if they
 * do not tell, what is said is said of that name. */
static int look_for(struct node *n, const struct repo_id *id)
{
	struct repo *repo;
	struct nap nap;
	int r;

	nap_init(&nap, n);
	nap.waiter.deadline_ms = clock_ms() + HUB_PATIENCE_MS;
	do {
		r = node_repo(n, id, &nap.waiter, &repo);
		if (r == PARKED)
			r = nap_wait(&nap, NULL, node_leave_lookup);
	} while (r == PARKED);
	nap_fini(&nap);
	return r;
}

static int set_visibility(struct api_call *c, const struct repo_id *id, enum visibility v,
			  struct repo_names *ret)
{
	struct server *s = c->ask->server;
	struct known *k = node_known(s->node);
	int r;

	known_names_of(k, id, ret);
	r = rights_set_visibility(s->rights.db, ret, v);
	/* It is said before it comes, then of what it is. What is denied is not asked for. */
	if (r < 0 || ret->list[0] != id || !filter_repo(c->ask->filter, ret) ||
	    look_for(s->node, id) < 0)
		return r;
	known_names_of(k, id, ret);
	return rights_set_visibility(s->rights.db, ret, v);
}

/* Also of one that nobody has asked for yet; of one that has another name now, it is that one. */
int api_repo_change(struct api_call *c)
{
	const char *word = api_text(c, "visibility", "");
	enum visibility visibility = !strcmp(word, "public")    ? VISIBILITY_PUBLIC
				     : !strcmp(word, "private") ? VISIBILITY_PRIVATE
								: VISIBILITY_UNSAID;
	struct repo_names names;
	struct repo_id id;
	int r = repo_of(c, &id);

	if (r < 0)
		return r;
	r = set_visibility(c, &id, visibility, &names);
	buf_printf(&c->subject, "%s/%s: %s", c->params[0], names.list[0]->name, word);
	if (strcasecmp(names.list[0]->name, id.name) != 0)
		buf_printf(&c->subject, ", by the name %s that it had", id.name);
	jwrite_object(&c->w, NULL);
	if (r == 0)
		r = write_id(c, &names);
	if (strcasecmp(names.list[0]->name, id.name) != 0)
		jwrite_text(&c->w, "formerly", id.name);
	jwrite_object_end(&c->w);
	return r;
}

/* Here a hub was not asked: what is not known has no bytes to drop. */
int api_repo_evict(struct api_call *c)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	const char *revision = api_query(c, "revision", &room);
	uint64_t freed = 0;
	struct repo_id id;
	int r = repo_of(c, &id);

	if (r < 0)
		return r;
	if (!revision)
		revision = "main";
	buf_printf(&c->subject, "%s/%s@%s", c->params[0], id.name, revision);
	r = keeper_evict(c->ask->server->keeper, &id, revision, &freed);
	if (r == ERR_NOREPO || r == ERR_NOREV)
		return api_complain(c, -ENOENT, "nothing of \"%s@%s\" is known here", id.name,
				    revision);
	jwrite_object(&c->w, NULL);
	jwrite_uint(&c->w, "freed_bytes", freed);
	jwrite_object_end(&c->w);
	return r;
}
