/* SPDX-License-Identifier: Apache-2.0 */
/* The batch API of git-lfs, as clients of the hub use it: which objects have to be sent, and where
 * to; the bytes come and go at links that need no token (lfs_bytes.h). Handlers: see ask_fn. */
#ifndef MATRIXFS_LFS_H
#define MATRIXFS_LFS_H

#include "admin/hub/ask.h"

/* POST .../info/lfs/objects/batch: "upload" wants the right to write. */
int lfs_batch(struct ask *a);
/* POST .../info/lfs/objects/verify: whether an object that was sent is here. */
int lfs_verify(struct ask *a);

#endif
