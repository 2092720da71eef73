/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/repo_delete.h"

#include <errno.h>
#include <string.h>

#include "admin/hub/admit.h"
#include "admin/hub/repo_body.h"
#include "admin/hub/writing.h"
#include "admin/registry/likes.h"
#include "admin/registry/refs.h"
#include "admin/registry/renaming.h"
#include "admin/registry/uploads.h"
#include "daemon/base/err.h"

struct removal {
	struct registry_repo repo;
	struct buf why; /* owned */
};

static void removal_fini(struct removal *x)
{
	buf_free(&x->why);
}

/* By the name that was asked for: it may have got another one since. */
static int take_out(struct db_txn *t, void *arg)
{
	struct removal *x = arg;
	char key[REPO_KEY_MAX + 1];
	struct registry_repo now;
	int r = registry_get(t, &x->repo.id, &now);

	buf_clear(&x->why);
	if (r < 0 || strcmp(now.uid, x->repo.uid) != 0)
		return r < 0 && r != -ENOENT ? r : ERR_NOREPO;
	repo_id_key(&now.id, key);
	r = ref_check_repo(t, now.uid, &x->why);
	if (r == 0)
		r = uploads_forget_all(t, key);
	if (r == 0)
		r = likes_forget(t, now.uid);
	if (r == 0)
		r = renaming_drop(t, &now.id);
	return r < 0 ? r : registry_remove(t, &now);
}

static int delete (struct ask *a)
{
	CLEANUP(removal_fini) struct removal x = { .why = { 0 } };
	const struct writing_act act = { "repo.delete", &x.repo.id, NULL, NULL };
	int r = writing_repo(a, &x.repo);

	if (r == 0)
		r = writing_namespace(a, &x.repo.id);
	if (r != 0)
		return r < 0 ? r : 0;
	r = db_write(writing_db(a, &act), take_out, &x);
	if (r == ERR_TAG_LOCKED)
		return writing_refuse_as(a, &act, r, buf_str(&x.why));
	if (r < 0)
		return writing_note_failure(a, &act, r);
	r = writing_done(a, &act);
	if (r == 0)
		r = writing_forget_name(a, &x.repo.id);
	if (r == 0)
		writing_answer_done(a);
	return r;
}

int repo_delete(struct ask *a)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r;

	a->frees = true;
	if (!writing_begin(a, &r))
		return r;
	r = writing_body(a, &doc);
	if (r == 0)
		r = repo_body_id(a, jdoc_root(doc), &a->asked.target.repo);
	if (r != 0)
		return r < 0 ? r : 0;
	a->role = ROLE_WRITE;
	r = admit_ask(a);
	if (r != 0)
		return r == ERR_MOVED ? ERR_NOREPO : r; /* to be deleted by the name it has */
	return delete (a);
}
