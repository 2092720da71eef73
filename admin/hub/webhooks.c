/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/webhooks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/writing.h"
#include "admin/registry/owned.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define HOOKS_MAX 100
#define WATCHED_MAX 100
#define URL_MAX 2048
#define SECRET_MAX 1024

/* One on its way: what the body says of it, and what there was. */
struct hook {
	struct ask *ask;
	const char *act;
	char id[OWNED_ID + 1];
	const struct jval *body;
	int disabled;           /* -1: as it was */
	const char *secret;     /* "" takes it away; NULL: as it was */
	const struct jval *old; /* while it is being printed, or NULL */
	struct buf json;
	struct jwrite w;
};

static void hook_fini(struct hook *h)
{
	buf_free(&h->json);
}

/* ---- what may be said ---- */

static bool is_in(const char *const *list, size_t count, const char *word)
{
	for (size_t i = 0; word && i < count; i++)
		if (!strcmp(list[i], word))
			return true;
	return false;
}

static const char *why_not_watched(const struct jval *list)
{
	static const char *const types[] = { "user", "org", "model", "dataset", "space", "bucket" };

	if (!jval_is_array(list) || jval_count(list) > WATCHED_MAX)
		return "\"watched\" must be a list of at most 100 items";
	for (size_t i = 0; i < jval_count(list); i++) {
		const char *name = jval_get_str(jval_at(list, i), "name");

		if (!is_in(types, ARRAY_LEN(types), jval_get_str(jval_at(list, i), "type")))
			return "what is watched has a \"type\": one of [user, org, model, dataset, "
			       "space, bucket]";
		if (!name || !*name || strlen(name) > REPO_NAME_MAX)
			return "what is watched has a \"name\"";
	}
	return NULL;
}

static const char *why_no_domains(const struct jval *list)
{
	static const char *const domains[] = { "repo", "discussion", "discussions" };

	if (!jval_is_array(list) || jval_count(list) > 8)
		return "\"domains\" must be a list";
	for (size_t i = 0; i < jval_count(list); i++)
		if (!is_in(domains, ARRAY_LEN(domains), jval_str(jval_at(list, i))))
			return "\"domains\" must be of [repo, discussion]";
	return NULL;
}

static const char *why_no_url(const char *url)
{
	if (!url || strlen(url) > URL_MAX || strpbrk(url, " \t\r\n") ||
	    (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0))
		return "\"url\" must be one of http or https";
	return NULL;
}

/* NULL: it may be. `all`: nothing was there before. */
static const char *why_not(struct hook *h, bool all)
{
	const struct jval *watched = jval_get(h->body, "watched");
	const struct jval *domains = jval_get(h->body, "domains");
	const char *why = NULL;

	h->secret = jval_get_str(h->body, "secret");
	if (jval_get(h->body, "jobSourceId") || jval_get(h->body, "job"))
		return "this hub runs no jobs: a webhook has a \"url\"";
	if (h->secret && strlen(h->secret) > SECRET_MAX)
		return "\"secret\" must have at most 1024 bytes";
	if (all || watched)
		why = why_not_watched(watched);
	if (!why && domains)
		why = why_no_domains(domains);
	if (!why && (all || jval_get(h->body, "url")))
		why = why_no_url(jval_get_str(h->body, "url"));
	return why;
}

/* ---- its row ---- */

/* What clients send where they mean to leave it as it is, is an empty list. */
static const struct jval *newer(const struct hook *h, const char *name)
{
	const struct jval *v = jval_get(h->body, name);

	return v && (!h->old || !jval_is_array(v) || jval_count(v)) ? v : jval_get(h->old, name);
}

static void print_watched(struct jwrite *w, const struct jval *list)
{
	jwrite_array(w, "watched");
	for (size_t i = 0; i < jval_count(list); i++) {
		jwrite_object(w, NULL);
		jwrite_text(w, "type", jval_get_str(jval_at(list, i), "type"));
		jwrite_text(w, "name", jval_get_str(jval_at(list, i), "name"));
		jwrite_object_end(w);
	}
	jwrite_array_end(w);
}

