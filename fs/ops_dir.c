/* SPDX-License-Identifier: Apache-2.0 */
/* Directories: OPENDIR, READDIR, READDIRPLUS, RELEASEDIR. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/listing.h"
#include "fs/ops.h"

static struct listing *listing_of(const struct op *op)
{
	return op->file->listing;
}

/* r, or the answer if it is 0; the listing is taken. */
static int opened(struct op *op, int r, struct listing *l)
{
	if (r != 0)
		return r;
	r = op_new_file(op);
	if (r < 0) {
		listing_close(l);
		return r;
	}
	op->file->kind = OPENFILE_DIR;
	op->file->listing = l;
	op->fi.cache_readdir = op->fi.keep_cache = place_is_final(&op->inode->place);
	op->answer = ANSWER_OPEN;
	r = openfile_keep(&op->ops->files, op->file);
	if (r < 0)
		op_close_file(op->ops, NULL, op->file);
	return r;
}

static int run_opendir(struct op *op)
{
	struct permit_who who = op_who(op);
	struct listing *l = NULL;
	int r = permit_access(&who, &op->inode->place, R_OK);

	if (r == 0)
		r = listing_open(&op->ops->view, &op->inode->place, &op->waiter, &l);
	return opened(op, r, l);
}

static int opendir_ended(struct op *op, int r)
{
	struct listing *l = NULL;

	r = listing_open_ended(&op->ops->view, &op->inode->place, r, &l);
	return opened(op, r, l);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op *op = op_new(req, ino, NULL, run_opendir);

	if (!op)
		return;
	op->fi = *fi;
	op->ended = opendir_ended;
	op_start_waiting(op, "list", false);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	ops_release(fuse_req_userdata(req), req, ino, fi->fh);
}

/* One page of entries being filled. */
struct page {
	struct op *op;
	bool plus;
	size_t used;
};

/* Appends one entry; 0 if it does not fit. `off` is the offset of the next one. */
static size_t put(struct page *pg, const char *name, const struct fuse_entry_param *e, off_t off)
{
	char *at = pg->op->data + pg->used;
	size_t room = pg->op->size - pg->used, len;

	if (pg->plus)
		len = fuse_add_direntry_plus(pg->op->req, at, room, name, e, off);
	else
		len = fuse_add_direntry(pg->op->req, at, room, name, &e->attr, off);
	if (len > room)
		return 0;
	pg->used += len;
	return len;
}

static size_t put_dot(struct page *pg, const char *name, off_t off)
{
	struct fuse_entry_param e = {
		.attr = { .st_mode = S_IFDIR, .st_ino = pg->op->inode->number },
	};

	return put(pg, name, &e, off);
}

/* Only the kind and number of an entry, no lookup: for plain listings, and for names in
 * /files/ORG, which become a commit only when they are looked up. */
static size_t put_plain(struct page *pg, const char *name, struct place *p, off_t off)
{
	struct fuse_entry_param e = {
		.attr = { .st_mode = place_format(p), .st_ino = place_number(p) },
	};

	return put(pg, name, &e, off);
}

/* An entry with its attributes, which counts as a lookup: only if it fits. The place is taken. */
static int put_plus(struct page *pg, const char *name, struct place p, off_t off, size_t *ret)
{
	struct op *op = pg->op;
	size_t room = op->size - pg->used;
	int r;

	*ret = 0;
	if (fuse_add_direntry_plus(op->req, NULL, 0, name, NULL, off) > room) {
		place_fini(&p);
		return 0;
	}
	op->entry = (struct fuse_entry_param){ 0 };
	r = op_entry(op, p, VIEW_NEVER);
	if (r < 0)
		return r;
	/* Entries below a commit hold for ever; others are looked up again when used. */
	if (place_is_final(&op->inode->place))
		op->entry.entry_timeout = op_seconds(VIEW_FOREVER);
	*ret = put(pg, name, &op->entry, off);
	return 0;
}

static int put_entry(struct page *pg, uint32_t i, off_t off, size_t *ret)
{
	struct place p;
	const char *name;
	int r = listing_get(listing_of(pg->op), i, &name, &p);

	if (r < 0)
		return r;
	if (pg->plus && !place_lists_names(&pg->op->inode->place))
		return put_plus(pg, name, p, off, ret);
	*ret = put_plain(pg, name, &p, off);
	place_fini(&p);
	return 0;
}

/* Offsets: 0 ".", 1 "..", 2 + i entry i. */
static int fill(struct page *pg)
{
	uint32_t count = listing_count(listing_of(pg->op));
	uint64_t i = (uint64_t)pg->op->off;
	size_t len = 1;
	int r = 0;

	for (; r == 0 && len && i < (uint64_t)count + 2; i++) {
		if (i < 2)
			len = put_dot(pg, i ? ".." : ".", (off_t)i + 1);
		else
			r = put_entry(pg, (uint32_t)(i - 2), (off_t)i + 1, &len);
	}
	return pg->used ? 0 : r;
}

static int read_page(struct op *op, bool plus)
{
	struct page pg = { .op = op, .plus = plus };
	int r = ops_reopen(op);

	if (r != 0)
		return r;
	op->data = malloc(op->size);
	if (!op->data)
		return -ENOMEM;
	r = fill(&pg);
	if (r == 0)
		r = buf_add(&op->text, op->data, pg.used);
	op->off = 0; /* of the answer's text */
	op->answer = ANSWER_TEXT;
	return r;
}

static int run_readdir(struct op *op)
{
	return read_page(op, false);
}

static int run_readdirplus(struct op *op)
{
	return read_page(op, true);
}

/* Of a directory that another process opened: what is known is listed, as by opendir_ended. */
static int readdir_ended(struct op *op, int r)
{
	struct openfile *fresh = openfile_new(&op->ops->files, op->inode, op->file->pid);

	if (!fresh)
		return -ENOMEM;
	fresh->kind = OPENFILE_DIR;
	r = listing_open_ended(&op->ops->view, &op->inode->place, r, &fresh->listing);
	if (r == 0)
		openfile_revive(&op->ops->files, op->file, fresh);
	op_close_file(op->ops, NULL, fresh);
	return r == 0 ? op->run(op) : r;
}

static void start(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		  const struct fuse_file_info *fi, int (*run)(struct op *))
{
	struct op *op = op_new(req, ino, NULL, run);

	if (!op)
		return;
	op->size = size;
	op->off = off;
	op->ended = readdir_ended;
	if (op_set_file(op, fi)) /* one that was left may wait for a hub */
		op_start_waiting(op, "list", false);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	start(req, ino, size, off, fi, run_readdir);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			   struct fuse_file_info *fi)
{
	start(req, ino, size, off, fi, run_readdirplus);
}

void ops_add_dir(struct fuse_lowlevel_ops *table)
{
	table->opendir = op_opendir;
	table->readdir = op_readdir;
	table->readdirplus = op_readdirplus;
	table->releasedir = op_releasedir;
}
