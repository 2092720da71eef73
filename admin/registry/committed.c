/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/committed.h"

#include <errno.h>

#include "daemon/base/err.h"

/* ---- one by one ---- */

static int read_tree(void *arg, const uint8_t id[static GIT_ID], struct buf *ret)
{
	const struct committed *c = arg;
	int r = registry_object(c->txn, c->uid, REGISTRY_TREE, id, ret);

	return r == -ENOENT ? ERR_CORRUPT : r;
}

int committed_open(struct committed *c, struct db_txn *t, const char *uid,
		   const struct git_commit *commit)
{
	*c = (struct committed){ .txn = t, .uid = uid };
	return git_trees_new(commit ? commit->tree : NULL, read_tree, c, &c->trees);
}

void committed_fini(struct committed *c)
{
	git_trees_free(c->trees);
	*c = (struct committed){ 0 };
}

int committed_find(struct committed *c, const char *path, struct manifest_file *ret)
{
	enum git_mode mode;
	uint8_t id[GIT_ID];
	int r = git_trees_find(c->trees, path, &mode, id);

	if (r < 0)
		return r;
	return mode == GIT_SUBMODULE ? -ENOENT : registry_file(c->txn, c->uid, id, ret);
}

/* ---- all of them ---- */

struct listing {
	struct db_txn *txn;
	const char *uid;
	struct manifest_builder *builder;
	struct buf path, why;
};

static void listing_fini(struct listing *l)
{
	manifest_builder_free(l->builder);
	buf_free(&l->path);
	buf_free(&l->why);
}

static int list_tree(struct listing *l, const uint8_t id[static GIT_ID]);

static int list_file(struct listing *l, const struct git_entry *e)
{
	struct manifest_file f;
	int r = registry_file(l->txn, l->uid, e->id, &f);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* it was deleted for good */
	return manifest_builder_add(l->builder, buf_str(&l->path), &f, &l->why);
}

static int list_entry(struct listing *l, const struct git_entry *e)
{
	size_t len = l->path.len;
	int r = buf_add_str(&l->path, e->name);

	if (r == 0 && e->mode == GIT_DIRECTORY) {
		r = buf_add_str(&l->path, "/");
		if (r == 0)
			r = list_tree(l, e->id);
	} else if (r == 0 && e->mode != GIT_SUBMODULE) {
		r = list_file(l, e);
	}
	l->path.len = len;
	if (l->path.data)
		l->path.data[len] = '\0';
	return r;
}

/* As deep as paths may be. */
static int list_tree(struct listing *l, const uint8_t id[static GIT_ID])
{
	CLEANUP(buf_free) struct buf tree = { 0 };
	struct git_entry entry;
	const char *at;
	size_t left;
	int r;

	if (l->path.len > MANIFEST_PATH_MAX)
		return ERR_CORRUPT;
	r = registry_object(l->txn, l->uid, REGISTRY_TREE, id, &tree);
	if (r < 0)
		return r == -ENOENT ? ERR_CORRUPT : r;
	at = buf_str(&tree);
	left = tree.len;
	while ((r = git_tree_next(&at, &left, &entry)) == 1) {
		r = list_entry(l, &entry);
		if (r != 0)
			return r;
	}
	return r;
}

int committed_files(struct db_txn *t, const char *uid, const struct git_commit *commit,
		    struct manifest **ret)
{
	CLEANUP(listing_fini) struct listing l = { .txn = t, .uid = uid };
	int r = manifest_builder_new(&l.builder);

	if (r == 0)
		r = list_tree(&l, commit->tree);
	return r < 0 ? r : manifest_builder_finish(l.builder, ret, &l.why);
}
