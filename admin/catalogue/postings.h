/* SPDX-License-Identifier: Apache-2.0 */
/* Which numbers stand under which term, in rows of db. A term is up to POSTINGS_TERM_MAX bytes
 * without a NUL. All calls run inside a transaction. Threads: any. */
#ifndef MATRIXFS_POSTINGS_H
#define MATRIXFS_POSTINGS_H

#include "admin/catalogue/numberset.h"
#include "admin/db.h"

#define POSTINGS_TERM_MAX 256

/* To add what is there and to take away what is not is no failure. -EINVAL: no such term can be. */
MUST_USE int postings_add(struct db_txn *t, struct db_key term, uint32_t number);
MUST_USE int postings_del(struct db_txn *t, struct db_key term, uint32_t number);
/* Adds all that stand under a term to a set. *reads (or NULL) grows by the rows that took. */
MUST_USE int postings_read(struct db_txn *t, struct db_key term, struct numberset *ret,
			   uint64_t *reads);
typedef int (*postings_fn)(void *arg, struct db_key term);
/* Calls fn for each term that begins so and has a number, in their order, until it returns
 * non-zero, and returns that. fn may read. */
MUST_USE int postings_terms(struct db_txn *t, struct db_key prefix, postings_fn fn, void *arg);

#endif
