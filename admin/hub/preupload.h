/* SPDX-License-Identifier: Apache-2.0 */
/* How files are to be uploaded (hf-contract §1.5). */
#ifndef MATRIXFS_PREUPLOAD_H
#define MATRIXFS_PREUPLOAD_H

#include "admin/hub/ask.h"

/* POST /api/{type}/{repo}/preupload/{rev}: for each file whether it is one of git-lfs, whether it
 * is to be left out, and what is there by its name. */
int preupload(struct ask *a);

#endif
