/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/answered.h"

#include "daemon/base/err.h"
#include "daemon/peer/outcome.h"

static enum route_answer status_of(const struct peer_get *q)
{
	switch ((enum wire_status)q->status) {
	case WIRE_BYTES:
		return ROUTE_GAVE;
	case WIRE_COMING:
		return ROUTE_COMING;
	case WIRE_ELSEWHERE:
		return ROUTE_ELSEWHERE;
	case WIRE_BUSY:
		return ROUTE_BUSY;
	case WIRE_FAILED:
		return ROUTE_FAILED;
	case WIRE_NOT_HERE:
		return err_is_misplaced(q->cause) ? ROUTE_MISPLACED : ROUTE_NOT_HERE;
	case WIRE_OTHER_SIZE:
	case WIRE_FULL:
		return ROUTE_NOT_HERE;
	default:
		return ROUTE_NONSENSE;
	}
}

enum route_answer answered_as(const struct peer_get *q, int r)
{
	if (q->sunk < 0)
		return ROUTE_LEFT;
	if (q->nonsense && r == ERR_PROTO)
		return ROUTE_NONSENSE;
	return r < 0 ? outcome_failed(r) : status_of(q);
}

unsigned answered_others(const struct membership *members, const struct peer_get *q,
			 uint32_t ret[static WIRE_OTHERS_MAX])
{
	unsigned count = 0;

	for (unsigned i = 0; i < q->other_count; i++) {
		int at = membership_find(members, q->others[i]);

		if (at >= 0)
			ret[count++] = (uint32_t)at;
	}
	return count;
}
