/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/op.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "fs/attr.h"

#define FOREVER_SECONDS (10.0 * 365 * 86400)

static void op_free(struct op *op)
{
	if (op->underway.listed)
		underway_del(&op->ops->underway, &op->underway);
	free(op->name);
	free(op->name2);
	free(op->data);
	free(op->waiter.held); /* bytes that came when it asked for them no more */
	buf_free(&op->text);
	free(op);
}

struct permit_who op_who(const struct op *op)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(op->req);

	return (struct permit_who){ ctx->uid, ctx->gid };
}

double op_seconds(int64_t ttl_ms)
{
	return ttl_ms == VIEW_FOREVER ? FOREVER_SECONDS : (double)ttl_ms / 1000;
}

static struct openfile_world world_of(const struct ops *ops)
{
	return (struct openfile_world){ ops->inodes, ops->view.node, ops->view.scratch };
}

bool op_set_file(struct op *op, const struct fuse_file_info *fi)
{
	op->fi = *fi;
	op->file = openfile_find(&op->ops->files, fi->fh);
	if (op->file && !op->file->inode)
		op->file->inode = op->inode;
	if (op->file)
		return true;
	fuse_reply_err(op->req, ESTALE);
	op_free(op);
	return false;
}

int op_new_file(struct op *op)
{
	op->file = openfile_new(&op->ops->files, op->inode, fuse_req_ctx(op->req)->pid);
	op->fi.fh = op->file ? op->file->number : 0;
	return op->file ? 0 : -ENOMEM;
}

void op_close_file(struct ops *ops, fuse_req_t req, struct openfile *f)
{
	struct openfile_world w = world_of(ops);
	int id = openfile_close(&ops->files, &w, f);

#ifdef FUSE_CAP_PASSTHROUGH
	if (id && req)
		fuse_passthrough_close(req, id);
#else
	(void)req;
	(void)id;
#endif
}

void op_close_files(struct ops *ops)
{
	struct openfile_world w = world_of(ops);

	openfiles_close(&ops->files, &w);
}

/* A reply fails with -ENOENT when the request was given up meanwhile: then nobody will ever
 * release what it gave. */
static void undo_open(struct op *op, int r)
{
	if (r == -ENOENT)
		op_close_file(op->ops, NULL, op->file);
}

static void undo_entry(struct op *op, int r)
{
	if (r == -ENOENT && op->entry.ino)
		inodes_forget(op->ops->inodes, op->entry.ino, 1);
}

static void reply_text(struct op *op)
{
	uint64_t off = (uint64_t)op->off;
	size_t len = off < op->text.len ? op->text.len - (size_t)off : 0;

	fuse_reply_buf(op->req, buf_str(&op->text) + (len ? off : 0),
		       len < op->size ? len : op->size);
}

static void reply_xattr(struct op *op)
{
	if (op->size == 0)
		fuse_reply_xattr(op->req, op->text.len);
	else if (op->size < op->text.len)
		fuse_reply_err(op->req, ERANGE);
	else
		fuse_reply_buf(op->req, buf_str(&op->text), op->text.len);
}

/* The RELEASE of the file may come before the reply returns. */
static void reply_bytes(struct op *op)
{
	struct handle *h = node_ref_file(op->file->handle);

	fuse_reply_buf(op->req, op->bytes, op->count);
	node_done(h, op->bytes, op->count);
	node_close_file(op->ops->view.node, h);
}

static void reply_create(struct op *op)
{
	int r = fuse_reply_create(op->req, &op->entry, &op->fi);

	undo_open(op, r);
	undo_entry(op, r);
}

