/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/pulls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/hub/answer.h"
#include "admin/hub/authorship.h"
#include "admin/registry/merging.h"
#include "admin/registry/repeated.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define TRIES_MAX 16     /* while the branch moves */
#define TOLD_MAX 50      /* commits that a merge names */
#define CONFLICTS_MAX 20 /* files that a refusal names */
#define SHORT_ID 7

/* ---- commits for one ---- */

/* The first line of a message. */
static void title_of(const char *message, struct buf *ret)
{
	size_t len = strcspn(message, "\n");

	buf_add(ret, message, len > DISCUSSION_TITLE_MAX ? DISCUSSION_TITLE_MAX : len);
}

static void text_of(const char *message, struct buf *ret)
{
	message += strcspn(message, "\n");
	message += strspn(message, "\n");
	buf_add(ret, message, strnlen(message, DISCUSSION_TEXT_MAX));
	buf_trim_end(ret);
}

static int add_event(struct db_txn *t, const struct commit_plan *p, struct discussion *d,
		     const struct event *like, const char *id)
{
	struct event e = *like;

	e.at_ms = clock_wall_s() * 1000;
	memcpy(e.id, id, sizeof(e.id));
	return event_add(t, p->uid, d, &e);
}

static int open_one(struct db_txn *t, struct commit_plan *p, const char *base, const char *title,
		    struct discussion *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct pull_commit *c = p->beside_arg;
	const struct event comment = { .kind = EVENT_COMMENT, .author = c->user };
	struct event e = comment;
	int r;

	*ret = (struct discussion){ .status = DISCUSSION_OPEN,
				    .is_pull = true,
				    .created_ms = clock_wall_s() * 1000 };
	snprintf(ret->title, sizeof(ret->title), "%s", title);
	snprintf(ret->author, sizeof(ret->author), "%s", c->user);
	snprintf(ret->onto, sizeof(ret->onto), "%s", p->branch);
	snprintf(ret->base, sizeof(ret->base), "%s", base);
	text_of(buf_str(&p->message), &text);
	e.text = buf_str(&text);
	r = discussion_add(t, p->uid, ret);
	if (r == 0)
		r = add_event(t, p, ret, &e, c->comment);
	c->num = ret->num;
	discussion_ref(ret->num, p->ref);
	return r;
}

/* Together with the commit, which is in the database then as well. */
static int bring_in(struct db_txn *t, struct commit_plan *p, const char *base, const char *commit)
{
	CLEANUP(buf_free) struct buf title = { 0 };
	struct pull_commit *c = p->beside_arg;
	struct discussion d;
	struct event e = { .kind = EVENT_COMMIT, .author = c->user, .other = commit };
	int r;

	title_of(buf_str(&p->message), &title);
	e.text = buf_str(&title);
	if (p->apart)
		r = open_one(t, p, base, e.text, &d);
	else
		r = discussion_get(t, p->uid, c->num, &d);
	if (r == 0 && d.status == DISCUSSION_MERGED)
		r = ERR_NOREV;
	return r < 0 ? r : add_event(t, p, &d, &e, c->commit);
}

/* Who did not hear that it was opened sends it once more. */
static int find_opened(struct db_txn *t, struct commit_plan *p, const char *base,
		       const uint8_t tree[static GIT_ID], char ret[static COMMIT_HEX + 1])
{
	struct pull_commit *c = p->beside_arg;
	const struct repeated_pull wanted = { c->user, buf_str(&p->message), p->branch, base,
					      tree };

	return repeated_find_pull(t, p->uid, &wanted, &c->num, ret);
}

int pull_commit_plan(struct pull_commit *c, struct commit_plan *p)
{
	int r = registry_make_uid(c->comment);

	if (r == 0)
		r = registry_make_uid(c->commit);
	p->beside = bring_in;
	p->again = c->num ? NULL : find_opened;
	p->beside_arg = c;
	p->apart = p->fresh = !c->num;
	return r;
}