static void print_domains(struct jwrite *w, const struct jval *list)
{
	jwrite_array(w, "domains");
	for (size_t i = 0; i < jval_count(list); i++)
		jwrite_text(w, NULL, jval_str(jval_at(list, i)));
	if (!jval_is_array(list)) {
		jwrite_text(w, NULL, "repo");
		jwrite_text(w, NULL, "discussion");
	}
	jwrite_array_end(w);
}

static void print(struct hook *h, struct buf *ret)
{
	struct jwrite w = { .to = ret };
	int was = jval_bool(jval_get(h->old, "disabled"));

	jwrite_object(&w, NULL);
	jwrite_text(&w, "id", h->id);
	jwrite_text(&w, "url", jval_str(newer(h, "url")));
	print_watched(&w, newer(h, "watched"));
	print_domains(&w, newer(h, "domains"));
	jwrite_bool(&w, "disabled", h->disabled >= 0 ? h->disabled : was == 1);
	jwrite_object_end(&w);
}

static int put(struct db_txn *t, struct hook *h)
{
	CLEANUP(buf_free) struct buf row = { 0 }, secret = { 0 };
	const char *user = h->ask->who.user;
	int r;

	print(h, &row);
	r = owned_put(t, DB_WEBHOOKS, user, h->id, &row);
	if (r == 0 && h->secret && *h->secret) {
		buf_add_str(&secret, h->secret);
		r = owned_put(t, DB_WEBHOOK_SECRETS, user, h->id, &secret);
	} else if (r == 0 && h->secret) {
		r = owned_del(t, DB_WEBHOOK_SECRETS, user, h->id);
	}
	buf_clear(&h->json);
	buf_printf(&h->json, "{\"webhook\":%s}", buf_str(&row));
	return r < 0 ? r : h->json.failed;
}

static int count_one(void *arg, const char *owner UNUSED, const char *id UNUSED,
		     const char *text UNUSED, size_t len UNUSED)
{
	(*(size_t *)arg)++;
	return 0;
}

static int add(struct db_txn *t, void *arg)
{
	struct hook *h = arg;
	size_t count = 0;
	int r = owned_each(t, DB_WEBHOOKS, h->ask->who.user, count_one, &count);

	if (r == 0 && count >= HOOKS_MAX)
		r = -EFBIG;
	return r < 0 ? r : put(t, h);
}

static int change(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	struct hook *h = arg;
	int r = owned_get(t, DB_WEBHOOKS, h->ask->who.user, h->id, &row);

	if (r == 0)
		r = jdoc_parse(buf_str(&row), row.len, &doc);
	if (r < 0)
		return r;
	h->old = jdoc_root(doc);
	r = put(t, h);
	h->old = NULL;
	return r;
}

static int take_away(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct hook *h = arg;
	const char *user = h->ask->who.user;
	int r = owned_get(t, DB_WEBHOOKS, user, h->id, &row);

	if (r == 0)
		r = owned_del(t, DB_WEBHOOKS, user, h->id);
	if (r == 0)
		r = owned_del(t, DB_WEBHOOK_SECRETS, user, h->id);
	buf_clear(&h->json);
	buf_add_str(&h->json, "{}");
	return r;
}

/* ---- requests ---- */

static int run(struct hook *h, db_fn fn)
{
	const struct writing_act act = { h->act, NULL, NULL, h->id };
	int r = db_write(writing_db(h->ask, &act), fn, h);

	if (r == -ENOENT)
		return writing_refuse(h->ask, &act, 404, "Webhook not found");
	if (r == -EFBIG)
		return writing_refuse(h->ask, &act, 400, "There are %d webhooks already",
				      HOOKS_MAX);
	if (r < 0)
		return writing_note_failure(h->ask, &act, r);
	r = writing_done(h->ask, &act);
	if (r == 0)
		answer_json(h->ask, 200, &h->json);
	return r;
}

