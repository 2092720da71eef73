/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/discuss.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/authorship.h"
#include "admin/hub/gated.h"
#include "admin/hub/discuss_json.h"
#include "admin/hub/pull_view.h"
#include "admin/registry/refs.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

/* ---- what is asked ---- */

struct asking {
	struct ask *ask;
	struct registry_repo repo;
	struct db_txn *txn;
	struct buf json;
	struct jwrite w;
	struct pull_view pull;
	bool with_diff;
	bool dear; /* what a pull request holds is to be worked out */
};

static void asking_fini(struct asking *q)
{
	buf_free(&q->json);
	pull_view_fini(&q->pull);
}

/* What a transaction finds begins anew each time it runs. */
static int begin_telling(struct db_txn *t, struct asking *q)
{
	int r = registry_get(t, repo_id_of(q->ask->repo), &q->repo);

	q->txn = t;
	buf_clear(&q->json);
	q->w = (struct jwrite){ .to = &q->json };
	return r == -ENOENT ? ERR_NOREPO : r;
}

static int answer_asked(struct asking *q)
{
	if (q->json.failed)
		return q->json.failed;
	answer_json(q->ask, 200, &q->json);
	return 0;
}

static int tell_event(void *arg, const struct event *e)
{
	struct asking *q = arg;

	return discuss_write_event(q->txn, &q->w, NULL, e);
}

static int find_one(struct db_txn *t, struct asking *q, struct discussion *ret)
{
	int r = begin_telling(t, q);

	*ret = (struct discussion){ .num = 0 };
	return r < 0 ? r : discussion_get(t, q->repo.uid, q->ask->asked.target.num, ret);
}

static int tell_one(struct db_txn *t, void *arg)
{
	struct asking *q = arg;
	struct discussion d;
	int r = find_one(t, q, &d);

	if (r < 0)
		return r;
	jwrite_object(&q->w, NULL);
	r = discuss_write(t, &q->w, &q->repo, &d);
	jwrite_array(&q->w, "events");
	if (r == 0)
		r = event_each(t, q->repo.uid, d.num, tell_event, q);
	jwrite_array_end(&q->w);
	if (r == 0 && d.is_pull)
		r = pull_look(t, q->repo.uid, &d, q->with_diff, q->ask->server->ready, &q->pull);
	return r;
}

/* Only a pull request has a diff, if one is wanted, and something to merge. */
static int look_ahead(struct db_txn *t, void *arg)
{
	struct asking *q = arg;
	struct discussion d;
	int r = find_one(t, q, &d);
	bool is_pull = r == 0 && d.is_pull;

	q->with_diff &= is_pull;
	q->dear = q->with_diff ||
		  (is_pull && !pull_is_known(t, q->repo.uid, &d, q->ask->server->ready));
	return r;
}

int discuss_show(struct ask *a)
{
	CLEANUP(asking_fini) struct asking q = { .ask = a };
	int r;

	if (!repo_is_hosted(a->repo)) {
		answer_refuse(a, 404, "Discussion not found");
		return 0;
	}
	r = gated_passes(a); /* a diff is what is in files; the rest is talk */
	q.with_diff = r == 0 && target_flag(a->asked.query, "diff");
	if (r == 0 || r == ERR_GATED)
		r = db_read(a->server->rights.db, look_ahead, &q);
	if (q.dear && !ask_aside(a, LANE_DIFFS, &r))
		return r;
	if (!ask_aside_or_here(a))
		return PARKED;
	if (r == 0)
		r = db_read(a->server->rights.db, tell_one, &q);
	if (r == 0 && q.pull.is_pull)
		r = pull_write(a, &q.pull, q.with_diff, &q.w);
	if (r == -ENOENT) {
		answer_refuse(a, 404, "Discussion not found");
		return 0;
	}
	if (r < 0)
		return r;
	jwrite_object_end(&q.w);
	return answer_asked(&q);
}

/* ---- what is said ---- */

/* On its way into the database: its rows are written in one transaction. */
struct saying {
	struct ask *ask;
	const char *act, *key; /* of the record; of the event in the answer */
	struct registry_repo repo;
	struct discussion d;
	const char *title; /* it gets, or NULL */
	int status;        /* it gets, or -1 */
	struct event events[2];
	size_t count;
	struct event_change change; /* of a comment, if it has an id */
	char note[16];              /* "#12", for its record */
	struct buf json, why;
	struct jwrite w;
	struct db_txn *txn;
};

