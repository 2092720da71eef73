/* SPDX-License-Identifier: Apache-2.0 */
/* Who gives a segment to whom, as its owner arranges it. A hundred nodes want the same segment in
 * the same second: the owner gives it to FANOUT_WIDTH of them and sends each of the others to one
 * that came before it, so that all hang in a tree below the owner and nobody gives more than a few
 * copies. Each keeps its place in the order of arrival and is only ever sent to one before it:
 * nobody can wait for one who waits for him. Neighbours in one zone hang together.
 *
 * Nodes are known by the key of their address (placement_key), zones likewise. A bounded memory:
 * the segments nobody asked for longest go first. Times are the caller's, so that a simulation can
 * have its own. Threads: any. */
#ifndef MATRIXFS_FANOUT_H
#define MATRIXFS_FANOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"
#include "daemon/peer/placement.h"

#define FANOUT_WIDTH 2           /* copies that one node is asked to give of a segment */
#define FANOUT_NAMES_MAX 4       /* who is named at once: one to ask, and others to fall back on */
#define FANOUT_IDLE_MS 30000     /* a segment that nobody asked for so long begins anew */
#define FANOUT_COPY_MS 5000      /* a copy is thought to be over then: its giver may give another */
#define FANOUT_SEGMENTS_MAX 4096 /* remembered at once */
#define FANOUT_GUESTS_MAX 131072 /* guests of all segments, likewise */

struct fanout;

struct fanout_guest {
	uint64_t node, zone;
	const uint64_t *failed; /* nodes it was sent to in vain; borrowed */
	unsigned failed_count;
	bool looks; /* only for who has it besides: those it names are at it still */
};

/* An empty memory. -ENOMEM. */
MUST_USE int fanout_new(struct fanout **ret);
void fanout_free(struct fanout *c);
/* A guest asks the owner, which is in zone `home`, for a segment: 0 if the owner gives it itself,
 * else how many others are to be asked, in this order. When all others have failed the guest, or
 * there is no memory, the owner gives it itself. Who only looks keeps his giver, and strikes nobody. *ret_number is the guest's place in the order of
 * arrival, from 1 on: those others came before it. */
unsigned fanout_ask(struct fanout *c, struct segment segment, uint64_t home,
		    const struct fanout_guest *guest, int64_t now_ms,
		    uint64_t ret[static FANOUT_NAMES_MAX], uint32_t *ret_number);

#endif
