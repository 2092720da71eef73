/* SPDX-License-Identifier: Apache-2.0 */
/* What waits of xorbs for so long that nobody will name it. Threads: one. */
#ifndef MATRIXFS_XORBS_SWEEP_H
#define MATRIXFS_XORBS_SWEEP_H

#include "admin/registry/xorbs.h"

/* Removes those that came before that second, but for those since spared_s of whom another one of
 * that repository came later; who brought them is to forget them (xorb_rows.h). -errno: they
 * stay. */
MUST_USE int xorbs_sweep(struct xorbs *x, struct db *db, int64_t before_s, int64_t spared_s);

#endif
