/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/outcome.h"

#include <errno.h>

#include "daemon/base/err.h"

static const enum member_outcome outcomes[] = {
	[ROUTE_GAVE] = MEMBER_GAVE,          [ROUTE_COMING] = MEMBER_ANSWERED,
	[ROUTE_ELSEWHERE] = MEMBER_ANSWERED, [ROUTE_BUSY] = MEMBER_ANSWERED,
	[ROUTE_NOT_HERE] = MEMBER_ANSWERED,  [ROUTE_FAILED] = MEMBER_ANSWERED,
	[ROUTE_MISPLACED] = MEMBER_ANSWERED, [ROUTE_NONSENSE] = MEMBER_VAIN,
	[ROUTE_CROWDED] = MEMBER_CROWDED,    [ROUTE_SILENT] = MEMBER_SILENT,
	[ROUTE_REFUSED] = MEMBER_REFUSED,    [ROUTE_LIED] = MEMBER_LIED,
	[ROUTE_MISLED] = MEMBER_MISLED,      [ROUTE_SLOW] = MEMBER_VAIN,
	[ROUTE_LEFT] = MEMBER_LEFT,          [ROUTE_SCANT] = MEMBER_VAIN,
};

enum route_answer outcome_failed(int r)
{
	switch (r) {
	case -ENOMEM:
	case ERR_CANCELED:
		return ROUTE_LEFT;
	case ERR_BUSY:
		return ROUTE_CROWDED;
	case ERR_TOKEN:
		return ROUTE_REFUSED;
	default:
		return ROUTE_SILENT;
	}
}

enum member_outcome outcome_of(enum route_answer a)
{
	return outcomes[a];
}
