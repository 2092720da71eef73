/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/pull_drop.h"

#include <errno.h>
#include <stdio.h>

#include "admin/hub/answer.h"
#include "admin/hub/authorship.h"
#include "admin/hub/writing.h"
#include "admin/registry/handover.h"
#include "admin/registry/refs.h"
#include "daemon/base/err.h"

struct dropping {
	struct ask *ask;
	struct registry_repo repo;
	struct discussion d;
	char commit[COMMIT_HEX + 1]; /* what the ref named */
	struct buf why;
};

static void dropping_fini(struct dropping *p)
{
	buf_free(&p->why);
}

static int find(struct db_txn *t, void *arg)
{
	struct dropping *p = arg;
	int r = discussion_get(t, p->repo.uid, p->ask->asked.target.num, &p->d);

	return r == 0 && !p->d.is_pull ? -ENOENT : r;
}

static int drop_in(struct db_txn *t, void *arg)
{
	struct dropping *p = arg;
	char ref[REGISTRY_REF_MAX + 1];
	const struct ref_change change = {
		.uid = p->repo.uid, .ref = ref, .act = "discussion.drop", .user = p->ask->who.user
	};
	int r = find(t, p);

	if (r == 0 && !discussion_is_over(&p->d))
		r = -EBUSY;
	discussion_ref(p->d.num, ref);
	if (r == 0)
		r = registry_ref(t, p->repo.uid, ref, p->commit);
	buf_clear(&p->why);
	if (r == 0)
		r = ref_change(t, &change, &p->why);
	return r < 0 ? r : handover_pull(t, p->repo.uid, &p->d);
}

static int refuse(struct dropping *p, const struct writing_act *act, int r)
{
	if (r == -EBUSY)
		return writing_refuse(p->ask, act, 400,
				      "This pull request is %s: close it before its commits go",
				      discussion_status_word(p->d.status));
	if (r == -ENOENT)
		return writing_refuse(p->ask, act, 404,
				      "The commits of this pull request are gone already");
	return writing_note_failure(p->ask, act, r);
}

static int drop(struct dropping *p)
{
	char note[16];
	struct writing_act act = { "discussion.drop", &p->repo.id, p->commit, note };
	int r;

	snprintf(note, sizeof(note), "#%u", p->d.num);
	r = db_write(writing_db(p->ask, &act), drop_in, p);
	act.commit = r < 0 ? NULL : p->commit;
	if (r < 0)
		return refuse(p, &act, r);
	return writing_done_and_answered(p->ask, &act);
}

/* Who opened it may: its bytes are counted for them (objects.h). */
static int check(struct dropping *p)
{
	int r = db_read(p->ask->server->rights.db, find, p);

	if (r == -ENOENT) {
		answer_refuse(p->ask, 404, "Pull request not found");
		return ANSWERED;
	}
	return r < 0 ? r : authorship_or_write(p->ask, p->d.author, p->d.created_ms);
}

int pull_drop(struct ask *a)
{
	CLEANUP(dropping_fini) struct dropping p = { .ask = a };
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = writing_repo(a, &p.repo);
	if (r == 0)
		r = check(&p);
	return r != 0 ? (r < 0 ? r : 0) : drop(&p);
}
