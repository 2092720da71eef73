/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations: the one a matrixfs runs with, and whether a file is right. Each is a row's
 * `run`. */
#ifndef MATRIXFS_CTL_CONFIG_H
#define MATRIXFS_CTL_CONFIG_H

#include "admin/ctl/ctl_run.h"

/* config show: as lines of a configuration file; what is a default is a comment. */
int ctl_config_show(struct ctl *c);
/* config check: of matrixfs by that program itself, of matrixhubd here. */
int ctl_config_check(struct ctl *c);

#endif
