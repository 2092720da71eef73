/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/change.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/shown.h"
#include "fs/view_written.h"

/* The scratch directory behind a directory clients may write in; owned. Made if `make`: -ENOENT. */
static int writable_dir(const struct change *c, const struct place *dir, bool make,
			struct scratch_node **ret)
{
	int r = c->view->strict_ro ? -EROFS : permit_access(&c->who, dir, W_OK | X_OK);

	return r < 0 ? r : view_written_dir(c->view, dir, make, ret);
}

/* What the tree shows by itself is not a client's to make, remove or move: `r` says so. */
static int check_own(const struct change *c, const struct place *dir, const char *name, int r)
{
	return view_shows_itself(c->view, dir, name) ? r : 0;
}

/* May the caller take away what was written there, if anything was? */
static int removable(const struct change *c, const struct place *dir, const char *name)
{
	struct place entry;
	int r;

	if (view_written_find(c->view, dir, name, &entry) < 0)
		return 0;
	r = permit_remove(&c->who, dir, &entry);
	place_fini(&entry);
	return r;
}

/* hub/blobs would make every scan of the cache warn. */
static bool is_forbidden(const struct place *dir, const char *name)
{
	return dir->kind == PLACE_HUB && strcmp(name, "blobs") == 0;
}

static int path_of(const struct place *dir, const char *name, struct buf *ret)
{
	int r = dir->kind == PLACE_SCRATCH ? scratch_path(dir->scratch, dir->written, ret)
					   : place_scratch_path(dir, ret);

	return r < 0 ? r : buf_printf(ret, "/%s", name);
}

/* What was written for a repository stays its own, also when nobody has heard of that. */
static int check_kept(const struct change *c, const struct buf *from, const struct place *to,
		      const char *name)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	int r = path_of(to, name, &path);

	if (r < 0)
		return r;
	return shown_to_no_more(node_known(c->view->node), buf_str(from), buf_str(&path)) ? 0
											  : -EROFS;
}

int change_make(const struct change *c, const struct place *dir, const char *name, mode_t mode,
		const char *target, struct scratch_node **ret)
{
	struct scratch_node *in;
	int r = is_forbidden(dir, name) ? -EROFS : check_own(c, dir, name, -EEXIST);

	if (r == 0)
		r = writable_dir(c, dir, true, &in);
	if (r < 0)
		return r;
	if (S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode))
		r = scratch_make(c->view->scratch, in, name, mode, c->who.uid, c->who.gid, target,
				 ret);
	else
		r = -EPERM; /* no pipes and devices */
	scratch_unref(c->view->scratch, in);
	return r;
}

int change_remove(const struct change *c, const struct place *dir, const char *name, mode_t kind)
{
	struct scratch_node *in;
	int r = check_own(c, dir, name, -EROFS);

	if (r == 0)
		r = writable_dir(c, dir, false, &in);
	if (r < 0)
		return r;
	r = removable(c, dir, name);
	if (r == 0 && kind == S_IFDIR)
		r = scratch_rmdir(c->view->scratch, in, name);
	else if (r == 0)
		r = scratch_unlink(c->view->scratch, in, name);
	scratch_unref(c->view->scratch, in);
	return r;
}

int change_link(const struct change *c, const struct place *p, const struct place *dir,
		const char *name)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct scratch_node *in, *n = p->written;
	int r = n && !is_forbidden(dir, name) ? permit_change(&c->who, p) : -EROFS;

	if (r == 0)
		r = check_own(c, dir, name, -EEXIST);
	if (r == 0 && p->shared)
		r = scratch_path(p->scratch, n, &path);
	if (r == 0)
		r = check_kept(c, &path, dir, name);
	if (r == 0)
		r = writable_dir(c, dir, true, &in);
	if (r != 0)
		return r;
	/* By a name below hub/ a file would be anybody's. */
	r = p->shared == place_shares(dir) ? scratch_link(c->view->scratch, n, in, name) : -EXDEV;
	scratch_unref(c->view->scratch, in);
	return r;
}

/* ---- refs ---- */

static void heed_ref(const struct view *v, struct repo *r, const void *text, int64_t len)
{
	char commit[COMMIT_HEX + 1] = "";

	if (len != COMMIT_HEX)
		return;
	memcpy(commit, text, COMMIT_HEX);
	if (commit_valid(commit))
		known_doubt_refs(node_known(v->node), r, commit);
}

