/* SPDX-License-Identifier: Apache-2.0 */
/* What the process before this one had open. What can be opened without asking anybody is at the
 * start, so that it is neither evicted nor forgotten; the rest when it is used. */
#include <errno.h>
#include <sys/ioctl.h>

#include "daemon/base/log.h"
#include "fs/attr.h"
#include "fs/ops.h"

#define BACKING_CLOSE \
	_IOW(229, 2, uint32_t) /* FUSE_DEV_IOC_BACKING_CLOSE, newer than some headers */

/* Where it was looked up last: that is the path the caller came by, as a rule. Where it was seen
 * first is the other place worth asking. */
int ops_open_handle(struct ops *ops, const struct inode *i, struct handle **ret)
{
	struct node *node = ops->view.node;
	const struct place *first = &i->place;
	CLEANUP(place_fini) struct place recent = { 0 };
	int r = inodes_recent(ops->inodes, i, &recent);

	if (r == 0)
		r = node_open_file(node, recent.snapshot, recent.node, ret);
	if (r < 0 || recent.snapshot == first->snapshot)
		return r;
	r = node_also_file(node, *ret, first->snapshot, first->node);
	if (r < 0)
		node_close_file(node, *ret);
	return r;
}

static void open_at_start(void *arg, struct openfile *f)
{
	struct ops *ops = arg;
	struct inode *i = inodes_get(ops->inodes, f->left_inode);

	if (i && f->kind == OPENFILE_BLOB && i->place.kind == PLACE_BLOB) {
		f->left = ops_open_handle(ops, i, &f->handle) < 0;
	} else if (i && f->kind == OPENFILE_SCRATCH && i->place.kind == PLACE_SCRATCH) {
		f->written = scratch_ref(i->place.written);
		scratch_open(ops->view.scratch, f->written);
		f->left = false;
	}
	f->inode = i;
}

static void count_open(void *arg, struct openfile *f)
{
	struct ops *ops = arg;

	if (f->counted)
		inodes_count_left(ops->inodes, f->left_inode, f->passthrough);
}

/* The process before ended between the kernel's part of an open and its own. */
static void close_strays(struct ops *ops, int fd)
{
	int id;

	while ((id = inodes_take_stray_id(ops->inodes)))
		if (ioctl(fd, BACKING_CLOSE, &id) < 0)
			log_debug("the kernel does not know backing_id=%d", id);
}

int ops_inherit(struct ops *ops, struct estate *e, uint32_t generation, int fd)
{
	int r = inodes_inherit(ops->inodes, e, &ops->view);

	if (r == 0)
		r = openfiles_inherit(&ops->files, e, generation);
	if (r == 0)
		r = inodes_left_blobs(ops->inodes, &ops->left_blobs, &ops->left_blob_count);
	if (r < 0)
		return r;
	openfiles_each_left(&ops->files, count_open, ops);
	close_strays(ops, fd);
	openfiles_each_left(&ops->files, open_at_start, ops);
	scratch_inherited(ops->view.scratch);
	return 0;
}

static int open_again(struct op *op, struct openfile *f)
{
	struct ops *ops = op->ops;

	switch (f->kind) {
	case OPENFILE_BLOB:
		return ops_open_handle(ops, op->inode, &f->handle);
	case OPENFILE_TEXT:
		return attr_text(&ops->view, &op->inode->place, &op->waiter, &f->text);
	case OPENFILE_SCRATCH:
		return -ESTALE; /* else it was opened at the start */
	case OPENFILE_DIR:
		return listing_open(&ops->view, &op->inode->place, &op->waiter, &f->listing);
	case OPENFILE_SINK:
		break;
	}
	return 0;
}

int ops_reopen(struct op *op)
{
	struct openfile *fresh, *f = op->file;
	struct ops *ops = op->ops;
	int r;

	if (!f->left)
		return 0;
	fresh = openfile_new(&ops->files, op->inode, f->pid);
	if (!fresh)
		return -ENOMEM;
	fresh->kind = f->kind;
	r = open_again(op, fresh);
	if (r == 0)
		openfile_revive(&ops->files, f, fresh);
	op_close_file(ops, NULL, fresh); /* if it parked, the op may be gone */
	return r;
}

/* It may be one that another process opened, and nobody has used since; or the RELEASE of one that
 * was closed comes again, because that process did not live to say so. */
void ops_release(struct ops *ops, fuse_req_t req, uint64_t ino, uint64_t number)
{
	struct openfile *f = openfile_find(&ops->files, number);

	if (f && !f->inode)
		f->inode = inodes_get(ops->inodes, ino);
	if (f)
		op_close_file(ops, req, f);
	fuse_reply_err(req, 0);
}
