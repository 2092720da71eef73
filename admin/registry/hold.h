/* SPDX-License-Identifier: Apache-2.0 */
/* Until when no blob is collected: while somebody copies them, beside rows that were copied before.
 * All calls run inside a transaction of db. Threads: any. */
#ifndef MATRIXFS_HOLD_H
#define MATRIXFS_HOLD_H

#include <stdint.h>

#include "admin/db.h"

/* 0: from now on they are. */
MUST_USE int hold_set(struct db_txn *t, int64_t until_s);
/* 0 if they are, or the second from which on they are. */
MUST_USE int hold_get(struct db_txn *t, int64_t now_s, int64_t *ret_until_s);

#endif
