/* SPDX-License-Identifier: Apache-2.0 */
/* Files of git-lfs that a repository has in any commit, and their deletion for good (hf-contract
 * §1.5). */
#ifndef MATRIXFS_REPO_LFS_H
#define MATRIXFS_REPO_LFS_H

#include "admin/hub/ask.h"

/* GET /api/{type}/{repo}/lfs-files, in pages. */
int repo_lfs_list(struct ask *a);
/* POST /api/{type}/{repo}/lfs-files/batch {deletions: {sha, rewriteHistory}}. */
int repo_lfs_delete(struct ask *a);

#endif
