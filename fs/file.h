/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel has open: a file or a directory, fi->fh of its requests. All are listed, so
 * that those whose RELEASE never comes (an unmount under a reader) are closed at the end. No
 * FUSE in here. Threads: any. */
#ifndef MATRIXFS_FS_FILE_H
#define MATRIXFS_FS_FILE_H

#include "daemon/base/lock.h"
#include "daemon/node.h"
#include "fs/inode.h"
#include "fs/listing.h"

enum file_kind {
	FILE_BLOB,    /* reads a model's file */
	FILE_TEXT,    /* reads a made-up text, as of its open */
	FILE_SCRATCH, /* reads and writes what clients wrote */
	FILE_SINK,    /* swallows what is written */
	FILE_DIR,     /* lists a directory, as of its open */
};

struct file {
	struct file *prev, *next; /* guarded by the list's lock */
	enum file_kind kind;
	struct inode *inode;          /* borrowed: the kernel holds it */
	struct handle *handle;        /* FILE_BLOB, owned; NULL before it is opened */
	bool counted;                 /* FILE_BLOB: as an open of the inode */
	bool passthrough;             /* FILE_BLOB: how it was counted */
	struct buf text;              /* FILE_TEXT */
	struct scratch_node *written; /* FILE_SCRATCH, owned and opened */
	struct listing *listing;      /* FILE_DIR, owned */
};

struct files {
	struct lock lock;
	struct file *first; /* guarded by lock */
};

/* What files need to be closed. */
struct file_world {
	struct inodes *inodes;
	struct node *node;
	struct scratch *scratch;
};

/* An empty list; fini wants all to be closed. */
void files_init(struct files *all);
void files_fini(struct files *all);
/* A file that is listed as open. NULL: no memory. */
struct file *file_new(struct files *all, struct inode *i);
/* Ends and frees it, whatever part of its opening was done. Returns the backing id the caller is to
 * close, or 0. */
int file_close(struct files *all, const struct file_world *w, struct file *f);
/* Ends all that are left. */
void files_close(struct files *all, const struct file_world *w);

#endif