static void saying_fini(struct saying *s)
{
	buf_free(&s->why);
	buf_free(&s->json);
}

/* False: it is answered, or goes on elsewhere; *ret is the handler's. */
static bool begin(struct saying *s, struct jdoc **body, int *ret)
{
	s->status = -1;
	if (!writing_begin(s->ask, ret))
		return false;
	*ret = writing_repo(s->ask, &s->repo);
	if (*ret == 0 && s->repo.discussions_disabled) {
		answer_refuse(s->ask, 403, "Discussions are disabled for this repo");
		*ret = ANSWERED;
	}
	if (*ret == 0)
		*ret = writing_body(s->ask, body);
	if (*ret == ANSWERED) {
		*ret = 0;
		return false;
	}
	return *ret == 0;
}

/* A text of the body; NULL if it is none, which was answered. */
static const char *take_text(struct saying *s, const struct jdoc *body, const char *name,
			     size_t max)
{
	const char *text = jval_get_str(jdoc_root(body), name);

	if (!text || !*text)
		answer_refuse(s->ask, 400, "\"%s\" is required", name);
	else if (strlen(text) > max)
		answer_refuse(s->ask, 400, "\"%s\" must have at most %zu bytes", name, max);
	else
		return text;
	return NULL;
}

/* One line without blanks at its ends. */
static bool take_title(struct saying *s, const struct jdoc *body, struct buf *ret)
{
	const char *text = take_text(s, body, "title", DISCUSSION_TITLE_MAX);

	if (!text)
		return false;
	buf_add_str(ret, text + strspn(text, " \t\r\n"));
	buf_trim_end(ret);
	for (size_t i = 0; i < ret->len; i++)
		if (strchr("\t\r\n", ret->data[i]))
			ret->data[i] = ' ';
	if (!ret->len && !ret->failed)
		answer_refuse(s->ask, 400, "\"title\" is required");
	for (size_t i = 0; i < ret->len; i++)
		if ((unsigned char)ret->data[i] < ' ' || ret->data[i] == 0x7f) {
			answer_refuse(s->ask, 400, "\"title\" holds a control character");
			return false;
		}
	return ret->len != 0;
}

static int add_event(struct saying *s, enum event_kind kind, const char *text, const char *other)
{
	struct event *e = &s->events[s->count++];

	*e = (struct event){ .kind = kind,
			     .author = s->ask->who.user,
			     .at_ms = clock_wall_s() * 1000,
			     .text = text,
			     .other = other };
	return registry_make_uid(e->id);
}

static int tell_if_it(void *arg, const struct event *e)
{
	struct saying *s = arg;
	const char *id = s->change.id ? s->change.id : s->events[0].id;
	int r;

	if (strcmp(e->id, id) != 0)
		return 0;
	r = discuss_write_event(s->txn, &s->w, s->key, e);
	return r < 0 ? r : 1;
}

static int write_answer(struct db_txn *t, struct saying *s)
{
	int r = 0;

	snprintf(s->note, sizeof(s->note), "#%u", s->d.num);
	buf_clear(&s->json);
	s->txn = t;
	s->w = (struct jwrite){ .to = &s->json };
	jwrite_object(&s->w, NULL);
	jwrite_uint(&s->w, "num", s->d.num);
	if (s->key)
		r = event_each(t, s->repo.uid, s->d.num, tell_if_it, s);
	jwrite_object_end(&s->w);
	return r < 0 ? r : s->json.failed;
}

static int add_events(struct db_txn *t, struct saying *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = event_add(t, s->repo.uid, &s->d, &s->events[i]);
	if (r == 0 && s->change.id)
		r = event_edit(t, s->repo.uid, &s->d, &s->change);
	return r < 0 ? r : write_answer(t, s);
}

/* A pull request whose ref went has nothing that could be merged. */
static bool is_dropped(struct db_txn *t, const struct saying *s)
{
	char ref[REGISTRY_REF_MAX + 1], commit[COMMIT_HEX + 1];

	discussion_ref(s->d.num, ref);
	return s->d.is_pull && registry_ref(t, s->repo.uid, ref, commit) == -ENOENT;
}

