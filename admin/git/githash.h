/* SPDX-License-Identifier: Apache-2.0 */
/* The ids that git gives the directories of a manifest. It does not tell which files can be
 * executed: all are taken as plain ones. Pure. */
#ifndef MATRIXFS_GITHASH_H
#define MATRIXFS_GITHASH_H

#include "daemon/model/manifest.h"

/* Appends the ids of all directories' trees, in a form for githash_find. -ENOMEM, -EIO. */
MUST_USE int githash_trees(const struct manifest *m, struct buf *ret);
/* The id of a directory, by its node, in what githash_trees made; NULL if it is none. */
const uint8_t *githash_find(const void *trees, size_t len, uint32_t node);

#endif
