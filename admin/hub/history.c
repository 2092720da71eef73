/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/history.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/catalogue/shelving.h"
#include "admin/hub/answer.h"
#include "admin/hub/discuss_json.h"
#include "admin/registry/lastcommit.h"
#include "admin/registry/renaming.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/jscan.h"
#include "daemon/base/jwrite.h"
#include "daemon/base/num.h"
#include "daemon/base/url.h"

#define COMMITS 50 /* of a page, unless the query says how many */
#define COMMITS_MAX 1000

/* One document on its way through a transaction. */
struct telling {
	const struct repo_id *id;
	const char *tail; /* behind what names its kind */
	struct doc *doc;
	int (*tell)(struct db_txn *t, const struct registry_repo *repo, struct telling *x);
	struct jwrite w;
	const char *place; /* of refs */
	/* Of a commit whose files the catalogue does not know: which, and then what they say. */
	struct registry_repo repo;
	char commit[COMMIT_HEX + 1];
	const char *facts; /* borrowed, or NULL */
};

/* ---- what it is ---- */

static void write_state(const struct registry_repo *repo, const struct catalogue_entry *e,
			struct jwrite *w)
{
	answer_repo_counts(w, e);
	if (repo->sdk[0])
		jwrite_text(w, "sdk", repo->sdk);
	if (repo->description[0])
		jwrite_text(w, "description", repo->description);
}

/* A commit's id is what the tail holds up to its query. */
static void take_commit(const char *tail, char ret[static COMMIT_HEX + 1])
{
	snprintf(ret, COMMIT_HEX + 1, "%.*s", (int)strcspn(tail, "?/"), tail);
}

/* What its files say: of the main branch the catalogue knows; of another commit it is found out
 * outside of this transaction, which is run again: -EAGAIN. */
static int read_facts(struct db_txn *t, const struct registry_repo *repo,
		      const struct catalogue_entry *e, struct telling *x, struct buf *ret)
{
	if (!strcmp(e->commit, x->commit))
		return catalogue_doc(t, &repo->id, ret);
	if (x->facts)
		return buf_add_str(ret, x->facts);
	x->repo = *repo;
	return -EAGAIN;
}

static void write_facts(const char *facts, struct jwrite *w)
{
	CLEANUP(buf_free) struct buf name = { 0 }, value = { 0 };
	struct jscan_member m;

	while (jscan_next(&facts, &m)) {
		buf_clear(&name);
		buf_clear(&value);
		buf_add(&name, m.name, m.name_len);
		if (buf_add(&value, m.value, m.value_len) == 0)
			jwrite_json(w, buf_str(&name), buf_str(&value));
	}
}

static int tell_revision(struct db_txn *t, const struct registry_repo *repo, struct telling *x)
{
	CLEANUP(buf_free) struct buf room = { 0 }, facts = { 0 };
	struct catalogue_entry e = { .id = repo->id };
	struct downloads_count count;
	struct git_commit c;
	int r;

	take_commit(x->tail, x->commit);
	r = registry_commit(t, repo->uid, x->commit, &room, &c);
	if (r == 0 && catalogue_get(t, &repo->id, &e) < 0)
		e = (struct catalogue_entry){ .id = repo->id };
	if (r == 0)
		r = read_facts(t, repo, &e, x, &facts);
	if (r < 0)
		return r;
	e.numbers[CATALOGUE_MODIFIED] = (double)c.committer.at_s;
	e.numbers[CATALOGUE_CREATED] = (double)repo->created_s;
	e.gated = repo->gating != REGISTRY_OPEN;
	e.manual = repo->gating == REGISTRY_GATED_MANUAL;
	jwrite_object(&x->w, NULL);
	write_state(repo, &e, &x->w);
	write_facts(buf_str(&facts), &x->w);
	r = downloads_get(t, repo->uid, clock_wall_s(), &count);
	if (r == 0)
		jwrite_uint(&x->w, "downloadsAllTime", count.all);
	jwrite_object_end(&x->w);
	return r;
}

/* ---- refs ---- */

static int write_ref(void *arg, const char *ref, const char *commit)
{
	struct telling *x = arg;

	jwrite_object(&x->w, NULL);
	jwrite_text(&x->w, "name", ref + strlen(x->place));
	jwrite_text(&x->w, "ref", ref);
	jwrite_text(&x->w, "targetCommit", commit);
	jwrite_object_end(&x->w);
	return 0;
}

