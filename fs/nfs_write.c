/* SPDX-License-Identifier: Apache-2.0 */
/* Writes of metadata: what is allowed, and where they go, is change.h's; but what is its owner's is
 * nobody's here. A client's kernel need not have looked a name up before it makes or removes it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/err.h"
#include "fs/change.h"
#include "fs/nfs_args.h"
#include "fs/nfs_attr.h"
#include "fs/nfs_procs.h"
#include "fs/nfs_rights.h"
#include "fs/shown.h"

/* Modes of what is made, if none is said. */
#define FILE_MODE 0644
#define DIR_MODE 0755

static struct change change_of(const struct nfs_call *c)
{
	return (struct change){ &c->client->view, { c->rpc.uid, c->rpc.gid } };
}

/* ---- arguments and results ---- */

static struct timespec take_time(struct xdr_in *in)
{
	struct timespec t = { .tv_nsec = UTIME_OMIT };

	switch (xdr_u32(in)) {
	case NFS_KEEP_TIME:
		break;
	case NFS_SERVERS_TIME:
		t.tv_nsec = UTIME_NOW;
		break;
	case NFS_CLIENTS_TIME:
		t.tv_sec = xdr_u32(in);
		t.tv_nsec = xdr_u32(in) % 1000000000;
		break;
	default:
		in->bad = true;
	}
	return t;
}

static int take_sattr(struct nfs_call *c, struct change_attrs *ret)
{
	struct xdr_in *in = &c->in;

	*ret = (struct change_attrs)CHANGE_NOTHING;
	ret->sets_mode = xdr_bool(in);
	if (ret->sets_mode)
		ret->mode = xdr_u32(in) & 07777;
	if (xdr_bool(in))
		ret->uid = xdr_u32(in);
	if (xdr_bool(in))
		ret->gid = xdr_u32(in);
	ret->sets_size = xdr_bool(in);
	if (ret->sets_size)
		ret->size = xdr_u64(in);
	ret->times[0] = take_time(in);
	ret->times[1] = take_time(in);
	return in->bad ? -EBADMSG : 0;
}

static mode_t mode_or(const struct change_attrs *a, mode_t otherwise)
{
	return a->sets_mode ? a->mode : otherwise;
}

/* What it was like before is not told. */
static void put_wcc(struct nfs_call *c, const struct place *p)
{
	xdr_put_u32(&c->reply.head, false);
	nfs_attr_put_after(c->world->view, p, &c->reply.head);
}

/* What has changed a file or directory: mostly that is the whole answer. */
static int put_changed(struct nfs_call *c, const struct place *p)
{
	xdr_put_u32(&c->reply.head, NFS3_OK);
	put_wcc(c, p);
	return 0;
}

/* A directory of the arguments, and a name in it. */
struct spot {
	struct place dir;
	char name[NFS_NAME_MAX + 1];
};

static void spot_fini(struct spot *s)
{
	place_fini(&s->dir);
}

/* What the client may not see it neither makes nor moves anything to. */
static int check_name(struct nfs_call *c, const struct spot *s)
{
	const struct view *v = &c->client->view;
	int r = shown_name(v->scope, node_known(v->node), &s->dir, s->name);

	if (r < 0)
		nfs_denied(c, &s->dir, s->name);
	return r;
}

/* A spot where something is to be made: whether that may be is find_there's to say. */
static int take_new_spot(struct nfs_call *c, struct spot *ret)
{
	int r = nfs_take_place(c, &ret->dir);

	if (r == 0)
		r = nfs_take_name(c, ret->name);
	if (r == 0 && place_format(&ret->dir) != S_IFDIR)
		r = -ENOTDIR;
	if (r == 0 && (strcmp(ret->name, ".") == 0 || strcmp(ret->name, "..") == 0))
		r = -EINVAL;
	return r == 0 ? check_name(c, ret) : r;
}

static int take_spot(struct nfs_call *c, struct spot *ret)
{
	int r = take_new_spot(c, ret);

	return r == 0 ? nfs_may_change(c->world->view, &ret->dir) : r;
}

/* What has the name already, for "mkdir -p" and its like: that is told also where nothing is made,
 * to who may look it up. ENOENT: it is free, and may be taken. */
