/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "fs/nfs_kept.h"
#include "fs/nfs_key.h"
#include "fs/nfs_procs.h"

struct nfs {
	struct nfs_world world;
	struct rpcd *server;
};

/* ---- the procedures ---- */

static int do_nothing(struct nfs_call *c UNUSED)
{
	return 0;
}

/* No pipes and devices. */
static int refuse(struct nfs_call *c UNUSED)
{
	return -EROFS;
}

/* Failures of what changes something tell of a file or directory before and after: two words that
 * say nothing is told; LINK of a file besides, RENAME of two directories. */
static const struct nfs_proc nfs_procs[] = {
	[0] = { "null", do_nothing, 0, 0 },
	[1] = { "getattr", nfs_getattr, 0, NFS_WAITS },
	[2] = { "setattr", nfs_setattr, 2, NFS_WAITS },
	[3] = { "lookup", nfs_lookup, 1, NFS_WAITS | NFS_ENDS | NFS_NAMES },
	[4] = { "access", nfs_access, 1, NFS_WAITS },
	[5] = { "readlink", nfs_readlink, 1, NFS_WAITS },
	[6] = { "read", nfs_read, 1, NFS_WAITS },
	[7] = { "write", nfs_write, 2, NFS_WAITS | NFS_BRINGS },
	[8] = { "create", nfs_create, 2, NFS_WAITS | NFS_ENDS | NFS_NAMES },
	[9] = { "mkdir", nfs_mkdir, 2, NFS_WAITS | NFS_ENDS | NFS_NAMES },
	[10] = { "symlink", nfs_symlink, 2, NFS_WAITS | NFS_ENDS | NFS_NAMES },
	[11] = { "mknod", refuse, 2, 0 },
	[12] = { "remove", nfs_remove, 2, NFS_WAITS | NFS_ENDS | NFS_NAMES },
	[13] = { "rmdir", nfs_rmdir, 2, NFS_WAITS | NFS_ENDS | NFS_NAMES },
	[14] = { "rename", nfs_rename, 4, NFS_WAITS | NFS_ENDS | NFS_NAMES },
	[15] = { "link", nfs_link, 3, NFS_WAITS | NFS_ENDS | NFS_NAMES },
	[16] = { "readdir", nfs_readdir, 1, NFS_WAITS | NFS_ENDS },
	[17] = { "readdirplus", nfs_readdirplus, 1, NFS_WAITS | NFS_ENDS },
	[18] = { "fsstat", nfs_fsstat, 1, NFS_WAITS },
	[19] = { "fsinfo", nfs_fsinfo, 1, NFS_WAITS },
	[20] = { "pathconf", nfs_pathconf, 1, NFS_WAITS },
	[21] = { "commit", nfs_commit, 2, NFS_WAITS },
};

static const struct nfs_proc mount_procs[] = {
	[0] = { "mount-null", do_nothing, 0, 0 },
	[1] = { "mount-mnt", nfs_mount_mnt, 0, NFS_WAITS | NFS_ENDS | NFS_NAMES },
	[2] = { "mount-dump", nfs_mount_dump, 0, 0 },
	[3] = { "mount-umnt", nfs_mount_umnt, 0, 0 },
	[4] = { "mount-umntall", nfs_mount_umntall, 0, 0 },
	[5] = { "mount-export", nfs_mount_export, 0, 0 },
};

static const struct nfs_proc portmap_procs[] = {
	[0] = { "portmap-null", do_nothing, 0, 0 },
	[3] = { "portmap-getport", nfs_portmap_getport, 0, 0 },
	[4] = { "portmap-dump", nfs_portmap_dump, 0, 0 },
};

/* The portmapper is the first, so that without it they are those behind it. */
static const struct nfs_program with_portmap[] = {
	{ PORTMAP_PROGRAM, PORTMAP_VERSION, portmap_procs, ARRAY_LEN(portmap_procs) },
	{ NFS_PROGRAM, NFS_VERSION, nfs_procs, ARRAY_LEN(nfs_procs) },
	{ MOUNT_PROGRAM, MOUNT_VERSION, mount_procs, ARRAY_LEN(mount_procs) },
	{ 0, 0, NULL, 0 },
};

