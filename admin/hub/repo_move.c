/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/repo_move.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/admit.h"
#include "admin/hub/repo_answer.h"
#include "admin/hub/repo_body.h"
#include "admin/hub/writing.h"
#include "admin/registry/refs.h"
#include "admin/registry/renaming.h"
#include "admin/registry/uploads.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

struct move {
	struct ask *ask;
	struct registry_repo repo; /* as it is called when all is done */
	struct repo_id from, to;
	int64_t now_s;
	struct buf why; /* owned: of a lock */
};

static void move_fini(struct move *m)
{
	buf_free(&m->why);
}

static int rename_in(struct db_txn *t, void *arg)
{
	char from[REPO_KEY_MAX + 1], to[REPO_KEY_MAX + 1];
	struct move *m = arg;
	int r;

	repo_id_key(&m->from, from);
	repo_id_key(&m->to, to);
	m->repo.id = m->from;
	buf_clear(&m->why);
	r = ref_check_repo(t, m->repo.uid, &m->why);
	if (r == 0)
		r = renaming_move(t, &m->repo, &m->to);
	if (r == 0)
		r = ref_check_arrival(t, m->repo.uid, &m->why);
	if (r == 0)
		r = uploads_move(t, from, to, m->now_s);
	return r < 0 ? r : rights_move_visibility(t, &m->from, &m->to);
}

static int refuse_namespace(struct move *m, const struct writing_act *act, const struct repo_id *id)
{
	writing_refuse(m->ask, act, 403,
		       "You don't have the rights to move a %s %s the namespace \"%.*s\"",
		       repo_type_word(id->type), id == &m->to ? "to" : "out of",
		       (int)strcspn(id->name, "/"), id->name);
	return ANSWERED;
}

static int refuse_name(struct move *m, const struct writing_act *act)
{
	const char *word = repo_type_word(m->to.type);

	return writing_refuse(m->ask, act, 409, "A %s repository called %s already exists", word,
			      m->to.name);
}

/* The node learns of it by the old name, which leads to the new one, before anybody is told. */
static int move(struct move *m)
{
	CLEANUP(buf_free) struct buf note = { 0 };
	struct ask *a = m->ask;
	struct writing_act act = { "repo.move", &m->from, NULL, NULL };
	const struct writing_change change = { .act = &act,
					       .fn = rename_in,
					       .arg = m,
					       .type = m->from.type,
					       .uid = m->repo.uid,
					       .revision = REGISTRY_MAIN };
	int r;

	buf_printf(&note, "to %s", m->to.name);
	act.note = buf_str(&note);
	if (!strcmp(m->from.name, m->to.name) || !writing_name_free(a, &m->to))
		return refuse_name(m, &act);
	r = writing_change(a, &change);
	if (r == -EEXIST)
		return refuse_name(m, &act);
	if (r == ERR_TAG_LOCKED)
		return writing_refuse_as(a, &act, r, buf_str(&m->why));
	if (r == ERR_QUOTA)
		return writing_refuse_full(a, &act, &m->to, NULL);
	if (r < 0)
		return writing_note_failure(a, &act, r == -ENOENT ? ERR_NOREPO : r);
	r = writing_done(a, &act);
	if (r == 0)
		r = writing_forget_name(a, &m->from);
	return r < 0 ? r : repo_answer_there(a, &m->to, NULL, false);
}

/* Whether it may leave the one namespace, and come into the other. */
static int check_both(struct move *m)
{
	struct ask *a = m->ask;
	const struct writing_act act = { "repo.move", &m->from, NULL, NULL };
	bool hides;
	int r = writing_namespace(a, &m->from);

	if (r == ERR_FORBIDDEN)
		return refuse_namespace(m, &act, &m->from);
	if (r == 0)
		r = writing_owner(a, &m->to, &hides);
	if (r == ERR_FORBIDDEN || r == -ENOENT)
		return refuse_namespace(m, &act, &m->to);
	return r;
}

static int start(struct move *m)
{
	int r = writing_repo(m->ask, &m->repo);

	m->from = m->repo.id;
	if (r == 0)
		r = check_both(m);
	return r != 0 ? (r < 0 ? r : 0) : move(m);
}

/* Which one, and what it is to be called: "ns/name" both. ANSWERED. */
static int take_names(struct move *m, const struct jval *body)
{
	struct ask *a = m->ask;
	int r = repo_body_name(a, body, "fromRepo", &m->from);

	return r == 0 ? repo_body_name(a, body, "toRepo", &m->to) : r;
}

int repo_move(struct ask *a)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	CLEANUP(move_fini) struct move m = { .ask = a, .now_s = clock_wall_s() };
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = writing_body(a, &doc);
	if (r == 0)
		r = take_names(&m, jdoc_root(doc));
	if (r != 0)
		return r < 0 ? r : 0;
	a->asked.target.repo = m.from;
	a->role = ROLE_WRITE;
	r = admit_ask(a);
	if (r != 0)
		return r == ERR_MOVED ? ERR_NOREPO : r; /* it is moved by the name it has */
	return start(&m);
}
