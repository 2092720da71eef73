/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_call.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "fs/nfs_args.h"
#include "fs/nfs_forms.h"
#include "fs/resolve.h"

#define ARGS_MAX 4096 /* bytes: the longest path, and then some */
#define ARGS_ROOM 256 /* what there is beside the data of a WRITE */

struct nfs_status_of {
	int error; /* of errno */
	enum nfs_status status;
};

/* What a procedure may answer; of all else a client is told that the server has failed. */
static enum nfs_status status_of(int r)
{
	static const struct nfs_status_of table[] = {
		{ EPERM, NFS3ERR_PERM },
		{ ENOENT, NFS3ERR_NOENT },
		{ EIO, NFS3ERR_IO },
		{ EINTR, NFS3ERR_IO },
		{ EACCES, NFS3ERR_ACCES },
		{ EEXIST, NFS3ERR_EXIST },
		{ ENOTDIR, NFS3ERR_NOTDIR },
		{ EISDIR, NFS3ERR_ISDIR },
		{ EINVAL, NFS3ERR_INVAL },
		{ EFBIG, NFS3ERR_FBIG },
		{ ENOSPC, NFS3ERR_NOSPC },
		{ EROFS, NFS3ERR_ROFS },
		{ ENAMETOOLONG, NFS3ERR_NAMETOOLONG },
		{ ENOTEMPTY, NFS3ERR_NOTEMPTY },
		{ ESTALE, NFS3ERR_STALE },
		{ -NFS_BADHANDLE, NFS3ERR_BADHANDLE },
		{ -NFS_BAD_COOKIE, NFS3ERR_BAD_COOKIE },
		{ -NFS_NOT_SYNC, NFS3ERR_NOT_SYNC },
		{ EOPNOTSUPP, NFS3ERR_NOTSUPP },
		{ -NFS_TOOSMALL, NFS3ERR_TOOSMALL },
	};
	int e = err_errno(r);

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].error == e)
			return table[i].status;
	return NFS3ERR_SERVERFAULT;
}

/* ---- its end ---- */

static void call_free(struct nfs_call *c)
{
	if (c->underway.listed) /* its connection ended while it was resumed */
		underway_del(c->world->underway, &c->underway);
	if (c->reply.data)
		node_done(c->read.file, c->reply.data, c->reply.data_len);
	node_close_file(c->world->view->node, c->read.file);
	free(c->read.waiter.held);
	walk_free(c->walk);
	free(c->args);
	buf_free(&c->reply.head);
	free(c);
}

/* Who was given how much of which file. */
static void count_bytes(struct nfs_call *c)
{
	CLEANUP(buf_free) struct buf what = { 0 };
	char etag[DIGEST_HEX_MAX + 1];

	metrics_add(&c->world->metrics->nfs_read_bytes, c->reply.data_len);
	metrics_add(&c->client->bytes, c->reply.data_len);
	if (nfs_trail_add(c->world->trail, c->client, &c->fh, c->reply.data_len))
		return;
	if (nfs_objects_etag(c->world->objects, &c->fh, etag))
		buf_printf(&what, " etag=%s", etag);
	nfs_objects_tell(c->world->objects, &c->fh, &what);
	nfs_trail_begin(c->world->trail, c->client, &c->fh, buf_str(&what), c->reply.data_len);
}

/* What was not sent as a whole was given to nobody. */
static void on_sent(struct rpcd_reply *r)
{
	struct nfs_call *c = container_of(r, struct nfs_call, reply);

	if (r->data_len && r->sent == r->size)
		count_bytes(c);
	call_free(c);
}

/* For who has a handle it is gone, and no name is missing. */
static int said(const struct nfs_call *c, int r)
{
	return c->placing || !(c->proc->flags & NFS_NAMES) ? nfs_stale(r) : r;
}

void nfs_call_fail(struct nfs_call *c, int r)
{
	c->reply.head.len = 0;
	if (r == -EBADMSG) {
		rpc_reply(&c->reply.head, c->rpc.xid, RPC_GARBAGE_ARGS);
		return;
	}
	rpc_reply(&c->reply.head, c->rpc.xid, RPC_SUCCESS);
	xdr_put_u32(&c->reply.head, status_of(said(c, r)));
	for (unsigned i = 0; i < c->proc->fail_words; i++)
		xdr_put_u32(&c->reply.head, 0);
}