struct finding {
	const char *uid;
	unsigned num;
	struct discussion *ret;
};

static int find(struct db_txn *t, void *arg)
{
	const struct finding *f = arg;

	return discussion_get(t, f->uid, f->num, f->ret);
}

int pull_may_commit(struct ask *a, const struct registry_repo *repo, unsigned num)
{
	struct discussion d = { 0 };
	struct finding f = { repo->uid, num, &d };
	int r = db_read(a->server->rights.db, find, &f);

	if (r == -ENOENT || (r == 0 && !d.is_pull))
		return ERR_NOREV;
	if (r == 0)
		r = authorship_is(a, d.author, d.created_ms);
	if (r == ERR_FORBIDDEN)
		r = writing_needs(a, ROLE_WRITE);
	if (r < 0 || d.status != DISCUSSION_MERGED)
		return r;
	answer_refuse(a, 400, "This pull request is already merged");
	return ANSWERED;
}

/* ---- merging ---- */

struct merging {
	struct ask *ask;
	struct registry_repo repo;
	struct discussion d;
	struct merge of;
	struct commit_plan plan;
	struct writing_shelf shelf;
	char ref[REGISTRY_REF_MAX + 1];
	char status_id[REGISTRY_UID + 1], comment_id[REGISTRY_UID + 1];
	const char *comment; /* or NULL */
	struct {
		struct buf paths;
		size_t count;
	} obstacles[2]; /* by what they are */
	char commit[COMMIT_HEX + 1];
	struct buf why;
};

static void merging_fini(struct merging *m)
{
	commit_plan_fini(&m->plan);
	writing_shelf_fini(&m->shelf);
	buf_free(&m->obstacles[MERGE_CONFLICT].paths);
	buf_free(&m->obstacles[MERGE_GONE].paths);
	buf_free(&m->why);
}

static int add_obstacle(void *arg, const char *path, enum merge_obstacle what)
{
	struct merging *m = arg;
	struct buf *paths = &m->obstacles[what].paths;

	if (m->obstacles[what].count++ < CONFLICTS_MAX)
		buf_printf(paths, "%s%s", paths->len ? ", " : "", path);
	return paths->failed;
}

static bool is_kept_out(const struct merging *m)
{
	return m->obstacles[MERGE_CONFLICT].count || m->obstacles[MERGE_GONE].count;
}

static int list_commit(const struct merging *m, const char *id, const struct git_commit *c,
		       struct buf *list, struct buf *authors)
{
	CLEANUP(buf_free) struct buf title = { 0 }, line = { 0 };

	title_of(c->message, &title);
	buf_printf(&line, "- %s (%s)\n", buf_str(&title), id);
	buf_add(&line, buf_str(list), list->len);
	buf_clear(list);
	buf_add(list, buf_str(&line), line.len);
	buf_clear(&line);
	buf_printf(&line, "Co-authored-by: %s <%s>\n", c->author.name, c->author.email);
	if (strcmp(c->author.name, m->ask->who.user) != 0 &&
	    !strstr(buf_str(authors), buf_str(&line)))
		buf_add(authors, buf_str(&line), line.len);
	return list->failed ? list->failed : line.failed;
}

/* Which commits it brings, the oldest first, and whose they are. */
static int tell_commits(struct db_txn *t, const struct merging *m, struct buf *ret)
{
	CLEANUP(buf_free) struct buf authors = { 0 };
	char id[COMMIT_HEX + 1];
	int r = 0;

	memcpy(id, m->of.theirs, sizeof(id));
	for (unsigned n = 0; r == 0 && id[0] && strcmp(id, m->of.base) != 0 && n < TOLD_MAX; n++) {
		CLEANUP(buf_free) struct buf room = { 0 };
		struct git_commit c;

		r = registry_commit(t, m->repo.uid, id, &room, &c);
		if (r == 0)
			r = list_commit(m, id, &c, ret, &authors);
		id[0] = '\0';
		if (r == 0 && c.parent_count)
			hex_print(c.parents[0], GIT_ID, id);
	}
	if (authors.len)
		buf_printf(ret, "\n\n%s", buf_str(&authors));
	buf_trim_end(ret);
	return r < 0 ? r : ret->failed;
}

