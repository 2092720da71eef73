/* SPDX-License-Identifier: Apache-2.0 */
/* What a matrixfs (or a hub) has, and why a file is slow, wrong or not there. Each is a row's
 * `run`. */
#ifndef MATRIXFS_CTL_NODE_H
#define MATRIXFS_CTL_NODE_H

#include "admin/ctl/ctl_run.h"

/* How a repository of a hub is printed. */
extern const char ctl_shape_repo[];

/* ls: the repositories that are known, or the files of one. */
int ctl_ls(struct ctl *c);
/* why: all that is known of a path; one that is not absolute may be that of a file from here. */
int ctl_why(struct ctl *c);

#endif
