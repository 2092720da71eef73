/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the peers as a source: source_peer.c (the way from member to member), bring_chunk.c (a
 * question, and the chunks that come of it), and bring_race.c (who is asked besides). Nobody else
 * includes this. */
#ifndef MATRIXFS_SOURCE_PEER_PRIV_H
#define MATRIXFS_SOURCE_PEER_PRIV_H

#include "daemon/peer/chunk_in.h"
#include "daemon/peer/race.h"
#include "daemon/peer/source_peer.h"
#include "daemon/peer/trip.h"

struct source_peer {
	struct source source;
	struct source_peer_conf conf;
	struct trip_node node;
};

/* A range that is being brought, and the chunk of it that comes. */
struct bringing {
	struct source_peer *all;
	const struct source_ask *ask;
	struct trip trip;
	struct peer_get question;
	struct chunk_in in;
	int64_t chunk_ms; /* its bytes come since */
	uint64_t came;    /* bytes of this question */
	bool slow;        /* it was ended for that */
	bool wrong;       /* likewise, */
	bool misled;      /* and who gave it may not know, */
	bool contested;   /* or it is the hub's list that is wrong: see what it gives */
	bool looked;      /* for the blob's digest list, */
	bool listed;      /* which was there; */
	bool unlisted;    /* it was ended since that is forgotten */
	struct race race; /* for the chunk that comes next, if it is slow to */
};

/* ---- bring_race.c ---- */

/* The question that has these words, of all bytes from where the way is to `end`. Whole chunks are
 * asked for, whatever is wanted of them: nothing less can be compared. */
struct wire_ask bring_ask_for(const struct bringing *b, const struct trip_ask *a, uint64_t end);
/* So many bytes came of a chunk that did not become whole here. */
void bring_count_twice(const struct bringing *b, uint64_t bytes);
/* Learns whether a reader waits. */
void bring_look_who_waits(struct bringing *b);
/* Each PEER_REQUEST_TICK_MS of a question or a rest: begins a race if a reader waits for the chunk
 * for long, and looks at one that runs. ERR_TIMEOUT: it is won. */
int bring_tick(void *bringing);
/* Whether the race that runs has ended, or is to: then it has. */
void bring_look_at_race(struct bringing *b);
/* Who was asked first has brought it, or all is over. */
void bring_lose_race(struct bringing *b);
/* Of a question that was ended since another one has brought the chunk. */
void bring_hear_outrun(struct bringing *b);

/* ---- bring_chunk.c ---- */

/* Asks a member. Non-zero: the run ends with it. A race may be won by then. */
MUST_USE int bring_ask_member(struct bringing *b, uint32_t member);
/* Takes the chunk of who was asked besides, as if that one alone had been asked. Likewise. */
MUST_USE int bring_take_from_race(struct bringing *b);

#endif
