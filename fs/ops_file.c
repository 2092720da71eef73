/* SPDX-License-Identifier: Apache-2.0 */
/* Files: OPEN, READ, RELEASE. A verified file is opened with kernel passthrough: the kernel reads
 * the cache file itself and never asks here. One that is not complete yet is read through the
 * page cache; each READ is answered from the mapped cache file as soon as its bytes are there. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "fs/attr.h"
#include "fs/ops.h"

#ifdef FUSE_CAP_PASSTHROUGH
static const char *why_refused(int e)
{
	switch (e) {
	case EPERM:
		return "refused by the kernel: it needs root";
	case ELOOP:
		return "refused by the kernel: the cache lies on a stacked file system";
	default:
		return "refused by the kernel: the log says why";
	}
}
#endif

/* Registers a file with the kernel for passthrough: its id, or 0. */
static int backing_id(struct op *op, int fd)
{
#ifdef FUSE_CAP_PASSTHROUGH
	int id = fuse_passthrough_open(op->req, fd);

	op->ops->passthrough_why_not = id > 0 ? NULL : why_refused(errno);
	if (id <= 0)
		log_warn(-errno, "passthrough refused, verified files are read through the daemon");
	return id > 0 ? id : 0;
#else
	(void)op;
	(void)fd;
	return 0;
#endif
}

static void close_spare(struct op *op, int id)
{
#ifdef FUSE_CAP_PASSTHROUGH
	if (id)
		fuse_passthrough_close(op->req, id);
#else
	(void)op;
	(void)id;
#endif
}

static int mend_first(struct op *op, const struct openfile *f)
{
	int r = node_fetch_file(op->ops->view.node, f->handle);

	return log_err(r < 0 ? r : -EIO,
		       "damaged, and being read past us: it can be opened when it "
		       "is whole again ino=%ju",
		       (uintmax_t)op->inode->number);
}

/* Chooses how the kernel reads an opened blob. One that has lost its seal, but that somebody still
 * reads through the kernel, cannot be opened in another way: it is mended first. */
static int choose_mode(struct op *op, struct openfile *f)
{
	int fd = op->ops->passthrough ? node_sealed_fd(f->handle) : -1;
	int id = 0, spare = 0;
	enum open_mode mode = inode_open(op->ops->inodes, op->inode, fd >= 0, &id);

	if (mode == OPEN_NEEDS_ID) {
		mode = inode_opened(op->ops->inodes, op->inode, backing_id(op, fd), &id, &spare);
		close_spare(op, spare);
	}
	if (mode == OPEN_REFUSED && node_sealed_fd(f->handle) >= 0) /* only just */
		mode = inode_open(op->ops->inodes, op->inode, true, &id);
	if (mode == OPEN_REFUSED)
		return mend_first(op, f);
	f->counted = true;
	f->passthrough = mode == OPEN_PASSTHROUGH;
	metrics_add(f->passthrough ? &op->ops->metrics->opens_passthrough
				   : &op->ops->metrics->opens,
		    1);
#ifdef FUSE_CAP_PASSTHROUGH
	op->fi.backing_id = f->passthrough ? id : 0;
#endif
	/* What the digest names never changes; what no digest is going to speak for is had anew. */
	op->fi.keep_cache = !f->passthrough && !node_begin_anew(op->ops->view.node, f->handle);
	return 0;
}

static int open_blob(struct op *op, struct openfile *f)
{
	int r;

	if ((op->fi.flags & O_ACCMODE) != O_RDONLY || (op->fi.flags & O_TRUNC))
		return -EROFS;
	f->kind = OPENFILE_BLOB;
	r = ops_open_handle(op->ops, op->inode, &f->handle);
	return r == 0 ? choose_mode(op, f) : r;
}