static int say(struct db_txn *t, struct merging *m)
{
	CLEANUP(buf_free) struct buf title = { 0 }, text = { 0 };
	int r = tell_commits(t, m, &text);

	buf_printf(&title, "%s (#%u)", m->d.title, m->d.num);
	if (r == 0)
		r = title.failed;
	return r < 0 ? r : commit_plan_say(&m->plan, buf_str(&title), buf_str(&text));
}

/* Once more, of what there is now. */
static int plan(struct db_txn *t, void *arg)
{
	struct merging *m = arg;
	struct commit_plan none = { .beside = m->plan.beside, .beside_arg = m, .fresh = true };
	int r = discussion_get(t, m->repo.uid, m->ask->asked.target.num, &m->d);

	commit_plan_fini(&m->plan);
	m->plan = none;
	for (size_t i = 0; i < ARRAY_LEN(m->obstacles); i++) {
		buf_clear(&m->obstacles[i].paths);
		m->obstacles[i].count = 0;
	}
	if (r == 0 && !m->d.is_pull)
		r = -ENOENT;
	if (r == 0 && m->d.status != DISCUSSION_OPEN)
		r = -EALREADY;
	if (r < 0)
		return r;
	discussion_ref(m->d.num, m->ref);
	m->of.uid = m->repo.uid;
	memcpy(m->of.base, m->d.base, sizeof(m->of.base));
	memcpy(m->plan.uid, m->repo.uid, sizeof(m->plan.uid));
	memcpy(m->plan.branch, m->d.onto, sizeof(m->plan.branch));
	m->plan.repo = repo_key(m->ask->repo);
	m->plan.blobs = m->ask->server->intake;
	writing_author(m->ask, &m->plan);
	writing_shelve(m->ask, m->repo.id.type, &m->shelf, &m->plan);
	r = registry_ref(t, m->repo.uid, m->ref, m->of.theirs);
	if (r == 0)
		r = registry_ref(t, m->repo.uid, m->d.onto, m->of.ours);
	if (r < 0)
		return r == -ENOENT ? ERR_NOREV : r;
	memcpy(m->plan.parent, m->of.ours, sizeof(m->plan.parent));
	r = merge_plan(t, &m->of, &m->plan, add_obstacle, m);
	return r < 0 ? r : say(t, m);
}

static int close_it(struct db_txn *t, struct commit_plan *p, const char *base UNUSED,
		    const char *commit)
{
	struct merging *m = p->beside_arg;
	const struct event status = { .kind = EVENT_STATUS,
				      .author = m->ask->who.user,
				      .text = "merged" };
	const struct event comment = { .kind = EVENT_COMMENT,
				       .author = m->ask->who.user,
				       .text = m->comment };
	char theirs[COMMIT_HEX + 1];
	struct discussion d;
	int r = discussion_get(t, p->uid, m->d.num, &d);

	if (r == 0)
		r = registry_ref(t, p->uid, m->ref, theirs);
	if (r == 0 && (d.status != DISCUSSION_OPEN || strcmp(theirs, m->of.theirs) != 0))
		r = -ESTALE;
	if (r < 0)
		return r;
	d.status = DISCUSSION_MERGED;
	snprintf(d.merged, sizeof(d.merged), "%s", commit);
	if (m->comment)
		r = add_event(t, p, &d, &comment, m->comment_id);
	return r < 0 ? r : add_event(t, p, &d, &status, m->status_id);
}