static int find_there(struct nfs_call *c, const struct spot *s, struct place *ret)
{
	int may = nfs_may_change(c->world->view, &s->dir);
	int r = may == 0 ? 0 : nfs_permit(&s->dir, X_OK);

	if (r == 0)
		r = nfs_find(c, &s->dir, s->name, ret);
	return r < 0 && may < 0 ? may : r;
}

/* 0 if the name is free; -EEXIST, PARKED, or why that cannot be told. */
static int check_free(struct nfs_call *c, const struct spot *s)
{
	struct place p;
	int r = find_there(c, s, &p);

	if (r == 0) {
		place_fini(&p);
		return -EEXIST;
	}
	return r < 0 && err_errno(r) == ENOENT ? 0 : r;
}

/* ---- SETATTR, WRITE, COMMIT ---- */

/* A client may say for which ctime it means what it sets. */
static int check_guard(struct nfs_call *c, const struct place *p)
{
	bool guarded = xdr_bool(&c->in);
	uint32_t sec = guarded ? xdr_u32(&c->in) : 0, nsec = guarded ? xdr_u32(&c->in) : 0;
	struct stat st;

	if (c->in.bad)
		return -EBADMSG;
	if (!guarded || p->kind != PLACE_SCRATCH)
		return 0;
	scratch_stat(p->scratch, p->written, &st);
	return (uint32_t)st.st_ctim.tv_sec == sec && (uint32_t)st.st_ctim.tv_nsec == nsec
		       ? 0
		       : NFS_NOT_SYNC;
}

int nfs_setattr(struct nfs_call *c)
{
	CLEANUP(place_fini) struct place p = { 0 };
	struct change change = change_of(c);
	struct change_attrs attrs;
	int r = nfs_take_place(c, &p);

	if (r == 0)
		r = take_sattr(c, &attrs);
	if (r == 0)
		r = check_guard(c, &p);
	if (r == 0)
		r = nfs_may_change(c->world->view, &p);
	if (r == 0)
		r = change_attrs(&change, &p, &attrs);
	return r == 0 ? put_changed(c, &p) : r;
}

static int64_t write_to(struct nfs_call *c, const struct place *p, const void *data, size_t len,
			uint64_t off)
{
	if (p->kind == PLACE_SCRATCH)
		return scratch_write(p->scratch, p->written, data, len, off);
	if (!place_swallows(p))
		return -EROFS;
	change_swallow(c->world->view, p, data, len);
	return (int64_t)len;
}

int nfs_write(struct nfs_call *c)
{
	CLEANUP(place_fini) struct place p = { 0 };
	const uint8_t *data;
	uint32_t count;
	uint64_t off;
	size_t len;
	int64_t n;
	int r = nfs_take_place(c, &p);

	if (r != 0)
		return r;
	off = xdr_u64(&c->in);
	count = xdr_u32(&c->in);
	xdr_u32(&c->in); /* how safe they are to be: nothing outlives the process */
	data = xdr_opaque(&c->in, NFS_WRITE_MAX, &len);
	if (!data)
		return -EBADMSG;
	r = count == len ? nfs_may_change(c->world->view, &p) : -EINVAL;
	n = r < 0 ? r : write_to(c, &p, data, len, off);
	if (n < 0)
		return (int)n;
	put_changed(c, &p);
	xdr_put_u32(&c->reply.head, (uint32_t)n);
	xdr_put_u32(&c->reply.head, NFS_FILE_SYNC);
	xdr_put_u64(&c->reply.head, c->world->life);
	return 0;
}

int nfs_commit(struct nfs_call *c)
{
	CLEANUP(place_fini) struct place p = { 0 };
	int r = nfs_take_place(c, &p);

	if (r != 0)
		return r;
	xdr_u64(&c->in); /* from where, and how much: nothing was held back */
	xdr_u32(&c->in);
	if (c->in.bad)
		return -EBADMSG;
	put_changed(c, &p);
	xdr_put_u64(&c->reply.head, c->world->life);
	return 0;
}

/* ---- CREATE, MKDIR, SYMLINK ---- */

static int put_made(struct nfs_call *c, const struct spot *s, const struct place *p)
{
	struct buf *out = &c->reply.head;
	int r;

	xdr_put_u32(out, NFS3_OK);
	xdr_put_u32(out, true);
	r = nfs_put_handle(c, p);
	nfs_attr_put_after(c->world->view, p, out);
	put_wcc(c, &s->dir);
	return r;
}

