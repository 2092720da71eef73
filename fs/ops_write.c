/* SPDX-License-Identifier: Apache-2.0 */
/* Writes of metadata: into the scratch where clients may write, dropped where the file is made
 * up, EROFS for all else. What a client writes over a shown name is dropped too: the hub's truth
 * stays. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/err.h"
#include "fs/attr.h"
#include "fs/ops.h"

/* The scratch directory behind a directory clients may write in; owned. */
static int writable_dir(struct op *op, struct inode *dir, struct scratch_node **ret)
{
	struct permit_who who = op_who(op);
	int r = op->ops->view.strict_ro ? -EROFS : permit_access(&who, &dir->place, W_OK | X_OK);

	return r < 0 ? r : view_scratch_dir(&op->ops->view, &dir->place, true, ret);
}

/* May the caller take away what was written there, if anything was? */
static int removable(struct op *op, struct inode *dir, const char *name)
{
	struct permit_who who = op_who(op);
	struct place entry;
	int r;

	if (view_lookup_written(&op->ops->view, &dir->place, name, &entry) < 0)
		return 0;
	r = permit_remove(&who, &dir->place, &entry);
	place_fini(&entry);
	return r;
}

/* hub/blobs would make every scan of the cache warn. */
static bool is_forbidden(const struct inode *dir, const char *name)
{
	return dir->place.kind == PLACE_HUB && strcmp(name, "blobs") == 0;
}

static int make(struct op *op, mode_t mode, const char *target, struct scratch_node **ret)
{
	struct permit_who who = op_who(op);
	struct scratch_node *dir;
	int r = is_forbidden(op->inode, op->name) ? -EROFS : writable_dir(op, op->inode, &dir);

	if (r < 0)
		return r;
	if (S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode))
		r = scratch_make(op->ops->view.scratch, dir, op->name, mode, who.uid, who.gid,
				 target, ret);
	else
		r = -EPERM; /* no pipes and devices */
	scratch_unref(op->ops->view.scratch, dir);
	return r;
}

static int run_make(struct op *op)
{
	struct scratch_node *n;
	int r = make(op, op->mode, op->name2, &n);

	return r < 0 ? r
		     : op_entry(op, place_written(&op->inode->place, op->ops->view.scratch, n),
				VIEW_NEVER);
}

static void start_make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		       const char *target)
{
	struct op *op = op_new(req, parent, name, run_make);

	if (!op || (target && !op_second(op, parent, target)))
		return;
	op->mode = mode;
	op_start(op);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	start_make(req, parent, name, S_IFDIR | (mode & 07777), NULL);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	start_make(req, parent, name, S_IFLNK | 0777, target);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)rdev;
	start_make(req, parent, name, mode, NULL);
}

/* Makes the file and opens it. */
static int create(struct op *op)
{
	struct openfile *f = op_file(op);
	struct scratch_node *n;
	int r = make(op, S_IFREG | (op->mode & 07777), NULL, &n);

	if (r < 0)
		return r;
	f->kind = OPENFILE_SCRATCH;
	f->written = scratch_ref(n);
	scratch_open(op->ops->view.scratch, n);
	return op_entry(op, place_written(&op->inode->place, op->ops->view.scratch, n), VIEW_NEVER);
}

static int run_create(struct op *op)
{
	int r = op_new_file(op);

	if (r < 0)
		return r;
	r = create(op);
	if (r < 0)
		op_close_file(op->ops, NULL, op_file(op));
	op->answer = ANSWER_CREATE;
	return r;
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct op *op = op_new(req, parent, name, run_create);

	if (!op)
		return;
	op->mode = mode;
	op->fi = *fi;
	op_start(op);
}

/* Text written over a shown ref is dropped, but who writes another commit than the ref shows has
 * just heard of it from the hub. */
static void heed_ref(struct op *op, struct repo *r, const void *text, int64_t len)
{
	char commit[COMMIT_HEX + 1] = "";

	if (len != COMMIT_HEX)
		return;
	memcpy(commit, text, COMMIT_HEX);
	if (commit_valid(commit))
		known_doubt_refs(node_known(op->ops->view.node), r, commit);
}

