/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/tagging.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/writing.h"
#include "admin/registry/promotion.h"
#include "admin/registry/reflog.h"
#include "daemon/base/err.h"
#include "daemon/base/grow.h"

/* ---- promotions ---- */

struct promoting {
	struct ask *ask;
	struct registry_repo repo;
	struct promotion p;
	struct writing_act act;
	struct buf note, why;
};

static void promoting_fini(struct promoting *x)
{
	promotion_fini(&x->p);
	buf_free(&x->note);
	buf_free(&x->why);
}

/* What is recorded, of what came of it. */
static int describe(struct promoting *x)
{
	const struct promotion *p = &x->p;

	buf_clear(&x->note);
	buf_printf(&x->note, REGISTRY_TAGS "%s by %s", p->to, p->by);
	if (p->from)
		buf_printf(&x->note, " from %s", buf_str(&p->origin));
	if (p->why)
		buf_printf(&x->note, ": %s", p->why);
	x->act.commit = p->commit;
	x->act.note = buf_str(&x->note);
	return x->note.failed;
}

/* The tag names that commit already: that is no event. */
#define UNCHANGED 1

static int promote(struct db_txn *t, void *arg)
{
	struct promoting *x = arg;
	int r = promotion_make(t, &x->p, &x->why);

	if (r == 0 && !strcmp(x->p.was, x->p.commit))
		return UNCHANGED;
	return r < 0 ? r : describe(x);
}

static int answer_promoted(const struct promoting *x)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };
	const struct promotion *p = &x->p;

	jwrite_object(&w, NULL);
	jwrite_text(&w, "tag", p->to);
	jwrite_text(&w, "commit", p->commit);
	jwrite_text(&w, "was", *p->was ? p->was : NULL);
	jwrite_text(&w, "rule", p->by);
	if (p->from)
		jwrite_text(&w, "from", buf_str(&p->origin));
	jwrite_text(&w, "checks", buf_str(&p->checks));
	jwrite_bool(&w, "changed", strcmp(p->was, p->commit) != 0);
	jwrite_object_end(&w);
	answer_json(x->ask, 200, &json);
	return 0;
}

static int refuse(struct promoting *x, int r)
{
	const char *why = buf_str(&x->why);

	switch (r) {
	case -EINVAL:
		return writing_refuse(x->ask, &x->act, 400, "%s", why);
	case -ENODATA:
		return writing_refuse(x->ask, &x->act, 412, "%s", why);
	case -EEXIST:
		return writing_refuse(x->ask, &x->act, 409,
				      "The tag \"%s\" cannot stand beside another one", x->p.to);
	case ERR_FORBIDDEN:
	case ERR_TAG_LOCKED:
		return writing_refuse_as(x->ask, &x->act, r, why);
	default:
		return writing_note_failure(x->ask, &x->act, r);
	}
}

/* Who may administer the repository may promote by a rule that names nobody: with whatever token
 * may write, as those whom a rule names. */
static bool may_administer(const struct ask *a)
{
	struct repo_names names;

	known_names(node_known(a->server->node), a->repo, &names);
	return rights_check_user(&a->server->rights, &a->who, &names, ROLE_ADMIN) == 0;
}

static int run(struct promoting *x)
{
	struct ask *a = x->ask;
	int r;

	x->act = (struct writing_act){ .act = x->p.from ? "tag.promote" : "tag.rollback",
				       .repo = &x->repo.id,
				       .note = x->p.to };
	x->p.uid = x->repo.uid;
	x->p.user = a->who.user;
	x->p.may_administer = may_administer(a);
	r = db_write(writing_db(a, &x->act), promote, x);
	if (r < 0)
		return refuse(x, r);
	r = r == UNCHANGED ? 0 : writing_done(a, &x->act);
	return r < 0 ? r : answer_promoted(x);
}

/* ---- what the body says ---- */

static bool is_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static bool take_require(struct promotion *p, const struct jval *list)
{
	if (list && !jval_is_array(list))
		return false;
	if (jval_count(list) > ARRAY_LEN(p->require))
		return false;
	for (size_t i = 0; i < jval_count(list); i++) {
		const char *wanted = jval_str(jval_at(list, i));

		if (!wanted || !check_wanted_valid(wanted))
			return false;
		p->require[p->require_count++] = wanted;
	}
	return true;
}

/* Texts are the body's. False: it was answered. */
static bool take(struct promoting *x, const struct jval *body)
{
	struct promotion *p = &x->p;

	p->rule = jval_get_str(body, "rule");
	p->why = jval_get_str(body, "reason");
	if (!p->to || !tag_name_valid(p->to)) {
		answer_refuse(x->ask, 400, "Invalid reference for a tag: %s", p->to ? p->to : "");
		return false;
	}
	if (p->why && (strlen(p->why) > TAG_WHY_MAX || !is_line(p->why))) {
		answer_refuse(x->ask, 400, "\"reason\" must be one line of at most %d bytes",
			      TAG_WHY_MAX);
		return false;
	}
	if (take_require(p, jval_get(body, "require")))
		return true;
	answer_refuse(x->ask, 400,
		      "\"require\" must be a list of at most %d names of checks: letters, digits, "
		      "'.', '_' and '-', perhaps with \"@USER\" behind it",
		      TAG_RULE_LIST_MAX);
	return false;
}

