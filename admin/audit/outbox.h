/* SPDX-License-Identifier: Apache-2.0 */
/* Texts on their way to a disk: any thread puts them in, one thread takes all there are at once and
 * writes them. What is in it is bounded: who puts waits for room, for a while. Threads: any, but
 * those functions that are the writer's. */
#ifndef MATRIXFS_OUTBOX_H
#define MATRIXFS_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/base/lock.h"

struct outbox_conf {
	size_t max_bytes;   /* with more there is no room */
	int64_t room_ms;    /* the longest anybody waits for it */
	size_t hurry_bytes; /* so many are to be taken now, */
	int64_t flush_ms;   /* fewer when the first has waited so long */
};

struct outbox {
	struct outbox_conf conf;
	struct lock lock;
	struct cond work; /* the writer has something to do */
	struct cond room;
	struct cond ended;
	/* Guarded by lock. */
	struct buf queue;
	int64_t since_ms;   /* when the first of it came */
	uint64_t put, lost; /* how many ever were */
	bool hurry, nudged, stuck, stop, over;
};

/* Makes it, empty. */
void outbox_init(struct outbox *o, const struct outbox_conf *conf);
/* Nobody uses it any more; what is in it is forgotten. */
void outbox_fini(struct outbox *o);

/* Puts one in, when there is room: its number, from 1; 0 if it is lost, which is counted. len 0:
 * there was no memory for it. */
uint64_t outbox_put(struct outbox *o, const void *data, size_t len);
/* Puts one in at once, also beyond the room there is; 0 as above, if the writer is stuck or there
 * is no memory. */
uint64_t outbox_push(struct outbox *o, const void *data, size_t len);
/* Waits for room, in vain for room_ms at most: for who is going to push. */
void outbox_wait_for_room(struct outbox *o);
/* True if nobody would have to wait. */
bool outbox_has_room(struct outbox *o);
/* What is in it is to be taken now. */
void outbox_hurry(struct outbox *o);
/* The writer is to look up, whatever is in it. */
void outbox_nudge(struct outbox *o);
/* The writer is to take what there is, and end: nobody puts anything in any more. False if it has
 * not at deadline_ms (clock_ms()), as with a disk that hangs: then all it uses must stay, and it
 * may be asked again. */
MUST_USE bool outbox_stop(struct outbox *o, int64_t deadline_ms);
/* Bytes in it; how many were ever put in, and how many were lost. */
size_t outbox_bytes(struct outbox *o);
uint64_t outbox_count(struct outbox *o);
uint64_t outbox_lost(struct outbox *o);

/* The writer's: waits until something is to be taken, or for a nudge, or until then (clock_ms()).
 * False: it is to stop. */
bool outbox_wait(struct outbox *o, int64_t until_ms);
/* The writer's: takes all there is (owned). How many were ever put in. */
uint64_t outbox_take(struct outbox *o, struct buf *ret);
/* The writer's: it can write nothing for now. Then nobody waits, nothing is to be taken, and what
 * there is no room for is lost. */
void outbox_stick(struct outbox *o, bool stuck);
/* The writer's, at its end: it uses nothing any more. */
void outbox_end(struct outbox *o);

#endif
