/* SPDX-License-Identifier: Apache-2.0 */
/* What procedures of NFS are given and give back, over and over: handles, names, paths. Threads:
 * the call's. */
#ifndef MATRIXFS_NFS_ARGS_H
#define MATRIXFS_NFS_ARGS_H

#include "fs/nfs_call.h"

/* Reads a handle, whatever it is. -EBADMSG. */
MUST_USE int nfs_take_handle(struct nfs_call *c, struct nfs_fh *ret);
/* The user reads are checked as: nobody, since NFS callers prove nothing. */
struct permit_who nfs_reader(void);
/* Reads a handle from the arguments, and finds its place, owned. As nfs_objects_find; -EBADMSG;
 * -ESTALE also for what the client may not see: so RFC 1813 calls a handle to which "access has
 * been revoked", and not all procedures have a word for EACCES. */
MUST_USE int nfs_take_place(struct nfs_call *c, struct place *ret);
/* Counts and logs that the client asked for something that it may not see: a name in there, or with
 * no name the place itself. */
void nfs_denied(struct nfs_call *c, const struct place *p, const char *name);
/* Appends the handle of a place that is about to be used: it is found at once then. */
MUST_USE int nfs_put_handle(struct nfs_call *c, const struct place *p);
/* Reads a name. -EBADMSG, -ENAMETOOLONG, -EINVAL (bytes that no name has). */
MUST_USE int nfs_take_name(struct nfs_call *c, char ret[static NFS_NAME_MAX + 1]);
/* The same of a path, which may be empty. */
MUST_USE int nfs_take_path(struct nfs_call *c, char ret[static NFS_PATH_MAX + 1]);

#endif
