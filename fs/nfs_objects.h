/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of NFS lately used: handles and their places, so that a request need not look for
 * what the one before it found; and the files they read, which stay open for a while, since NFS
 * knows no opens: so one who reads on is seen to, if nobody needs the room. Bounded: what is
 * forgotten is found anew. Threads: any. */
#ifndef MATRIXFS_NFS_OBJECTS_H
#define MATRIXFS_NFS_OBJECTS_H

#include "fs/nfs_key.h"
#include "fs/view.h"

struct nfs_objects;

/* The view is borrowed; `life` as in nfs_forms.h. -ENOMEM. */
MUST_USE int nfs_objects_new(const struct view *v, const struct nfs_keys *keys, uint64_t life,
			     struct nfs_objects **ret);
/* Closes and forgets all. NULL is fine. */
void nfs_objects_free(struct nfs_objects *t);

/* The handle of a place. */
MUST_USE int nfs_objects_handle(struct nfs_objects *t, const struct place *p, struct nfs_fh *ret);
/* The place is going to be used by that handle: it is found at once then. For want of memory
 * nothing is noted. */
void nfs_objects_note(struct nfs_objects *t, const struct nfs_fh *fh, const struct place *p);
/* The place of a handle, owned. Waiter as in node.h. NFS_BADHANDLE: it is no handle of ours;
 * -ESTALE: what it names is gone. */
MUST_USE int nfs_objects_find(struct nfs_objects *t, const struct nfs_fh *fh, struct waiter *w,
			      struct place *ret);
/* Appends what is known of a handle's place, if it was used lately, for the log. */
void nfs_objects_tell(struct nfs_objects *t, const struct nfs_fh *fh, struct buf *ret);
/* The etag of a handle's place, if that is a blob that was used lately. */
bool nfs_objects_etag(struct nfs_objects *t, const struct nfs_fh *fh,
		      char ret[static DIGEST_HEX_MAX + 1]);
/* The file of a handle if it is open, with a reference for the caller: node_close_file() gives it
 * back. NULL: it is not. */
struct handle *nfs_objects_opened(struct nfs_objects *t, const struct nfs_fh *fh);
/* The same for a blob, opened if it is not. */
MUST_USE int nfs_objects_open(struct nfs_objects *t, const struct nfs_fh *fh, const struct place *p,
			      struct handle **ret);
/* Closes the files that nobody has read for a while. */
void nfs_objects_tick(struct nfs_objects *t);
/* Room is wanted: closes the files of that blob, unless somebody has just read them. True if there
 * were any. */
bool nfs_objects_let_go(struct nfs_objects *t, const char *etag);

#endif
