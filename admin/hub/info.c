/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/info.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/document.h"
#include "admin/hub/gated.h"
#include "admin/hub/tree.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/clock.h"
#include "daemon/base/jwrite.h"

#define INFO_AGE_MS (60 * 60 * 1000) /* of what changes beside a commit: likes and their like */

/* --- one repository */

#define WITHOUT_WISHES UINT64_MAX /* the version of a text that is to be made again */

#define NAMED "id", "_id", "modelId", "author", "sha", "siblings", "private"

void info_write_ids(struct jwrite *w, const struct repo_id *id)
{
	jwrite_text(w, "_id", id->name);
	jwrite_text(w, "id", id->name);
}

void info_write_author(struct jwrite *w, const struct repo_id *id)
{
	const char *slash = strchr(id->name, '/');
	char author[REPO_NAME_MAX + 1];

	if (!slash)
		return;
	snprintf(author, sizeof(author), "%.*s", (int)(slash - id->name), id->name);
	jwrite_text(w, "author", author);
}

void info_write_names(struct jwrite *w, const struct repo_id *id)
{
	info_write_ids(w, id);
	if (id->type == REPO_MODEL)
		jwrite_text(w, "modelId", id->name);
	info_write_author(w, id);
}

static void write_own(struct jwrite *w, const struct snapshot *s)
{
	jwrite_time(w, "lastModified", s->date_s * 1000);
	jwrite_time(w, "createdAt", s->date_s * 1000);
	answer_repo_state(w, NULL);
}

static bool is_in(const char *const *list, const char *word)
{
	while (*list && strcmp(*list, word) != 0)
		list++;
	return *list;
}

bool info_is_named(const char *name)
{
	static const char *const named[] = { NAMED, NULL };

	return is_in(named, name);
}

int info_tail(const char *commit, struct buf *ret)
{
	return buf_printf(ret, "/revision/%s", commit);
}

/* What the hub says besides; true if it said anything. */
static bool write_doc(struct jwrite *w, const struct doc *doc)
{
	CLEANUP(jdoc_freep) struct jdoc *parsed = NULL;
	CLEANUP(buf_free) struct buf text = { 0 };
	const struct jval *v = NULL;
	const char *name = NULL;

	if (!doc->text.len || jdoc_parse(doc->text.data, doc->text.len, &parsed) < 0)
		return false;
	while ((v = jval_next(jdoc_root(parsed), &name))) {
		buf_clear(&text);
		if (!info_is_named(name) && jdoc_print(v, NULL, NULL, &text) == 0)
			jwrite_json(w, name, buf_str(&text));
	}
	return name != NULL || jval_is_object(jdoc_root(parsed));
}

static int write_info(struct ask *a, const struct doc *doc, struct buf *json)
{
	struct jwrite w = { .to = json };
	struct tree_view view;
	int r;

	jwrite_object(&w, NULL);
	info_write_names(&w, repo_id_of(a->repo));
	jwrite_text(&w, "sha", a->commit);
	jwrite_bool(&w, "private", a->is_private);
	if (!write_doc(&w, doc))
		write_own(&w, a->snapshot);
	tree_view(a, a->repo, a->snapshot, &view);
	r = tree_siblings(&view, target_flag(a->asked.query, "blobs"), &w);
	jwrite_object_end(&w);
	return r;
}

/* What hubs tell when it is asked for alone, and what they tell anyway (their own message lists
 * them). */
static const char *const rare[] = {
	"baseModels",
	"childrenModelCount",
	"downloadsAllTime",
	"evalResults",
	"inference",
	"inferenceProviderMapping",
	"paperswithcode_id",
	"resourceGroup",
	"runtime",
	"trendingScore",
	"trustRemoteCode",
	"xetEnabled",
	NULL,
};
static const char *const common[] = {
	"author",       "cardData",     "citation",     "config",
	"createdAt",    "datasets",     "description",  "disabled",
	"downloads",    "gated",        "gguf",         "host",
	"lastModified", "library_name", "likes",        "mask_token",
	"model-index",  "models",       "pipeline_tag", "private",
	"safetensors",  "sdk",          "sha",          "siblings",
	"spaces",       "subdomain",    "tags",         "transformersInfo",
	"usedStorage",  "widgetData",   NULL,
};

