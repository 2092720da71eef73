/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/branches.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/registry/committing.h"
#include "admin/registry/refs.h"
#include "admin/hub/writing.h"
#include "daemon/base/err.h"
#include "daemon/base/why.h"

/* A ref that is being made or taken away. */
struct move {
	struct ask *ask;
	struct registry_repo repo;
	const char *act;
	const char *start; /* a revision */
	char ref[REGISTRY_REF_MAX + 1];
	bool empty;     /* with a commit of its own that has no files */
	bool overwrite; /* it may be there */
	struct commit_plan plan;
	struct writing_shelf shelf;
	char commit[COMMIT_HEX + 1];
	char before[COMMIT_HEX + 1]; /* what it named that was there, or "" */
	struct buf why;
};

static void move_fini(struct move *m)
{
	commit_plan_fini(&m->plan);
	writing_shelf_fini(&m->shelf);
	buf_free(&m->why);
}

static bool is_main(const struct move *m)
{
	return !strcmp(m->ref, REGISTRY_MAIN);
}

static int check_absent(struct db_txn *t, struct move *m)
{
	int r;

	m->before[0] = '\0';
	r = registry_ref(t, m->repo.uid, m->ref, m->before);
	if (r == 0)
		return m->overwrite ? 0 : -EEXIST;
	return r == -ENOENT ? 0 : r;
}

static int change(struct db_txn *t, struct move *m, const char *commit)
{
	const struct ref_change c = { .uid = m->repo.uid,
				      .ref = m->ref,
				      .commit = commit,
				      .act = m->act,
				      .user = m->ask->who.user };

	return ref_change(t, &c, &m->why);
}

static int add(struct db_txn *t, void *arg)
{
	struct move *m = arg;
	int r = check_absent(t, m);

	buf_clear(&m->why);
	if (r == 0 && m->empty)
		return commit_make_first(t, &m->plan, m->commit, &m->why);
	if (r == 0)
		r = registry_find(t, m->repo.uid, m->start, m->commit);
	return r < 0 ? r : change(t, m, m->commit);
}

static int take_away(struct db_txn *t, void *arg)
{
	struct move *m = arg;
	int r = registry_ref(t, m->repo.uid, m->ref, m->commit);

	buf_clear(&m->why);
	if (r < 0)
		return r == -ENOENT ? ERR_NOREV : r;
	return change(t, m, NULL);
}

/* The failure names what was looked for. */
static int no_such(struct move *m)
{
	char *rev = m->ask->asked.target.rev;

	snprintf(rev, sizeof(m->ask->asked.target.rev), "%s", m->start);
	return ERR_NOREV;
}

static int run(struct move *m, db_fn fn)
{
	CLEANUP(buf_free) struct buf note = { 0 };
	struct writing_act act = { m->act, &m->repo.id, m->commit, m->ref };
	const struct writing_change made = { .act = &act,
					     .fn = fn,
					     .arg = m,
					     .type = m->repo.id.type,
					     .uid = m->repo.uid,
					     .revision = is_main(m) && !m->empty ? m->start
										 : NULL };
	int r = writing_change(m->ask, &made);

	if (r == 0 && m->before[0] &&
	    buf_printf(&note, "%s, which named %s", m->ref, m->before) == 0)
		act.note = buf_str(&note);
	if (r == -EEXIST)
		return writing_refuse(m->ask, &act, 409, "Reference %s already exists", m->ref);
	if (r == ERR_TAG_LOCKED)
		return writing_refuse_as(m->ask, &act, r, buf_str(&m->why));
	if (r < 0)
		return writing_note_failure(m->ask, &act, r == ERR_NOREV ? no_such(m) : r);
	return writing_done_and_answered(m->ask, &act);
}

/* False: it is answered, or goes on elsewhere; *ret is the handler's. */
static bool begin(struct move *m, struct jdoc **body, int *ret)
{
	if (!writing_begin(m->ask, ret))
		return false;
	*ret = writing_repo(m->ask, &m->repo);
	if (*ret == 0)
		*ret = writing_body(m->ask, body);
	if (*ret == ANSWERED) {
		*ret = 0;
		return false;
	}
	return *ret == 0;
}

/* True if a ref can be called so. */
static bool refer(struct move *m, const char *place, const char *name)
{
	if (!name || !tag_name_valid(name))
		return false;
	snprintf(m->ref, sizeof(m->ref), "%s%.*s", place, REVISION_MAX, name);
	return true;
}

static bool name_it(struct move *m, const char *place, const char *name, const char *what)
{
	if (refer(m, place, name))
		return true;
	answer_refuse(m->ask, 400, "Invalid reference for a %s: %s", what, name ? name : "");
	return false;
}

/* ---- branches ---- */

static int plan_empty(struct move *m)
{
	memcpy(m->plan.uid, m->repo.uid, sizeof(m->plan.uid));
	m->plan.repo = "";
	m->plan.act = m->act;
	snprintf(m->plan.branch, sizeof(m->plan.branch), "%s", m->ref);
	writing_author(m->ask, &m->plan);
	writing_shelve(m->ask, m->repo.id.type, &m->shelf, &m->plan);
	return commit_plan_say(&m->plan, "initial commit", NULL);
}

int branch_add(struct ask *a)
{
	CLEANUP(move_fini) struct move m = { .ask = a, .act = "branch.create" };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	int r;

	if (!begin(&m, &body, &r))
		return r;
	if (!name_it(&m, REGISTRY_BRANCHES, a->asked.target.path, "branch"))
		return 0;
	m.start = jval_get_str(jdoc_root(body), "startingPoint");
	m.empty = jval_bool(jval_get(jdoc_root(body), "emptyBranch")) == 1;
	m.overwrite = jval_bool(jval_get(jdoc_root(body), "overwrite")) == 1;
	if (!m.start)
		m.start = "main";
	r = m.empty ? plan_empty(&m) : 0;
	return r < 0 ? r : run(&m, add);
}

int branch_remove(struct ask *a)
{
	CLEANUP(move_fini) struct move m = { .ask = a, .act = "branch.delete" };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	int r;

	if (!begin(&m, &body, &r))
		return r;
	m.start = a->asked.target.path;
	if (!refer(&m, REGISTRY_BRANCHES, m.start))
		return no_such(&m);
	if (!strcmp(m.ref, REGISTRY_MAIN)) {
		answer_refuse(a, 403, "Cannot delete " REGISTRY_MAIN);
		return 0;
	}
	return run(&m, take_away);
}

/* ---- tags ---- */

static int find_start(struct db_txn *t, void *arg)
{
	struct move *m = arg;

	return registry_find(t, m->repo.uid, m->start, m->commit);
}

int tag_add(struct ask *a)
{
	CLEANUP(move_fini) struct move m = { .ask = a, .act = "tag.create" };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	char start[REVISION_MAX + 1];
	int r;

	if (!begin(&m, &body, &r))
		return r;
	memcpy(start, a->asked.target.rev, sizeof(start));
	m.start = start;
	r = db_read(a->server->rights.db, find_start, &m);
	if (r < 0)
		return r == ERR_NOREV ? no_such(&m) : r;
	if (!name_it(&m, REGISTRY_TAGS, jval_get_str(jdoc_root(body), "tag"), "tag"))
		return 0;
	return run(&m, add);
}

int tag_remove(struct ask *a)
{
	CLEANUP(move_fini) struct move m = { .ask = a, .act = "tag.delete" };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	int r;

	if (!begin(&m, &body, &r))
		return r;
	m.start = a->asked.target.path;
	if (!refer(&m, REGISTRY_TAGS, m.start))
		return no_such(&m);
	return run(&m, take_away);
}
