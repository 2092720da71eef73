/* SPDX-License-Identifier: Apache-2.0 */
/* A repository is made of another one that is hosted here (hf-contract §1.6). */
#ifndef MATRIXFS_REPO_DUPLICATE_H
#define MATRIXFS_REPO_DUPLICATE_H

#include "admin/hub/ask.h"

/* POST /api/{type}/{repo}/duplicate {repository, private | visibility}. */
int repo_duplicate(struct ask *a);

#endif