static int merge(struct merging *m, const struct writing_act *act)
{
	struct db *db = m->ask->server->rights.db, *owing = writing_db(m->ask, act);
	int r = -ESTALE;

	m->plan.beside = close_it;
	for (unsigned i = 0; r == -ESTALE && i < TRIES_MAX; i++) {
		r = db_read(db, plan, m);
		if (r == 0 && is_kept_out(m))
			return 0;
		if (r == 0)
			r = commit_make(owing, &m->plan, m->commit, &m->why);
	}
	return r;
}

static int refuse(struct merging *m, const struct writing_act *act, int r)
{
	static const char *const states[] = { "open", "closed", "merged", "a draft" };

	if (r == -ENOENT)
		return writing_refuse(m->ask, act, 404, "Pull request not found");
	if (r == -EALREADY)
		return writing_refuse(
			m->ask, act, 400,
			"This pull request is %s: only one that is open can be merged",
			states[m->d.status]);
	if (r == ERR_HOSTILE)
		return writing_refuse(m->ask, act, 409, "%s", buf_str(&m->why));
	if (r == ERR_TAG_LOCKED)
		return writing_refuse_as(m->ask, act, r, buf_str(&m->why));
	if (r == ERR_QUOTA)
		return writing_refuse_full(m->ask, act, &m->repo.id, NULL);
	return writing_note_failure(m->ask, act, r);
}

static int refuse_obstacles(struct merging *m, const struct writing_act *act)
{
	bool conflict = m->obstacles[MERGE_CONFLICT].count;
	size_t count = m->obstacles[conflict ? MERGE_CONFLICT : MERGE_GONE].count;
	const char *paths = buf_str(&m->obstacles[conflict ? MERGE_CONFLICT : MERGE_GONE].paths);

	if (conflict)
		return writing_refuse(m->ask, act, 409,
				      "This pull request has conflicts with %s in %zu files: %s",
				      m->d.onto, count, paths);
	return writing_refuse(m->ask, act, 409,
			      "%zu files of this pull request were deleted for good: send them "
			      "anew to %s, or delete them there, and merge it then: %s",
			      count, m->ref, paths);
}

static int answer_merged(struct merging *m)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };

	jwrite_object(&w, NULL);
	jwrite_bool(&w, "success", true);
	jwrite_uint(&w, "num", m->d.num);
	jwrite_text(&w, "mergeCommitId", m->commit);
	jwrite_object_end(&w);
	answer_json(m->ask, 200, &json);
	return 0;
}

static int finish(struct merging *m)
{
	char note[16];
	struct writing_act act = { "discussion.merge", &m->repo.id, m->commit, note };
	int r;

	snprintf(note, sizeof(note), "#%u", m->ask->asked.target.num);
	r = merge(m, &act);
	if (r < 0 || is_kept_out(m))
		act.commit = NULL;
	if (r < 0)
		return refuse(m, &act, r);
	if (is_kept_out(m))
		return refuse_obstacles(m, &act);
	r = writing_done(m->ask, &act);
	return r < 0 ? r : answer_merged(m);
}

int pull_merge(struct ask *a)
{
	CLEANUP(merging_fini) struct merging m = { .ask = a };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = writing_repo(a, &m.repo);
	if (r == 0 && m.repo.discussions_disabled) {
		answer_refuse(a, 403, "Pull requests are disabled for this repo");
		r = ANSWERED;
	}
	if (r == 0)
		r = writing_body(a, &body);
	if (r == 0)
		r = registry_make_uid(m.status_id);
	if (r == 0)
		r = registry_make_uid(m.comment_id);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	m.comment = jval_get_str(jdoc_root(body), "comment");
	if (m.comment && strlen(m.comment) > DISCUSSION_TEXT_MAX) {
		answer_refuse(a, 400, "\"comment\" must have at most %d bytes",
			      DISCUSSION_TEXT_MAX);
		return 0;
	}
	return finish(&m);
}