static int tell_refs(struct db_txn *t, const struct registry_repo *repo, struct telling *x)
{
	static const char *const places[][2] = {
		{ "branches", REGISTRY_BRANCHES },
		{ "tags", REGISTRY_TAGS },
		{ "converts", "refs/convert/" },
		{ "pullRequests", "refs/pr/" },
	};
	size_t count = ARRAY_LEN(places) - !target_flag(x->tail, "include_prs");
	int r = 0;

	jwrite_object(&x->w, NULL);
	for (size_t i = 0; r == 0 && i < count; i++) {
		x->place = places[i][1];
		jwrite_array(&x->w, places[i][0]);
		r = registry_each_ref(t, repo->uid, x->place, write_ref, x);
		jwrite_array_end(&x->w);
	}
	jwrite_object_end(&x->w);
	return r;
}

/* ---- commits ---- */

static void write_title(struct jwrite *w, const char *message, bool formatted)
{
	CLEANUP(buf_free) struct buf title = { 0 }, text = { 0 };
	size_t len = strcspn(message, "\n");

	buf_add(&title, message, len);
	message += len + strspn(message + len, "\n");
	buf_add_str(&text, message);
	buf_trim_end(&text);
	jwrite_text(w, "title", buf_str(&title));
	jwrite_text(w, "message", buf_str(&text));
	if (!formatted)
		return;
	jwrite_object(w, "formatted");
	discuss_write_html(w, "title", buf_str(&title));
	discuss_write_html(w, "message", buf_str(&text));
	jwrite_object_end(w);
}

static bool wants_formatted(const char *query)
{
	CLEANUP(buf_free) struct buf want = { 0 };

	while (target_next_field(&query, "expand", &want))
		if (!strcmp(buf_str(&want), "formatted"))
			return true;
	return false;
}

static void write_commit(struct jwrite *w, const char *id, const struct git_commit *c,
			 bool formatted)
{
	jwrite_object(w, NULL);
	jwrite_text(w, "id", id);
	write_title(w, c->message, formatted);
	jwrite_array(w, "authors");
	jwrite_object(w, NULL);
	jwrite_text(w, "user", c->author.name);
	jwrite_text(w, "avatar", "");
	jwrite_object_end(w);
	jwrite_array_end(w);
	jwrite_time(w, "date", c->committer.at_s * 1000);
	jwrite_object_end(w);
}

/* The query again but for the page. */
static void name_next(struct telling *x, const char *commit, unsigned page, unsigned limit,
		      bool formatted)
{
	buf_printf(&x->doc->next, "/commits/%s?limit=%u&p=%u%s", commit, limit, page + 1,
		   formatted ? "&expand=formatted" : "");
}

/* Newest first, along first parents. */
static int tell_commits(struct db_txn *t, const struct registry_repo *repo, struct telling *x)
{
	const char *query = x->tail + strcspn(x->tail, "?");
	bool formatted;
	unsigned page, limit;
	uint64_t n = 0, first;
	char start[COMMIT_HEX + 1], id[COMMIT_HEX + 1];
	int r = 0;

	query += *query == '?';
	formatted = wants_formatted(query);
	limit = (unsigned)min_u64(target_number(query, "limit", COMMITS), COMMITS_MAX);
	limit = limit ? limit : COMMITS;
	page = target_number(query, "p", 0);
	first = (uint64_t)page * limit;
	take_commit(x->tail, start);
	memcpy(id, start, sizeof(id));
	jwrite_array(&x->w, NULL);
	for (; r == 0 && id[0]; n++) {
		CLEANUP(buf_free) struct buf room = { 0 };
		struct git_commit c;

		r = registry_commit(t, repo->uid, id, &room, &c);
		if (r == 0 && n >= first && n < first + limit)
			write_commit(&x->w, id, &c, formatted);
		id[0] = '\0';
		if (r == 0 && c.parent_count)
			hex_print(c.parents[0], GIT_ID, id);
	}
	jwrite_array_end(&x->w);
	x->doc->total = n;
	if (r == 0 && n > first + limit)
		name_next(x, start, page, limit, formatted);
	return r;
}

/* ---- last commits of what is in a directory ---- */

static int write_last(void *arg, const char *path, const char *id, const struct git_commit *c)
{
	CLEANUP(buf_free) struct buf title = { 0 };
	struct jwrite *w = arg;

	buf_add(&title, c->message, strcspn(c->message, "\n"));
	jwrite_object(w, NULL);
	jwrite_text(w, "path", path);
	jwrite_object(w, "lastCommit");
	jwrite_text(w, "id", id);
	jwrite_text(w, "title", buf_str(&title));
	jwrite_time(w, "date", c->committer.at_s * 1000);
	jwrite_object_end(w);
	jwrite_object_end(w);
	return 0;
}