/* Made-up files read as they were when opened, and swallow what is written to them. */
static int open_text(struct op *op, struct openfile *f)
{
	bool writes = (op->fi.flags & O_ACCMODE) != O_RDONLY;

	if (writes && op->ops->view.strict_ro)
		return -EROFS;
	f->kind = writes ? OPENFILE_SINK : OPENFILE_TEXT;
	op->fi.direct_io = 1; /* no page may outlive this open */
	if ((op->fi.flags & O_ACCMODE) == O_WRONLY)
		return 0;
	return attr_text(&op->ops->view, &op->inode->place, &op->waiter, &f->text);
}

static int open_written(struct op *op, struct openfile *f)
{
	static const int masks[O_ACCMODE + 1] = {
		[O_RDONLY] = R_OK,
		[O_WRONLY] = W_OK,
		[O_RDWR] = R_OK | W_OK,
	};
	struct permit_who who = op_who(op);
	int r = permit_access(&who, &op->inode->place,
			      masks[op->fi.flags & O_ACCMODE] |
				      (op->fi.flags & O_TRUNC ? W_OK : 0));

	if (r < 0)
		return r;
	f->kind = OPENFILE_SCRATCH;
	f->written = scratch_ref(op->inode->place.written);
	scratch_open(op->ops->view.scratch, f->written);
	if (op->fi.flags & O_TRUNC)
		return scratch_truncate(op->ops->view.scratch, f->written, 0);
	return 0;
}

static int open_kind(struct op *op, struct openfile *f)
{
	switch (op->inode->place.kind) {
	case PLACE_BLOB:
		return open_blob(op, f);
	case PLACE_SCRATCH:
		return open_written(op, f);
	default:
		return open_text(op, f);
	}
}

static int run_open(struct op *op)
{
	struct ops *ops = op->ops;
	struct openfile *f;
	int r = op_new_file(op);

	if (r < 0)
		return r;
	f = op->file;
	op->answer = ANSWER_OPEN;
	r = open_kind(op, f);
	if (r == 0)
		r = openfile_keep(&ops->files, f);
	if (r != 0) /* parked or failed: the op is not ours to look at any more */
		op_close_file(ops, NULL, f);
	return r;
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op *op = op_new(req, ino, NULL, run_open);

	if (!op)
		return;
	op->fi = *fi;
	op_start_waiting(op, "open", false);
}

static int read_blob(struct op *op, struct openfile *f)
{
	op->answer = ANSWER_BYTES;
	return node_read(op->ops->view.node, f->handle, (uint64_t)op->off, op->size, &op->waiter,
			 &op->bytes, &op->count);
}

static int read_text(struct op *op, struct openfile *f)
{
	size_t off = (uint64_t)op->off < f->text.len ? (size_t)op->off : f->text.len;
	size_t left = f->text.len - off;

	op->off = 0; /* of the answer's text */
	op->answer = ANSWER_TEXT;
	return buf_add(&op->text, buf_str(&f->text) + off, left < op->size ? left : op->size);
}

static int read_written(struct op *op, struct openfile *f)
{
	int64_t n;

	op->data = malloc(op->size ? op->size : 1);
	if (!op->data)
		return -ENOMEM;
	n = scratch_read(op->ops->view.scratch, f->written, op->data, op->size, (uint64_t)op->off);
	if (n < 0)
		return (int)n;
	op->off = 0; /* of the answer's text */
	op->answer = ANSWER_TEXT;
	return buf_add(&op->text, op->data, (size_t)n);
}

static int run_read(struct op *op)
{
	struct openfile *f = op->file;
	int r = ops_reopen(op);

	if (r != 0)
		return r;
	switch (f->kind) {
	case OPENFILE_BLOB:
		return read_blob(op, f);
	case OPENFILE_SCRATCH:
		return read_written(op, f);
	default:
		return read_text(op, f);
	}
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct op *op = op_new(req, ino, NULL, run_read);

	if (!op)
		return;
	op->size = size;
	op->off = off;
	if (op_set_file(op, fi))
		op_start_waiting(op, "read", true);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	ops_release(fuse_req_userdata(req), req, ino, fi->fh);
}

void ops_add_file(struct fuse_lowlevel_ops *table)
{
	table->open = op_open;
	table->read = op_read;
	table->release = op_release;
}
