/* SPDX-License-Identifier: Apache-2.0 */
/* Commits that come once more: clients send a commit again whose answer they did not get, whatever
 * came after it. Where the first one is, if it is there and new enough to be meant. All calls run
 * inside a transaction of db. Threads: any. */
#ifndef MATRIXFS_REPEATED_H
#define MATRIXFS_REPEATED_H

#include "admin/registry/registry.h"

/* True if somebody of that name made it just now, with that message. */
bool repeated_alike(const struct git_commit *c, const char *name, const char *message);
/* The commit that was made of `parent`, on the way back from `head`: its id, and itself, whose
 * texts lie in `room`. -ENOENT: there is none so near and so new that it could be sent again;
 * ERR_CORRUPT if one on the way is gone. */
MUST_USE int repeated_find(struct db_txn *t, const char *uid, const char *head, const char *parent,
			   struct buf *room, struct git_commit *ret,
			   char ret_id[static COMMIT_HEX + 1]);

/* What opens a pull request. */
struct repeated_pull {
	const char *name, *message; /* as above */
	const char *onto, *base;    /* the branch it is for, and the commit it begins at */
	const uint8_t *tree;        /* of its commit */
};
/* The open pull request that this has opened just now, and its commit. -ENOENT. */
MUST_USE int repeated_find_pull(struct db_txn *t, const char *uid, const struct repeated_pull *p,
				unsigned *ret_num, char ret_id[static COMMIT_HEX + 1]);

#endif
