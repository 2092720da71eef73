/* SPDX-License-Identifier: Apache-2.0 */
/* Up to where the trail reached, as the hub's metadata tell it: who takes records from its end, and
 * changes its head, would have to change these as well. Threads: any. */
#ifndef MATRIXFS_AUDIT_WITNESS_H
#define MATRIXFS_AUDIT_WITNESS_H

#include "admin/audit/audit_record.h"
#include "admin/db.h"

/* What was witnessed last. -ENOENT: nothing; ERR_CORRUPT: it makes no sense. */
MUST_USE int audit_witness_get(struct db *db, struct audit_mark *ret);
/* Witnesses that the trail reaches that far; what reached further stays. Waits for the disk. */
MUST_USE int audit_witness_put(struct db *db, const struct audit_mark *mark);

#endif
