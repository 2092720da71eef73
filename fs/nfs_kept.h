/* SPDX-License-Identifier: Apache-2.0 */
/* What was made for one request of an NFS client, and is likely to be wanted by its next: a listing
 * that goes on, a text that is read in parts. By handle and who may see it; bounded by bytes,
 * number and time: what is forgotten is made anew. What is kept is never changed. Threads: any. */
#ifndef MATRIXFS_NFS_KEPT_H
#define MATRIXFS_NFS_KEPT_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "fs/nfs_handle.h"

struct nfs_kept;

/* Embedded in what is kept. */
struct nfs_kept_item {
	TAILQ_ENTRY(nfs_kept_item) age; /* the list's, as is the next */
	int64_t used_ms;
	atomic_uint refs;
	/* Set by who makes it. */
	struct nfs_fh fh;
	uint64_t whose;   /* who may see it: only compared; 0: everybody */
	int64_t begun_us; /* when it was begun: it shows nothing that is older */
	size_t bytes;     /* of memory */
	void (*free)(struct nfs_kept_item *i);
};

/* An empty list. -ENOMEM. */
MUST_USE int nfs_kept_new(struct nfs_kept **ret);
/* All references have been given back. NULL is fine. */
void nfs_kept_free(struct nfs_kept *k);

/* Makes the caller's the first reference. */
void nfs_kept_init(struct nfs_kept_item *i);
/* One less, after which it is not touched. */
void nfs_kept_unref(struct nfs_kept_item *i);
/* What is kept for a handle, with a reference for the caller; NULL: nothing. */
struct nfs_kept_item *nfs_kept_find(struct nfs_kept *k, const struct nfs_fh *fh, uint64_t whose);
/* Keeps it in the place of an older one. Not if it is too large: then there is none. */
void nfs_kept_put(struct nfs_kept *k, struct nfs_kept_item *i);
/* Forgets what is kept for a handle. */
void nfs_kept_drop(struct nfs_kept *k, const struct nfs_fh *fh, uint64_t whose);
/* Forgets what nobody has wanted for a while. */
void nfs_kept_tick(struct nfs_kept *k);

#endif