static int begin(struct ask *a, struct promoting *x, struct jdoc **body)
{
	int r = writing_repo(a, &x->repo);

	return r == 0 ? writing_body(a, body) : r;
}

int tag_promote(struct ask *a)
{
	CLEANUP(promoting_fini) struct promoting x = { .ask = a };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = begin(a, &x, &body);
	if (r != 0)
		return r < 0 ? r : 0;
	x.p.from = a->asked.target.rev;
	x.p.to = jval_get_str(jdoc_root(body), "to");
	return take(&x, jdoc_root(body)) ? run(&x) : 0;
}

int tag_rollback(struct ask *a)
{
	CLEANUP(promoting_fini) struct promoting x = { .ask = a };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = begin(a, &x, &body);
	if (r != 0)
		return r < 0 ? r : 0;
	x.p.to = a->asked.target.path;
	return take(&x, jdoc_root(body)) ? run(&x) : 0;
}

/* ---- where refs have been ---- */

/* Each as JSON, oldest first, one ref after the other; `at` says where each begins. */
struct moves {
	const struct repo_id *id;
	const char *ref; /* NULL: of all */
	struct buf text;
	struct move {
		uint64_t number;
		size_t at;
	} * list; /* owned */
	size_t count, cap;
};

static void moves_fini(struct moves *m)
{
	buf_free(&m->text);
	free(m->list);
}

static int place(struct moves *m, uint64_t number)
{
	int r = grow_list(m->list, m->count, m->cap);

	if (r == 0)
		m->list[m->count++] = (struct move){ number, m->text.len };
	return r;
}

static int take_move(void *arg, const struct ref_event *e)
{
	struct moves *m = arg;
	struct jwrite w = { .to = &m->text };
	int r = place(m, e->number);

	if (r < 0)
		return r;
	jwrite_object(&w, NULL);
	jwrite_uint(&w, "number", e->number);
	jwrite_text(&w, "ref", e->ref);
	jwrite_text(&w, "act", e->act);
	jwrite_text(&w, "commit", e->commit);
	jwrite_text(&w, "was", e->was);
	jwrite_text(&w, "user", e->user);
	jwrite_time(&w, "date", e->at_s * 1000);
	jwrite_text(&w, "reason", e->why);
	jwrite_text(&w, "rule", e->rule);
	jwrite_text(&w, "from", e->from);
	jwrite_text(&w, "checks", e->checks);
	jwrite_object_end(&w);
	return buf_add(&m->text, "", 1);
}

/* Of what is no repository of ours nothing is known. */
static int collect(struct db_txn *t, void *arg)
{
	struct moves *m = arg;
	struct registry_repo repo;
	int r = registry_get(t, m->id, &repo);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return reflog_each(t, repo.uid, m->ref, take_move, m);
}

static int by_number(const void *a, const void *b)
{
	const struct move *x = a, *y = b;

	return x->number < y->number ? 1 : -(x->number > y->number);
}

static int answer_moves(struct ask *a, struct moves *m)
{
	unsigned limit = target_number(a->asked.query, "limit", 0);
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };

	if (m->count)
		qsort(m->list, m->count, sizeof(*m->list), by_number);
	jwrite_object(&w, NULL);
	jwrite_array(&w, "moves");
	for (size_t i = 0; i < m->count && (!limit || i < limit); i++)
		jwrite_json(&w, NULL, m->text.data + m->list[i].at);
	jwrite_array_end(&w);
	jwrite_object_end(&w);
	if (json.failed)
		return json.failed;
	answer_json(a, 200, &json);
	return 0;
}

int tag_log(struct ask *a)
{
	CLEANUP(moves_fini) struct moves m = { .id = repo_id_of(repo_canonical(a->repo)) };
	CLEANUP(buf_free) struct buf tag = { 0 };
	char ref[REGISTRY_REF_MAX + 1];
	int r;

	if (!ask_aside_or_here(a))
		return PARKED;
	if (target_field(a->asked.query, "tag", &tag)) {
		snprintf(ref, sizeof(ref), "%s%.*s",
			 strncmp(buf_str(&tag), "refs/", 5) ? REGISTRY_TAGS : "", REVISION_MAX,
			 buf_str(&tag));
		m.ref = ref;
	}
	r = db_read(a->server->rights.db, collect, &m);
	return r < 0 ? r : answer_moves(a, &m);
}
