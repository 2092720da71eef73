/* SPDX-License-Identifier: Apache-2.0 */
/* What a trip and its races share. */
#ifndef MATRIXFS_TRIP_PRIV_H
#define MATRIXFS_TRIP_PRIV_H

#include "daemon/peer/trip.h"
#include "daemon/peer/waiting.h"

/* What is known of the way when nothing came for waited_ms; quiet_ms as in trip_heard. */
struct waiting trip_way_of(const struct trip *t, int64_t waited_ms, int64_t quiet_ms);
/* This node's number among those who want the segment; 1 if nobody has said so yet. */
uint32_t trip_own_number(const struct trip *t, int64_t now_ms);
/* How long the answer took, as far as that was not waiting for bytes; -1: not known. */
int64_t trip_own_ms(int64_t first_ms);
/* Keeps for others of the segment what came of the question, which means `a`. */
void trip_remember(const struct trip *t, enum route_answer a, const struct trip_heard *h,
		   int64_t now_ms);

#endif
