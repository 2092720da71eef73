/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a repository (hf-contract §1.6). */
#ifndef MATRIXFS_REPO_SETTINGS_H
#define MATRIXFS_REPO_SETTINGS_H

#include "admin/hub/ask.h"

/* PUT /api/{type}/{repo}/settings. */
int repo_settings(struct ask *a);

#endif
