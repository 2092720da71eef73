/* SPDX-License-Identifier: Apache-2.0 */
/* Where the bytes of a run land as they come: in the blob's file, chunk by chunk with its sum, or,
 * past the cache, in memory for one reader. Belongs to the thread that carries the run. */
#ifndef MATRIXFS_LANDING_H
#define MATRIXFS_LANDING_H

#include "daemon/fetch/pull.h"

struct landing {
	struct run *run;
	struct pull *pull;
	int (*make_room)(void *arg, int r); /* see stream.h */
	void *arg;
	uint64_t pos;     /* where the next byte goes */
	int64_t held_ms;  /* so long nothing was taken from the line; whoever asks sets it to 0 */
	char *bytes;      /* of a direct run; whoever ends it hands them on */
	struct xxh3 *sum; /* of the chunk that pos is in */
	bool writes;      /* the chunk `writing` has been begun, and is not there yet */
	uint32_t writing;
	bool no_room; /* none could be made: this run does not try again */
};

/* Prepares one of which the first five members are set, the rest is zeroed. -ENOMEM; fini is fine
 * then, too. */
MUST_USE int landing_init(struct landing *l);
/* A chunk that has not become whole is worth nothing from now on. */
void landing_fini(struct landing *l);
/* Takes bytes that have come, as far as `end`. What the cache says; pos is where to go on from. */
MUST_USE int landing_put(struct landing *l, const char *data, size_t len, uint64_t end);
/* The cache refused bytes with r: true if others made room and they may be written again. */
bool landing_make_room(struct landing *l, int r);
/* What has come of a chunk that is not whole is worth nothing: pos is its start again. Its blocks
 * stay for what comes in its place, until landing_fini. */
void landing_take_back(struct landing *l);
/* Nothing is taken from the line meanwhile, which is no fault of the source. */
void landing_pause(struct landing *l, bool paused);

#endif
