/* SPDX-License-Identifier: Apache-2.0 */
/* A matrixfs, or a hub, on one screen: once, or again and again. Each is a row's `run`. */
#ifndef MATRIXFS_CTL_SCREEN_H
#define MATRIXFS_CTL_SCREEN_H

#include "admin/ctl/ctl_run.h"

/* status: of a matrixfs the mount, its cache, its hubs, what is on its way; of a hub what is amiss,
 * its cache, its upstreams, what it is doing. */
int ctl_status(struct ctl *c);
/* top: the same, every second until it is ended. */
int ctl_top(struct ctl *c);

#endif
