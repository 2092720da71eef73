/* SPDX-License-Identifier: Apache-2.0 */
/* MOUNT: a path becomes its handle. Any directory of the tree can be mounted that the client may
 * see and that is not its owner's. */
#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "fs/nfs_args.h"
#include "fs/nfs_procs.h"
#include "fs/nfs_rights.h"
#include "fs/resolve.h"

#define MOUNT_ROOM (NFS_PATH_MAX + 2) /* of a path with a slash before it, and its end */
#define DUMP_MAX (256 << 10)          /* bytes of a list of mounts, however many there are */

static const char *const exports[] = { "/", "/hub", "/files" };

/* ---- MNT ---- */

static int put_mounted(struct nfs_call *c, const struct place *p)
{
	static const enum rpc_auth flavors[] = { RPC_AUTH_SYS, RPC_AUTH_NONE };
	struct buf *out = &c->reply.head;
	int r;

	xdr_put_u32(out, MNT3_OK);
	r = nfs_put_handle(c, p);
	xdr_put_u32(out, ARRAY_LEN(flavors));
	for (size_t i = 0; i < ARRAY_LEN(flavors); i++)
		xdr_put_u32(out, flavors[i]);
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

/* Without what leads nowhere: slashes too many, and ".". */
static void tidy(const char *said, char ret[static MOUNT_ROOM])
{
	size_t len = 0, part;

	for (; *said; said += part) {
		said += strspn(said, "/");
		part = strcspn(said, "/");
		if (part == 0 || (part == 1 && *said == '.'))
			continue;
		ret[len] = '/';
		memcpy(ret + len + 1, said, part);
		len += part + 1;
	}
	if (len == 0)
		ret[len++] = '/';
	ret[len] = '\0';
}

/* Of a path that was said, as it is noted. */
static int take_mount_path(struct nfs_call *c, char ret[static MOUNT_ROOM])
{
	char said[NFS_PATH_MAX + 1];
	int r = nfs_take_path(c, said);

	if (r == 0)
		tidy(said, ret);
	return r;
}

static void note_mounted(struct nfs_call *c, const char *path)
{
	nfs_clients_mounted(c->world->clients, c->client, path);
	log_line(LOG_LEVEL_INFO, &c->client->arrivals, "mounted by NFS client=%s path=%s",
		 c->client->address, path);
}

/* What was found so far is kept while it is parked. */
static int find(struct nfs_call *c, const char *path, struct place *ret)
{
	int r = c->walk ? 0 : walk_new(&c->client->view, path, true, &c->walk);

	return r == 0 ? walk_on(c->walk, &c->waiter, c->ended, ret) : r;
}

int nfs_mount_mnt(struct nfs_call *c)
{
	CLEANUP(place_fini) struct place p = { 0 };
	char path[MOUNT_ROOM];
	int r = take_mount_path(c, path);

	if (r < 0)
		return r;
	if (scope_is_empty(c->client->scope)) {
		const struct place root = view_root();

		nfs_denied(c, &root, path);
		return -EACCES;
	}
	r = find(c, path, &p);
	if (r == PARKED)
		return r;
	if (r == -EACCES && c->client->scope)
		nfs_denied(c, &p, path);
	if (r == 0)
		r = may_mount(&p);
	if (r == 0)
		r = put_mounted(c, &p);
	if (r == 0)
		note_mounted(c, path);
	return r;
}

/* ---- the lists ---- */

struct dump {
	struct buf *out;
	size_t max; /* bytes */
};

/* 1: there is no room for more. */
static int put_mounts(void *arg, const struct control_nfs_client *f)
{
	const struct dump *d = arg;

	for (const char *path = f->mounts; *path; path += strlen(path) + 1) {
		size_t before = d->out->len;

		xdr_put_u32(d->out, true);
		xdr_put_text(d->out, f->address);
		xdr_put_text(d->out, path);
		if (d->out->len + XDR_UNIT <= d->max)
			continue;
		d->out->len = before;
		return 1;
	}
	return 0;
}

/* Who does not see all repositories is not told what others have mounted. */
int nfs_mount_dump(struct nfs_call *c)
{
	struct dump d = { &c->reply.head, min_u64(DUMP_MAX, rpcd_room(c->conn)) };
	int r;

	if (c->client->scope)
		r = nfs_clients_tell(c->world->clients, c->client, put_mounts, &d);
	else
		r = nfs_clients_each(c->world->clients, put_mounts, &d);
	xdr_put_u32(&c->reply.head, false);
	return r < 0 ? r : 0;
}

int nfs_mount_umnt(struct nfs_call *c)
{
	char path[MOUNT_ROOM];
	int r = take_mount_path(c, path);

	if (r == 0)
		nfs_clients_unmounted(c->world->clients, c->client, path);
	return r == -EBADMSG ? r : 0;
}

int nfs_mount_umntall(struct nfs_call *c)
{
	nfs_clients_unmounted(c->world->clients, c->client, NULL);
	return 0;
}

static void put_network(void *arg, const char *network)
{
	struct buf *out = arg;

	xdr_put_u32(out, true);
	xdr_put_text(out, network);
}

/* The networks that may connect and see anything. */
int nfs_mount_export(struct nfs_call *c)
{
	struct buf *out = &c->reply.head;

	for (size_t i = 0; i < ARRAY_LEN(exports); i++) {
		xdr_put_u32(out, true);
		xdr_put_text(out, exports[i]);
		scope_each_network(c->world->rules, c->world->allow, c->world->allow_count,
				   put_network, out);
		xdr_put_u32(out, false);
	}
	xdr_put_u32(out, false);
	return 0;
}
