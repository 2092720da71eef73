/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories go (hf-contract §1.6). */
#ifndef MATRIXFS_REPO_DELETE_H
#define MATRIXFS_REPO_DELETE_H

#include "admin/hub/ask.h"

/* DELETE /api/repos/delete. */
int repo_delete(struct ask *a);

#endif
