/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/checking.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/writing.h"
#include "admin/registry/checks.h"
#include "daemon/base/err.h"

static void write_check(struct jwrite *w, const char *key, const struct check *c)
{
	jwrite_object(w, key);
	jwrite_text(w, "name", c->name);
	jwrite_text(w, "result", c->passed ? "passed" : "failed");
	jwrite_text(w, "user", c->user);
	jwrite_text(w, "url", *c->url ? c->url : NULL);
	jwrite_time(w, "date", c->at_s * 1000);
	jwrite_object_end(w);
}

/* ---- one is set ---- */

struct setting {
	const char *uid, *revision;
	struct check check; /* as asked for: a transaction that runs again reads it again */
	struct check made;
	char commit[COMMIT_HEX + 1];
};

static int set(struct db_txn *t, void *arg)
{
	struct setting *s = arg;
	int r = registry_find(t, s->uid, s->revision, s->commit);

	if (r == 0)
		r = check_put(t, s->uid, s->commit, &s->check);
	return r < 0 ? r : check_get(t, s->uid, s->commit, s->check.name, &s->made);
}

static bool is_url(const char *text)
{
	if (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0)
		return false;
	for (; *text > ' ' && *text < 0x7f; text++)
		;
	return !*text;
}

/* False: it was answered. */
static bool take(struct ask *a, const struct jval *body, struct check *ret)
{
	const char *name = jval_get_str(body, "name"), *result = jval_get_str(body, "result");
	const char *url = jval_get_str(body, "url");

	if (!name || !check_name_valid(name)) {
		answer_refuse(a, 400,
			      "\"name\" must be at most %d letters, digits, '.', '_' and '-'",
			      CHECK_NAME_MAX);
		return false;
	}
	if (!result || (strcmp(result, "passed") != 0 && strcmp(result, "failed") != 0)) {
		answer_refuse(a, 400, "\"result\" must be one of [passed, failed]");
		return false;
	}
	if (url && (strlen(url) > CHECK_URL_MAX || !is_url(url))) {
		answer_refuse(a, 400, "\"url\" must be an http URL of at most %d bytes",
			      CHECK_URL_MAX);
		return false;
	}
	ret->passed = !strcmp(result, "passed");
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->url, sizeof(ret->url), "%s", url ? url : "");
	snprintf(ret->user, sizeof(ret->user), "%s", a->who.user);
	return true;
}

static int run(struct ask *a, const struct registry_repo *repo, struct setting *s)
{
	char note[CHECK_NAME_MAX + sizeof(" passed")];
	const struct writing_act act = { "check.set", &repo->id, s->commit, note };
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };
	int r;

	snprintf(note, sizeof(note), "%s %s", s->check.name, s->check.passed ? "passed" : "failed");
	r = db_write(writing_db(a, &act), set, s);
	if (r < 0)
		return writing_note_failure(a, &act, r);
	r = writing_done(a, &act);
	if (r < 0)
		return r;
	write_check(&w, NULL, &s->made);
	answer_json(a, 200, &json);
	return 0;
}

int check_set(struct ask *a)
{
	struct setting s = { .revision = a->asked.target.rev };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	struct registry_repo repo;
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = writing_repo(a, &repo);
	if (r == 0)
		r = writing_body(a, &body);
	if (r != 0)
		return r < 0 ? r : 0;
	s.uid = repo.uid;
	return take(a, jdoc_root(body), &s.check) ? run(a, &repo, &s) : 0;
}

/* ---- all of a commit ---- */

struct telling {
	const struct repo_id *id;
	const char *revision;
	struct buf json;
	struct jwrite w;
};

static int tell_check(void *arg, const struct check *check)
{
	struct telling *x = arg;

	write_check(&x->w, NULL, check);
	return 0;
}

/* Of what is no repository of ours nothing is known. */
static int tell(struct db_txn *t, void *arg)
{
	char commit[COMMIT_HEX + 1] = "";
	struct telling *x = arg;
	struct registry_repo repo;
	int r = registry_get(t, x->id, &repo), absent = r == -ENOENT;

	if (r == 0)
		r = registry_find(t, repo.uid, x->revision, commit);
	if (r < 0 && !absent)
		return r;
	buf_clear(&x->json);
	x->w = (struct jwrite){ .to = &x->json };
	jwrite_object(&x->w, NULL);
	jwrite_text(&x->w, "commit", *commit ? commit : NULL);
	jwrite_array(&x->w, "checks");
	r = absent ? 0 : check_each(t, repo.uid, commit, tell_check, x);
	jwrite_array_end(&x->w);
	jwrite_object_end(&x->w);
	return r < 0 ? r : x->json.failed;
}

int check_list(struct ask *a)
{
	struct telling x = { .id = repo_id_of(repo_canonical(a->repo)),
			     .revision = a->asked.target.rev };
	int r;

	if (!ask_aside_or_here(a))
		return PARKED;
	r = db_read(a->server->rights.db, tell, &x);
	if (r == 0)
		answer_json(a, 200, &x.json);
	buf_free(&x.json);
	return r;
}