/* What it was when it was asked about may be over. */
static int say(struct db_txn *t, void *arg)
{
	struct saying *s = arg;
	int r = discussion_get(t, s->repo.uid, s->d.num, &s->d);

	if (r < 0)
		return r;
	if (s->status >= 0 && (s->d.status == DISCUSSION_MERGED || (int)s->d.status == s->status))
		return -EALREADY;
	if (s->status == DISCUSSION_OPEN && is_dropped(t, s))
		return ERR_NOREV;
	if (s->status >= 0)
		s->d.status = (enum discussion_status)s->status;
	if (s->title) {
		s->events[0].text = s->d.title;
		r = add_events(t, s);
		snprintf(s->d.title, sizeof(s->d.title), "%s", s->title);
		return r < 0 ? r : discussion_put(t, s->repo.uid, &s->d);
	}
	return add_events(t, s);
}

static int refuse(struct saying *s, const struct writing_act *act, int r)
{
	switch (r) {
	case -ENOENT:
		return writing_refuse(s->ask, act, 404, "%s not found",
				      s->change.id ? "Comment" : "Discussion");
	case -EFBIG:
		return writing_refuse(s->ask, act, 400, "This discussion may grow no more");
	case -EALREADY:
		return writing_refuse(s->ask, act, 400, "This %s is already %s",
				      s->d.is_pull ? "pull request" : "discussion",
				      discussion_status_word(s->d.status));
	case ERR_NOREV:
		return writing_refuse(s->ask, act, 400,
				      "The commits of this pull request are gone: it cannot be "
				      "opened again");
	case -EACCES:
		return writing_refuse(s->ask, act, 400, "This comment has been hidden");
	case -EPERM:
		return writing_refuse(s->ask, act, 403,
				      "Only who wrote this comment may change it");
	default:
		return writing_note_failure(s->ask, act, r);
	}
}

static int run(struct saying *s, db_fn fn)
{
	const struct writing_act act = { s->act, &s->repo.id, NULL, s->note };
	int r = db_write(writing_db(s->ask, &act), fn, s);

	if (r < 0)
		return refuse(s, &act, r);
	r = writing_done(s->ask, &act);
	if (r == 0)
		answer_json(s->ask, 200, &s->json);
	return r;
}

/* ---- one more ---- */

/* A pull request begins at what main names now, and as a draft: it brings nothing yet. */
static int begin_pull(struct db_txn *t, struct saying *s)
{
	struct discussion *d = &s->d;
	int r;

	snprintf(d->onto, sizeof(d->onto), "%s", REGISTRY_MAIN);
	r = registry_ref(t, s->repo.uid, d->onto, d->base);
	return r == -ENOENT ? ERR_NOREV : r;
}

static int open_it(struct db_txn *t, void *arg)
{
	struct saying *s = arg;
	char ref[REGISTRY_REF_MAX + 1];
	const struct ref_change change = {
		.uid = s->repo.uid, .ref = ref, .commit = s->d.base, .user = s->ask->who.user
	};
	struct registry_repo now;
	int r = registry_now(t, s->repo.uid, &now);

	if (r == 0 && s->d.is_pull)
		r = begin_pull(t, s);
	if (r == 0)
		r = discussion_add(t, s->repo.uid, &s->d);
	if (r == 0 && s->d.is_pull) {
		discussion_ref(s->d.num, ref);
		buf_clear(&s->why);
		r = ref_change(t, &change, &s->why);
	}
	return r < 0 ? r : add_events(t, s);
}

int discuss_open(struct ask *a)
{
	CLEANUP(saying_fini) struct saying s = { .ask = a, .act = "discussion.create" };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	CLEANUP(buf_free) struct buf title = { 0 };
	const char *text;
	int r;

	if (!begin(&s, &body, &r) || !take_title(&s, body, &title))
		return r;
	text = jval_get_str(jdoc_root(body), "description");
	if (text && *text && !take_text(&s, body, "description", DISCUSSION_TEXT_MAX))
		return 0;
	s.d.is_pull = jval_bool(jval_get(jdoc_root(body), "pullRequest")) == 1;
	s.d.status = s.d.is_pull ? DISCUSSION_DRAFT : DISCUSSION_OPEN;
	s.d.created_ms = clock_wall_s() * 1000;
	snprintf(s.d.title, sizeof(s.d.title), "%s", buf_str(&title));
	snprintf(s.d.author, sizeof(s.d.author), "%s", a->who.user);
	r = add_event(&s, EVENT_COMMENT, text ? text : "", "");
	return r < 0 ? r : run(&s, open_it);
}

/* ---- one that is there ---- */