static void on_call(void *arg, struct rpcd_conn *c, const uint8_t *record, size_t len)
{
	struct nfs *n = arg;

	nfs_call_start(&n->world, c, record, len);
}

static int on_came(void *arg, const char *address, void **ret)
{
	struct nfs_client *c;
	struct nfs *n = arg;
	int r = nfs_clients_came(n->world.clients, address, &c);

	if (r == 0)
		*ret = c;
	return r;
}

static void on_went(void *arg, void *who)
{
	struct nfs *n = arg;

	nfs_clients_went(n->world.clients, who);
}

static void on_gone(void *arg, struct rpcd_conn *c)
{
	struct nfs *n = arg;

	nfs_calls_end(&n->world, c);
}

static void on_tick(void *arg)
{
	struct nfs *n = arg;

	nfs_objects_tick(n->world.objects);
	nfs_trail_tick(n->world.trail);
	nfs_kept_tick(n->world.kept);
}

static bool on_crowd(void *arg, const char *etag)
{
	const struct nfs *n = arg;

	return nfs_objects_let_go(n->world.objects, etag);
}

/* ---- its life ---- */

static int open_world(struct nfs *n, const struct nfs_conf *conf, struct buf *why)
{
	struct nfs_world *w = &n->world;
	CLEANUP(nfs_keys_wipe) struct nfs_keys keys = { 0 };
	int r;

	*w = (struct nfs_world){
		.programs = conf->portmap ? with_portmap : with_portmap + 1,
		.view = conf->view,
		.underway = conf->underway,
		.metrics = conf->metrics,
		.timeout_ms = conf->timeout_ms,
		.allow = conf->allow,
		.allow_count = conf->allow_count,
		.rules = conf->rules,
		.clients = conf->clients,
	};
	r = nfs_keys_find(conf->key_file, conf->cache_dir, &keys, why);
	if (r == 0 && getrandom(&w->life, sizeof(w->life), 0) != sizeof(w->life))
		r = -EIO;
	if (r == 0)
		r = nfs_cookie_key_make(keys.at[0], &w->cookies);
	if (r == 0)
		r = nfs_objects_new(conf->view, &keys, w->life, &w->objects);
	if (r == 0)
		r = nfs_kept_new(&w->kept);
	return r < 0 ? r : nfs_trail_new(&w->trail);
}

int nfs_start(const struct nfs_conf *conf, struct nfs **ret, struct buf *why)
{
	struct nfs *n = calloc(1, sizeof(*n));
	struct rpcd_conf server = {
		.listen = conf->listen,
		.allow = conf->allow,
		.allow_count = conf->allow_count,
		.metrics = conf->metrics,
		.tick_ms = 5000,
		.torn_ms = 30000,
		.stall_ms = 60000,
		.idle_ms = 15 * 60000,
		.ended_ms = 5000,
		.came = on_came,
		.went = on_went,
		.call = on_call,
		.gone = on_gone,
		.tick = on_tick,
		.arg = n,
	};
	int r = n ? open_world(n, conf, why) : -ENOMEM;

	if (r == 0)
		r = rpcd_open(&server, &n->server, why);
	if (r < 0) {
		(void)!nfs_free(n); /* it never served */
		return r;
	}
	node_ask_for_room(conf->view->node, on_crowd, n);
	*ret = n;
	return 0;
}

void nfs_stop(struct nfs *n)
{
	if (n)
		rpcd_stop(n->server);
}

bool nfs_free(struct nfs *n)
{
	if (!n)
		return true;
	if (!rpcd_close(n->server))
		return false;
	nfs_objects_free(n->world.objects);
	nfs_kept_free(n->world.kept);
	nfs_trail_free(n->world.trail);
	explicit_bzero(&n->world.cookies, sizeof(n->world.cookies));
	free(n);
	return true;
}
