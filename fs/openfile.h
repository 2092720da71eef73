/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel has open: a file or a directory, by the number that is fi->fh of its requests.
 * All are listed, so that those whose RELEASE never comes (an unmount under a reader) are closed at
 * the end, and left to the process that comes after this one. No FUSE in here. Threads: any. */
#ifndef MATRIXFS_OPENFILE_H
#define MATRIXFS_OPENFILE_H

#include <stdatomic.h>

#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/node.h"
#include "fs/estate.h"
#include "fs/inode.h"
#include "fs/listing.h"

/* Numbers stay what they are: they are left to another process. */
enum openfile_kind {
	OPENFILE_BLOB = 0,    /* reads a model's file */
	OPENFILE_TEXT = 1,    /* reads a made-up text, as of its open */
	OPENFILE_SCRATCH = 2, /* reads and writes what clients wrote */
	OPENFILE_SINK = 3,    /* swallows what is written */
	OPENFILE_DIR = 4,     /* lists a directory, as of its open */
};

struct openfile {
	struct openfile *prev, *next; /* guarded by the list's lock, as is record */
	uint64_t number;              /* never 0 */
	uint64_t left_inode;          /* the number of the inode, of one that was left */
	uint32_t record;              /* in the estate; 0: none */
	/* The process before this one opened it, and nothing below it has been opened here yet. */
	atomic_bool left;
	enum openfile_kind kind;
	_Atomic(struct inode *) inode; /* borrowed: the kernel holds it; NULL only while left */
	pid_t pid;                     /* who opened it */
	struct handle *handle;         /* OPENFILE_BLOB, owned; NULL before it is opened */
	bool counted;                  /* OPENFILE_BLOB: as an open of the inode */
	bool passthrough;              /* OPENFILE_BLOB: how it was counted */
	struct buf text;               /* OPENFILE_TEXT */
	struct scratch_node *written;  /* OPENFILE_SCRATCH, owned and opened */
	struct listing *listing;       /* OPENFILE_DIR, owned */
};

struct openfiles {
	struct lock lock;
	/* Guarded by lock. */
	struct openfile *first;
	struct map by_number;
	uint64_t last_number;
	/* Set once. */
	struct estate *estate;
};

/* What an ESTATE_OPEN holds. */
struct openfile_left {
	uint64_t number;
	uint64_t inode; /* its number */
	uint32_t pid, unused_1;
	uint8_t kind, counted, passthrough, unused_2[5];
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
/* From now on what is open is left to the next process, and what the one before left in this estate
 * (borrowed) is open here. `generation` is the process's: each of a mount has another, the first 0.
 * Once, while nothing else happens. -ENOMEM. */
MUST_USE int openfiles_inherit(struct openfiles *all, struct estate *e, uint32_t generation);
/* Calls fn for each that was left, and still is. Nobody else uses any meanwhile. */
void openfiles_each_left(struct openfiles *all, void (*fn)(void *arg, struct openfile *f),
			 void *arg);
/* The open file of a number, borrowed until it is closed; NULL: there is none. */
struct openfile *openfile_find(struct openfiles *all, uint64_t number);
/* It has been opened well: it is left to the next process, if this one does not close it. -ENOMEM.
 */
MUST_USE int openfile_keep(struct openfiles *all, struct openfile *f);
/* Makes one that was left what a new one of the same inode is; what both have is exchanged, unless
 * another thread was faster. The new one is to be closed. */
void openfile_revive(struct openfiles *all, struct openfile *f, struct openfile *fresh);
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