void change_swallow(const struct view *v, const struct place *p, const void *data, size_t len)
{
	if (p->kind == PLACE_REF)
		heed_ref(v, p->repo, data, (int64_t)len);
}

static void heed_renamed(const struct change *c, const struct change_rename *n,
			 struct scratch_node *from)
{
	struct scratch *s = c->view->scratch;
	struct scratch_node *file;
	char text[COMMIT_HEX + 1];

	if (n->to->kind != PLACE_REFS || scratch_find(s, from, n->from_name, &file) < 0)
		return;
	heed_ref(c->view, n->to->repo, text, scratch_read(s, file, text, sizeof(text), 0));
	scratch_unref(s, file);
}

/* ---- rename ---- */

int change_is_shown(const struct change *c, const struct change_rename *n, struct waiter *w,
		    bool *ret)
{
	int64_t ttl_ms;
	struct place p;
	bool dir;
	int r = view_lookup(c->view, n->to, n->to_name, w, &p, &ttl_ms);

	if (r == PARKED)
		return r;
	*ret = view_shows_itself(c->view, n->to, n->to_name);
	if (r < 0)
		return 0;
	dir = place_format(&p) == S_IFDIR;
	place_fini(&p);
	return *ret && dir ? -EEXIST : 0;
}

static int move(const struct change *c, const struct change_rename *n, struct scratch_node *from,
		struct scratch_node *to, bool shown)
{
	struct scratch *s = c->view->scratch;

	if (!shown && !view_shows_itself(c->view, n->to, n->to_name))
		return scratch_rename(s, from, n->from_name, to, n->to_name, n->flags);
	if (n->flags)
		return n->flags == RENAME_NOREPLACE ? -EEXIST : -EINVAL;
	heed_renamed(c, n, from);
	return scratch_unlink(s, from, n->from_name);
}

static int check_names(const struct change *c, const struct change_rename *n)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	int r = is_forbidden(n->to, n->to_name) ? -EROFS
						: check_own(c, n->from, n->from_name, -EROFS);

	if (r == 0 && place_shares(n->from))
		r = path_of(n->from, n->from_name, &path);
	return r == 0 ? check_kept(c, &path, n->to, n->to_name) : r;
}

int change_rename(const struct change *c, const struct change_rename *n, bool shown)
{
	struct scratch *s = c->view->scratch;
	struct scratch_node *from, *to;
	int r = check_names(c, n);

	if (r == 0)
		r = writable_dir(c, n->from, false, &from);
	if (r != 0)
		return r;
	r = place_shares(n->from) == place_shares(n->to) ? writable_dir(c, n->to, true, &to)
							 : -EXDEV;
	if (r == 0) {
		r = removable(c, n->from, n->from_name);
		if (r == 0)
			r = removable(c, n->to, n->to_name);
		if (r == 0)
			r = move(c, n, from, to, shown);
		scratch_unref(s, to);
	}
	scratch_unref(s, from);
	return r;
}

/* ---- attributes ---- */

static int set_written(const struct view *v, struct scratch_node *n, const struct change_attrs *a)
{
	int r = a->sets_size ? scratch_truncate(v->scratch, n, a->size) : 0;

	if (r == 0) /* all or nothing: this cannot fail */
		scratch_set(v->scratch, n, a->sets_mode ? &a->mode : NULL, a->uid, a->gid,
			    a->times);
	return r;
}

static bool sets_times(const struct change_attrs *a)
{
	return a->times[0].tv_nsec != UTIME_OMIT || a->times[1].tv_nsec != UTIME_OMIT;
}

/* Its owner may change it, who may write it may cut it; only root gives it away. */
static int may_set(const struct change *c, const struct place *p, const struct change_attrs *a)
{
	bool owners = a->sets_mode || a->uid != (uid_t)-1 || a->gid != (gid_t)-1 || sets_times(a);

	if (a->uid != (uid_t)-1 && c->who.uid != 0 && a->uid != c->who.uid)
		return -EPERM;
	return owners ? permit_change(&c->who, p) : permit_access(&c->who, p, W_OK);
}

int change_attrs(const struct change *c, const struct place *p, const struct change_attrs *a)
{
	int r = c->view->strict_ro ? -EROFS : may_set(c, p, a);

	if (r < 0)
		return r;
	if (p->kind == PLACE_SCRATCH)
		return set_written(c->view, p->written, a);
	return place_swallows(p) || place_writable(p) ? 0 : -EROFS;
}
