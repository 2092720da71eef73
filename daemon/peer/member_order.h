/* SPDX-License-Identifier: Apache-2.0 */
/* A list of members, put in order. Pure. */
#ifndef MATRIXFS_MEMBER_ORDER_H
#define MATRIXFS_MEMBER_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"
#include "daemon/peer/member_spec.h"

/* One of a list, and the how manieth it was there. */
struct listed {
	struct member_spec spec;
	size_t place;
};

/* A weight as it counts: 1 to PLACEMENT_WEIGHT_MAX. */
uint32_t member_order_weight(uint32_t weight);
/* A copy by address, each name once: the first of them. *count: how many there are, then how many
 * are left. Owned. -ENOMEM. */
MUST_USE int member_order(const struct member_spec *list, size_t *count, struct listed **ret);

#endif
