/* SPDX-License-Identifier: Apache-2.0 */
/* The tree as an NFS version 3 export, served by this process: the same view over the same node as
 * the mount's. One TCP port answers for NFS, MOUNT, and the portmapper if asked. Mount lines,
 * limits, and why it is made as it is: docs/nfs.md. Threads: any. */
#ifndef MATRIXFS_NFS_H
#define MATRIXFS_NFS_H

#include "daemon/base/buf.h"
#include "fs/nfs_clients.h"
#include "fs/underway.h"
#include "fs/view.h"

struct nfs;

struct nfs_conf {
	const char *listen; /* ADDRESS:PORT */
	char *const *allow; /* networks that may connect; borrowed until nfs_free ... */
	size_t allow_count;
	const struct scope_rules *rules; /* what of the tree is for which; borrowed likewise ... */
	struct nfs_clients *clients;     /* ... like what follows but for the directory */
	bool portmap;
	const char *key_file;  /* of handles; NULL: ... */
	const char *cache_dir; /* ... it is kept there */
	const struct view *view;
	struct underway *underway;
	struct metrics *metrics;
	int64_t timeout_ms; /* the longest a request may wait */
};

/* Listens and serves. Sentences in why. */
MUST_USE int nfs_start(const struct nfs_conf *conf, struct nfs **ret, struct buf *why);
/* Takes no more requests; those that wait are answered still. Before node_stop. NULL is fine. */
void nfs_stop(struct nfs *n);
/* Closes connections and files; when node_stop was true. False: somebody is still at it, and what
 * it borrows has to stay. NULL is fine. */
MUST_USE bool nfs_free(struct nfs *n);

#endif
