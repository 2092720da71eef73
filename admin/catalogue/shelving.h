/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories that are hosted here, put into the catalogue: what the main branch's files say is
 * worked out in the transaction that moves it, so that there is never one without the other.
 * Threads: any. */
#ifndef MATRIXFS_SHELVING_H
#define MATRIXFS_SHELVING_H

#include "admin/catalogue/catalogue.h"
#include "admin/catalogue/commitfacts.h"
#include "admin/registry/registry.h"

/* Inside db_write: the catalogue has of that name what the registry has: a repository with its main
 * branch as it is now, or none. What cannot be read says nothing, and is no failure; what was not
 * found out ahead (commitfacts.h) is worked out while others wait. */
MUST_USE int shelving_put(struct db_txn *t, struct commitfacts *x, const struct repo_id *id);
/* The same where commits lost files and stayed what they are: all of it is counted anew. */
MUST_USE int shelving_put_anew(struct db_txn *t, struct commitfacts *x, const struct repo_id *id);
/* Of all repositories of which it is not so already, or whose size was not known, at the start. */
MUST_USE int shelving_check_all(struct db *db, struct intake *in);
/* Appends what the files of any commit say, as catalogue_doc has it: an object. Nothing is changed,
 * and no file read inside a transaction. One that is not there, or cannot be read, has no files,
 * and no size is told. *ret_whole is false if a file could not be read now, which says nothing. */
MUST_USE int shelving_describe(struct db *db, struct intake *in, const struct registry_repo *repo,
			       const char *commit, struct buf *ret, bool *ret_whole);

#endif
