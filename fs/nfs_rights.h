/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of NFS may do with what they see: they prove nothing, so they read as nobody, and
 * change nothing that is its owner's. Threads: any. */
#ifndef MATRIXFS_NFS_RIGHTS_H
#define MATRIXFS_NFS_RIGHTS_H

#include "fs/nfs_call.h"

/* 0 or -EACCES: may that (R_OK, X_OK) be done to the place by nobody? */
MUST_USE int nfs_permit(const struct place *p, int mask);
/* 0 or -EROFS: may this be changed over NFS at all? What is its owner's may not: nobody can show
 * that he is it. */
MUST_USE int nfs_may_change(const struct view *v, const struct place *p);
/* Counts and logs that the client asked for something that it may not see: a name in there, or with
 * no name the place itself. */
void nfs_denied(struct nfs_call *c, const struct place *p, const char *name);

#endif
