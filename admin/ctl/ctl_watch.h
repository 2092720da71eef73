/* SPDX-License-Identifier: Apache-2.0 */
/* A job that the line's command has started, shown until it has ended. A daemon that is replaced
 * on the way takes its jobs with it: the next one, which has half a minute to come, is told the
 * same. */
#ifndef MATRIXFS_CTL_WATCH_H
#define MATRIXFS_CTL_WATCH_H

#include "admin/ctl/ctl_run.h"

/* Follows *job, which the command was answered with (taken), until it has ended: *job is then as it
 * is told of last, owned. `nodes`: a line on the screen for each. */
MUST_USE int ctl_watch(struct ctl *c, bool nodes, struct jdoc **job);
/* What the nodes of a job of all have of it; owned. */
MUST_USE int ctl_watch_nodes(struct ctl *c, int64_t id, struct jdoc **ret);

#endif
