/* SPDX-License-Identifier: Apache-2.0 */
/* A history becomes one commit (hf-contract §1.6). */
#ifndef MATRIXFS_REPO_SQUASH_H
#define MATRIXFS_REPO_SQUASH_H

#include "admin/hub/ask.h"

/* POST /api/{type}/{repo}/super-squash/{branch} {message}. */
int repo_squash(struct ask *a);

#endif
