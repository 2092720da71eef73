/* SPDX-License-Identifier: Apache-2.0 */
/* For how long a node waits for a member that it has asked for bytes, and when it gives it up. The
 * simulation of many nodes runs these rules, too. Times are in ms. Pure. */
#ifndef MATRIXFS_WAITING_H
#define MATRIXFS_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#define WAITING_POLL_MS 500      /* a guest waits so long for bytes, then is told to ask again */
#define WAITING_POLL_MAX_MS 4000 /* the longest it asks to wait; and if a reader waits: */
#define WAITING_DEMAND_MS 1500
#define WAITING_ANSWER_MS 1000 /* so long after that silence begins to be counted */

/* For how long a member is asked to wait for bytes, in ms, when it has said for hoped_ms that they
 * are coming: it is believed to live for as long again. `demand`: a reader waits. */
int64_t waiting_poll_ms(int64_t hoped_ms, bool demand);

/* What is usual from one chunk to the next, after one that took so long; 0: nothing was yet. */
int64_t waiting_usual_ms(int64_t usual_ms, int64_t took_ms);

/* What is known of a way that brings nothing now. */
struct waiting {
	int64_t waited_ms;  /* this member has given nothing since */
	int64_t quiet_ms;   /* so long ago bytes came to it, as it says; -1: it does not */
	uint32_t number;    /* of this node among those who want the segment; 0: none */
	int64_t usual_ms;   /* from one chunk to the next, lately */
	int64_t give_up_ms; /* hope alone may be given for so long */
	bool demand;        /* a reader waits */
	uint64_t in, twice; /* bytes that members gave this node, and that came twice */
};

/* True if another is to be asked besides: a reader waits longer than is usual, and what came twice
 * stays a fiftieth of all, with the `cost` bytes of that. Nobody is to blame for it. */
bool waiting_may_race(const struct waiting *w, uint64_t cost);
/* True if another is to be asked instead: this one does not get on with it, or has said for too
 * long that it does. */
bool waiting_is_late(const struct waiting *w);
/* True if another is to try whether upstream fails, as this member has said for w->waited_ms. */
bool waiting_is_over(const struct waiting *w);
/* True if nothing came of a range for w->waited_ms, whoever was asked, so that only the source is
 * left. A reader must have time for that, too. */
bool waiting_is_dry(const struct waiting *w);
/* True if an answer is too slow to go on with that has brought so much of a chunk in
 * w->waited_ms. */
bool waiting_is_trickle(const struct waiting *w, int64_t patience_ms, uint64_t came,
			uint64_t chunk);

#endif
