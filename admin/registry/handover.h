/* SPDX-License-Identifier: Apache-2.0 */
/* What a pull request brought is held by who opened it (objects.h). When its ref is let go, what
 * others brought in pull requests of their own as well is theirs to hold: nobody pays for what is
 * there for another. Inside a transaction of db. Threads: any. */
#ifndef MATRIXFS_HANDOVER_H
#define MATRIXFS_HANDOVER_H

#include "admin/registry/discussions.h"

/* The ref of that pull request has gone: of what its author holds of the repository, each file that
 * another one's pull request has at its end, and none of the author's, is held by who opened
 * that, however little they may; by nobody (HOLDINGS_NOBODY) if they are gone. */
MUST_USE int handover_pull(struct db_txn *t, const char *uid, const struct discussion *d);

#endif
