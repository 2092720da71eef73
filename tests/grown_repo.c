/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/grown_repo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "admin/registry/committing.h"
#include "admin/registry/uploads.h"
#include "daemon/base/digest.h"

#define REPO "models/acme/m"

int grown_repo_setup(void **state)
{
	int r = tagged_repo_setup(state);

	return r < 0 ? r : tagged_repo_move(*state, REGISTRY_MAIN, NULL);
}

int grown_repo_teardown(void **state)
{
	return tagged_repo_teardown(state);
}

void grown_repo_sum(const char *text, uint8_t ret[static 32])
{
	CLEANUP(digest_freep) struct digest *d = NULL;

	assert_int_equal(digest_new(DIGEST_SHA256, strlen(text), &d), 0);
	assert_int_equal(digest_update(d, text, strlen(text)), 0);
	assert_int_equal(digest_final(d, ret), 0);
}

static struct manifest_file file_of(const struct grown_file *f)
{
	struct manifest_file ret = { .kind = f->lfs ? DIGEST_SHA256 : DIGEST_GIT_SHA1,
				     .size = strlen(f->text) };

	if (f->lfs)
		grown_repo_sum(f->text, ret.digest);
	else
		assert_int_equal(digest_git_object("blob", f->text, ret.size, ret.digest), 0);
	return ret;
}

/* ---- commits ---- */

struct growing {
	struct commit_plan plan;
	struct manifest_file file;
	char commit[COMMIT_HEX + 1];
	struct buf why;
};

static int bring(struct db_txn *t, void *arg)
{
	const struct growing *g = arg;
	char etag[DIGEST_HEX_MAX + 1];

	manifest_etag(&g->file, etag);
	return uploads_note(t, REPO, "", etag, g->file.size, 1);
}

static int begin(struct db_txn *t, void *arg)
{
	struct growing *g = arg;

	return commit_make_first(t, &g->plan, g->commit, &g->why);
}

void grown_repo_commit(struct hub_db *h, const char *ref, const struct grown_file *f,
		       char ret[static COMMIT_HEX + 1])
{
	struct growing g = { .plan = { .name = "ann", .email = "ann@users.noreply", .repo = REPO },
			     .file = file_of(f) };

	strcpy(g.plan.uid, TAGGED_UID);
	strcpy(g.plan.branch, ref);
	assert_int_equal(commit_plan_say(&g.plan, f->text, NULL), 0);
	assert_int_equal(commit_plan_add(&g.plan, CHANGE_FILE, f->path, &g.file, &g.why), 0);
	if (f->lfs)
		assert_int_equal(db_write(h->db, bring, &g), 0);
	grown_repo_at(h, TAGGED_UID, ref, g.commit);
	if (g.commit[0])
		assert_int_equal(commit_make(h->db, &g.plan, g.commit, &g.why), 0);
	else
		assert_int_equal(db_write(h->db, begin, &g), 0);
	memcpy(ret, g.commit, sizeof(g.commit));
	commit_plan_fini(&g.plan);
	buf_free(&g.why);
}

/* ---- what there is ---- */

struct question {
	const char *uid, *ref;
	char *commit;
	const struct manifest_file *file;
	bool has;
};

static int look_at_ref(struct db_txn *t, void *arg)
{
	const struct question *q = arg;

	if (registry_ref(t, q->uid, q->ref, q->commit) < 0)
		q->commit[0] = '\0';
	return 0;
}

void grown_repo_at(struct hub_db *h, const char *uid, const char *ref,
		   char ret[static COMMIT_HEX + 1])
{
	struct question q = { .uid = uid, .ref = ref, .commit = ret };

	assert_int_equal(db_read(h->db, look_at_ref, &q), 0);
}

static int look_for_file(struct db_txn *t, void *arg)
{
	char etag[DIGEST_HEX_MAX + 1], payer[ACCOUNT_NAME_MAX + 1];
	struct question *q = arg;
	int r;

	manifest_etag(q->file, etag);
	r = objects_has_file(t, q->uid, etag, q->file->size, payer);
	q->has = r == 1;
	return r < 0 ? r : 0;
}

bool grown_repo_has(struct hub_db *h, const char *uid, const struct grown_file *f)
{
	const struct manifest_file file = file_of(f);
	struct question q = { .uid = uid, .file = &file };

	assert_int_equal(db_read(h->db, look_for_file, &q), 0);
	return q.has;
}
