/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/hosting.h"

#include <errno.h>
#include <string.h>

#include "admin/registry/committed.h"
#include "admin/registry/renaming.h"
#include "daemon/base/err.h"

/* One question on its way through a transaction. */
struct question {
	const struct repo_id *id;
	const char *text; /* a revision, or a commit */
	char *ret_commit;
	struct repo_id *ret_id;
	hosted_ref_fn ref_fn;
	hosted_repo_fn repo_fn;
	void *to;
	const char *prefix;
	int64_t *ret_date_s;
	struct manifest **ret_files;
};

static int tell_repo(void *arg, const struct registry_repo *repo)
{
	const struct question *q = arg;

	return q->repo_fn(q->to, &repo->id);
}

static int tell_former(void *arg, const struct repo_id *was)
{
	const struct question *q = arg;

	return q->repo_fn(q->to, was);
}

static int find_all(struct db_txn *t, void *arg)
{
	int r = registry_each(t, tell_repo, arg);

	return r ? r : renaming_each(t, tell_former, arg);
}

static int each(void *arg, hosted_repo_fn fn, void *to)
{
	struct question q = { .repo_fn = fn, .to = to };

	return db_read(arg, find_all, &q);
}

static int tell_ref(void *arg, const char *ref, const char *commit)
{
	const struct question *q = arg;

	return q->ref_fn(q->to, ref + strlen(q->prefix), commit);
}

static int find_refs(struct db_txn *t, void *arg)
{
	static const char *const prefixes[] = { REGISTRY_TAGS, REGISTRY_BRANCHES };
	struct question *q = arg;
	struct registry_repo repo;
	int r = renaming_get(t, q->id, &repo);

	if (r == 0)
		*q->ret_id = repo.id;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(prefixes); i++) {
		q->prefix = prefixes[i];
		r = registry_each_ref(t, repo.uid, q->prefix, tell_ref, q);
	}
	return r;
}

static int refs(void *arg, const struct repo_id *id, struct repo_id *ret_id, hosted_ref_fn fn,
		void *to)
{
	struct question q = { .id = id, .ret_id = ret_id, .ref_fn = fn, .to = to };

	return db_read(arg, find_refs, &q);
}

static int find_revision(struct db_txn *t, void *arg)
{
	const struct question *q = arg;
	struct registry_repo repo;
	int r = renaming_get(t, q->id, &repo);

	return r < 0 ? ERR_NOREV : registry_find(t, repo.uid, q->text, q->ret_commit);
}

static int find(void *arg, const struct repo_id *id, const char *revision,
		char ret[static COMMIT_HEX + 1])
{
	struct question q = { .id = id, .text = revision, .ret_commit = ret };

	return db_read(arg, find_revision, &q);
}

static int find_files(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	const struct question *q = arg;
	struct registry_repo repo;
	struct git_commit commit = { 0 };
	int r = renaming_get(t, q->id, &repo);

	if (r == 0)
		r = registry_commit(t, repo.uid, q->text, &room, &commit);
	if (r < 0)
		return r == -ENOENT ? ERR_NOREPO : r;
	*q->ret_date_s = commit.committer.at_s;
	return committed_files(t, repo.uid, &commit, q->ret_files);
}

static int files(void *arg, const struct repo_id *id, const char *commit, int64_t *ret_date_s,
		 struct manifest **ret)
{
	struct question q = {
		.id = id, .text = commit, .ret_date_s = ret_date_s, .ret_files = ret
	};

	return db_read(arg, find_files, &q);
}

struct hosted hosting_of(struct db *db)
{
	return (struct hosted){ each, refs, find, files, db };
}
