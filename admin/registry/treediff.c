/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/treediff.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"

/* A tree that is being read: its next entry, or none. */
struct side {
	struct buf bytes;
	const char *at;
	size_t left;
	struct git_entry entry;
	bool more;
};

struct walk {
	struct db_txn *txn;
	const char *uid;
	treediff_fn fn;
	void *arg;
	struct buf path;
};

static int next(struct side *s)
{
	int r = git_tree_next(&s->at, &s->left, &s->entry);

	s->more = r == 1;
	return r < 0 ? r : 0;
}

static int begin(const struct walk *w, const uint8_t *tree, struct side *ret)
{
	int r;

	if (!tree)
		return 0;
	r = registry_object(w->txn, w->uid, REGISTRY_TREE, tree, &ret->bytes);
	if (r < 0)
		return r == -ENOENT ? ERR_CORRUPT : r;
	ret->at = buf_str(&ret->bytes);
	ret->left = ret->bytes.len;
	return next(ret);
}

static int walk_trees(struct walk *w, const uint8_t *from, const uint8_t *to);

static struct tree_side file_of(const struct git_entry *e)
{
	struct tree_side s = { .mode = e ? (unsigned)e->mode : 0 };

	if (e)
		memcpy(s.id, e->id, GIT_ID);
	return s;
}

/* Either may be NULL; if both are there they have one name, and are of one kind. */
static int tell(struct walk *w, const struct git_entry *from, const struct git_entry *to)
{
	const struct git_entry *any = from ? from : to;
	struct tree_side a = file_of(from), b = file_of(to);
	size_t len = w->path.len;
	int r;

	if (from && to && a.mode == b.mode && !memcmp(a.id, b.id, GIT_ID))
		return 0;
	r = buf_printf(&w->path, "%s%s", any->name, any->mode == GIT_DIRECTORY ? "/" : "");
	if (r == 0)
		r = any->mode == GIT_DIRECTORY
			    ? walk_trees(w, from ? from->id : NULL, to ? to->id : NULL)
			    : w->fn(w->arg, buf_str(&w->path), &a, &b);
	w->path.len = len;
	if (w->path.data)
		w->path.data[len] = '\0';
	return r;
}

static int step(struct walk *w, struct side *a, struct side *b)
{
	int c = !a->more ? 1 : !b->more ? -1 : git_entry_order(&a->entry, &b->entry);
	int r = tell(w, c <= 0 ? &a->entry : NULL, c >= 0 ? &b->entry : NULL);

	if (r == 0 && c <= 0)
		r = next(a);
	if (r == 0 && c >= 0)
		r = next(b);
	return r;
}

/* As deep as paths may be. */
static int walk_trees(struct walk *w, const uint8_t *from, const uint8_t *to)
{
	struct side a = { .more = false }, b = { .more = false };
	int r = w->path.len > MANIFEST_PATH_MAX ? ERR_CORRUPT : begin(w, from, &a);

	if (r == 0)
		r = begin(w, to, &b);
	while (r == 0 && (a.more || b.more))
		r = step(w, &a, &b);
	buf_free(&a.bytes);
	buf_free(&b.bytes);
	return r;
}

int treediff_each(struct db_txn *t, const char *uid, const uint8_t *from, const uint8_t *to,
		  treediff_fn fn, void *arg)
{
	struct walk w = { .txn = t, .uid = uid, .fn = fn, .arg = arg };
	int r = from && to && !memcmp(from, to, GIT_ID) ? 0 : walk_trees(&w, from, to);

	buf_free(&w.path);
	return r;
}

/* ---- one path ---- */

/* The entry of a name that is `len` bytes. */
static int find_entry(struct db_txn *t, const char *uid, const uint8_t tree[static GIT_ID],
		      const char *name, size_t len, struct tree_side *ret)
{
	struct walk w = { .txn = t, .uid = uid };
	struct side s = { .more = false };
	int r = begin(&w, tree, &s);

	*ret = (struct tree_side){ 0 };
	while (r == 0 && s.more) {
		if (strlen(s.entry.name) == len && !memcmp(s.entry.name, name, len)) {
			*ret = file_of(&s.entry);
			break;
		}
		r = next(&s);
	}
	buf_free(&s.bytes);
	return r;
}

int treediff_find(struct db_txn *t, const char *uid, const uint8_t tree[static GIT_ID],
		  const char *path, struct tree_side *ret)
{
	struct tree_side at = { .mode = GIT_DIRECTORY };
	int r = 0;

	memcpy(at.id, tree, GIT_ID);
	while (r == 0 && *path) {
		struct tree_side in = at;
		size_t len = strcspn(path, "/");

		if (in.mode != GIT_DIRECTORY)
			return -ENOTDIR;
		r = find_entry(t, uid, in.id, path, len, &at);
		path += len + (path[len] == '/');
		if (!at.mode)
			break;
	}
	*ret = at;
	return r;
}