/* What else is said of what was just made; if that cannot be, it was not made. */
static int set_rest(struct nfs_call *c, const struct spot *s, const struct change_attrs *attrs,
		    struct place *p)
{
	struct change change = change_of(c);
	struct change_attrs rest = *attrs;
	mode_t format = place_format(p);
	int r, undone;

	rest.sets_mode = false;
	rest.sets_size = rest.sets_size && S_ISREG(format);
	r = change_attrs(&change, p, &rest);
	if (r == 0)
		return 0;
	undone = change_remove(&change, &s->dir, s->name, S_ISDIR(format) ? S_IFDIR : S_IFREG);
	place_fini(p);
	return undone < 0 ? undone : r;
}

/* With no attributes nothing more is said of it. */
static int make(struct nfs_call *c, const struct spot *s, mode_t mode, const char *target,
		const struct change_attrs *attrs, struct place *ret)
{
	struct change change = change_of(c);
	struct scratch_node *n;
	int r = change_make(&change, &s->dir, s->name, mode, target, &n);

	if (r < 0)
		return r;
	*ret = place_written(&s->dir, c->world->view->scratch, n);
	return attrs ? set_rest(c, s, attrs, ret) : 0;
}

struct creation {
	uint32_t mode; /* enum nfs_create_mode */
	struct change_attrs attrs;
	uint32_t verifier[2];
};

static int take_create(struct nfs_call *c, struct creation *ret)
{
	*ret = (struct creation){ .mode = xdr_u32(&c->in), .attrs = CHANGE_NOTHING };
	if (ret->mode > NFS_EXCLUSIVE)
		return -EBADMSG;
	if (ret->mode != NFS_EXCLUSIVE)
		return take_sattr(c, &ret->attrs);
	ret->verifier[0] = xdr_u32(&c->in);
	ret->verifier[1] = xdr_u32(&c->in);
	return c->in.bad ? -EBADMSG : 0;
}

/* Its times keep the verifier, until the client sets them: so it may ask twice. */
static void keep_verifier(const struct place *p, const struct creation *how)
{
	const struct timespec times[2] = { { .tv_sec = how->verifier[0] },
					   { .tv_sec = how->verifier[1] } };

	scratch_set(p->scratch, p->written, NULL, (uid_t)-1, (gid_t)-1, times);
}

static bool is_twice(const struct place *p, const struct creation *how)
{
	struct stat st;

	if (how->mode != NFS_EXCLUSIVE || p->kind != PLACE_SCRATCH)
		return false;
	scratch_stat(p->scratch, p->written, &st);
	return st.st_size == 0 && st.st_atim.tv_sec == how->verifier[0] &&
	       st.st_mtim.tv_sec == how->verifier[1];
}

/* Of a file that is there, at most the length is set. */
static int create_again(struct nfs_call *c, const struct place *p, const struct creation *how)
{
	struct change change = change_of(c);
	struct change_attrs length = CHANGE_NOTHING;
	int r;

	if (is_twice(p, how))
		return 0;
	if (how->mode != NFS_UNCHECKED || place_format(p) != S_IFREG)
		return -EEXIST;
	if (p->kind != PLACE_SCRATCH && !place_swallows(p))
		return -EROFS;
	r = nfs_may_change(c->world->view, p);
	if (r < 0 || !how->attrs.sets_size)
		return r;
	length.sets_size = true;
	length.size = how->attrs.size;
	return change_attrs(&change, p, &length);
}

int nfs_create(struct nfs_call *c)
{
	CLEANUP(spot_fini) struct spot s = { 0 };
	CLEANUP(place_fini) struct place p = { 0 };
	struct creation how;
	bool exclusive;
	int r = take_new_spot(c, &s);

	if (r == 0)
		r = take_create(c, &how);
	if (r != 0)
		return r;
	r = find_there(c, &s, &p);
	if (r == 0) {
		r = create_again(c, &p, &how);
	} else if (r < 0 && err_errno(r) == ENOENT) {
		exclusive = how.mode == NFS_EXCLUSIVE;
		r = make(c, &s, S_IFREG | mode_or(&how.attrs, FILE_MODE), NULL,
			 exclusive ? NULL : &how.attrs, &p);
		if (r == 0 && exclusive)
			keep_verifier(&p, &how);
	}
	return r == 0 ? put_made(c, &s, &p) : r;
}

