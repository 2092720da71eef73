/* SPDX-License-Identifier: Apache-2.0 */
/* READ: the bytes of a model's file go from the mapped cache file to the socket as they lie there;
 * those that are not there are waited for without a thread. */
#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/num.h"
#include "fs/attr.h"
#include "fs/nfs_attr.h"
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

static void account(struct nfs_call *c)
{
	struct metrics *m = c->world->metrics;

	metrics_time(&m->read_time, clock_us() - c->underway.started_us);
	metrics_add(c->waited ? &m->reads_waited : &m->reads_hit, 1);
}

/* The file stays open as long as somebody waits for it, whatever becomes of its object. */
static int read_blob(struct nfs_call *c, const struct place *p, const struct range *range)
{
	struct node *node = c->world->view->node;
	const void *bytes = NULL;
	uint64_t count;
	int r = 0;

	if (!c->file)
		r = nfs_objects_open(c->world->objects, &c->fh, p, &c->file);
	if (r == 0)
		r = node_read(node, c->file, range->off, range->count, &c->waiter, &bytes, &count);
	if (r != 0) /* parked: the call is not ours to look at any more */
		return r;
	put_result(c, p, NULL, (uint32_t)count, range->off + count >= node_file_size(c->file));
	c->reply.data = bytes;
	c->reply.data_len = count;
	account(c);
	return 0;
}

/* Made-up files. */
static int read_text(struct nfs_call *c, const struct place *p, const struct range *range)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	size_t off, count;
	int r = attr_text(c->world->view, p, &c->waiter, &text);

	if (r != 0)
		return r;
	off = range->off < text.len ? (size_t)range->off : text.len;
	count = text.len - off < range->count ? text.len - off : range->count;
	put_result(c, p, buf_str(&text), (uint32_t)count, off + count == text.len);
	xdr_put_fixed(&c->reply.head, buf_str(&text) + off, count);
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
	switch (p.kind) {
	case PLACE_BLOB:
		return read_blob(c, &p, &range);
	case PLACE_SCRATCH:
		return read_written(c, &p, &range);
	default:
		return read_text(c, &p, &range);
	}
}
