/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/repo_duplicate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/gated.h"
#include "admin/hub/repo_answer.h"
#include "admin/hub/repo_body.h"
#include "admin/hub/writing.h"
#include "admin/registry/copying.h"
#include "admin/registry/renaming.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

struct duplication {
	struct ask *ask;
	struct registry_repo from, to;
	enum visibility visibility; /* VISIBILITY_UNSAID: as the other one's */
	int64_t now_s;
	char uid[REGISTRY_UID + 1];
	struct copying copying;
	struct writing_act act;
	struct buf note, why; /* owned */
};

static void duplication_fini(struct duplication *d)
{
	copying_fini(&d->copying);
	buf_free(&d->note);
	buf_free(&d->why);
}

static int copy_row(struct db_txn *t, struct duplication *d, const struct registry_repo *from)
{
	const struct repo_id to = d->to.id;
	int r;

	d->to = *from;
	d->to.id = to;
	d->to.created_s = d->now_s;
	memcpy(d->to.uid, d->uid, sizeof(d->uid));
	snprintf(d->to.creator, sizeof(d->to.creator), "%s", d->ask->who.user);
	r = registry_add(t, &d->to);
	return r < 0 ? r : renaming_take(t, &to);
}

/* What is recorded, of what came of it. */
static int describe(struct duplication *d)
{
	const struct buf *left = &d->copying.left;

	buf_clear(&d->note);
	d->act.commit = *d->copying.commit ? d->copying.commit : NULL;
	buf_printf(&d->note, "of %s", d->from.id.name);
	if (left->len)
		buf_printf(&d->note, ", without what is promoted: %s", buf_str(left));
	d->act.note = buf_str(&d->note);
	return d->note.failed;
}

static int bring_in(struct db_txn *t, void *arg)
{
	struct duplication *d = arg;
	struct registry_repo from;
	int r = registry_now(t, d->from.uid, &from);

	buf_clear(&d->why);
	if (r == 0)
		r = copy_row(t, d, &from);
	if (r == 0 && d->visibility == VISIBILITY_UNSAID)
		r = rights_move_visibility(t, &from.id, &d->to.id);
	else if (r == 0)
		r = rights_put_visibility(t, &d->to.id, d->visibility);
	if (r == 0)
		r = copying_history(t, &d->copying, &d->why);
	return r < 0 ? r : describe(d);
}

static int duplicate(struct duplication *d)
{
	const struct writing_change change = { .act = &d->act,
					       .fn = bring_in,
					       .arg = d,
					       .type = d->from.id.type,
					       .uid = d->uid,
					       .from_uid = d->from.uid,
					       .revision = REGISTRY_MAIN };
	struct ask *a = d->ask;
	int r = writing_name_free(a, &d->to.id) ? 0 : -EEXIST;

	d->copying = (struct copying){ .from = d->from.uid, .to = d->uid, .user = a->who.user };
	d->act = (struct writing_act){ .act = "repo.duplicate", .repo = &d->to.id };
	if (r == 0)
		r = describe(d);
	if (r == 0)
		r = registry_make_uid(d->uid);
	if (r == 0)
		r = writing_change(a, &change);
	if (r == -EEXIST)
		return repo_answer_exists(a, &d->to.id);
	d->act.commit = r < 0 ? NULL : d->copying.commit;
	if (r == ERR_TAG_LOCKED)
		return writing_refuse_as(a, &d->act, r, buf_str(&d->why));
	if (r == ERR_QUOTA)
		return writing_refuse_full(a, &d->act, &d->to.id, NULL);
	if (r < 0)
		return writing_note_failure(a, &d->act, r);
	r = writing_done(a, &d->act);
	return r < 0 ? r : repo_answer_there(a, &d->to.id, NULL, false);
}

static int check_owner(struct duplication *d)
{
	const struct writing_act act = { "repo.duplicate", &d->to.id, NULL, NULL };
	bool hides;
	int r = writing_owner(d->ask, &d->to.id, &hides);

	if (r == 0 && hides && d->visibility == VISIBILITY_UNSAID)
		d->visibility = VISIBILITY_PRIVATE;
	if (r != ERR_FORBIDDEN && r != -ENOENT)
		return r;
	writing_refuse(d->ask, &act, 403,
		       "You don't have the rights to create a %s under the namespace \"%.*s\"",
		       repo_type_word(d->to.id.type), (int)strcspn(d->to.id.name, "/"),
		       d->to.id.name);
	return ANSWERED;
}

/* What the new one is called: of the kind of the other one. */
static int take_body(struct duplication *d, const struct jval *body)
{
	int r = repo_body_named(d->ask, body, "repository", d->from.id.type, &d->to.id);

	if (r == 0 && !repo_body_visibility(d->ask, body, &d->visibility))
		r = ANSWERED;
	return r == 0 ? check_owner(d) : r;
}

int repo_duplicate(struct ask *a)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	CLEANUP(duplication_fini) struct duplication d = { .ask = a, .now_s = clock_wall_s() };
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = writing_repo(a, &d.from);
	if (r == 0)
		r = gated_pass(a);
	if (r == 0)
		r = writing_body(a, &doc);
	if (r == 0)
		r = take_body(&d, jdoc_root(doc));
	return r != 0 ? (r < 0 ? r : 0) : duplicate(&d);
}
