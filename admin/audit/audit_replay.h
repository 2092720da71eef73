/* SPDX-License-Identifier: Apache-2.0 */
/* Records that are owed at a start (audit_debt.h): whose hub was killed, or the disk did not take
 * them. One whose request and act stand in the trail was recorded; all others are recorded now. */
#ifndef MATRIXFS_AUDIT_REPLAY_H
#define MATRIXFS_AUDIT_REPLAY_H

#include "admin/audit/audit.h"
#include "admin/db.h"

#define AUDIT_REPLAYED "recorded at the next start" /* in their notes */

/* Before anybody makes changes. dir: the data directory. *ret_count: how many were recorded. A
 * record that the trail does not take stays owed. 0, -ENOMEM, or what keeps rows or trail from
 * being read. audit NULL: nothing happens. */
MUST_USE int audit_replay(const char *dir, struct db *db, struct audit *audit, unsigned *ret_count);

#endif
