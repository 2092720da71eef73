/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of git objects as a whole: whose files' bytes they keep, and all of them, for who looks
 * after them. One object is the registry's. A file's bytes are held by the namespace of its
 * repository; those that somebody brought who may not write there, in a pull request, by theirs,
 * until who may write names them in a commit. All calls run inside a transaction of db. Threads:
 * any. */
#ifndef MATRIXFS_OBJECTS_H
#define MATRIXFS_OBJECTS_H

#include <stdint.h>

#include "admin/account/accounts.h"
#include "admin/db.h"
#include "admin/git/gitobject.h"

/* What an object is; part of the format (docs/formats.md). */
enum registry_kind {
	REGISTRY_COMMIT = 'c',
	REGISTRY_TREE = 't',
	REGISTRY_POINTER = 'p', /* of git-lfs, in the place of a file */
	REGISTRY_FILE = 'b',    /* its size in digits */
	REGISTRY_GONE = 'd',    /* a pointer whose file was deleted for good: no commit shows it */
};

/* A file is going to be put, which may be there: the namespace `payer` is to hold its bytes if
 * nobody does, or, with NULL, that of the repository whoever does. ERR_QUOTA. */
MUST_USE int objects_charge(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
			    const char *payer);
/* The row under that key (of DB_OBJECTS) is going to be put: if it is a file's, its bytes are held
 * from now on. ERR_QUOTA. */
MUST_USE int objects_come(struct db_txn *t, struct db_key key, const struct buf *row);
/* Removes one; the namespace lets its bytes go. To remove what is absent is no failure. */
MUST_USE int objects_remove(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID]);
/* All of a repository belong to the one of that key from now on: its namespace holds their bytes,
 * and another that did lets them go. ERR_QUOTA. */
MUST_USE int objects_own(struct db_txn *t, const char *uid, const char *repo);
/* They belong to nobody: their rows are going to be removed. */
MUST_USE int objects_disown(struct db_txn *t, const char *uid);

/* What that namespace, in small letters, holds of the repositories of others stays, and is held by
 * nobody whom there is (HOLDINGS_NOBODY) until who may write there names it. */
MUST_USE int objects_leave(struct db_txn *t, const char *payer);
typedef int (*objects_id_fn)(void *arg, const uint8_t id[static GIT_ID]);
/* Calls fn for each file of the repository that it holds, by id, until it returns non-zero, and
 * returns that. fn may read. */
MUST_USE int objects_each_paid(struct db_txn *t, const char *uid, const char *payer,
			       objects_id_fn fn, void *arg);
/* What another one holds of the repository is held by that namespace, whatever its limit. */
MUST_USE int objects_hand_over(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
			       const char *payer);

typedef int (*objects_fn)(void *arg, const uint8_t id[static GIT_ID], char kind);
/* Calls fn for each of a repository, by id, until it returns non-zero, and returns that. */
MUST_USE int objects_each(struct db_txn *t, const char *uid, objects_fn fn, void *arg);
/* A file's bytes: by its etag. payer: the namespace that holds them, or "": the repository's. */
typedef int (*objects_file_fn)(void *arg, const char *uid, const char *payer, const char *etag,
			       uint64_t size);
/* Goes through so many rows of all repositories behind *place, which moves (empty: from the first),
 * and calls fn for the files among them until it returns non-zero, and returns that. 1: there may
 * be more; 0: there are none. fn may read. */
MUST_USE int objects_scan(struct db_txn *t, struct buf *place, unsigned rows, objects_file_fn fn,
			  void *arg);
/* By what id the objects of any repository have a file of these bytes. -EINVAL. */
MUST_USE int objects_file_id(const char *etag, uint64_t size, uint8_t ret[static GIT_ID]);
/* 1 if a commit of the repository has had a file of that id, or of these bytes, else 0. ret_payer:
 * its payer, likewise. */
MUST_USE int objects_has_id(struct db_txn *t, const char *uid, const uint8_t id[static GIT_ID],
			    char ret_payer[static ACCOUNT_NAME_MAX + 1]);
MUST_USE int objects_has_file(struct db_txn *t, const char *uid, const char *etag, uint64_t size);

#endif
