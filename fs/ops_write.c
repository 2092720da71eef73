/* SPDX-License-Identifier: Apache-2.0 */
/* Writes of metadata: what is allowed, and where they go, is change.h's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/err.h"
#include "fs/attr.h"
#include "fs/change.h"
#include "fs/ops.h"

static struct change change_of(const struct op *op)
{
	return (struct change){ &op->ops->view, op_who(op) };
}

static int run_make(struct op *op)
{
	struct change c = change_of(op);
	struct scratch_node *n;
	int r = change_make(&c, &op->inode->place, op->name, op->mode, op->name2, &n);

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
	struct openfile *f = op->file;
	struct change c = change_of(op);
	struct scratch_node *n;
	int r = change_make(&c, &op->inode->place, op->name, S_IFREG | (op->mode & 07777), NULL,
			    &n);

	if (r < 0)
		return r;
	f->kind = OPENFILE_SCRATCH;
	f->written = scratch_ref(n);
	scratch_open(op->ops->view.scratch, n);
	r = op_entry(op, place_written(&op->inode->place, op->ops->view.scratch, n), VIEW_NEVER);
	if (r == 0)
		f->inode = inodes_get(op->ops->inodes, op->entry.ino);
	return r;
}

static int run_create(struct op *op)
{
	int r = op_new_file(op);

	if (r < 0)
		return r;
	r = create(op);
	if (r == 0)
		r = openfile_keep(&op->ops->files, op->file);
	if (r < 0)
		op_close_file(op->ops, NULL, op->file);
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

static int run_write(struct op *op)
{
	struct openfile *f = op->file;
	int64_t n = (int64_t)op->size;
	int r = op->data ? ops_reopen(op) : -ENOMEM;

	if (r != 0)
		return r;
	if (f->kind == OPENFILE_SCRATCH)
		n = scratch_write(op->ops->view.scratch, f->written, op->data, op->size,
				  (uint64_t)op->off);
	else if (f->kind != OPENFILE_SINK)
		n = -EROFS;
	else
		change_swallow(&op->ops->view, &op->inode->place, op->data, op->size);
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
	if (op_set_file(op, fi))
		op_start(op);
}

/* unlink and rmdir: mode tells which. */
static int run_remove(struct op *op)
{
	struct change c = change_of(op);

	return change_remove(&c, &op->inode->place, op->name, op->mode);
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

static struct change_rename rename_of(const struct op *op)
{
	return (struct change_rename){
		.from = &op->inode->place,
		.to = &op->inode2->place,
		.from_name = op->name,
		.to_name = op->name2,
		.flags = (unsigned)op->flags,
	};
}

/* What may park comes first: after it nothing is left to clean up. */
static int run_rename(struct op *op)
{
	struct change_rename n = rename_of(op);
	struct change c = change_of(op);
	bool shown = false;
	int r = change_is_shown(&c, &n, &op->waiter, &shown);

	return r != 0 ? r : change_rename(&c, &n, shown);
}

/* The hub has no such name, or cannot be asked: what a client writes does not depend on it. */
static int rename_ended(struct op *op, int r)
{
	struct change_rename n = rename_of(op);
	struct change c = change_of(op);

	return r == ERR_STOPPING ? r : change_rename(&c, &n, false);
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
	struct change c = change_of(op);
	const struct place *p = &op->inode->place;
	int r = change_link(&c, p, &op->inode2->place, op->name2);

	return r < 0 ? r
		     : op_entry(op,
				place_written(&op->inode2->place, op->ops->view.scratch,
					      scratch_ref(p->written)),
				VIEW_NEVER);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	struct op *op = op_new(req, ino, NULL, run_link);

	if (op && op_second(op, newparent, newname))
		op_start(op);
}

static struct timespec time_of(const struct op *op, int set, int now, struct timespec value)
{
	if (op->flags & now)
		value.tv_nsec = UTIME_NOW;
	else if (!(op->flags & set))
		value.tv_nsec = UTIME_OMIT;
	return value;
}

static int set(struct op *op)
{
	struct change c = change_of(op);
	const struct change_attrs a = {
		.sets_mode = op->flags & FUSE_SET_ATTR_MODE,
		.sets_size = op->flags & FUSE_SET_ATTR_SIZE,
		.mode = op->set.st_mode,
		.size = (uint64_t)op->set.st_size,
		.uid = op->flags & FUSE_SET_ATTR_UID ? op->set.st_uid : (uid_t)-1,
		.gid = op->flags & FUSE_SET_ATTR_GID ? op->set.st_gid : (gid_t)-1,
		.times = { time_of(op, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW,
				   op->set.st_atim),
			   time_of(op, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW,
				   op->set.st_mtim) },
	};

	return change_attrs(&c, &op->inode->place, &a);
}

static int run_setattr(struct op *op)
{
	int64_t ttl_ms;
	int r = set(op);

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
