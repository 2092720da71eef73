/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/kept_repo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/sweep_blobs.h"
#include "admin/registry/sweep_rows.h"
#include "admin/registry/uploads.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/cache/chunk_list.h"

int kept_setup(void **state)
{
	CLEANUP(buf_free) struct buf dir = { 0 }, why = { 0 };
	struct kept *k = calloc(1, sizeof(*k));
	void *hub = NULL;

	assert_non_null(k);
	assert_int_equal(hub_db_setup(&hub), 0);
	k->hub = hub;
	k->db = k->hub->db;
	buf_printf(&dir, "%s/own", k->hub->dir.path);
	assert_int_equal(intake_open(buf_str(&dir), &k->in, &why), 0);
	assert_int_equal(parts_new(k->in, &k->parts), 0);
	assert_int_equal(xorbs_new(k->in, &k->xorbs), 0);
	*state = k;
	return 0;
}

int kept_teardown(void **state)
{
	struct kept *k = *state;
	void *hub = k->hub;

	xorbs_free(k->xorbs);
	parts_free(k->parts);
	intake_close(k->in);
	hub_db_teardown(&hub);
	free(k);
	return 0;
}

/* ---- repositories ---- */

static struct registry_repo repo_of(const char *uid, const char *name)
{
	struct registry_repo repo = { .created_s = 1700000000 };

	snprintf(repo.id.name, sizeof(repo.id.name), "org/%s", name);
	snprintf(repo.uid, sizeof(repo.uid), "%s", uid);
	return repo;
}

static int add(struct db_txn *t, void *arg)
{
	return registry_add(t, arg);
}

static int take_out(struct db_txn *t, void *arg)
{
	const struct registry_repo *repo = arg;
	char key[REPO_KEY_MAX + 1];
	int r;

	repo_id_key(&repo->id, key);
	r = uploads_forget_all(t, key);
	return r < 0 ? r : registry_remove(t, repo);
}

void kept_make(struct kept *k, const char *uid, const char *name)
{
	struct registry_repo repo = repo_of(uid, name);

	assert_int_equal(db_write(k->db, add, &repo), 0);
}

void kept_unmake(struct kept *k, const char *uid, const char *name)
{
	struct registry_repo repo = repo_of(uid, name);

	assert_int_equal(db_write(k->db, take_out, &repo), 0);
}

struct ref {
	const char *uid, *ref;
};

static int drop_ref(struct db_txn *t, void *arg)
{
	const struct ref *q = arg;

	return registry_drop_ref(t, q->uid, q->ref);
}

void kept_drop_ref(struct kept *k, const char *uid, const char *ref)
{
	struct ref q = { uid, ref };

	assert_int_equal(db_write(k->db, drop_ref, &q), 0);
}

/* ---- files ---- */

static struct manifest_file file_of(const char *text, bool lfs)
{
	struct manifest_file f = { .kind = lfs ? DIGEST_SHA256 : DIGEST_GIT_SHA1,
				   .size = strlen(text) };

	assert_int_equal(digest_of(f.kind, text, f.size, f.digest), 0);
	return f;
}

void kept_etag(const char *text, bool lfs, char ret[static DIGEST_HEX_MAX + 1])
{
	struct manifest_file f = file_of(text, lfs);

	manifest_etag(&f, ret);
}

struct note {
	const char *repo, *etag;
	uint64_t size;
};

static int note(struct db_txn *t, void *arg)
{
	const struct note *n = arg;

	return uploads_note(t, n->repo, "", n->etag, n->size, clock_wall_s());
}

void kept_bring(struct kept *k, const char *name, const char *text, bool lfs)
{
	const struct intake_want want = { lfs ? DIGEST_SHA256 : DIGEST_GIT_SHA1, strlen(text),
					  NULL };
	CLEANUP(intake_dropp) struct intake_file *f = NULL;
	char key[REPO_KEY_MAX + 1];
	struct note n = { .repo = key, .size = strlen(text) };

	snprintf(key, sizeof(key), "models/org/%s", name);
	assert_int_equal(intake_begin(k->in, &want, &f), 0);
	assert_int_equal(intake_add(f, text, strlen(text)), 0);
	assert_int_equal(intake_end(f), 0);
	assert_int_equal(intake_keep(k->in, &f, 1), 0);
	n.etag = intake_etag(f);
	if (lfs)
		assert_int_equal(db_write(k->db, note, &n), 0);
}

bool kept_has(struct kept *k, const char *text, bool lfs)
{
	char etag[DIGEST_HEX_MAX + 1];

	kept_etag(text, lfs, etag);
	return intake_is_there(k->in, etag);
}

/* ---- commits ---- */

int kept_commit(struct kept *k, const char *uid, const char *name, const char *branch,
		const char *text, bool lfs, bool first)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct commit_plan p = { .name = "ann", .blobs = k->in };
	struct manifest_file f = file_of(text, lfs);
	char commit[COMMIT_HEX + 1], key[REPO_KEY_MAX + 1];
	int r;

	snprintf(key, sizeof(key), "models/org/%s", name);
	snprintf(p.uid, sizeof(p.uid), "%s", uid);
	snprintf(p.branch, sizeof(p.branch), "%s", branch);
	strcpy(p.email, "ann@users.noreply");
	p.repo = key;
	assert_int_equal(commit_plan_say(&p, text, NULL), 0);
	assert_int_equal(commit_plan_add(&p, CHANGE_FILE, "f", &f, &why), 0);
	r = first ? hub_db_first_commit(k->db, &p, commit) : commit_make(k->db, &p, commit, &why);
	commit_plan_fini(&p);
	return r;
}

/* ---- collecting ---- */

static int rest(void *arg, const struct sweep_counts *so_far)
{
	(void)arg;
	(void)so_far;
	return 0;
}

static void tell(void *arg, const struct sweep_item *item)
{
	(void)arg;
	assert_non_null(item->why);
}

struct sweep_counts kept_collect(struct kept *k, int64_t before_s, bool dry, int want)
{
	struct sweep s = {
		.db = k->db,
		.intake = k->in,
		.parts = k->parts,
		.xorbs = k->xorbs,
		.before_s = before_s,
		.dry = dry,
		.rest = rest,
		.tell = tell,
	};
	int r = sweep_rows(&s);

	assert_int_equal(r, want);
	assert_int_equal(sweep_blobs(&s, r == ERR_CORRUPT), 0);
	buf_free(&s.doomed);
	return s.counts;
}

void kept_put_list(struct kept *k, const char *text, bool lfs)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(strlen(text));
	char etag[DIGEST_HEX_MAX + 1];

	assert_non_null(l);
	kept_etag(text, lfs, etag);
	assert_int_equal(chunk_list_save(intake_root(k->in), etag, l), 0);
}

bool kept_has_list(struct kept *k, const char *text, bool lfs)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	char etag[DIGEST_HEX_MAX + 1];

	kept_etag(text, lfs, etag);
	return chunk_list_load(intake_root(k->in), etag, strlen(text), &l) == 0;
}