/* A reply may wait for its client for long. */
static void drop_args(struct nfs_call *c)
{
	rpcd_unkeep(c->conn, c->rpc.args.left);
	free(steal(c->args));
}

void nfs_call_finish(struct nfs_call *c, int r)
{
	struct rpcd_conn *conn = c->conn;

	if (c->underway.listed)
		nfs_call_unwatch(c);
	drop_args(c);
	if (r == ERR_STOPPING) { /* whoever serves next is asked again */
		call_free(c);
		rpcd_drop(conn, true);
		return;
	}
	if (r < 0)
		nfs_call_fail(c, r);
	rpcd_send(conn, &c->reply);
}

/* ---- running ---- */

static void run(struct nfs_call *c)
{
	int r;

	c->in = c->rpc.args;
	c->reply.head.len = c->head_bytes;
	c->placing = false;
	r = c->proc->run(c);
	if (r != PARKED)
		nfs_call_finish(c, r);
}

static void go_on(struct nfs_call *c, int r)
{
	c->waited = true;
	c->ended = r;
	if (r < 0 && (r == ERR_STOPPING || c->placing || !(c->proc->flags & NFS_ENDS)))
		nfs_call_finish(c, r);
	else
		run(c);
}

static void on_found(struct waiter *w, int r)
{
	go_on(container_of(w, struct nfs_call, waiter), r);
}

static void on_come(struct waiter *w, int r)
{
	go_on(container_of(w, struct nfs_call, read.waiter), r);
}

static void describe(struct underway_item *i, struct buf *ret)
{
	const struct nfs_call *c = container_of(i, struct nfs_call, underway);

	buf_printf(ret, "op=nfs-%s client=%s", c->proc->name, rpcd_address(c->conn));
	nfs_objects_tell(c->world->objects, &c->fh, ret);
}

/* Who waits for the digest of a whole file waits as long as bytes come. */
static bool is_patient(struct underway_item *i)
{
	const struct nfs_call *c = container_of(i, struct nfs_call, underway);
	char etag[DIGEST_HEX_MAX + 1];
	struct transfer t;

	return nfs_objects_etag(c->world->objects, &c->fh, etag) &&
	       node_transfer(c->world->view->node, etag, &t) && t.verified_only;
}

void nfs_call_watch(struct nfs_call *c)
{
	c->underway = (struct underway_item){
		.started_us = clock_us(),
		.deadline_ms = c->waiter.deadline_ms,
		.describe = describe,
		.is_patient = is_patient,
	};
	underway_add(c->world->underway, &c->underway);
}

void nfs_call_unwatch(struct nfs_call *c)
{
	underway_ended(c->world->underway, &c->underway, clock_us() - c->underway.started_us);
	underway_del(c->world->underway, &c->underway);
}

void nfs_call_resume(struct nfs_call *c, int r)
{
	c->ended = r;
	rpcd_go_on(c->conn);
}

/* ---- hanging up ---- */

struct ending {
	const struct nfs_world *world;
	const struct rpcd_conn *conn;
	struct rpcd_reply *taken; /* of calls that wait for nothing any more */
	struct nfs_call *resumed; /* the one whose reply does not */
};

/* One that is being run, or about to be, waits for nothing from now on. */
static void take_parked(void *arg, struct underway_item *i)
{
	struct ending *e = arg;
	struct nfs_call *c = container_of(i, struct nfs_call, underway);
	int left;

	if (i->describe != describe || c->conn != e->conn)
		return;
	left = node_leave_lookup(e->world->view->node, &c->waiter);
	left |= node_leave_read(e->world->view->node, &c->read.waiter);
	if (left && c->read.resuming) {
		e->resumed = c;
	} else if (left) {
		c->reply.next = e->taken;
		e->taken = &c->reply;
	}
}

