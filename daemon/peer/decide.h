/* SPDX-License-Identifier: Apache-2.0 */
/* What a node makes of a question for bytes, and what it makes of one that gets no bytes. The
 * server, the source and the simulation of many nodes decide by the same code; times are the
 * caller's. Threads: any. */
#ifndef MATRIXFS_DECIDE_H
#define MATRIXFS_DECIDE_H

#include "daemon/peer/members.h"
#include "daemon/peer/places.h"
#include "daemon/peer/trails.h"

#define DECIDE_WAIT_MS 500      /* a guest waits so long for bytes, then is told to ask again */
#define DECIDE_WAIT_MAX_MS 4000 /* the longest it asks to wait; and if a reader waits: */
#define DECIDE_DEMAND_MS 1500
#define DECIDE_ANSWER_MS 1000 /* so long after that silence begins to be counted */

enum decision {
	DECIDE_GIVE,     /* what is there */
	DECIDE_WAIT,     /* until it is: it is being brought, or is to be */
	DECIDE_COMING,   /* the guest has waited as long as it may, and is to ask again */
	DECIDE_FAILED,   /* upstream fails, as others say */
	DECIDE_NOT_HERE, /* and it is not brought for this guest */
};

/* Since when nothing has come here of what a guest waits for, nor to whom this node waits for: the
 * later of run_ms (when the run that is to bring it last brought bytes, or was begun; 0: unknown)
 * and of what was heard. In ms; -1: nothing is known. Because it is an age, and what is passed on
 * of others grows older on its way, those who wait in a ring tell each other nothing new. */
int64_t decide_quiet_ms(const struct trail *trail, int64_t run_ms, int64_t now_ms);

/* A node that is asked; all borrowed. */
struct decide_here {
	const struct membership *members;
	struct places *places;
	struct trails *trails;
};

struct decide_ask {
	uint64_t blob, size; /* its placement_key, and bytes */
	uint32_t segment;
	uint64_t guest; /* key of who asks */
	uint32_t
		number; /* its number among those who want the segment (trails.h); 0: it has none */
	bool bring;     /* it may be brought for it */
	bool present;   /* the first of the bytes asked for are there */
	bool late;      /* it has waited as long as it asked to */
};

/* True if this node is to say who gives the segment to whom: it owns it, or would be asked for it
 * if the owners were not there. */
bool decide_arranges(const struct decide_here *here, uint64_t blob, uint64_t size,
		     uint32_t segment);
/* What becomes of a question that is not sent elsewhere. */
enum decision decide_bytes(const struct decide_here *here, const struct decide_ask *ask,
			   int64_t now_ms);

/* How long a guest asks a member to wait for bytes that has said for hoped_ms that they are coming:
 * who has shown that it is alive for so long is believed to stay so as long again. */
int64_t decide_wait_ms(int64_t hoped_ms, bool demand);

/* What is usual from one chunk to the next, after one that took so long; 0: nothing was yet. */
int64_t decide_usual_ms(int64_t usual_ms, int64_t took_ms);

/* What is known of a way that brings nothing now. */
struct decide_way {
	int64_t waited_ms;  /* this member has given nothing since */
	int64_t quiet_ms;   /* so long ago bytes came to it, as it says; -1: it does not */
	uint32_t number;    /* of this node among those who want the segment; 0: none */
	int64_t usual_ms;   /* from one chunk to the next, lately */
	int64_t give_up_ms; /* hope alone may be given for so long */
	bool demand;        /* a reader waits */
	uint64_t left;      /* bytes that it has to bring still */
	uint64_t in, twice; /* bytes that members gave this node, and that it asked for twice */
};

/* True if another member is to be asked: this one does not get on with it, or has said for too long
 * that it does. That may cost bytes twice: who does so early, because a reader waits, has only so
 * much of it. */
bool decide_is_late(const struct decide_way *w);
/* True if nothing came of a range for so long, whoever was asked, that only the source is left. */
bool decide_is_dry(int64_t dry_ms, int64_t give_up_ms);
/* True if an answer is too slow to go on with that has brought so much of a chunk in w->waited_ms,
 * or if somebody waits who may have it from another. */
bool decide_is_trickle(const struct decide_way *w, int64_t patience_ms, uint64_t came,
		       uint64_t chunk);

#endif