bool info_may_expand(struct ask *a)
{
	CLEANUP(buf_free) struct buf want = { 0 };
	const char *at = a->asked.query;

	while (target_next_field(&at, "expand", &want))
		if (want.len && !is_in(rare, buf_str(&want)) && !is_in(common, buf_str(&want))) {
			answer_refuse(a, 400, "Invalid expand: %s", buf_str(&want));
			return false;
		}
	return true;
}

static bool wants_rare(const struct ask *a)
{
	CLEANUP(buf_free) struct buf want = { 0 };
	const char *at = a->asked.query;

	while (target_next_field(&at, "expand", &want))
		if (is_in(rare, buf_str(&want)))
			return true;
	return false;
}

/* What hubs do not tell unasked is asked for; then they tell nothing else. */
static int add_wishes(const struct ask *a, struct buf *tail)
{
	CLEANUP(buf_free) struct buf want = { 0 };
	const char *at = a->asked.query;
	char before = '?';

	if (target_flag(a->asked.query, "securityStatus")) {
		buf_add_str(tail, "?securityStatus=true");
		before = '&';
	}
	if (!wants_rare(a))
		return tail->failed;
	for (unsigned n = 0; n < EXPANDS_MAX && target_next_field(&at, "expand", &want); n++) {
		buf_printf(tail, "%cexpand=%s", before, buf_str(&want));
		before = '&';
	}
	return tail->failed;
}

/* If the wishes could not be asked for: all that is here. */
static int take_plain(struct ask *a, struct doc *doc)
{
	CLEANUP(buf_free) struct buf tail = { 0 };
	int r = info_tail(a->commit, &tail);

	if (r == 0)
		r = node_doc_kept(a->server->node, a->repo, buf_str(&tail), &doc->text);
	if (r == 0)
		doc->version = WITHOUT_WISHES;
	return r == -ENOENT ? 0 : r;
}

/* Clients that name what they want get that, and the repository's ids. */
static int keep_expanded(const struct ask *a, struct buf *json)
{
	CLEANUP(jdoc_freep) struct jdoc *parsed = NULL;
	CLEANUP(buf_free) struct buf kept = { 0 }, want = { 0 }, text = { 0 };
	struct jwrite w = { .to = &kept };
	const char *at = a->asked.query;
	unsigned names = 0;
	int r = jdoc_parse(buf_str(json), json->len, &parsed);

	if (r < 0)
		return r;
	jwrite_object(&w, NULL);
	info_write_ids(&w, repo_id_of(a->repo));
	while (names++ < EXPANDS_MAX && target_next_field(&at, "expand", &want)) {
		const struct jval *v = jval_get(jdoc_root(parsed), buf_str(&want));

		buf_clear(&text);
		if (v && jdoc_print(v, NULL, NULL, &text) == 0)
			jwrite_json(&w, buf_str(&want), buf_str(&text));
	}
	jwrite_object_end(&w);
	buf_free(json);
	*json = kept;
	kept = (struct buf){ 0 };
	return json->failed;
}

/* Makes the text from the document, and keeps it. */
static int make_info(struct ask *a, struct doc *doc, const char *key, struct ready_text **ret)
{
	CLEANUP(buf_free) struct buf json = { 0 }, want = { 0 };
	struct ready_note note;
	int r = doc->text.len ? 0 : take_plain(a, doc);

	note = (struct ready_note){ .version = doc->version };
	if (r == 0)
		r = write_info(a, doc, &json);
	if (r == 0 && target_field(a->asked.query, "expand", &want))
		r = keep_expanded(a, &json);
	return r < 0 ? r : answer_ready_put(a, key, &json, &note, ret);
}

