/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of the FUSE protocol. Each ops_*.c answers a family of them and adds its
 * functions to the session's table; their signatures and valid replies are those of struct
 * fuse_lowlevel_ops in fuse_lowlevel.h. Threads: any of libfuse's workers. */
#ifndef MATRIXFS_OPS_H
#define MATRIXFS_OPS_H

#include "fs/op.h"

/* Fills the whole table. */
void ops_table(struct fuse_lowlevel_ops *ret);
/* The families: names and attributes, directories, reading files, writing metadata. */
void ops_add_names(struct fuse_lowlevel_ops *table);
void ops_add_dir(struct fuse_lowlevel_ops *table);
void ops_add_file(struct fuse_lowlevel_ops *table);
void ops_add_write(struct fuse_lowlevel_ops *table);

/* Takes over what the kernel knows, and has open, from the process before, and leaves what is to
 * come to the next (estate.h; borrowed, may be NULL). Behind scratch_inherit; nothing is served
 * yet. `generation` is openfile.h's; fd the kernel's,
 * or -1. */
MUST_USE int ops_inherit(struct ops *ops, struct estate *e, uint32_t generation, int fd);
/* Opens the blob of an inode. */
MUST_USE int ops_open_handle(struct ops *ops, const struct inode *i, struct handle **ret);
/* The open file of a request may be one that the process before this one opened: opens it here,
 * too. 0, PARKED, or negative. */
MUST_USE int ops_reopen(struct op *op);

/* Ends the open file of that number, and answers. */
void ops_release(struct ops *ops, fuse_req_t req, uint64_t ino, uint64_t number);

/* Starts what ops_forget_pages needs; workers_stop(ops->forgetting) ends it, when
 * no READ is parked any more: it drops what waits. */
MUST_USE int ops_start_forgetting(struct ops *ops);
/* A wrong digest: makes the kernel forget pages of this blob, soon. Waits for nobody. Any
 * thread. */
void ops_forget_pages(struct ops *ops, const char *etag);
/* The same, once, for all blobs that ops_inherit found and that are not known to be right: the
 * process before may have had no time to say which were wrong. */
void ops_forget_left(struct ops *ops);

#endif
