/* SPDX-License-Identifier: Apache-2.0 */
/* The procedures of the three programs, by number: see nfs_call.h for what each of them answers.
 * Each nfs_*.c has a family of them; results and their order are those of RFC 1813 and RFC 1833. */
#ifndef MATRIXFS_NFS_PROCS_H
#define MATRIXFS_NFS_PROCS_H

#include "fs/nfs_args.h"

/* Names and attributes. */
MUST_USE int nfs_getattr(struct nfs_call *c);
MUST_USE int nfs_lookup(struct nfs_call *c);
MUST_USE int nfs_access(struct nfs_call *c);
MUST_USE int nfs_readlink(struct nfs_call *c);
MUST_USE int nfs_fsstat(struct nfs_call *c);
MUST_USE int nfs_fsinfo(struct nfs_call *c);
MUST_USE int nfs_pathconf(struct nfs_call *c);
/* Bytes. */
MUST_USE int nfs_read(struct nfs_call *c);
/* Directories. */
MUST_USE int nfs_readdir(struct nfs_call *c);
MUST_USE int nfs_readdirplus(struct nfs_call *c);
/* Writes of metadata. */
MUST_USE int nfs_setattr(struct nfs_call *c);
MUST_USE int nfs_write(struct nfs_call *c);
MUST_USE int nfs_create(struct nfs_call *c);
MUST_USE int nfs_mkdir(struct nfs_call *c);
MUST_USE int nfs_symlink(struct nfs_call *c);
MUST_USE int nfs_remove(struct nfs_call *c);
MUST_USE int nfs_rmdir(struct nfs_call *c);
MUST_USE int nfs_rename(struct nfs_call *c);
MUST_USE int nfs_link(struct nfs_call *c);
MUST_USE int nfs_commit(struct nfs_call *c);
/* 0 or -EROFS: may this be changed over NFS at all? What is its owner's may not: nobody can show
 * that he is it. */
MUST_USE int nfs_may_change(const struct view *v, const struct place *p);
/* MOUNT. */
MUST_USE int nfs_mount_mnt(struct nfs_call *c);
MUST_USE int nfs_mount_dump(struct nfs_call *c);
MUST_USE int nfs_mount_umnt(struct nfs_call *c);
MUST_USE int nfs_mount_umntall(struct nfs_call *c);
MUST_USE int nfs_mount_export(struct nfs_call *c);
/* The portmapper. */
MUST_USE int nfs_portmap_getport(struct nfs_call *c);
MUST_USE int nfs_portmap_dump(struct nfs_call *c);

#endif
