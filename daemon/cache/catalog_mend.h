/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the index before it is used, for LMDB trusts its pages: one flipped bit in them may end
 * the process, or give back another row. An index that was closed in good order is told by the
 * digest it left behind. Any other, and one of an older version, is copied row by row, in a
 * child that may die of it; what is not sound stays behind, and so does the free list, which no
 * row vouches for. One process, one thread. */
#ifndef MATRIXFS_CATALOG_MEND_H
#define MATRIXFS_CATALOG_MEND_H

#include "daemon/base/buf.h"
#include "daemon/base/kv.h"

#define CATALOG_VERSION_TABLE 0 /* of conf->tables: FORMAT_TABLE */

/* Makes the index in conf->dir one of this version that can be trusted; nothing if there is none.
 * ERR_FORMAT with a sentence in why if a newer version wrote it. What was damaged is kept beside
 * it as damaged.mdb, and the log says so. */
MUST_USE int catalog_mend(const struct kv_conf *conf, uint32_t version, struct buf *why);
/* The index was closed in good order: vouches for what is there. */
void catalog_vouch(const char *dir);

#endif