static int tell_tree(struct db_txn *t, const struct registry_repo *repo, struct telling *x)
{
	CLEANUP(buf_free) struct buf dir = { 0 };
	char commit[COMMIT_HEX + 1];
	const char *at = x->tail + strcspn(x->tail, "/?");
	int r;

	take_commit(x->tail, commit);
	at += *at == '/';
	r = buf_add(&dir, at, strcspn(at, "?"));
	if (r < 0)
		return r;
	url_decode(dir.data);
	jwrite_array(&x->w, NULL);
	r = lastcommit_each(t, repo->uid, commit, dir.data, write_last, &x->w);
	jwrite_array_end(&x->w);
	return r;
}

/* ---- all of them ---- */

static const struct {
	const char *begin;
	int (*tell)(struct db_txn *t, const struct registry_repo *repo, struct telling *x);
	bool is_long; /* it looks at many commits */
} kinds[] = {
	{ "/revision/", tell_revision, false },
	{ "/refs", tell_refs, false },
	{ "/commits/", tell_commits, true },
	{ "/tree/", tell_tree, true },
};

static int tell(struct db_txn *t, void *arg)
{
	struct telling *x = arg;
	struct registry_repo repo;
	int r = renaming_get(t, x->id, &repo);

	buf_clear(&x->doc->text);
	buf_clear(&x->doc->next);
	x->w = (struct jwrite){ .to = &x->doc->text };
	return r < 0 ? (r == -ENOENT ? ERR_NOREPO : r) : x->tell(t, &repo, x);
}

static size_t kind_of(const char *tail)
{
	size_t i = 0;

	while (i < ARRAY_LEN(kinds) && strncmp(tail, kinds[i].begin, strlen(kinds[i].begin)) != 0)
		i++;
	return i;
}

/* What a commit's files say stays as it is, so that it is found out once for many who ask; but not
 * if one of them could not be read, or any went for good meanwhile. */
static int describe(struct ask *a, const struct telling *x, const char *key, struct buf *ret)
{
	CLEANUP(ready_unrefp) struct ready_text *text = NULL;
	CLEANUP(buf_free) struct buf kept = { 0 };
	bool whole;
	int r = shelving_describe(a->server->rights.db, a->server->intake, &x->repo, x->commit, ret,
				  &whole);

	if (r == 0 && whole)
		r = buf_add(&kept, ret->data, ret->len);
	return r < 0 || !whole
		       ? r
		       : answer_ready_put(a, key, &kept, &(struct ready_note){ .next = 0 }, &text);
}

static bool is_described(struct ask *a, const char *key, struct buf *ret)
{
	CLEANUP(ready_unrefp) struct ready_text *text = ready_find(a->server->ready, key);
	const void *bytes;
	size_t len;

	if (!text)
		return false;
	ready_bytes(text, READY_PLAIN, &bytes, &len);
	buf_add(ret, bytes, len);
	return true;
}

static int tell_described(struct ask *a, struct telling *x)
{
	CLEANUP(buf_free) struct buf key = { 0 }, facts = { 0 };
	int r = buf_printf(&key, "facts %s %s %s", x->repo.uid, x->commit, x->repo.sdk);

	if (r == 0 && !is_described(a, buf_str(&key), &facts)) {
		if (!ask_aside_or_here(a))
			return PARKED;
		r = describe(a, x, buf_str(&key), &facts);
	}
	if (r == 0)
		r = facts.failed;
	x->facts = buf_str(&facts);
	return r < 0 ? r : db_read(a->server->rights.db, tell, x);
}

int history_doc(struct ask *a, const char *tail, struct doc *ret)
{
	struct telling x = { .id = repo_id_of(a->repo), .doc = ret };
	size_t kind = kind_of(tail);
	uint64_t version;
	int r;

	if (kind == ARRAY_LEN(kinds))
		return ERR_NOENTRY;
	if (kinds[kind].is_long && !ask_aside_or_here(a))
		return PARKED;
	x.tell = kinds[kind].tell;
	x.tail = tail + strlen(kinds[kind].begin);
	x.tail += *x.tail == '?';
	r = db_read(a->server->rights.db, tell, &x);
	if (r == -EAGAIN)
		r = tell_described(a, &x);
	if (r == PARKED)
		return r; /* it may be gone already */
	if (r < 0 || ret->text.failed)
		return r < 0 ? r : ret->text.failed;
	version = xxh3_of(ret->text.data, ret->text.len);
	if (ret->version == version) {
		buf_free(&ret->text);
		buf_free(&ret->next);
	}
	ret->version = version;
	return 0;
}