static void reply(struct op *op)
{
	switch (op->answer) {
	case ANSWER_OK:
		fuse_reply_err(op->req, 0);
		break;
	case ANSWER_ENTRY:
		undo_entry(op, fuse_reply_entry(op->req, &op->entry));
		break;
	case ANSWER_ATTR:
		fuse_reply_attr(op->req, &op->attr, op->ttl);
		break;
	case ANSWER_TEXT:
		reply_text(op);
		break;
	case ANSWER_LINK:
		fuse_reply_readlink(op->req, buf_str(&op->text));
		break;
	case ANSWER_XATTR:
		reply_xattr(op);
		break;
	case ANSWER_BYTES:
		reply_bytes(op);
		break;
	case ANSWER_COUNT:
		fuse_reply_write(op->req, op->count);
		break;
	case ANSWER_OPEN:
		undo_open(op, fuse_reply_open(op->req, &op->fi));
		break;
	case ANSWER_CREATE:
		reply_create(op);
		break;
	case ANSWER_STATFS:
		fuse_reply_statfs(op->req, &op->statfs);
		break;
	}
}

/* What is absent or not allowed here is an answer; these are troubles of ours or of a hub's. */
static bool is_trouble(int r)
{
	int e = err_errno(r);

	return r == -EIO || e == ENOMEM || e == ENOSPC ||
	       (err_index(r) && e != ENOENT && e != EINTR);
}

static void count_read(const struct op *op, int64_t took_us)
{
	struct metrics *m = op->ops->metrics;

	metrics_time(&m->read_time, took_us);
	metrics_add(op->waited ? &m->reads_waited : &m->reads_hit, 1);
	atomic_fetch_add_explicit(op->waited ? &op->inode->reads_waited : &op->inode->reads_hit, 1,
				  memory_order_relaxed);
}

/* Before the reply: whoever got it may look at the counters. */
static void account(struct op *op, int r)
{
	int64_t took_us = clock_us() - op->underway.started_us;

	if (r < 0 && is_trouble(r))
		metrics_add(&op->ops->metrics->errors[err_index(r)], 1);
	if (!op->underway.listed)
		return;
	if (op->reads && op->inode->place.kind == PLACE_BLOB)
		count_read(op, took_us);
	underway_ended(&op->ops->underway, &op->underway, took_us);
}

static void op_finish(struct op *op, int r)
{
	if (op->interruptible)
		fuse_req_interrupt_func(op->req, NULL, NULL);
	account(op, r);
	if (r < 0)
		fuse_reply_err(op->req, err_errno(r));
	else
		reply(op);
	op_free(op);
}

void op_start(struct op *op)
{
	int r = op->run(op);

	if (r != PARKED)
		op_finish(op, r);
}

static void wake(struct waiter *w, int r)
{
	struct op *op = container_of(w, struct op, waiter);

	op->waited = true;
	if (r < 0)
		op_finish(op, op->ended ? op->ended(op, r) : r);
	else
		op_start(op);
}

static void interrupt(fuse_req_t req, void *data)
{
	struct op *op = data;
	struct node *node = op->ops->view.node;
	int left = op->reads ? node_leave_read(node, &op->waiter)
			     : node_leave_lookup(node, &op->waiter);

	if (!left)
		return; /* about to be answered */
	fuse_reply_err(req, EINTR);
	op_free(op);
}

/* ---- for the log ---- */

static void add_transfer(struct node *n, const struct place *p, struct buf *ret)
{
	char etag[DIGEST_HEX_MAX + 1];
	struct transfer t;

	place_etag(p, etag);
	if (!node_transfer(n, etag, &t)) {
		buf_add_str(ret, " waits=\"for nothing any more\"");
		return;
	}
	buf_printf(ret, " source=%s present=%ju/%ju requests=%u waiting=%u silent_ms=%jd%s",
		   t.source[0] ? t.source : "none", (uintmax_t)t.present, (uintmax_t)t.size,
		   t.requests, t.waiting, (intmax_t)t.silent_ms,
		   t.verified_only ? " waits=\"for the whole digest\"" : "");
}

