/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a user or an organisation out, with all that hangs on it. */
#ifndef MATRIXFS_RETIRE_H
#define MATRIXFS_RETIRE_H

#include "admin/db.h"

/* The account goes with its tokens, its memberships or members, the rules for it, what it asked to
 * be let in to, what it likes and collects, its webhooks, and the limit of its storage;
 * repositories stay, with what they hold, and what was said, and the name is kept from others
 * (leavers.h). What it brought in pull requests to others stays, and counts for nobody
 * (HOLDINGS_NOBODY). Errors as in accounts.h. Threads: any. */
MUST_USE int retire_account(struct db *db, const char *name, struct buf *why);

#endif
