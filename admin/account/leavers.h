/* SPDX-License-Identifier: Apache-2.0 */
/* Names of accounts that are gone. Repositories, comments and pull requests still bear them, so a
 * name is given again only to who had it: as an administrator says. All inside a transaction of
 * the caller. Threads: any. */
#ifndef MATRIXFS_LEAVERS_H
#define MATRIXFS_LEAVERS_H

#include <stdint.h>

#include "admin/db.h"

/* The name is somebody's no more, from now on. key: as account_key() has it. */
MUST_USE int leaver_note(struct db_txn *t, const char *key);
/* When that was, in seconds since 1970: 0 if nobody has left it; for a damaged row, 1. */
MUST_USE int leaver_find(struct db_txn *t, const char *key, int64_t *ret_s);
/* The name is somebody's again. */
MUST_USE int leaver_forget(struct db_txn *t, const char *key);

#endif
