/* SPDX-License-Identifier: Apache-2.0 */
/* What two revisions of a repository that is hosted here do not have alike. */
#ifndef MATRIXFS_COMPARE_H
#define MATRIXFS_COMPARE_H

#include "admin/hub/ask.h"

/* GET /api/{type}/{repo}/compare/{from}..{to}?raw=true: a line for each file that is another one,
 * as "git diff --raw" has it, behind whether it is text ("T") and how large it is. */
int compare_raw(struct ask *a);

#endif
