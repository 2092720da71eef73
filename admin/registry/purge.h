/* SPDX-License-Identifier: Apache-2.0 */
/* Files of git-lfs that a repository has in any commit, also in such as nothing names any more; and
 * their deletion for good: out of all of its history, which is written anew for that, or so that
 * commits stay what they are and the files in them are gone. The bytes are the collector's, who
 * takes what no repository has. All calls run inside a transaction of db. Threads: any. */
#ifndef MATRIXFS_PURGE_H
#define MATRIXFS_PURGE_H

#include <stdint.h>

#include "admin/registry/refs.h"

struct purge_file {
	uint8_t id[GIT_ID]; /* of its pointer: files come in this order */
	uint8_t sha256[32];
	uint64_t size;
	const char *path; /* in the first commit that has it; "": no ref leads to one */
	const char *ref;  /* by which that was found, or "" */
	int64_t at_s;     /* when it was made; of what no ref leads to 0 */
};

typedef int (*purge_fn)(void *arg, const struct purge_file *f);
/* Calls fn for each until it returns non-zero, and returns that. fn may read. */
MUST_USE int purge_list(struct db_txn *t, const char *uid, purge_fn fn, void *arg);

/* What is to go, and what came of it. */
struct purge {
	const char *uid;
	const uint8_t *sha256; /* 32 bytes each */
	size_t count;
	bool rewrite;            /* history is written anew, without them */
	const char *user;        /* who does it */
	unsigned files, commits; /* so many went, so many were written anew */
};

/* What is not there is passed over. Tags and branches follow the commits they named. ERR_TAG_LOCKED
 * with a sentence if a lock holds one of the files, or a tag that would have to follow. */
MUST_USE int purge_files(struct db_txn *t, struct purge *p, struct buf *why);

#endif