static int run_write(struct op *op)
{
	const struct place *p = &op->inode->place;
	struct openfile *f = op_file(op);
	int64_t n = (int64_t)op->size;

	if (!op->data)
		return -ENOMEM;
	if (f->kind == OPENFILE_SCRATCH)
		n = scratch_write(op->ops->view.scratch, f->written, op->data, op->size,
				  (uint64_t)op->off);
	else if (f->kind != OPENFILE_SINK)
		n = -EROFS;
	else if (p->kind == PLACE_REF)
		heed_ref(op, p->repo, op->data, n);
	op->count = n < 0 ? 0 : (uint64_t)n;
	op->answer = ANSWER_COUNT;
	return n < 0 ? (int)n : 0;
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct op *op = op_new(req, ino, NULL, run_write);

	if (!op)
		return;
	op->data = malloc(size ? size : 1);
	if (op->data)
		memcpy(op->data, data, size);
	op->size = size;
	op->off = off;
	op->fi = *fi;
	op_start(op);
}

/* unlink and rmdir: mode tells which. */
static int run_remove(struct op *op)
{
	struct scratch_node *dir;
	int r = writable_dir(op, op->inode, &dir);

	if (r < 0)
		return r;
	r = removable(op, op->inode, op->name);
	if (r == 0 && op->mode == S_IFDIR)
		r = scratch_rmdir(op->ops->view.scratch, dir, op->name);
	else if (r == 0)
		r = scratch_unlink(op->ops->view.scratch, dir, op->name);
	scratch_unref(op->ops->view.scratch, dir);
	return r == -ENOENT ? -EROFS : r; /* the kernel saw it: it is shown, not written */
}

static void start_remove(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t kind)
{
	struct op *op = op_new(req, parent, name, run_remove);

	if (!op)
		return;
	op->mode = kind;
	op_start(op);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	start_remove(req, parent, name, S_IFREG);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	start_remove(req, parent, name, S_IFDIR);
}

/* Is the target a name the tree shows by itself? 0 with the answer, or PARKED. */
static int target_is_shown(struct op *op, bool *ret)
{
	struct place p;
	int64_t ttl_ms;
	int r = view_lookup(&op->ops->view, &op->inode2->place, op->name2, &op->waiter, &p,
			    &ttl_ms);

	if (r == PARKED)
		return r;
	*ret = r == 0 && p.kind != PLACE_SCRATCH;
	if (r == 0)
		place_fini(&p);
	return 0;
}

static void heed_renamed(struct op *op, struct scratch_node *from)
{
	struct scratch *s = op->ops->view.scratch;
	struct scratch_node *n;
	char text[COMMIT_HEX + 1];

	if (op->inode2->place.kind != PLACE_REFS || scratch_find(s, from, op->name, &n) < 0)
		return;
	heed_ref(op, op->inode2->place.repo, text, scratch_read(s, n, text, sizeof(text), 0));
	scratch_unref(s, n);
}

static int move(struct op *op, struct scratch_node *from, struct scratch_node *to, bool shown)
{
	struct scratch *s = op->ops->view.scratch;

	if (!shown)
		return scratch_rename(s, from, op->name, to, op->name2, (unsigned)op->flags);
	if (op->flags)
		return op->flags == RENAME_NOREPLACE ? -EEXIST : -EINVAL;
	heed_renamed(op, from);
	return scratch_unlink(s, from, op->name);
}

static int rename_written(struct op *op, bool shown)
{
	struct scratch *s = op->ops->view.scratch;
	struct scratch_node *from, *to;
	int r = is_forbidden(op->inode2, op->name2) ? -EROFS : writable_dir(op, op->inode, &from);

	if (r < 0)
		return r;
	r = writable_dir(op, op->inode2, &to);
	if (r == 0) {
		r = removable(op, op->inode, op->name);
		if (r == 0)
			r = removable(op, op->inode2, op->name2);
		if (r == 0)
			r = move(op, from, to, shown);
		scratch_unref(s, to);
	}
	scratch_unref(s, from);
	return r == -ENOENT ? -EROFS : r;
}

/* What may park comes first: after it nothing is left to clean up. */
static int run_rename(struct op *op)
{
	bool shown = false;
	int r = target_is_shown(op, &shown);

	return r == PARKED ? r : rename_written(op, shown);
}

/* The hub has no such name, or cannot be asked: what a client writes does not depend on it. */
static int rename_ended(struct op *op, int r)
{
	return r == ERR_STOPPING ? r : rename_written(op, false);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		      const char *newname, unsigned int flags)
{
	struct op *op = op_new(req, parent, name, run_rename);

	if (!op || !op_second(op, newparent, newname))
		return;
	op->flags = (int)flags;
	op->ended = rename_ended;
	op_start_waiting(op, "rename", false);
}