int info_repo(struct ask *a)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };
	CLEANUP(ready_unrefp) struct ready_text *text = NULL;
	CLEANUP(buf_free) struct buf tail = { 0 }, key = { 0 };
	struct httpd_head h;
	int r;

	if (!info_may_expand(a))
		return 0;
	r = ask_snapshot(a);
	if (r == 0)
		r = answer_ready_key(a, a->is_private ? "private info" : "info", &key);
	if (r == 0)
		r = info_tail(a->commit, &tail);
	if (r == 0)
		r = add_wishes(a, &tail);
	if (r != 0)
		return r;
	text = ready_find(a->server->ready, buf_str(&key));
	doc.version = text ? ready_note_of(text)->version : 0;
	r = document_ask(a, buf_str(&tail), INFO_AGE_MS, &doc);
	if (r == 0 && (!text || ready_note_of(text)->version != doc.version)) {
		ready_unref(steal(text));
		r = make_info(a, &doc, buf_str(&key), &text);
	}
	if (r != 0)
		return r;
	h = document_head(a, &doc);
	answer_ready(a, &h, text);
	return 0;
}

/* Whether it is for us, too: its files may be gated upstream, which is not told of their names. */
int info_check(struct ask *a)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };
	struct buf json = { 0 };
	int r = a->role == ROLE_READ ? gated_pass(a) : 0;

	if (r == 0)
		r = document_ask(a, "/auth-check", a->server->ref_ttl_ms, &doc);
	if (r == 0 && (a->without == ERR_GATED || a->without == ERR_DISABLED))
		r = a->without;
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	buf_add_str(&json, "{}");
	answer_json(a, 200, &json);
	return 0;
}

/* --- refs and commits */

static int write_ref(void *arg, const char *ref, const char *commit)
{
	struct jwrite *w = arg;
	char full[REVISION_MAX + sizeof("refs/heads/")];

	if (strncmp(ref, "refs/", 5) == 0)
		return 0;
	snprintf(full, sizeof(full), "refs/heads/%s", ref);
	jwrite_object(w, NULL);
	jwrite_text(w, "name", ref);
	jwrite_text(w, "ref", full);
	jwrite_text(w, "targetCommit", commit);
	jwrite_object_end(w);
	return 0;
}

/* Those that were asked for here; only a hub can tell a tag from a branch. */
static void write_known_refs(const struct ask *a, struct buf *json)
{
	struct jwrite w = { .to = json };

	jwrite_object(&w, NULL);
	jwrite_array(&w, "branches");
	known_each_ref(node_known(a->server->node), a->repo, write_ref, &w);
	jwrite_array_end(&w);
	jwrite_array(&w, "tags");
	jwrite_array_end(&w);
	jwrite_array(&w, "converts");
	jwrite_array_end(&w);
	jwrite_object_end(&w);
}

int info_refs(struct ask *a)
{
	bool all = target_flag(a->asked.query, "include_prs");
	CLEANUP(doc_fini) struct doc doc = { 0 };
	struct httpd_head h;
	int r = document_ask(a, all ? "/refs?include_prs=1" : "/refs", a->server->ref_ttl_ms, &doc);

	if (r != 0)
		return r;
	if (!doc.text.len)
		write_known_refs(a, &doc.text);
	h = document_head(a, &doc);
	answer_json_head(a, &h, &doc.text);
	return 0;
}

/* The one that is known: its title is the hub's to tell. */
static void write_known_commit(const struct ask *a, struct buf *json)
{
	struct jwrite w = { .to = json };

	jwrite_array(&w, NULL);
	jwrite_object(&w, NULL);
	jwrite_text(&w, "id", a->commit);
	jwrite_text(&w, "title", "");
	jwrite_text(&w, "message", "");
	jwrite_array(&w, "authors");
	jwrite_array_end(&w);
	jwrite_time(&w, "date", a->snapshot->date_s * 1000);
	jwrite_object_end(&w);
	jwrite_array_end(&w);
}

/* Below a commit nothing changes any more. */
int info_commits(struct ask *a)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };
	CLEANUP(buf_free) struct buf tail = { 0 };
	struct httpd_head h;
	int r = ask_snapshot(a);

	if (r == 0)
		r = buf_printf(&tail, "/commits/%s%s%s", a->commit, *a->asked.query ? "?" : "",
			       a->asked.query);
	if (r == 0)
		r = document_ask(a, buf_str(&tail), CLOCK_FOREVER, &doc);
	if (r != 0)
		return r;
	if (!doc.text.len)
		write_known_commit(a, &doc.text);
	h = document_head(a, &doc);
	answer_json_head(a, &h, &doc.text);
	return 0;
}
