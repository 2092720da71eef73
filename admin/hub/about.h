/* SPDX-License-Identifier: Apache-2.0 */
/* What the hub says of itself. */
#ifndef MATRIXFS_ABOUT_H
#define MATRIXFS_ABOUT_H

#include "admin/hub/ask.h"

/* GET /healthz: it is alive. */
int about_health(struct ask *a);
/* GET /readyz: 200, and whether something is amiss; 503 if it cannot read its own data. */
int about_ready(struct ask *a);
/* GET /api/agent-harnesses: none. Clients wait for this at their start. */
int about_harnesses(struct ask *a);
/* An empty object: what clients send and nobody reads. */
int about_nothing(struct ask *a);

#endif
