/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/repo_squash.h"

#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/writing.h"
#include "admin/registry/ndjson.h"
#include "admin/registry/squash.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

struct squashing {
	struct squash s;
	struct buf text, why;
};

static void squashing_fini(struct squashing *q)
{
	buf_free(&q->text);
	buf_free(&q->why);
}

static int squash_in(struct db_txn *t, void *arg)
{
	struct squashing *q = arg;

	buf_clear(&q->why);
	return squash_ref(t, &q->s, &q->why);
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

/* NULL: none is said. False: what is said is no message, which was answered. */
static bool take_message(struct ask *a, const struct jval *body, const char **ret)
{
	*ret = jval_get_str(body, "message");
	if (*ret ? strlen(*ret) <= NDJSON_TEXT_MAX : !jval_get(body, "message"))
		return true;
	answer_refuse(a, 400, "\"message\" must be a text of at most %d bytes", NDJSON_TEXT_MAX);
	return false;
}

static int squash(struct ask *a, const struct registry_repo *repo, const char *ref,
		  const char *message)
{
	CLEANUP(squashing_fini) struct squashing q = { .s = { .uid = repo->uid, .ref = ref } };
	struct writing_act act = { "repo.squash", &repo->id, q.s.commit, ref };
	const struct writing_change change = { .act = &act,
					       .fn = squash_in,
					       .arg = &q,
					       .type = repo->id.type,
					       .uid = repo->uid,
					       .revision = strcmp(ref, REGISTRY_MAIN) ? NULL
										      : ref };
	struct commit_plan who = { .name = NULL };
	int r = say(&q, a, message);

	writing_author(a, &who);
	q.s.by = (struct git_person){ who.name, who.email, clock_wall_s(), 0 };
	q.s.user = a->who.user;
	if (r == 0)
		r = writing_change(a, &change);
	act.commit = r < 0 ? NULL : q.s.commit;
	if (r == ERR_TAG_LOCKED)
		return writing_refuse_as(a, &act, r, buf_str(&q.why));
	if (r < 0)
		return writing_note_failure(a, &act, r);
	return writing_done_and_answered(a, &act);
}

int repo_squash(struct ask *a)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	char ref[REGISTRY_REF_MAX + 1];
	const char *message;
	struct registry_repo repo;
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = writing_whole(a, &repo, &doc);
	if (r != 0)
		return r < 0 ? r : 0;
	name_ref(a->asked.target.rev, ref);
	return take_message(a, jdoc_root(doc), &message) ? squash(a, &repo, ref, message) : 0;
}
