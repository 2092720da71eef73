/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which the public hub lists what a commit holds: all directories, then all files,
 * both as git walks through its trees. Pure. */
#ifndef MATRIXFS_GITORDER_H
#define MATRIXFS_GITORDER_H

#include "daemon/model/manifest.h"

/* Appends the nodes of a manifest but its root, a uint32_t each, in that order. -ENOMEM. */
MUST_USE int gitorder(const struct manifest *m, struct buf *ret);

#endif
