/* SPDX-License-Identifier: Apache-2.0 */
/* Which members to ask whether they happen to have a segment, when it is this node that has to get
 * it from upstream: a few before it does, twice as many each time that was in vain and upstream
 * failed. First those who would own it if there were fewer members: they did own it before others
 * joined. Pure. */
#ifndef MATRIXFS_LIKELY_HOLDERS_H
#define MATRIXFS_LIKELY_HOLDERS_H

#include "daemon/peer/members.h"

#define LIKELY_HOLDERS_FIRST 4 /* asked the first time; then twice as many each time, up to all */

/* How many are asked after so many times in vain. */
uint32_t likely_holders_width(unsigned vain);

/* The members with the highest placement_score for the segment, best first, without this node: how
 * many, at most `max`; *ret is owned (free). -ENOMEM. */
MUST_USE int likely_holders_list(const struct membership *members, struct segment segment,
				 uint32_t max, uint32_t **ret);

#endif
