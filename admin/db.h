/* SPDX-License-Identifier: Apache-2.0 */
/* The hub's own metadata: rows of bytes under ordered keys, in tables. The only way to it, so that
 * another store can take the place of the one below, also one that several hubs share. Hence
 * what callers may rely on: all that happens in one transaction happens at one moment; a function
 * that runs in one may run again, so it has no effect but on the transaction and on results it
 * begins anew; and what was read in one transaction may be wrong in the next. Rows are on the disk
 * when db_write returns. Threads: any. */
#ifndef MATRIXFS_DB_H
#define MATRIXFS_DB_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/buf.h"

#define DB_KEY_MAX 500 /* bytes of a key */

/* Part of the format (docs/formats.md): a number never changes its meaning. */
enum db_table {
	DB_META = 1,
	DB_ACCOUNTS = 2,
	DB_MEMBERS = 3,
	DB_TOKENS = 4,
	DB_TOKEN_NAMES = 5,
	DB_TOKEN_USES = 6,
	DB_REPOS = 7,
	DB_UPSTREAM = 8,
	DB_RULES = 9,
	DB_HOSTED = 10,
	DB_REFS = 11,
	DB_OBJECTS = 12, /* 13 was in no release */
	DB_LEAVERS = 14,
	DB_UPLOADS = 20,
	DB_FORMER = 21,
	DB_GATE = 22,
	DB_GIVEN_UP = 23,
	DB_OWED = 30,
	DB_OWNERS = 40,
	DB_HOLDINGS = 41,
	DB_USAGE = 42,
	DB_LEFT = 43,
	DB_PAYERS = 44,
	DB_CATALOGUE = 50,
	DB_ORDERS = 51,
	DB_POSTINGS = 52,
	DB_DOWNLOADS = 53,
	DB_FILE_USES = 54,
	DB_EXTRACTS = 55,
	DB_LOCK_RULES = 60,
	DB_TAG_LOCKS = 61,
	DB_PROMOTION_RULES = 62,
	DB_REFLOG = 63,
	DB_CHECKS = 64,
	DB_DISCUSSIONS = 70,
	DB_EVENTS = 71,
	DB_LIKES = 72,
	DB_LIKED = 73,
	DB_COLLECTIONS = 74,
	DB_WEBHOOKS = 75,
	DB_WEBHOOK_SECRETS = 76,
	DB_XORBS = 80,
	DB_XORB_OWNERS = 81,
	DB_XORB_BLOBS = 82,
	DB_XORB_CHUNKS = 83,
	DB_RECIPES = 86,
	DB_RECIPE_NAMES = 87,
};

struct db;
struct db_txn;

struct db_key {
	const void *data;
	size_t len; /* 1 ... DB_KEY_MAX; 0 only where "all" or "none" is meant */
};

struct db_conf {
	const char *dir; /* made if it is absent */
	/* Each function that writes runs twice, and counts once: what does not bear that is
	 * found by the tests, not by the day when two hubs meet. */
	bool rehearse;
};

typedef int (*db_fn)(struct db_txn *t, void *arg);
typedef int (*db_each_fn)(void *arg, struct db_key key, const char *val, size_t len);

/* ERR_FORMAT if a newer hub wrote it: nothing is changed then. Sentences in why. */
MUST_USE int db_open(const struct db_conf *conf, struct db **ret, struct buf *why);
void db_close(struct db *db);
/* The same db for one who writes something more: what also() writes is kept together with what the
 * function of each db_write wrote, or none of it is. To be closed before the other. -ENOMEM. */
MUST_USE int db_also(struct db *db, db_fn also, void *arg, struct db **ret);

/* Copies all rows, as they are at one moment, into an empty directory, that db_open takes. */
MUST_USE int db_copy(struct db *db, const char *dir);

/* A key that is a text. */
struct db_key db_text(const char *text);
/* A key of two texts, which is longer than those of the first alone and a NUL; in `room`, which is
 * emptied first, and must live as long. */
struct db_key db_pair(struct buf *room, const char *first, const char *second);

/* Runs fn, which only reads; what it returns is returned. */
MUST_USE int db_read(struct db *db, db_fn fn, void *arg);
/* Runs fn, perhaps several times; if it returns 0 what it wrote the last time is kept, else
 * nothing. It may block for a disk: not on a thread that others wait for. */
MUST_USE int db_write(struct db *db, db_fn fn, void *arg);

/* Inside those two. Appends the value to ret; -ENOENT; ERR_CORRUPT if the row is damaged. */
MUST_USE int db_get(struct db_txn *t, enum db_table table, struct db_key key, struct buf *ret);
/* Inside db_write. To delete what is absent is no failure. */
MUST_USE int db_put(struct db_txn *t, enum db_table table, struct db_key key, const void *val,
		    size_t len);
MUST_USE int db_del(struct db_txn *t, enum db_table table, struct db_key key);
/* Calls fn for each row whose key begins with prefix (len 0: all) and comes behind `after` (len 0:
 * none), in the order of their bytes, until it returns non-zero, and returns that. fn may read in
 * the same transaction, but not write. Damaged rows are left out. */
MUST_USE int db_each(struct db_txn *t, enum db_table table, struct db_key prefix,
		     struct db_key after, db_each_fn fn, void *arg);
/* The same of all, also of those that are damaged, which have no value (NULL, 0): for rows that
 * keep people from something, which must not be let in because one cannot be read. */
MUST_USE int db_each_all(struct db_txn *t, enum db_table table, struct db_key prefix, db_each_fn fn,
			 void *arg);
/* As db_each from the last row to the first, of those in front of `before` (len 0: all). */
MUST_USE int db_each_back(struct db_txn *t, enum db_table table, struct db_key prefix,
			  struct db_key before, db_each_fn fn, void *arg);

#endif
