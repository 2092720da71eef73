/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of NFS file handles: from a file that several nodes have, or the cache's own. The first
 * signs, all count. Threads: any. */
#ifndef MATRIXFS_NFS_KEY_H
#define MATRIXFS_NFS_KEY_H

#include "daemon/base/buf.h"
#include "fs/nfs_handle.h"

#define NFS_KEYS_MAX 2

struct nfs_keys {
	uint8_t at[NFS_KEYS_MAX][NFS_KEY];
	unsigned count; /* at least 1 */
};

/* Those of a file as key_file.h reads them, which may be the cluster's own: what signs handles is
 * derived from its keys, and neither tells the other. With no file, that of the cache in this
 * directory, which is made if there is none. Sentences in why. */
MUST_USE int nfs_keys_find(const char *file, const char *cache_dir, struct nfs_keys *ret,
			   struct buf *why);
/* Overwrites them. */
void nfs_keys_wipe(struct nfs_keys *keys);

#endif
