/* SPDX-License-Identifier: Apache-2.0 */
/* Names and what they look like: GETATTR, LOOKUP, ACCESS, READLINK, FSSTAT, FSINFO, PATHCONF. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/attr.h"
#include "fs/nfs_attr.h"
#include "fs/nfs_procs.h"

int nfs_getattr(struct nfs_call *c)
{
	CLEANUP(place_fini) struct place p = { 0 };
	int r = nfs_take_place(c, &p);

	if (r != 0)
		return r;
	xdr_put_u32(&c->reply.head, NFS3_OK);
	return nfs_attr_put(c->world->view, &p, &c->waiter, &c->reply.head);
}

/* ---- LOOKUP ---- */

/* The handle of what was found, which is about to be used, and what both look like. */
static int found(struct nfs_call *c, const struct place *dir, const struct place *p)
{
	struct buf *out = &c->reply.head;
	int r;

	xdr_put_u32(out, NFS3_OK);
	r = nfs_put_handle(c, p);
	nfs_attr_put_after(c->world->view, p, out);
	nfs_attr_put_after(c->world->view, dir, out);
	return r;
}

static int lookup(struct nfs_call *c, const struct place *dir, const char *name, struct place *ret)
{
	int64_t ttl_ms;
	int r;

	if (strcmp(name, ".") == 0)
		return place_copy(dir, ret);
	if (strcmp(name, "..") == 0)
		return view_parent(c->world->view, dir, ret);
	if (c->ended < 0)
		return view_lookup_ended(&c->client->view, dir, name, c->ended, ret, &ttl_ms);
	r = view_lookup(&c->client->view, dir, name, &c->waiter, ret, &ttl_ms);
	if (r == -EACCES)
		nfs_denied(c, dir, name);
	return r;
}

int nfs_lookup(struct nfs_call *c)
{
	CLEANUP(place_fini) struct place dir = { 0 };
	CLEANUP(place_fini) struct place p = { 0 };
	struct permit_who who = nfs_reader();
	char name[NFS_NAME_MAX + 1];
	int r = nfs_take_place(c, &dir);

	if (r == 0)
		r = nfs_take_name(c, name);
	if (r == 0 && place_format(&dir) != S_IFDIR)
		r = -ENOTDIR;
	if (r == 0)
		r = permit_access(&who, &dir, X_OK);
	if (r == 0)
		r = lookup(c, &dir, name, &p);
	return r == 0 ? found(c, &dir, &p) : r;
}

/* ---- what one may do ---- */

static bool allows(const struct permit_who *who, const struct place *p, const struct stat *st,
		   int mask, unsigned mode)
{
	return (st->st_mode & mode) && permit_access(who, p, mask) == 0;
}

static uint32_t granted(const struct view *v, const struct place *p, const struct stat *st)
{
	const struct permit_who nobody = nfs_reader(), *who = &nobody;
	bool dir = S_ISDIR(st->st_mode);
	uint32_t ret = 0;

	if (nfs_may_change(v, p) == 0 && (place_writable(p) || place_swallows(p)))
		ret = ACCESS3_MODIFY | ACCESS3_EXTEND | (dir ? ACCESS3_DELETE : 0);

	if (allows(who, p, st, R_OK, 0444))
		ret |= ACCESS3_READ;
	if (allows(who, p, st, X_OK, 0111))
		ret |= dir ? ACCESS3_LOOKUP : ACCESS3_EXECUTE;
	return ret;
}

int nfs_access(struct nfs_call *c)
{
	CLEANUP(place_fini) struct place p = { 0 };
	int64_t ttl_ms;
	struct stat st;
	uint32_t asked;
	int r = nfs_take_place(c, &p);

	if (r != 0)
		return r;
	asked = xdr_u32(&c->in);
	if (c->in.bad)
		return -EBADMSG;
	r = attr_stat(c->world->view, &p, &st, &ttl_ms);
	if (r < 0)
		return r;
	xdr_put_u32(&c->reply.head, NFS3_OK);
	nfs_attr_put_after(c->world->view, &p, &c->reply.head);
	xdr_put_u32(&c->reply.head, asked & granted(c->world->view, &p, &st));
	return 0;
}

int nfs_readlink(struct nfs_call *c)
{
	CLEANUP(buf_free) struct buf target = { 0 };
	CLEANUP(place_fini) struct place p = { 0 };
	int r = nfs_take_place(c, &p);

	if (r == 0)
		r = attr_link(&p, &target);
	if (r != 0)
		return r;
	xdr_put_u32(&c->reply.head, NFS3_OK);
	nfs_attr_put_after(c->world->view, &p, &c->reply.head);
	xdr_put_opaque(&c->reply.head, target.data, target.len);
	return 0;
}

/* ---- the file system ---- */

#define COUNTLESS 1000000000 /* files, of which nobody has the number */

/* Takes the place that is asked about, and begins the answer. */
static int begin_facts(struct nfs_call *c)
{
	CLEANUP(place_fini) struct place p = { 0 };
	int r = nfs_take_place(c, &p);

	if (r != 0)
		return r;
	xdr_put_u32(&c->reply.head, NFS3_OK);
	nfs_attr_put_after(c->world->view, &p, &c->reply.head);
	return 0;
}

int nfs_fsstat(struct nfs_call *c)
{
	struct buf *out = &c->reply.head;
	uint64_t total, left;
	int r = begin_facts(c);

	if (r == 0)
		r = node_space(c->world->view->node, &total, &left);
	if (r != 0)
		return r;
	xdr_put_u64(out, total);
	xdr_put_u64(out, left);
	xdr_put_u64(out, left);
	for (unsigned i = 0; i < 3; i++) /* all files, free ones, those for this user */
		xdr_put_u64(out, COUNTLESS);
	xdr_put_u32(out, 0); /* seconds for which that will not change */
	return 0;
}

int nfs_fsinfo(struct nfs_call *c)
{
	static const uint32_t sizes[] = {
		NFS_READ_MAX, NFS_READ_MAX, 4096, NFS_WRITE_MAX, NFS_WRITE_MAX, 4096, 64 << 10,
	};
	struct buf *out = &c->reply.head;
	int r = begin_facts(c);

	if (r != 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		xdr_put_u32(out, sizes[i]);
	xdr_put_u64(out, INT64_MAX); /* the largest file */
	xdr_put_u32(out, 0);         /* times go by seconds, ... */
	xdr_put_u32(out, 1);         /* ... and this */
	xdr_put_u32(out, FSF3_LINK | FSF3_SYMLINK | FSF3_HOMOGENEOUS | FSF3_CANSETTIME);
	return 0;
}

int nfs_pathconf(struct nfs_call *c)
{
	struct buf *out = &c->reply.head;
	int r = begin_facts(c);

	if (r != 0)
		return r;
	xdr_put_u32(out, 1000); /* names of one file */
	xdr_put_u32(out, NFS_NAME_MAX);
	xdr_put_u32(out, true);  /* longer ones are refused */
	xdr_put_u32(out, true);  /* nobody gives files away */
	xdr_put_u32(out, false); /* "a" is not "A" */
	xdr_put_u32(out, true);  /* and stays what it is */
	return 0;
}
