/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories are made (hf-contract §1.6). */
#ifndef MATRIXFS_REPO_CREATE_H
#define MATRIXFS_REPO_CREATE_H

#include "admin/hub/ask.h"

/* POST /api/repos/create. */
int repo_create(struct ask *a);

#endif
