/* SPDX-License-Identifier: Apache-2.0 */
/* When tokens were last used, written down by a worker, those of a while together: no request waits
 * for that, and a token in use costs a row each USES_EVERY_S. Threads: any. */
#ifndef MATRIXFS_USES_H
#define MATRIXFS_USES_H

#include "admin/account/tokens.h"

#define USES_EVERY_S 300 /* what is written is as old at most */
#define USES_WAIT_MS 10000
#define USES_MAX 10000 /* that wait to be written; more are left out until the next time */

struct uses;
struct workers;

/* Both are borrowed until uses_free, but the workers have been stopped by then. -ENOMEM. */
MUST_USE int uses_new(struct db *db, struct workers *workers, struct uses **ret);
/* Writes what is left. */
void uses_free(struct uses *u);
/* The token was used now; used_s is what its row says. */
void uses_note(struct uses *u, const uint8_t digest[static TOKEN_DIGEST], int64_t used_s);

#endif
