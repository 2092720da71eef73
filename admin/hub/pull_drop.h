/* SPDX-License-Identifier: Apache-2.0 */
/* The ref of a pull request that is over goes, and with it, for the collector, what nothing else
 * names: else a stranger's files would stay for ever. What was said of it stays. */
#ifndef MATRIXFS_PULL_DROP_H
#define MATRIXFS_PULL_DROP_H

#include "admin/hub/ask.h"

/* DELETE .../discussions/N/ref: for who may write, and for who opened it. */
int pull_drop(struct ask *a);

#endif