void nfs_calls_end(struct nfs_world *w, const struct rpcd_conn *conn)
{
	struct ending e = { w, conn, NULL, NULL };

	underway_each(w->underway, take_parked, &e);
	if (e.resumed)
		nfs_call_resume(e.resumed, ERR_CANCELED);
	while (e.taken) {
		struct rpcd_reply *r = e.taken;

		e.taken = r->next;
		nfs_call_finish(container_of(r, struct nfs_call, reply), ERR_CANCELED);
	}
}

/* ---- which procedure ---- */

static const struct nfs_program *find_program(const struct nfs_world *w, uint32_t number)
{
	for (const struct nfs_program *p = w->programs; p->procs; p++)
		if (p->number == number)
			return p;
	return NULL;
}

/* They are kept as long as the call is under way. */
static size_t args_max(const struct nfs_proc *p)
{
	return p->flags & NFS_BRINGS ? NFS_WRITE_MAX + ARGS_ROOM : ARGS_MAX;
}

/* The procedure that is called, or NULL after having written why there is none. */
static const struct nfs_proc *find_proc(const struct nfs_world *w, const struct rpc_call *rpc,
					struct buf *reply)
{
	const struct nfs_program *p = find_program(w, rpc->prog);
	const struct nfs_proc *proc;

	if (!p)
		rpc_reply(reply, rpc->xid, RPC_PROG_UNAVAIL);
	else if (rpc->vers != p->version)
		rpc_reply_versions(reply, rpc->xid, p->version, p->version);
	else if (rpc->proc >= p->count || !p->procs[rpc->proc].name)
		rpc_reply(reply, rpc->xid, RPC_PROC_UNAVAIL);
	else if (rpc->args.left > args_max(proc = &p->procs[rpc->proc]))
		rpc_reply(reply, rpc->xid, RPC_GARBAGE_ARGS);
	else
		return proc;
	return NULL;
}

/* A call that has no procedure yet; so far it can only be told that there is none. */
static struct nfs_call *call_new(struct nfs_world *w, struct rpcd_conn *conn)
{
	struct nfs_call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->world = w;
	c->client = rpcd_who(conn);
	c->conn = conn;
	c->reply.done = on_sent;
	return c;
}

/* The record is borrowed, and a call may be run again later. -ENOMEM. */
static int keep_args(struct nfs_call *c, const struct rpc_call *rpc)
{
	c->args = malloc(rpc->args.left + 1);
	if (!c->args)
		return -ENOMEM;
	c->rpc = *rpc;
	if (rpc->args.left)
		memcpy(c->args, rpc->args.at, rpc->args.left);
	rpcd_keep(c->conn, rpc->args.left);
	c->rpc.args.at = c->args;
	c->in = c->rpc.args;
	if (nfs_take_handle(c, &c->fh) < 0)
		c->fh.len = 0;
	return 0;
}

static void start(struct nfs_call *c)
{
	rpc_reply(&c->reply.head, c->rpc.xid, RPC_SUCCESS);
	c->head_bytes = c->reply.head.len;
	waiter_init(&c->waiter, c->world->timeout_ms, on_found);
	waiter_init(&c->read.waiter, c->world->timeout_ms, on_come);
	if (c->proc->flags & NFS_WAITS)
		nfs_call_watch(c);
	run(c);
}

static void note_client(struct nfs_client *c)
{
	metrics_add(&c->requests, 1);
	atomic_store_explicit(&c->heard_s, (uint64_t)clock_wall_s(), memory_order_relaxed);
}

void nfs_call_start(struct nfs_world *w, struct rpcd_conn *conn, const uint8_t *record, size_t len)
{
	CLEANUP(buf_free) struct buf refusal = { 0 };
	struct rpc_call rpc;
	struct nfs_call *c;
	int r = rpc_parse(record, len, &rpc, &refusal);

	metrics_add(&w->metrics->nfs_requests, 1);
	note_client(rpcd_who(conn));
	c = r < 0 ? NULL : call_new(w, conn);
	if (c && r == 0)
		c->proc = find_proc(w, &rpc, &refusal);
	if (!c || (c->proc && keep_args(c, &rpc) < 0)) {
		free(c);
		rpcd_drop(conn, true);
		return;
	}
	if (c->proc) {
		start(c);
		return;
	}
	c->reply.head = refusal;
	refusal = (struct buf){ 0 };
	rpcd_send(conn, &c->reply);
}
