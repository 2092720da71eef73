/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the hubs of a node can be asked, tried now. */
#ifndef MATRIXFS_NODE_PROBE_H
#define MATRIXFS_NODE_PROBE_H

#include "daemon/hub/hub_probe.h"
#include "daemon/node.h"

/* Tries hub i < node_hub_count, until deadline_ms (clock_ms()) at most: its name. See hub_probe. */
const char *node_hub_probe(struct node *n, unsigned i, int64_t deadline_ms, struct hub_probe *ret);

#endif
