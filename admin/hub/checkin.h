/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of the cluster check in: see daemon/peer/member_checkin.h. */
#ifndef MATRIXFS_CHECKIN_H
#define MATRIXFS_CHECKIN_H

#include "admin/hub/ask.h"

/* POST /api/matrixfs/members. Who has the cluster key may; no token opens it. */
int checkin_take(struct ask *a);

#endif
