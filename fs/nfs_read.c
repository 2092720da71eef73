/* SPDX-License-Identifier: Apache-2.0 */
/* READ: the bytes of a model's file go from the mapped cache file to the socket as they lie there;
 * those that are not there are waited for without a thread. While the client takes none of them
 * its reply has neither the bytes nor the file: others may need the room. When it is its turn they
 * are had again, from wherever they are by then. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "fs/attr.h"
#include "fs/nfs_attr.h"
#include "fs/nfs_kept.h"
#include "fs/nfs_procs.h"

struct range {
	uint64_t off;
	uint32_t count;
};

/* text: of a made-up file. */
static void put_result(struct nfs_call *c, const struct place *p, const char *text, uint32_t count,
		       bool eof)
{
	xdr_put_u32(&c->reply.head, NFS3_OK);
	nfs_attr_put_read(c->world->view, p, text, &c->reply.head);
	xdr_put_u32(&c->reply.head, count);
	xdr_put_u32(&c->reply.head, eof);
	xdr_put_u32(&c->reply.head, count); /* of the bytes that follow */
}

static void time_read(struct nfs_call *c)
{
	struct metrics *m = c->world->metrics;

	metrics_time(&m->read_time, clock_us() - c->underway.started_us);
	metrics_add(c->waited ? &m->reads_waited : &m->reads_hit, 1);
}

/* The call's bytes, at most `len` of them. Waiter as in node.h. */
static int have(struct nfs_call *c, uint64_t len, struct waiter *w, uint64_t *ret_len)
{
	struct node *node = c->world->view->node;
	const void *bytes;
	int r = node_read(node, c->read.file, c->read.off, len, w, &bytes, ret_len);

	if (r == 0)
		c->reply.data = bytes;
	return r;
}

/* ---- while the client takes nothing ---- */

static struct nfs_call *call_of(struct rpcd_reply *r)
{
	return container_of(r, struct nfs_call, reply);
}

static void close_file(struct nfs_call *c)
{
	node_close_file(c->world->view->node, steal(c->read.file));
}

static void rest(struct rpcd_reply *reply, bool broken)
{
	struct nfs_call *c = call_of(reply);

	if (!node_keeps(c->read.file, reply->data))
		return; /* brought for it alone: they are nowhere else */
	node_done(c->read.file, steal(reply->data), reply->data_len);
	if (broken)
		node_lose(c->world->view->node, c->read.file, c->read.off, reply->data_len);
	close_file(c);
}

static void on_found_again(struct waiter *w, int r)
{
	nfs_call_resume(container_of(w, struct nfs_call, waiter), r);
}

static void on_come_again(struct waiter *w, int r)
{
	nfs_call_resume(container_of(w, struct nfs_call, read.waiter), r);
}

/* How the file is read was told when these bytes were first asked for. */
static void begin_resuming(struct nfs_call *c)
{
	free(c->read.waiter.held);
	waiter_init(&c->waiter, c->world->timeout_ms, on_found_again);
	waiter_init(&c->read.waiter, c->world->timeout_ms, on_come_again);
	c->read.waiter.off = c->read.off;
	c->read.waiter.len = c->reply.data_len;
	c->ended = 0;
	c->read.resuming = true;
	nfs_call_watch(c);
}

static void end_resuming(struct nfs_call *c)
{
	c->read.resuming = false;
	nfs_call_unwatch(c);
}

/* As many as were promised: what a digest names is never shorter. */
static int have_again(struct nfs_call *c, struct waiter *w)
{
	uint64_t len;
	int r = have(c, c->reply.data_len, w, &len);

	assert(r != 0 || len == c->reply.data_len);
	return r;
}

static int open_again(struct nfs_call *c)
{
	CLEANUP(place_fini) struct place p = { 0 };
	int r = nfs_objects_find(c->world->objects, &c->fh, &c->waiter, &p);

	return r == 0 ? nfs_objects_open(c->world->objects, &c->fh, &p, &c->read.file) : r;
}

/* Only what is at hand, and asks nothing of anybody. */
static int resume_at_once(struct nfs_call *c)
{
	int r = -EAGAIN;

	c->read.file = nfs_objects_opened(c->world->objects, &c->fh);
	if (c->read.file && node_sealed_fd(c->read.file) >= 0)
		r = have_again(c, NULL);
	if (r != 0)
		close_file(c);
	return r == 0 ? 0 : -EAGAIN;
}

/* They cannot be had. Who was told that they are coming is sent away, and asks again. */
static int give_up(struct nfs_call *c, int r)
{
	close_file(c);
	if (c->reply.sent || r == ERR_STOPPING)
		return r;
	nfs_call_fail(c, r);
	c->reply.data_len = 0;
	return 0;
}

/* From wherever they are by now: parks, as often as it takes. */
static int wait_again(struct nfs_call *c)
{
	int r = c->ended;

	if (r == 0 && !c->read.file)
		r = open_again(c);
	return r == 0 ? have_again(c, &c->read.waiter) : r;
}

