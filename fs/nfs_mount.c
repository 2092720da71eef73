/* SPDX-License-Identifier: Apache-2.0 */
/* MOUNT: a path becomes its handle. Any directory of the tree can be mounted that is not its
 * owner's. */
#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "fs/nfs_procs.h"
#include "fs/resolve.h"

#define MOUNTS_MAX 1024
#define AUTH_NONE 0
#define AUTH_SYS 1

static const char *const exports[] = { "/", "/hub", "/files" };

struct mounted {
	struct mounted *next;
	char address[NETWORK_ADDRESS_MAX];
	char path[];
};

struct nfs_mounts {
	struct lock lock;
	/* Guarded by lock. */
	struct mounted *first;
	unsigned count;
};

int nfs_mounts_new(struct nfs_mounts **ret)
{
	struct nfs_mounts *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	lock_init(&m->lock, LOCK_NFS_MOUNTS);
	*ret = m;
	return 0;
}

void nfs_mounts_free(struct nfs_mounts *m)
{
	if (!m)
		return;
	while (m->first) {
		struct mounted *next = m->first->next;

		free(m->first);
		m->first = next;
	}
	lock_fini(&m->lock);
	free(m);
}

static bool is_of(const struct mounted *e, const char *address, const char *path)
{
	return strcmp(e->address, address) == 0 && (!path || strcmp(e->path, path) == 0);
}

/* Forgets what a client has mounted there; with no path, all. */
static void forget(struct nfs_mounts *m, const char *address, const char *path)
{
	struct mounted **at = &m->first, *gone = NULL;

	lock_take(&m->lock);
	while (*at) {
		struct mounted *e = *at;

		if (!is_of(e, address, path)) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		e->next = gone;
		gone = e;
		m->count--;
	}
	lock_drop(&m->lock);
	while (gone) {
		struct mounted *next = gone->next;

		free(gone);
		gone = next;
	}
}

/* When it is full, or memory is short, it is not listed: nothing hangs on it. */
static void remember(struct nfs_mounts *m, const char *address, const char *path)
{
	size_t len = strlen(path) + 1;
	struct mounted *e = calloc(1, sizeof(*e) + len);

	if (!e)
		return;
	memcpy(e->path, path, len);
	memcpy(e->address, address, strnlen(address, sizeof(e->address) - 1));
	forget(m, address, path);
	lock_take(&m->lock);
	if (m->count < MOUNTS_MAX) {
		m->count++;
		e->next = m->first;
		m->first = e;
		e = NULL;
	}
	lock_drop(&m->lock);
	free(e);
}

/* ---- MNT ---- */

static int put_mounted(struct nfs_call *c, const struct place *p)
{
	struct buf *out = &c->reply.head;
	int r;

	xdr_put_u32(out, 0);
	r = nfs_put_handle(c, p);
	xdr_put_u32(out, 2);
	xdr_put_u32(out, AUTH_SYS);
	xdr_put_u32(out, AUTH_NONE);
	return r;
}

/* Resolving asks nobody's leave: what is its owner's lies behind directories that may be closed,
 * and is reached by LOOKUP alone. */
static int may_mount(const struct place *p)
{
	if (p->kind == PLACE_SCRATCH && !p->shared)
		return -EACCES;
	return place_format(p) == S_IFDIR ? 0 : -ENOTDIR;
}

static void on_resolved(void *arg, int r, struct place *p)
{
	char path[NFS_PATH_MAX + 1];
	struct nfs_call *c = arg;

	c->in = c->rpc.args;
	if (r == 0)
		r = may_mount(p);
	if (r == 0)
		r = put_mounted(c, p);
	if (r == 0 && nfs_take_path(c, path) == 0)
		remember(c->world->mounts, rpcd_address(c->conn), path);
	place_fini(p);
	nfs_call_finish(c, r);
}

int nfs_mount_mnt(struct nfs_call *c)
{
	char path[NFS_PATH_MAX + 1];
	int r = nfs_take_path(c, path);

	if (r < 0)
		return r;
	resolve(c->world->view, path, c->world->timeout_ms, on_resolved, c);
	return PARKED;
}

/* ---- the lists ---- */

int nfs_mount_dump(struct nfs_call *c)
{
	struct nfs_mounts *m = c->world->mounts;
	struct buf *out = &c->reply.head;

	lock_take(&m->lock);
	for (const struct mounted *e = m->first; e; e = e->next) {
		xdr_put_u32(out, true);
		xdr_put_text(out, e->address);
		xdr_put_text(out, e->path);
	}
	lock_drop(&m->lock);
	xdr_put_u32(out, false);
	return 0;
}

int nfs_mount_umnt(struct nfs_call *c)
{
	char path[NFS_PATH_MAX + 1];
	int r = nfs_take_path(c, path);

	if (r == 0)
		forget(c->world->mounts, rpcd_address(c->conn), path);
	return r == -EBADMSG ? r : 0;
}

int nfs_mount_umntall(struct nfs_call *c)
{
	forget(c->world->mounts, rpcd_address(c->conn), NULL);
	return 0;
}

int nfs_mount_export(struct nfs_call *c)
{
	struct buf *out = &c->reply.head;

	for (size_t i = 0; i < ARRAY_LEN(exports); i++) {
		xdr_put_u32(out, true);
		xdr_put_text(out, exports[i]);
		for (size_t n = 0; n < c->world->allow_count; n++) {
			xdr_put_u32(out, true);
			xdr_put_text(out, c->world->allow[n]);
		}
		xdr_put_u32(out, false);
	}
	xdr_put_u32(out, false);
	return 0;
}
