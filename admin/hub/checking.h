/* SPDX-License-Identifier: Apache-2.0 */
/* Hub: checks of commits. The public hub has none. */
#ifndef MATRIXFS_CHECKING_H
#define MATRIXFS_CHECKING_H

#include "admin/hub/ask.h"

/* PUT /api/models/NAME/checks/REV {"name", "result": "passed" or "failed", "url"}. */
int check_set(struct ask *a);
/* GET /api/models/NAME/checks/REV. */
int check_list(struct ask *a);

#endif
