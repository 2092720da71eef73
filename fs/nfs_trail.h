/* SPDX-License-Identifier: Apache-2.0 */
/* What was read over NFS, for the log: a line for each client and file, with its bytes, when it is
 * read no more, and once a minute while it is. When there are more lines than a log should take,
 * small files are told by their number and sum alone, so that no byte is in no line. What is read
 * at the moment the process is killed is in none. Threads: any. */
#ifndef MATRIXFS_NFS_TRAIL_H
#define MATRIXFS_NFS_TRAIL_H

#include "fs/nfs_clients.h"
#include "fs/nfs_handle.h"

struct nfs_trail;

/* -ENOMEM. */
MUST_USE int nfs_trail_new(struct nfs_trail **ret);
/* Tells all that is left. NULL is fine. */
void nfs_trail_free(struct nfs_trail *t);

/* A client (of which it holds a reference) was given bytes of the file of that handle. False if it
 * has no line yet: then they are to be given to nfs_trail_begin, with what stands in the line:
 * " repo=... path=...". */
MUST_USE bool nfs_trail_add(struct nfs_trail *t, const struct nfs_client *c,
			    const struct nfs_fh *fh, uint64_t bytes);
void nfs_trail_begin(struct nfs_trail *t, struct nfs_client *c, const struct nfs_fh *fh,
		     const char *what, uint64_t bytes);
/* Tells what is due; to be called every few seconds. */
void nfs_trail_tick(struct nfs_trail *t);

#endif
