/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/repo_squash.h"

#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/writing.h"
#include "admin/registry/squash.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

struct squashing {
	struct squash s;
	struct writing_shelf shelf;
	struct buf text, why;
};

static void squashing_fini(struct squashing *q)
{
	writing_shelf_fini(&q->shelf);
	buf_free(&q->text);
	buf_free(&q->why);
}

static bool is_main(const struct squashing *q)
{
	return !strcmp(q->s.ref, REGISTRY_MAIN);
}

static int squash_in(struct db_txn *t, void *arg)
{
	struct squashing *q = arg;

	int r;

	buf_clear(&q->why);
	r = squash_ref(t, &q->s, &q->why);
	return r == 0 && is_main(q) ? writing_shelved(t, &q->shelf, q->s.uid) : r;
}

/* A branch, or the ref of a pull request: nothing else has a history of its own. */
static void name_ref(const char *rev, char ret[static REGISTRY_REF_MAX + 1])
{
	const char *place = strncmp(rev, "refs/", 5) ? REGISTRY_BRANCHES : "";

	snprintf(ret, REGISTRY_REF_MAX + 1, "%s%s", place, rev);
	if (!strncmp(ret, REGISTRY_TAGS, strlen(REGISTRY_TAGS)))
		ret[0] = '\0';
}

static int say(struct squashing *q, const struct ask *a, const char *message)
{
	if (message)
		buf_printf(&q->text, "%s\n", message);
	else
		buf_printf(&q->text, "Super-squash branch '%s'\n", a->asked.target.rev);
	q->s.message = buf_str(&q->text);
	return q->text.failed;
}

static int squash(struct ask *a, const char *uid, const struct repo_id *id, const char *message)
{
	char ref[REGISTRY_REF_MAX + 1];
	CLEANUP(squashing_fini) struct squashing q = { .s = { .uid = uid, .ref = ref } };
	struct writing_act act = { "repo.squash", id, q.s.commit, ref };
	struct commit_plan who = { .name = NULL };
	int r = say(&q, a, message);

	name_ref(a->asked.target.rev, ref);
	writing_author(a, &who);
	q.s.by = (struct git_person){ who.name, who.email, clock_wall_s(), 0 };
	q.s.user = a->who.user;
	if (r == 0 && is_main(&q))
		r = writing_ahead(a, id->type, uid, ref, &q.shelf);
	if (r == 0)
		r = db_write(writing_db(a, &act), squash_in, &q);
	act.commit = r < 0 ? NULL : q.s.commit;
	if (r == ERR_TAG_LOCKED)
		return writing_refuse_as(a, &act, r, buf_str(&q.why));
	if (r < 0)
		return writing_failed(a, &act, r);
	r = writing_done(a, &act);
	if (r == 0)
		writing_answer_done(a);
	return r;
}

int repo_squash(struct ask *a)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	struct registry_repo repo;
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = writing_repo(a, &repo);
	if (r == 0)
		r = writing_namespace(a, &repo.id);
	if (r == 0)
		r = writing_body(a, &doc);
	if (r != 0)
		return r < 0 ? r : 0;
	return squash(a, repo.uid, &repo.id, jval_get_str(jdoc_root(doc), "message"));
}