static int find(struct db_txn *t, void *arg)
{
	struct saying *s = arg;

	return discussion_get(t, s->repo.uid, s->ask->asked.target.num, &s->d);
}

/* begin, of the discussion that the target names. */
static bool begin_at(struct saying *s, struct jdoc **body, int *ret)
{
	if (!begin(s, body, ret))
		return false;
	*ret = db_read(s->ask->server->rights.db, find, s);
	if (*ret == -ENOENT) {
		answer_refuse(s->ask, 404, "Discussion not found");
		*ret = 0;
		return false;
	}
	return *ret == 0;
}

int discuss_comment(struct ask *a)
{
	CLEANUP(saying_fini)
	struct saying s = { .ask = a, .act = "discussion.comment", .key = "newMessage" };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	const char *text;
	int r;

	if (!begin_at(&s, &body, &r))
		return r;
	text = take_text(&s, body, "comment", DISCUSSION_TEXT_MAX);
	if (!text)
		return 0;
	r = add_event(&s, EVENT_COMMENT, text, "");
	return r < 0 ? r : run(&s, say);
}

int discuss_rename(struct ask *a)
{
	CLEANUP(saying_fini)
	struct saying s = { .ask = a, .act = "discussion.rename", .key = "newTitle" };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	CLEANUP(buf_free) struct buf title = { 0 };
	int r;

	if (!begin_at(&s, &body, &r))
		return r;
	r = authorship_or_write(a, s.d.author, s.d.created_ms);
	if (r < 0 || !take_title(&s, body, &title))
		return r;
	s.title = buf_str(&title);
	r = add_event(&s, EVENT_TITLE, "", s.title);
	return r < 0 ? r : run(&s, say);
}

int discuss_status(struct ask *a)
{
	CLEANUP(saying_fini)
	struct saying s = { .ask = a, .act = "discussion.status", .key = "newStatus" };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	const char *word, *text;
	int r, status;

	if (!begin_at(&s, &body, &r))
		return r;
	r = authorship_or_write(a, s.d.author, s.d.created_ms);
	word = jval_get_str(jdoc_root(body), "status");
	status = !word                     ? -1
		 : !strcmp(word, "open")   ? DISCUSSION_OPEN
		 : !strcmp(word, "closed") ? DISCUSSION_CLOSED
					   : -1;
	if (r == 0 && status < 0)
		answer_refuse(a, 400, "\"status\" must be one of [open, closed]");
	if (r < 0 || status < 0)
		return r;
	s.status = status;
	r = add_event(&s, EVENT_STATUS, word, "");
	text = jval_get_str(jdoc_root(body), "comment");
	if (text && *text && !take_text(&s, body, "comment", DISCUSSION_TEXT_MAX))
		return 0;
	if (r == 0 && text && *text)
		r = add_event(&s, EVENT_COMMENT, text, "");
	return r < 0 ? r : run(&s, say);
}

/* "ID/edit" or "ID/hide". */
static bool take_change(struct ask *a, char id[static REGISTRY_UID + 1], bool *ret_hide)
{
	const char *path = a->asked.target.path, *slash = strchr(path, '/');

	*ret_hide = slash && !strcmp(slash, "/hide");
	if (!slash || (!*ret_hide && strcmp(slash, "/edit") != 0)) {
		answer_refuse(a, 404, "Sorry, there is nothing at this address");
		return false;
	}
	snprintf(id, REGISTRY_UID + 1, "%.*s", (int)(slash - path), path);
	return true;
}

int discuss_edit(struct ask *a)
{
	CLEANUP(saying_fini) struct saying s = { .ask = a, .key = "updatedComment" };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	char id[REGISTRY_UID + 1];
	const char *text = NULL;
	bool hide;
	int r;

	if (!begin_at(&s, &body, &r) || !take_change(a, id, &hide))
		return r;
	s.act = hide ? "discussion.hide" : "discussion.edit";
	if (!hide) {
		text = take_text(&s, body, "content", DISCUSSION_TEXT_MAX);
		if (!text)
			return 0;
	}
	s.change = (struct event_change){
		.id = id, .text = text, .editor = a->who.user, .at_ms = clock_wall_s() * 1000
	};
	r = hide ? writing_may(a, ROLE_WRITE) : ERR_FORBIDDEN;
	s.change.others = r == 0;
	if (r == ERR_FORBIDDEN)
		r = authorship_since(a, &s.change.since_ms);
	return r < 0 ? r : run(&s, say);
}
