/* SPDX-License-Identifier: Apache-2.0 */
/* Names of accounts that are gone. Repositories, comments and pull requests still bear them, so a
 * name is given again only to who had it: as an administrator says. All inside a transaction of
 * the caller. Threads: any. */
#ifndef MATRIXFS_LEAVERS_H
#define MATRIXFS_LEAVERS_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/db.h"

/* Seconds since 1970; both 0 if that is not known any more: the row is damaged. */
struct leaver {
	int64_t made_s, left_s;
};

/* The name is somebody's no more, from now on; whose it was since made_s. key: as account_key() has
 * it. */
MUST_USE int leaver_note(struct db_txn *t, const char *key, int64_t made_s);
/* Who left that name: -ENOENT if nobody has. */
MUST_USE int leaver_find(struct db_txn *t, const char *key, struct leaver *ret);
/* The name is somebody's again. */
MUST_USE int leaver_forget(struct db_txn *t, const char *key);

#endif
