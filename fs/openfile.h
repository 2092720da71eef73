/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel has open: a file or a directory, fi->fh of its requests. All are listed, so
 * that those whose RELEASE never comes (an unmount under a reader) are closed at the end. No
 * FUSE in here. Threads: any. */
#ifndef MATRIXFS_OPENFILE_H
#define MATRIXFS_OPENFILE_H

#include "daemon/base/lock.h"
#include "daemon/node.h"
#include "fs/inode.h"
#include "fs/listing.h"

enum openfile_kind {
	OPENFILE_BLOB,    /* reads a model's file */
	OPENFILE_TEXT,    /* reads a made-up text, as of its open */
	OPENFILE_SCRATCH, /* reads and writes what clients wrote */
	OPENFILE_SINK,    /* swallows what is written */
	OPENFILE_DIR,     /* lists a directory, as of its open */
};

struct openfile {
	struct openfile *prev, *next; /* guarded by the list's lock */
	enum openfile_kind kind;
	struct inode *inode;          /* borrowed: the kernel holds it */
	pid_t pid;                    /* who opened it */
	struct handle *handle;        /* OPENFILE_BLOB, owned; NULL before it is opened */
	bool counted;                 /* OPENFILE_BLOB: as an open of the inode */
	bool passthrough;             /* OPENFILE_BLOB: how it was counted */
	struct buf text;              /* OPENFILE_TEXT */
	struct scratch_node *written; /* OPENFILE_SCRATCH, owned and opened */
	struct listing *listing;      /* OPENFILE_DIR, owned */
};

struct openfiles {
	struct lock lock;
	struct openfile *first; /* guarded by lock */
};

/* What files need to be closed. */
struct openfile_world {
	struct inodes *inodes;
	struct node *node;
	struct scratch *scratch;
};

/* An empty list; fini wants all to be closed. */
void openfiles_init(struct openfiles *all);
void openfiles_fini(struct openfiles *all);
/* A file that is listed as open. NULL: no memory. */
struct openfile *openfile_new(struct openfiles *all, struct inode *i, pid_t pid);
/* Writes who has a blob open, each process once, as far as there is room; returns how many. */
unsigned openfiles_readers(struct openfiles *all, const char *etag, pid_t *ret, unsigned max);
/* Ends and frees it, whatever part of its opening was done. Returns the backing id the caller is to
 * close, or 0. */
int openfile_close(struct openfiles *all, const struct openfile_world *w, struct openfile *f);
/* Ends all that are left. */
void openfiles_close(struct openfiles *all, const struct openfile_world *w);

#endif
