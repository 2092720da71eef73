/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/repo_settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/repo_body.h"
#include "admin/hub/writing.h"
#include "daemon/base/err.h"

/* What the body says; what it does not speak of stays as it is. */
struct settings {
	struct repo_id id;
	char uid[REGISTRY_UID + 1];
	enum visibility visibility;
	bool gates;
	enum registry_gating gating;
	int discussions_disabled; /* -1: not said */
	const char *description;
	struct buf note; /* of the record: "private, gated=auto" */
};

static void settings_fini(struct settings *s)
{
	buf_free(&s->note);
}

/* ---- what the body says ---- */

/* The words of the public hub's check of what it is sent. */
static int refuse_member(struct ask *a, const char *name)
{
	answer_refuse(a, 400, "* Invalid input * at %s", name);
	return ANSWERED;
}

static int take_gating(struct ask *a, const struct jval *body, struct settings *s)
{
	const struct jval *said = jval_get(body, "gated");
	const char *word = jval_str(said);

	s->gates = said != NULL;
	if (!said || jval_bool(said) == 0)
		return 0;
	if (!word || (strcmp(word, "auto") != 0 && strcmp(word, "manual") != 0))
		return refuse_member(a, "gated");
	s->gating = strcmp(word, "auto") ? REGISTRY_GATED_MANUAL : REGISTRY_GATED_AUTO;
	return 0;
}

static int take_discussions(struct ask *a, const struct jval *body, struct settings *s)
{
	const struct jval *said = jval_get(body, "discussionsDisabled");

	s->discussions_disabled = jval_bool(said);
	return said && s->discussions_disabled < 0 ? refuse_member(a, "discussionsDisabled") : 0;
}

static int take_description(struct ask *a, const struct jval *body, struct settings *s)
{
	s->description = jval_get_str(body, "description");
	if (!s->description || strlen(s->description) <= REGISTRY_TEXT_MAX)
		return 0;
	answer_refuse(a, 400, "\"description\" has more than %d bytes", REGISTRY_TEXT_MAX);
	return ANSWERED;
}

static int take_settings(struct ask *a, const struct jval *body, struct settings *s)
{
	int r;

	if (!repo_body_visibility(a, body, &s->visibility))
		return ANSWERED;
	if (jval_bool(jval_get(body, "xetEnabled")) == 1) {
		answer_refuse(a, 400, "This hub has no Xet store");
		return ANSWERED;
	}
	r = take_gating(a, body, s);
	if (r == 0)
		r = take_discussions(a, body, s);
	return r == 0 ? take_description(a, body, s) : r;
}

static void add_note(struct settings *s, const char *text, const char *value)
{
	buf_printf(&s->note, "%s%s%s", s->note.len ? ", " : "", text, value);
}

static const char *visibility_word(const struct settings *s)
{
	return s->visibility == VISIBILITY_PRIVATE ? "private" : "public";
}

static void describe(struct settings *s)
{
	const char *gated = registry_gating_word(s->gating);

	if (s->visibility != VISIBILITY_UNSAID)
		add_note(s, visibility_word(s), "");
	if (s->gates)
		add_note(s, "gated=", gated ? gated : "false");
	if (s->discussions_disabled >= 0)
		add_note(s, "discussions=", s->discussions_disabled ? "off" : "on");
	if (s->description)
		add_note(s, "description", "");
}

/* ---- and is done ---- */

/* Of the row as it is now: others change it, too, or give it another name. */
static int set(struct db_txn *t, void *arg)
{
	struct settings *s = arg;
	struct registry_repo repo;
	int r = registry_get(t, &s->id, &repo);

	if (r < 0 || strcmp(repo.uid, s->uid) != 0)
		return r < 0 && r != -ENOENT ? r : ERR_NOREPO;
	if (s->gates)
		repo.gating = s->gating;
	if (s->discussions_disabled >= 0)
		repo.discussions_disabled = s->discussions_disabled;
	if (s->description)
		snprintf(repo.description, sizeof(repo.description), "%s", s->description);
	r = registry_change(t, &repo);
	if (r == 0 && s->visibility != VISIBILITY_UNSAID)
		r = rights_put_visibility(t, &repo.id, s->visibility);
	return r;
}

/* What was said is said back, as the public hub does. */
static void answer_settings(struct ask *a, const struct settings *s)
{
	const char *gated = registry_gating_word(s->gating);
	struct buf json = { 0 };
	struct jwrite w = { .to = &json };

	jwrite_object(&w, NULL);
	if (s->visibility != VISIBILITY_UNSAID)
		jwrite_bool(&w, "private", s->visibility == VISIBILITY_PRIVATE);
	if (s->gates && gated)
		jwrite_text(&w, "gated", gated);
	else if (s->gates)
		jwrite_bool(&w, "gated", false);
	if (s->discussions_disabled >= 0)
		jwrite_bool(&w, "discussionsDisabled", s->discussions_disabled);
	jwrite_object_end(&w);
	answer_json(a, 200, &json);
}

static int apply(struct ask *a, struct settings *s)
{
	struct writing_act act = { "repo.settings", &s->id, NULL, NULL };
	const struct writing_change change = { .act = &act,
					       .fn = set,
					       .arg = s,
					       .type = s->id.type,
					       .uid = s->uid,
					       .revision = REGISTRY_MAIN };
	int r;

	describe(s);
	act.note = s->note.len ? buf_str(&s->note) : NULL;
	r = writing_change(a, &change);
	if (r < 0)
		return writing_note_failure(a, &act, r);
	r = writing_done(a, &act);
	if (r == 0)
		answer_settings(a, s);
	return r;
}

int repo_settings(struct ask *a)
{
	CLEANUP(settings_fini) struct settings s = { .visibility = VISIBILITY_UNSAID };
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	struct registry_repo repo;
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = writing_whole(a, &repo, &doc);
	if (r == 0)
		r = take_settings(a, jdoc_root(doc), &s);
	if (r != 0)
		return r < 0 ? r : 0;
	s.id = repo.id;
	memcpy(s.uid, repo.uid, sizeof(s.uid));
	return apply(a, &s);
}
