/* SPDX-License-Identifier: Apache-2.0 */
/* All of a matrixfs on one screen: once, or again and again. Each is a row's `run`. */
#ifndef MATRIXFS_CTL_SCREEN_H
#define MATRIXFS_CTL_SCREEN_H

#include "admin/ctl/ctl_run.h"

/* How a hub's status is printed. */
extern const char ctl_shape_status[];

/* status of a matrixfs: the mount, its cache, its hubs, what is on its way. */
int ctl_status_node(struct ctl *c);
/* top: the same, or a hub's status, every second until it is ended. */
int ctl_top(struct ctl *c);

#endif