static int resume(struct rpcd_reply *reply, bool may_park)
{
	struct nfs_call *c = call_of(reply);
	int r;

	if (!c->read.resuming && resume_at_once(c) == 0)
		return 0;
	if (!may_park)
		return -EAGAIN;
	if (!c->read.resuming)
		begin_resuming(c);
	r = wait_again(c);
	if (r == PARKED) /* it may be gone */
		return r;
	end_resuming(c);
	return r < 0 ? give_up(c, r) : 0;
}

/* ---- the kinds of files ---- */

/* The file stays open as long as somebody waits for it, whatever becomes of its object. */
static int read_blob(struct nfs_call *c, const struct place *p, const struct range *range)
{
	uint64_t count;
	int r = 0;

	c->read.off = range->off;
	if (!c->read.file)
		r = nfs_objects_open(c->world->objects, &c->fh, p, &c->read.file);
	if (r == 0)
		r = have(c, range->count, &c->read.waiter, &count);
	if (r != 0) /* parked: the call is not ours to look at any more */
		return r;
	put_result(c, p, NULL, (uint32_t)count, range->off + count >= node_file_size(c->read.file));
	c->reply.data_len = count;
	c->reply.rest = rest;
	c->reply.resume = resume;
	time_read(c);
	return 0;
}

static void put_part(struct nfs_call *c, const struct place *p, const struct buf *text,
		     const struct range *range)
{
	size_t off = (size_t)min_u64(range->off, text->len);
	size_t count = (size_t)min_u64(text->len - off, range->count);

	put_result(c, p, buf_str(text), (uint32_t)count, off + count == text->len);
	xdr_put_fixed(&c->reply.head, buf_str(text) + off, count);
}

/* Made-up files. */
static int read_text(struct nfs_call *c, const struct place *p, const struct range *range)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = attr_text(c->world->view, p, &c->waiter, &text);

	if (r == 0)
		put_part(c, p, &text, range);
	return r;
}

/* A text that takes long to be made, and never changes. */
struct printed {
	struct nfs_kept_item kept;
	struct buf text;
};

static void printed_free(struct nfs_kept_item *i)
{
	struct printed *t = container_of(i, struct printed, kept);

	buf_free(&t->text);
	free(t);
}

static int print(struct nfs_call *c, const struct place *p, struct printed **ret)
{
	struct printed *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	nfs_kept_init(&t->kept);
	t->kept.free = printed_free;
	t->kept.fh = c->fh;
	r = attr_text(c->world->view, p, NULL, &t->text);
	t->kept.bytes = sizeof(*t) + t->text.len;
	if (r < 0)
		nfs_kept_unref(&t->kept);
	else
		*ret = t;
	return r;
}

/* The listing of a commit's files. */
static int read_tree(struct nfs_call *c, const struct place *p, const struct range *range)
{
	struct nfs_kept_item *i = nfs_kept_find(c->world->kept, &c->fh, 0);
	struct printed *t = i ? container_of(i, struct printed, kept) : NULL;
	int r = t ? 0 : print(c, p, &t);

	if (r < 0)
		return r;
	put_part(c, p, &t->text, range);
	if (!i && t->text.len > range->count) /* it is read in parts */
		nfs_kept_put(c->world->kept, &t->kept);
	nfs_kept_unref(&t->kept);
	return 0;
}

/* What clients wrote, here or on the mount. */
static int read_written(struct nfs_call *c, const struct place *p, const struct range *range)
{
	CLEANUP(freep) char *data = malloc(range->count + 1);
	struct stat st;
	int64_t n;

	if (!data)
		return -ENOMEM;
	n = scratch_read(p->scratch, p->written, data, range->count, range->off);
	if (n < 0)
		return (int)n;
	scratch_stat(p->scratch, p->written, &st);
	put_result(c, p, NULL, (uint32_t)n, range->off + (uint64_t)n >= (uint64_t)st.st_size);
	xdr_put_fixed(&c->reply.head, data, (size_t)n);
	return 0;
}

static int check(const struct place *p)
{
	struct permit_who who = nfs_reader();

	return place_format(p) == S_IFREG ? permit_access(&who, p, R_OK) : -EINVAL;
}

int nfs_read(struct nfs_call *c)
{
	CLEANUP(place_fini) struct place p = { 0 };
	struct range range;
	int r = nfs_take_place(c, &p);

	if (r != 0)
		return r;
	range.off = xdr_u64(&c->in);
	range.count = (uint32_t)min_u64(xdr_u32(&c->in), NFS_READ_MAX);
	if (c->in.bad)
		return -EBADMSG;
	r = check(&p);
	if (r < 0)
		return r;
	if (p.kind == PLACE_BLOB)
		return read_blob(c, &p, &range);
	/* What lies in memory until it is sent may be less than was asked for. */
	range.count = (uint32_t)min_u64(range.count, rpcd_room(c->conn));
	switch (p.kind) {
	case PLACE_SCRATCH:
		return read_written(c, &p, &range);
	case PLACE_TREE_JSON:
		return read_tree(c, &p, &range);
	default:
		return read_text(c, &p, &range);
	}
}
