/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories that are hosted here, put into the catalogue: what the main branch's files say is
 * worked out in the transaction that moves it, so that there is never one without the other.
 * Threads: any. */
#ifndef MATRIXFS_SHELVING_H
#define MATRIXFS_SHELVING_H

#include "admin/catalogue/catalogue.h"
#include "admin/catalogue/extracts.h"
#include "admin/catalogue/facts.h"
#include "admin/registry/registry.h"

/* Inside db_write: the catalogue has of that name what the registry has: a repository with its main
 * branch as it is now, or none. What cannot be read says nothing, and is no failure; what was not
 * read ahead (commitfacts.h) is read while others wait. */
MUST_USE int shelving_put(struct db_txn *t, struct extracts *x, const struct repo_id *id);
/* The same where commits lost files and stayed what they are: all of it is counted anew. */
MUST_USE int shelving_put_anew(struct db_txn *t, struct extracts *x, const struct repo_id *id);
/* Of all repositories of which it is not so already, or whose size was not known, at the start. */
MUST_USE int shelving_check_all(struct db *db, struct intake *in);
/* What the files of any commit say. Only reads; to be freed in any case. */
MUST_USE int shelving_describe(struct db_txn *t, struct extracts *x,
			       const struct registry_repo *repo, const char *commit,
			       struct facts *ret);

#endif
