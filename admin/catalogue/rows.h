/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue's rows: heads, texts, orders. All calls run inside a transaction. */
#ifndef MATRIXFS_ROWS_H
#define MATRIXFS_ROWS_H

#include "admin/catalogue/catalogue.h"

enum { ROWS_KEY_MAX = 2 + 8 + REPO_NAME_MAX + 1 };

/* What hangs on a repository's number; part of the format. */
enum rows_text { ROWS_TERMS = 't', ROWS_DOC = 'd' };

/* The number of a repository, in whatever letters. -ENOENT. */
MUST_USE int rows_number(struct db_txn *t, const struct repo_id *id, uint32_t *ret);
/* The same, or one more that nobody ever had; *ret_new says so. */
MUST_USE int rows_make_number(struct db_txn *t, const struct repo_id *id, uint32_t *ret,
			      bool *ret_new);
/* -ENOENT; ERR_CORRUPT. */
MUST_USE int rows_head(struct db_txn *t, uint32_t number, struct catalogue_entry *ret);
/* Puts the head and its place in each order, in the place of an old one (or NULL). */
MUST_USE int rows_put_head(struct db_txn *t, uint32_t number, const struct catalogue_entry *old,
			   const struct catalogue_entry *e);
/* Takes all of it away. */
MUST_USE int rows_remove(struct db_txn *t, uint32_t number, const struct catalogue_entry *old);
/* Appends it; -ENOENT. And puts it; empty: takes it away. Only a change is written. */
MUST_USE int rows_text(struct db_txn *t, uint32_t number, enum rows_text which, struct buf *ret);
MUST_USE int rows_put_text(struct db_txn *t, uint32_t number, enum rows_text which,
			   const char *text);

/* What an order's rows begin with. */
struct db_key rows_order(enum repo_type type, enum catalogue_number sort,
			 char room[static ROWS_KEY_MAX]);
/* The row of a name in it. By name there is no number. */
struct db_key rows_place(enum repo_type type, enum catalogue_number sort, double number,
			 const char *name, char room[static ROWS_KEY_MAX]);
/* Which repository a row of an order is of. ERR_CORRUPT. */
MUST_USE int rows_place_number(const char *val, size_t len, uint32_t *ret);
/* Calls fn for the head of each. */
MUST_USE int rows_each(struct db_txn *t, catalogue_fn fn, void *arg);

#endif
