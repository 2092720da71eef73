/* SPDX-License-Identifier: Apache-2.0 */
/* Which repositories somebody has here, and how large they are ("hf repos ls"). */
#ifndef MATRIXFS_POSSESSIONS_H
#define MATRIXFS_POSSESSIONS_H

#include "admin/hub/ask.h"

/* GET /api/settings/repositories: those of who asks, of which this token shows what it may see, in
 * pages. */
int possessions_own(struct ask *a);
/* GET /api/organizations/NAME/settings/repositories: likewise those of an organization, for its
 * members. */
int possessions_of(struct ask *a, const char *organization);

#endif
