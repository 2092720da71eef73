/* SPDX-License-Identifier: Apache-2.0 */
/* How fast this machine is, each part by itself, and which of them is the limit. */
#ifndef MATRIXFS_CTL_BENCH_H
#define MATRIXFS_CTL_BENCH_H

#include "admin/ctl/ctl_run.h"

/* bench: a row's `run`. The disk of the cache, SHA-256, and with REPO the link, by pulling it. */
int ctl_bench(struct ctl *c);

#endif
