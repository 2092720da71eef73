/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a user or an organisation out, with all that hangs on it. */
#ifndef MATRIXFS_RETIRE_H
#define MATRIXFS_RETIRE_H

#include "admin/db.h"

/* The account goes with its tokens, its memberships or members, the rules for it, what it asked to
 * be let in to, what it likes and collects, and its webhooks; repositories stay, and what was said.
 * Errors as in accounts.h. Threads: any. */
MUST_USE int retire_account(struct db *db, const char *name, struct buf *why);

#endif
