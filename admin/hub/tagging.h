/* SPDX-License-Identifier: Apache-2.0 */
/* Hub: tags that move by promotion, and where refs have been. The public hub has neither. */
#ifndef MATRIXFS_TAGGING_H
#define MATRIXFS_TAGGING_H

#include "admin/hub/ask.h"

/* POST /api/models/NAME/promote/FROM {"to", "rule", "require": [...], "reason"}. */
int tag_promote(struct ask *a);
/* POST /api/models/NAME/rollback/TAG {"rule", "require", "reason"}. */
int tag_rollback(struct ask *a);
/* GET /api/models/NAME/reflog: moves, the last one first; ?tag=NAME (or refs/heads/NAME), ?limit=N.
 */
int tag_log(struct ask *a);

#endif