static void add_hubs(struct node *n, struct buf *ret)
{
	for (unsigned i = 0; i < node_hub_count(n); i++) {
		struct hub_health h;
		const char *name = node_hub_health(n, i, &h);

		buf_printf(ret, " hub=%s%s", name, h.down_ms ? " (down)" : "");
	}
}

/* Who waits for the digest of a whole file waits as long as bytes come. */
static bool is_patient(struct underway_item *i)
{
	const struct op *op = container_of(i, struct op, underway);
	char etag[DIGEST_HEX_MAX + 1];
	struct transfer t;

	if (op->inode->place.kind != PLACE_BLOB)
		return false;
	place_etag(&op->inode->place, etag);
	return node_transfer(op->ops->view.node, etag, &t) && t.verified_only;
}

static void describe(struct underway_item *i, struct buf *ret)
{
	const struct op *op = container_of(i, struct op, underway);
	struct node *n = op->ops->view.node;

	buf_printf(ret, "op=%s", op->what);
	place_tell(&op->inode->place, ret);
	if (op->name)
		buf_printf(ret, " name=%s", op->name);
	if (op->reads)
		buf_printf(ret, " off=%jd", (intmax_t)op->what_off);
	if (op->inode->place.kind == PLACE_BLOB)
		add_transfer(n, &op->inode->place, ret);
	else
		add_hubs(n, ret);
}

void op_start_waiting(struct op *op, const char *what, bool reads)
{
	op->what = what;
	op->what_off = op->off;
	op->underway.started_us = clock_us();
	op->underway.deadline_ms = op->waiter.deadline_ms;
	op->underway.describe = describe;
	op->underway.is_patient = is_patient;
	op->reads = reads;
	op->interruptible = true;
	underway_add(&op->ops->underway, &op->underway); /* others look at it from now on */
	fuse_req_interrupt_func(op->req, interrupt, op);
	op_start(op);
}

struct op *op_new(fuse_req_t req, fuse_ino_t ino, const char *name, int (*run)(struct op *))
{
	struct ops *ops = fuse_req_userdata(req);
	struct inode *i = inodes_get(ops->inodes, ino);
	struct op *op = i ? calloc(1, sizeof(*op)) : NULL;

	if (op && name && !(op->name = strdup(name))) {
		free(op);
		op = NULL;
	}
	if (!op) {
		fuse_reply_err(req, i ? ENOMEM : ESTALE);
		return NULL;
	}
	op->req = req;
	op->ops = ops;
	op->inode = i;
	op->run = run;
	waiter_init(&op->waiter, ops->timeout_ms, wake);
	return op;
}

bool op_second(struct op *op, fuse_ino_t ino, const char *name)
{
	op->inode2 = inodes_get(op->ops->inodes, ino);
	op->name2 = name ? strdup(name) : NULL;
	if (op->inode2 && (!name || op->name2))
		return true;
	fuse_reply_err(op->req, op->inode2 ? ENOMEM : ESTALE);
	op_free(op);
	return false;
}

int op_stat(struct op *op, struct inode *i, struct stat *st, int64_t *ret_ttl_ms)
{
	int r = attr_stat(&op->ops->view, &i->place, st, ret_ttl_ms);

	st->st_ino = i->number;
	return r;
}

int op_entry(struct op *op, struct place place, int64_t ttl_ms)
{
	struct fuse_entry_param *e = &op->entry;
	struct inode *i;
	int64_t attr_ttl_ms;
	int r = inodes_look(op->ops->inodes, place, &i);

	if (r < 0)
		return r;
	r = op_stat(op, i, &e->attr, &attr_ttl_ms);
	if (r < 0) {
		inodes_forget(op->ops->inodes, i->number, 1);
		return r;
	}
	e->ino = i->number;
	e->entry_timeout = op_seconds(ttl_ms);
	e->attr_timeout = op_seconds(attr_ttl_ms);
	op->answer = ANSWER_ENTRY;
	return 0;
}
