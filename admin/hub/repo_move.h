/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories get another name (hf-contract §1.6): also one in another namespace. The name they
 * had leads to them until it is given to another one. */
#ifndef MATRIXFS_REPO_MOVE_H
#define MATRIXFS_REPO_MOVE_H

#include "admin/hub/ask.h"

/* POST /api/repos/move. */
int repo_move(struct ask *a);

#endif
