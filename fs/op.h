/* SPDX-License-Identifier: Apache-2.0 */
/* One request of the kernel on its way: what was asked, and how it is answered. Its `run`
 * function is called with the request's facts, and either fills in the answer, fails, or leaves
 * its waiter parked; then it is run again, from the start, when woken. Nothing else replies to
 * the kernel.
 *
 * Answering and interrupts: the interrupt handler is taken back before a reply, which waits for
 * one that is running; a handler that finds the waiter parked takes it and replies itself. */
#ifndef MATRIXFS_OP_H
#define MATRIXFS_OP_H

#define FUSE_USE_VERSION 317
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "fs/openfile.h"
#include "fs/inode.h"
#include "fs/permit.h"
#include "fs/underway.h"
#include "fs/view.h"

/* What all requests share. */
struct ops {
	struct view view;
	struct inodes *inodes;
	struct openfiles files;
	struct fuse_session *session;
	struct workers *forgetting; /* what was wrong leaves the page cache */
	uint64_t *left_blobs;    /* numbers of the process before, owned; till they are looked at */
	size_t left_blob_count;  /* as long */
	atomic_bool passthrough; /* offered by the kernel, allowed by options */
	_Atomic(const char *) passthrough_why_not; /* NULL: it is used; static */
	atomic_uint fuse_major, fuse_minor;        /* the kernel's protocol; 0: not told yet */
	struct underway underway;
	struct metrics *metrics; /* borrowed from the node */
	int64_t timeout_ms;      /* the longest a request may wait */
};

enum answer_kind {
	ANSWER_OK,
	ANSWER_ENTRY,  /* entry: an inode with one more lookup, or a negative one */
	ANSWER_ATTR,   /* attr */
	ANSWER_TEXT,   /* text as data */
	ANSWER_LINK,   /* text as a link's target */
	ANSWER_XATTR,  /* text, or its length if size is 0 */
	ANSWER_BYTES,  /* bytes borrowed from the op's file */
	ANSWER_COUNT,  /* count: written */
	ANSWER_OPEN,   /* fi, with file */
	ANSWER_CREATE, /* entry and fi, with file */
	ANSWER_STATFS, /* statfs */
};

struct op {
	fuse_req_t req;
	struct ops *ops;
	/* 0, PARKED or negative. Once it has parked the op may be gone: it is not touched any
	 * more. */
	int (*run)(struct op *op);
	/* What the answer is when its wait ended with error r: 0 or negative. NULL: that error. */
	int (*ended)(struct op *op, int r);
	bool interruptible;
	bool reads;       /* waits for bytes, not for names */
	bool waited;      /* it was parked */
	const char *what; /* "read"; static */
	off_t what_off;   /* of a read; as it was asked */
	struct underway_item underway;
	struct waiter waiter;
	/* The request. Strings and data are owned. */
	struct inode *inode;
	struct inode *inode2;
	struct openfile *file; /* borrowed until its RELEASE; or that the answer opens */
	char *name, *name2;
	char *data;
	size_t size;
	off_t off;
	int flags;
	mode_t mode;
	struct stat set;
	struct fuse_file_info fi;
	/* The answer. */
	enum answer_kind answer;
	struct fuse_entry_param entry;
	struct stat attr;
	double ttl;
	struct buf text;
	const void *bytes;
	uint64_t count;
	struct statvfs statfs;
};

/* Makes an op for a request on inode `ino`. NULL after having replied with an error (no such
 * inode: ESTALE; no memory). name may be NULL. */
struct op *op_new(fuse_req_t req, fuse_ino_t ino, const char *name, int (*run)(struct op *));
/* Gives it a second inode and name (rename, link). False after having replied. */
bool op_second(struct op *op, fuse_ino_t ino, const char *name);
/* Runs it: to its answer, or until it parks. */
void op_start(struct op *op);
/* The same for one that may wait: it can be interrupted, and is watched. `what` names it in the
 * log: "open". */
void op_start_waiting(struct op *op, const char *what, bool reads);

/* Who asks. */
struct permit_who op_who(const struct op *op);
/* Seconds for a time to live of view.h. */
double op_seconds(int64_t ttl_ms);
/* Makes the answer an entry for a place (taken), counting a lookup. */
MUST_USE int op_entry(struct op *op, struct place place, int64_t ttl_ms);
/* Attributes of an inode with its number. */
MUST_USE int op_stat(struct op *op, struct inode *i, struct stat *st, int64_t *ret_ttl_ms);
/* Sets fi and the open file that it means. False after having replied: there is none. */
bool op_set_file(struct op *op, const struct fuse_file_info *fi);
/* Makes a file the one this op opens. -ENOMEM. */
MUST_USE int op_new_file(struct op *op);
/* Ends an open file. req is one not yet replied to; with NULL a backing id stays with the
 * kernel until the unmount. */
void op_close_file(struct ops *ops, fuse_req_t req, struct openfile *f);
/* Ends all that are open, when no request can come any more. */
void op_close_files(struct ops *ops);

#endif