/* True if who asks may look at theirs; else that is answered, or *ret says why. */
static bool may_look(struct ask *a, int *ret)
{
	*ret = a->who.known && a->who.token.role >= ROLE_WRITE ? 0 : ERR_FORBIDDEN;
	return *ret == 0;
}

static int tell(void *arg, const char *owner UNUSED, const char *id UNUSED, const char *text,
		size_t len)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct hook *h = arg;

	buf_add(&row, text, len);
	jwrite_json(&h->w, NULL, buf_str(&row));
	return row.failed;
}

static int tell_all(struct db_txn *t, void *arg)
{
	struct hook *h = arg;
	int r;

	buf_clear(&h->json);
	h->w = (struct jwrite){ .to = &h->json };
	jwrite_array(&h->w, NULL);
	r = owned_each(t, DB_WEBHOOKS, h->ask->who.user, tell, h);
	jwrite_array_end(&h->w);
	return r < 0 ? r : h->json.failed;
}

int webhooks_list(struct ask *a)
{
	CLEANUP(hook_fini) struct hook h = { .ask = a };
	int r;

	if (!may_look(a, &r))
		return r;
	r = db_read(a->server->rights.db, tell_all, &h);
	if (r == 0)
		answer_json(a, 200, &h.json);
	return r;
}

int webhooks_add(struct ask *a)
{
	CLEANUP(hook_fini) struct hook h = { .ask = a, .act = "webhook.create" };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	const char *why;
	int r;

	if (!writing_begin_own(a, &r))
		return r;
	r = writing_body(a, &body);
	if (r == 0)
		r = registry_make_uid(h.id);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	h.body = jdoc_root(body);
	why = why_not(&h, true);
	if (!why)
		return run(&h, add);
	answer_refuse(a, 400, "%s", why);
	return 0;
}

/* "ID", or "ID/enable": what follows, "" if nothing does. */
static const char *take_id(struct hook *h)
{
	const char *path = h->ask->asked.target.path;
	size_t len = strcspn(path, "/");

	snprintf(h->id, sizeof(h->id), "%.*s", (int)len, path);
	return path + len;
}

static int tell_one(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct hook *h = arg;
	int r = owned_get(t, DB_WEBHOOKS, h->ask->who.user, h->id, &row);

	buf_clear(&h->json);
	buf_printf(&h->json, "{\"webhook\":%s}", buf_str(&row));
	return r < 0 ? r : h->json.failed;
}

int webhooks_show(struct ask *a)
{
	CLEANUP(hook_fini) struct hook h = { .ask = a };
	int r;

	if (!may_look(a, &r))
		return r;
	r = *take_id(&h) ? -ENOENT : db_read(a->server->rights.db, tell_one, &h);
	if (r == -ENOENT)
		answer_refuse(a, 404, "Webhook not found");
	else if (r == 0)
		answer_json(a, 200, &h.json);
	return r == -ENOENT ? 0 : r;
}

int webhooks_change(struct ask *a)
{
	CLEANUP(hook_fini) struct hook h = { .ask = a, .act = "webhook.update", .disabled = -1 };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	const char *what, *why;
	int r;

	if (!writing_begin_own(a, &r))
		return r;
	what = take_id(&h);
	r = writing_body(a, &body);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	h.body = jdoc_root(body);
	if (!strcmp(what, "/enable") || !strcmp(what, "/disable")) {
		h.disabled = what[1] == 'd';
		h.act = h.disabled ? "webhook.disable" : "webhook.enable";
		h.body = NULL;
		return run(&h, change);
	}
	why = *what ? "Sorry, there is nothing at this address" : why_not(&h, false);
	if (!why)
		return run(&h, change);
	answer_refuse(a, *what ? 404 : 400, "%s", why);
	return 0;
}

int webhooks_remove(struct ask *a)
{
	CLEANUP(hook_fini) struct hook h = { .ask = a, .act = "webhook.delete" };
	int r;

	if (!writing_begin_own(a, &r))
		return r;
	if (!*take_id(&h))
		return run(&h, take_away);
	answer_refuse(a, 404, "Sorry, there is nothing at this address");
	return 0;
}
