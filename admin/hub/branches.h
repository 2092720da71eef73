/* SPDX-License-Identifier: Apache-2.0 */
/* Branches and tags of repositories that are hosted here (hf-contract §1.6). */
#ifndef MATRIXFS_BRANCHES_H
#define MATRIXFS_BRANCHES_H

#include "admin/hub/ask.h"

/* POST and DELETE /api/{type}/{repo}/branch/{name}. */
int branch_add(struct ask *a);
int branch_remove(struct ask *a);
/* POST /api/{type}/{repo}/tag/{rev}, whose name is in the body; DELETE .../tag/{name}. */
int tag_add(struct ask *a);
int tag_remove(struct ask *a);

#endif