int nfs_mkdir(struct nfs_call *c)
{
	CLEANUP(spot_fini) struct spot s = { 0 };
	CLEANUP(place_fini) struct place p = { 0 };
	struct change_attrs attrs;
	int r = take_new_spot(c, &s);

	if (r == 0)
		r = take_sattr(c, &attrs);
	if (r == 0)
		r = check_free(c, &s);
	if (r == 0)
		r = make(c, &s, S_IFDIR | mode_or(&attrs, DIR_MODE), NULL, &attrs, &p);
	return r == 0 ? put_made(c, &s, &p) : r;
}

/* What a client of the network plants is followed by local processes, too: a link leads down. */
static int check_target(const char *target)
{
	const char *at = target;

	if (*at == '/')
		return -EACCES;
	for (; *at; at += strcspn(at, "/"), at += strspn(at, "/"))
		if (strncmp(at, "..", 2) == 0 && (!at[2] || at[2] == '/'))
			return -EACCES;
	return 0;
}

int nfs_symlink(struct nfs_call *c)
{
	CLEANUP(spot_fini) struct spot s = { 0 };
	CLEANUP(place_fini) struct place p = { 0 };
	char target[NFS_PATH_MAX + 1];
	struct change_attrs attrs;
	int r = take_new_spot(c, &s);

	if (r == 0)
		r = take_sattr(c, &attrs);
	if (r == 0)
		r = nfs_take_path(c, target);
	if (r == 0)
		r = check_target(target);
	if (r == 0)
		r = check_free(c, &s);
	if (r == 0)
		r = make(c, &s, S_IFLNK | 0777, target, &attrs, &p);
	return r == 0 ? put_made(c, &s, &p) : r;
}

/* ---- REMOVE, RMDIR, RENAME, LINK ---- */

static int remove_name(struct nfs_call *c, mode_t kind)
{
	CLEANUP(spot_fini) struct spot s = { 0 };
	CLEANUP(place_fini) struct place p = { 0 };
	struct change change = change_of(c);
	int r = take_spot(c, &s);

	if (r == 0)
		r = nfs_find(c, &s.dir, s.name, &p);
	if (r == 0)
		r = change_remove(&change, &s.dir, s.name, kind);
	return r == 0 ? put_changed(c, &s.dir) : r;
}

int nfs_remove(struct nfs_call *c)
{
	return remove_name(c, S_IFREG);
}

int nfs_rmdir(struct nfs_call *c)
{
	return remove_name(c, S_IFDIR);
}

int nfs_rename(struct nfs_call *c)
{
	CLEANUP(spot_fini) struct spot from = { 0 };
	CLEANUP(spot_fini) struct spot to = { 0 };
	struct change change = change_of(c);
	struct change_rename n = { &from.dir, &to.dir, from.name, to.name, 0 };
	bool shown = false;
	int r = take_spot(c, &from);

	if (r == 0)
		r = take_spot(c, &to);
	/* If the hub cannot be asked, what a client writes does not depend on it. */
	if (r == 0 && c->ended == 0)
		r = change_is_shown(&change, &n, &c->waiter, &shown);
	if (r == 0)
		r = change_rename(&change, &n, shown);
	if (r != 0)
		return r;
	put_changed(c, &from.dir);
	put_wcc(c, &to.dir);
	return 0;
}

int nfs_link(struct nfs_call *c)
{
	CLEANUP(place_fini) struct place p = { 0 };
	CLEANUP(spot_fini) struct spot s = { 0 };
	struct change change = change_of(c);
	int r = nfs_take_place(c, &p);

	if (r == 0)
		r = take_new_spot(c, &s);
	if (r == 0)
		r = check_free(c, &s);
	if (r == 0)
		r = nfs_may_change(c->world->view, &p);
	if (r == 0)
		r = change_link(&change, &p, &s.dir, s.name);
	if (r != 0)
		return r;
	xdr_put_u32(&c->reply.head, NFS3_OK);
	nfs_attr_put_after(c->world->view, &p, &c->reply.head);
	put_wcc(c, &s.dir);
	return 0;
}
