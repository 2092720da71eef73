/* SPDX-License-Identifier: Apache-2.0 */
/* What the answer to a question means for its way. Pure. */
#ifndef MATRIXFS_ANSWERED_H
#define MATRIXFS_ANSWERED_H

#include "daemon/peer/peer_get.h"
#include "daemon/peer/route.h"

/* Of a question that peer_get_run says r of. */
enum route_answer answered_as(const struct peer_get *q, int r);
/* Whom it names: indexes of those who are members; how many. */
unsigned answered_others(const struct membership *members, const struct peer_get *q,
			 uint32_t ret[static WIRE_OTHERS_MAX]);

#endif
