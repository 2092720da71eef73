/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/merging.h"

#include <errno.h>
#include <string.h>

#include "admin/registry/treediff.h"
#include "daemon/base/err.h"

struct merging {
	struct db_txn *txn;
	const struct merge *of;
	struct commit_plan *plan;
	merge_fn fn;
	void *arg;
	uint8_t ours[GIT_ID], base[GIT_ID];
	bool based;   /* there is a base */
	bool unmoved; /* ours is what theirs began at */
	size_t files; /* that were looked at */
	struct buf why;
};

static int tree_of(struct db_txn *t, const char *uid, const char *commit,
		   uint8_t ret[static GIT_ID])
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct git_commit c;
	int r = registry_commit(t, uid, commit, &room, &c);

	if (r == 0)
		memcpy(ret, c.tree, GIT_ID);
	return r;
}

/* One that is gone held no files; of one that is damaged nobody knows what it held. */
static int find_base(struct merging *m)
{
	int r = tree_of(m->txn, m->of->uid, m->of->base, m->base);

	m->based = r == 0;
	return r == ERR_NOREV ? 0 : r;
}

static bool is_same(const struct tree_side *a, const struct tree_side *b)
{
	return a->mode == b->mode && (!a->mode || !memcmp(a->id, b->id, GIT_ID));
}

static int take(struct merging *m, const char *path, const struct tree_side *to)
{
	struct manifest_file f;
	int r;

	if (!m->plan)
		return 0;
	if (!to->mode)
		return commit_plan_add(m->plan, CHANGE_DROP, path, NULL, &m->why);
	r = registry_file(m->txn, m->of->uid, to->id, &f);
	if (r == -ENOENT)
		return m->fn(m->arg, path, MERGE_GONE);
	return r < 0 ? r : commit_plan_add(m->plan, CHANGE_FILE, path, &f, &m->why);
}

static int find(const struct merging *m, const uint8_t tree[static GIT_ID], const char *path,
		struct tree_side *ret)
{
	*ret = (struct tree_side){ 0 };
	return treediff_find(m->txn, m->of->uid, tree, path, ret);
}

/* A file lies where another one's directory would be: of that one it is told apart. */
static bool is_blocked(int r)
{
	return r == -ENOTDIR;
}

/* What lies there may be a directory, whose place a file takes. */
static int merge_file(void *arg, const char *path, const struct tree_side *from UNUSED,
		      const struct tree_side *to)
{
	struct merging *m = arg;
	struct tree_side here, there = { 0 };
	int r, base;

	if (m->of->files_max && m->files++ == m->of->files_max)
		return -E2BIG;
	if (m->unmoved)
		return take(m, path, to);
	r = find(m, m->ours, path, &here);
	base = m->based ? find(m, m->base, path, &there) : 0;
	if ((r < 0 && !is_blocked(r)) || (base < 0 && !is_blocked(base)))
		return r < 0 && !is_blocked(r) ? r : base;
	if (r == base && is_same(&here, &there))
		return take(m, path, to);
	if (is_blocked(r) ? !to->mode : is_same(&here, to))
		return 0; /* it is here as well */
	return m->fn(m->arg, path, MERGE_CONFLICT);
}

int merge_plan(struct db_txn *t, const struct merge *of, struct commit_plan *p, merge_fn fn,
	       void *arg)
{
	struct merging m = { .txn = t, .of = of, .plan = p, .fn = fn, .arg = arg };
	uint8_t theirs[GIT_ID];
	int r = tree_of(t, of->uid, of->ours, m.ours);

	if (r == 0)
		r = tree_of(t, of->uid, of->theirs, theirs);
	if (r == 0)
		r = find_base(&m);
	m.unmoved = m.based && !memcmp(m.base, m.ours, GIT_ID);
	if (r == 0 && (p || !m.unmoved)) /* who did not move is in nobody's way */
		r = treediff_each(t, of->uid, m.based ? m.base : NULL, theirs, merge_file, &m);
	buf_free(&m.why);
	return r;
}
