/* SPDX-License-Identifier: Apache-2.0 */
/* What tokens are granted by the name of a repository, when that goes or gets another name. All
 * tokens are looked at: names change seldom. Inside a transaction of db. Threads: any. */
#ifndef MATRIXFS_GRANTS_H
#define MATRIXFS_GRANTS_H

#include "admin/account/tokens.h"

/* No token is granted anything by that key of a repository any more. */
MUST_USE int grant_drop(struct db_txn *t, const char *what);
/* What tokens are granted by the key `from` they are by `to` as well; where they were something
 * there already, the larger role counts. */
MUST_USE int grant_copy(struct db_txn *t, const char *from, const char *to);

#endif
