/* SPDX-License-Identifier: Apache-2.0 */
/* Who has brought which blob: the bytes came in for that repository, and no commit of it may name
 * them yet. Equal bytes lie on the disk once, but knowing the id of a file is not having it: a
 * repository gets nothing that was not brought for it, or is in it already. All calls run
 * inside a transaction of db. Threads: any. */
#ifndef MATRIXFS_UPLOADS_H
#define MATRIXFS_UPLOADS_H

#include <stdint.h>

#include "admin/db.h"

/* One that is noted. */
struct upload_row {
	const char *repo, *etag;
	const char *namespace; /* that holds the bytes (holdings.h) */
	uint64_t size;
	int64_t came_s;
};

/* Notes that the bytes of `etag` came for the repository with that key, at that second; its
 * namespace holds them from then on, or `payer` if that is not "", unless they had come before:
 * ERR_QUOTA. */
MUST_USE int uploads_note(struct db_txn *t, const char *repo, const char *payer, const char *etag,
			  uint64_t size, int64_t now_s);
/* The size of a blob that came for it. -ENOENT. */
MUST_USE int uploads_find(struct db_txn *t, const char *repo, const char *etag, uint64_t *ret_size);
/* A commit names it: nothing is to be noted any more. */
MUST_USE int uploads_forget(struct db_txn *t, const char *repo, const char *etag);
/* It is another repository's key from now on that they came for. */
MUST_USE int uploads_move(struct db_txn *t, const char *from, const char *to, int64_t now_s);
/* The repository went: nothing of it is noted any more. */
MUST_USE int uploads_forget_all(struct db_txn *t, const char *repo);

/* What came for others, and is held by that namespace, in small letters, is held by nobody whom
 * there is (HOLDINGS_NOBODY). */
MUST_USE int uploads_leave(struct db_txn *t, const char *payer);

typedef int (*uploads_fn)(void *arg, const struct upload_row *u);
/* Calls fn for each by its repository, behind that of `after_repo` (NULL: from the first), until it
 * returns non-zero, and returns that. fn may read. */
MUST_USE int uploads_each(struct db_txn *t, const char *after_repo, uploads_fn fn, void *arg);
/* 1 if something of the repository is noted, and nothing has come for it since that second, which
 * *ret_count and *ret_bytes tell of: nobody is at it any more. Else 0. */
MUST_USE int uploads_abandoned(struct db_txn *t, const char *repo, int64_t before_s,
			       uint64_t *ret_count, uint64_t *ret_bytes);

#endif
