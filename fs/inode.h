/* SPDX-License-Identifier: Apache-2.0 */
/* The inodes the kernel knows: number to place, with its lookup count, and how each file is open.
 * The kernel refuses to read one inode through its page cache and by passthrough at the same time
 * (EIO), so the opens of both kinds are counted until their RELEASE. No FUSE in here. Threads:
 * any. */
#ifndef MATRIXFS_INODE_H
#define MATRIXFS_INODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/estate.h"
#include "fs/place.h"
#include "fs/view.h"

struct inodes;

struct inode {
	uint64_t number;    /* st_ino and FUSE node id; equal after a restart, collisions aside */
	struct place place; /* never changes */
	uint32_t record;    /* in the estate; 0: none; it does not change, either */
	/* Guarded by the table's lock. */
	struct snapshot *recent; /* of a blob: where it was looked up last; owned, NULL: at place */
	uint64_t lookups;
	uint32_t recent_node;
	unsigned cached_opens, passthrough_opens;
	int backing_id; /* while passthrough_opens > 0 */
	/* Reads of a blob that were answered at once, and after a wait. */
	atomic_ullong reads_hit, reads_waited;
};

/* How a blob is used. */
struct inode_use {
	unsigned cached_opens, passthrough_opens;
	uint64_t reads_hit, reads_waited;
};

/* A table that knows the root (taken). */
MUST_USE int inodes_new(struct place root, struct inodes **ret);
/* Forgets all, whatever the kernel thinks. */
void inodes_free(struct inodes *t);
/* From now on what the table knows is left to the next process, and what the one before left in
 * this estate is known here. Estate and view are borrowed. Once, while nothing else happens. */
MUST_USE int inodes_inherit(struct inodes *t, struct estate *e, const struct view *v);
/* Then, before anything else: one of what is open was left so; a backing id that nobody has open
 * any more, for the caller to close (0: there is none); the numbers of all blobs that were left, to
 * be freed, or -ENOMEM. */
void inodes_count_left(struct inodes *t, uint64_t number, bool passthrough);
int inodes_take_stray_id(struct inodes *t);
MUST_USE int inodes_left_blobs(struct inodes *t, uint64_t **ret, size_t *ret_count);
/* The inode of a number the kernel sent; borrowed until it forgets it, NULL if it never knew it, or
 * if there is no such place any more (since another process was here). */
struct inode *inodes_get(struct inodes *t, uint64_t number);
/* A copy of its place, while the kernel may forget it: -ESTALE if it has, -ENOMEM. */
MUST_USE int inodes_place(struct inodes *t, uint64_t number, struct place *ret);
/* A copy of where the inode was looked up last: a blob may lie in many repositories. */
MUST_USE int inodes_recent(struct inodes *t, const struct inode *i, struct place *ret);
/* The inode of a place (taken), with one more lookup. */
MUST_USE int inodes_look(struct inodes *t, struct place place, struct inode **ret);
void inodes_forget(struct inodes *t, uint64_t number, uint64_t lookups);
/* The number of a blob's inode, 0 if the kernel does not know it. */
uint64_t inodes_find_blob(struct inodes *t, const char *etag);
/* How a blob is used now: all zero if the kernel does not know it. */
void inodes_blob_use(struct inodes *t, const char *etag, struct inode_use *ret);
/* How many there are. */
size_t inodes_count(struct inodes *t);

enum open_mode {
	OPEN_CACHED,      /* through the kernel's page cache, counted */
	OPEN_PASSTHROUGH, /* by *ret_backing_id, counted */
	OPEN_REFUSED,     /* it was sealed, is not now, but is still open by its backing id */
	OPEN_NEEDS_ID, /* may be passthrough: get a backing id, then inode_opened(); not counted */
};

/* Decides how an open goes; `sealed` allows passthrough. */
enum open_mode inode_open(struct inodes *t, struct inode *i, bool sealed, int *ret_backing_id);
/* After OPEN_NEEDS_ID: offers a fresh backing id (0: none could be had). The open is counted;
 * *ret_spare is an id that is not needed (another thread was faster), or 0: the caller closes
 * it. */
enum open_mode inode_opened(struct inodes *t, struct inode *i, int fresh_id, int *ret_backing_id,
			    int *ret_spare);
/* Ends an open. Returns the backing id the caller is to close, or 0. */
int inode_release(struct inodes *t, struct inode *i, bool passthrough);

#endif
