/* SPDX-License-Identifier: Apache-2.0 */
/* Names and what they look like: LOOKUP, FORGET, GETATTR, READLINK, GETXATTR, ACCESS, STATFS. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/err.h"
#include "fs/attr.h"
#include "fs/ops.h"

/* Answers with the place (taken) if r is 0; tells the kernel to remember an absence for its
 * time. */
static int found(struct op *op, int r, struct place p, int64_t ttl_ms)
{
	if (r == 0)
		return op_entry(op, p, ttl_ms);
	if (r == PARKED || err_errno(r) != ENOENT || ttl_ms == VIEW_NEVER)
		return r;
	op->entry.entry_timeout = op_seconds(ttl_ms); /* inode 0: an absence */
	op->answer = ANSWER_ENTRY;
	return 0;
}

static int run_lookup(struct op *op)
{
	struct permit_who who = op_who(op);
	struct place p = { 0 };
	int64_t ttl_ms = VIEW_NEVER;
	int r = permit_access(&who, &op->inode->place, X_OK);

	if (r < 0)
		return r;
	r = view_lookup(&op->ops->view, &op->inode->place, op->name, &op->waiter, &p, &ttl_ms);
	return found(op, r, p, ttl_ms);
}

static int lookup_ended(struct op *op, int r)
{
	struct place p = { 0 };
	int64_t ttl_ms;

	r = view_lookup_ended(&op->ops->view, &op->inode->place, op->name, r, &p, &ttl_ms);
	return found(op, r, p, ttl_ms);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op *op = op_new(req, parent, name, run_lookup);

	if (!op)
		return;
	op->ended = lookup_ended;
	op_start_waiting(op, "lookup", false);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	struct ops *ops = fuse_req_userdata(req);

	inodes_forget(ops->inodes, ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct ops *ops = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++)
		inodes_forget(ops->inodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static int run_getattr(struct op *op)
{
	int64_t ttl_ms;
	int r = op_stat(op, op->inode, &op->attr, &ttl_ms);

	op->ttl = op_seconds(ttl_ms);
	op->answer = ANSWER_ATTR;
	return r;
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op *op = op_new(req, ino, NULL, run_getattr);

	(void)fi;
	if (op)
		op_start(op);
}

static int run_readlink(struct op *op)
{
	op->answer = ANSWER_LINK;
	return attr_link(&op->inode->place, &op->text);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct op *op = op_new(req, ino, NULL, run_readlink);

	if (op)
		op_start(op);
}

static int run_getxattr(struct op *op)
{
	op->answer = ANSWER_XATTR;
	return attr_xattr(&op->ops->view, &op->inode->place, op->name, &op->text);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct op *op = op_new(req, ino, name, run_getxattr);

	if (!op)
		return;
	op->size = size;
	op_start(op);
}

static int run_listxattr(struct op *op)
{
	op->answer = ANSWER_XATTR;
	return attr_xattr_names(&op->inode->place, &op->text);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct op *op = op_new(req, ino, NULL, run_listxattr);

	if (!op)
		return;
	op->size = size;
	op_start(op);
}

/* What is strictly read-only says EROFS, never EACCES: clients tell the two apart. */
static int run_access(struct op *op)
{
	const struct place *p = &op->inode->place;
	struct permit_who who = op_who(op);
	int r = permit_access(&who, p, op->flags);

	if (r < 0 || !(op->flags & W_OK))
		return r;
	return !op->ops->view.strict_ro && (place_writable(p) || place_swallows(p)) ? 0 : -EROFS;
}

static void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct op *op = op_new(req, ino, NULL, run_access);

	if (!op)
		return;
	op->flags = mask;
	op_start(op);
}

#define FRAGMENT 4096

static int run_statfs(struct op *op)
{
	uint64_t total, free_bytes;
	int r = node_space(op->ops->view.node, &total, &free_bytes);

	op->answer = ANSWER_STATFS;
	op->statfs = (struct statvfs){
		.f_bsize = 1 << 20,
		.f_frsize = FRAGMENT,
		.f_namemax = 255,
		.f_blocks = r < 0 ? 0 : total / FRAGMENT,
		.f_bfree = r < 0 ? 0 : free_bytes / FRAGMENT,
		.f_bavail = r < 0 ? 0 : free_bytes / FRAGMENT,
	};
	return r;
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct op *op = op_new(req, ino ? ino : FUSE_ROOT_ID, NULL, run_statfs);

	if (op)
		op_start(op);
}

void ops_add_names(struct fuse_lowlevel_ops *table)
{
	table->lookup = op_lookup;
	table->forget = op_forget;
	table->forget_multi = op_forget_multi;
	table->getattr = op_getattr;
	table->readlink = op_readlink;
	table->getxattr = op_getxattr;
	table->listxattr = op_listxattr;
	table->access = op_access;
	table->statfs = op_statfs;
}
