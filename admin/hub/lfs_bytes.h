/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of LFS files, at links that bear their right (lfs_link.h). Handlers: see ask_fn. */
#ifndef MATRIXFS_LFS_BYTES_H
#define MATRIXFS_LFS_BYTES_H

#include "admin/hub/ask.h"

/* PUT: takes the bytes, which become a blob if they are those that the link names; or a part of
 * them. */
int lfs_put(struct ask *a);
/* POST: makes a blob of parts that have come. */
int lfs_join(struct ask *a);
/* GET: gives them. */
int lfs_get(struct ask *a);

#endif