static int run_link(struct op *op)
{
	struct scratch_node *dir, *n = op->inode->place.written;
	bool may = n && !is_forbidden(op->inode2, op->name2);
	int r = may ? writable_dir(op, op->inode2, &dir) : -EROFS;

	if (r < 0)
		return r;
	r = scratch_link(op->ops->view.scratch, n, dir, op->name2);
	scratch_unref(op->ops->view.scratch, dir);
	return r < 0 ? r
		     : op_entry(op,
				place_written(&op->inode2->place, op->ops->view.scratch,
					      scratch_ref(n)),
				VIEW_NEVER);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	struct op *op = op_new(req, ino, NULL, run_link);

	if (op && op_second(op, newparent, newname))
		op_start(op);
}

static int set_written(struct op *op)
{
	struct scratch *s = op->ops->view.scratch;
	struct scratch_node *n = op->inode->place.written;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

	if (op->flags & FUSE_SET_ATTR_ATIME)
		times[0] = op->set.st_atim;
	if (op->flags & FUSE_SET_ATTR_ATIME_NOW)
		times[0].tv_nsec = UTIME_NOW;
	if (op->flags & FUSE_SET_ATTR_MTIME)
		times[1] = op->set.st_mtim;
	if (op->flags & FUSE_SET_ATTR_MTIME_NOW)
		times[1].tv_nsec = UTIME_NOW;
	scratch_set(s, n, op->flags & FUSE_SET_ATTR_MODE ? &op->set.st_mode : NULL,
		    op->flags & FUSE_SET_ATTR_UID ? op->set.st_uid : (uid_t)-1,
		    op->flags & FUSE_SET_ATTR_GID ? op->set.st_gid : (gid_t)-1, times);
	if (op->flags & FUSE_SET_ATTR_SIZE)
		return scratch_truncate(s, n, (uint64_t)op->set.st_size);
	return 0;
}

/* touch, chmod and truncate of what is made up are dropped; of weights they are refused. */
#define OWNERS_ATTRS \
	(FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID | FUSE_SET_ATTR_ATIME | \
	 FUSE_SET_ATTR_MTIME)

/* Its owner may change it, who may write it may cut and touch it; only root gives it away. */
static int may_set(struct op *op)
{
	const struct place *p = &op->inode->place;
	struct permit_who who = op_who(op);

	if (op->flags & FUSE_SET_ATTR_UID && who.uid != 0 && op->set.st_uid != who.uid)
		return -EPERM;
	return op->flags & OWNERS_ATTRS ? permit_change(&who, p) : permit_access(&who, p, W_OK);
}

static int set(struct op *op)
{
	switch (op->inode->place.kind) {
	case PLACE_SCRATCH:
		return set_written(op);
	case PLACE_REF:
	case PLACE_ABSENT_FILE:
	case PLACE_TREE_JSON:
		return 0;
	default:
		return place_writable(&op->inode->place) ? 0 : -EROFS;
	}
}

static int run_setattr(struct op *op)
{
	int64_t ttl_ms;
	int r = op->ops->view.strict_ro ? -EROFS : may_set(op);

	if (r == 0)
		r = set(op);
	if (r == 0)
		r = op_stat(op, op->inode, &op->attr, &ttl_ms);
	op->ttl = r == 0 ? op_seconds(ttl_ms) : 0;
	op->answer = ANSWER_ATTR;
	return r;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	struct op *op = op_new(req, ino, NULL, run_setattr);

	(void)fi;
	if (!op)
		return;
	op->set = *attr;
	op->flags = to_set;
	op_start(op);
}

/* Extended attributes are ours to tell, not to set. */
static int run_setxattr(struct op *op)
{
	const struct place *p = &op->inode->place;
	bool written = p->kind == PLACE_SCRATCH && !op->ops->view.strict_ro;

	return written ? -EOPNOTSUPP : -EROFS;
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct op *op = op_new(req, ino, name, run_setxattr);

	if (op)
		op_start(op);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
			size_t size, int flags)
{
	(void)value;
	(void)size;
	(void)flags;
	op_removexattr(req, ino, name);
}

/* Nothing here outlives the process, so there is nothing to flush. */
static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	op_flush(req, ino, fi);
}

void ops_add_write(struct fuse_lowlevel_ops *table)
{
	table->mkdir = op_mkdir;
	table->symlink = op_symlink;
	table->mknod = op_mknod;
	table->create = op_create;
	table->write = op_write;
	table->unlink = op_unlink;
	table->rmdir = op_rmdir;
	table->rename = op_rename;
	table->link = op_link;
	table->setattr = op_setattr;
	table->setxattr = op_setxattr;
	table->removexattr = op_removexattr;
	table->flush = op_flush;
	table->fsync = op_fsync;
}
