/* SPDX-License-Identifier: Apache-2.0 */
/* What the end of a request to a member says of that member: the one table of it, whatever was
 * asked. Pure. */
#ifndef MATRIXFS_OUTCOME_H
#define MATRIXFS_OUTCOME_H

#include "daemon/peer/member_health.h"
#include "daemon/peer/route.h"

/* Of a request that failed with r < 0, as peer_request_run says. */
enum route_answer outcome_failed(int r);
/* Of one that ended so. */
enum member_outcome outcome_of(enum route_answer a);

#endif
