/* SPDX-License-Identifier: Apache-2.0 */
/* One of the nodes that were told to fetch something, as far as who told them knows: how far it is,
 * and when nothing more is hoped of it. Pure; times are clock_ms() values that the caller gives.
 * Threads: one at a time. */
#ifndef MATRIXFS_SEAT_H
#define MATRIXFS_SEAT_H

#include "daemon/job.h"

#define SEAT_SILENCES 3                   /* in a row */
#define SEAT_LOSSES 3                     /* so often it may forget its job */
#define SEAT_PATIENCE_MS (15 * 60 * 1000) /* of one that does not get on, */
#define SEAT_TURN_MS (6 * 3600 * 1000)    /* or not begin: others have their turn before it */

/* Zeroed memory is one that has not been told yet. */
struct seat {
	uint64_t job; /* there; 0: it is to be told */
	unsigned silences, losses;
	uint64_t bytes_most, files_most; /* that it ever had */
	bool begun;                      /* it no longer waits for its turn */
	int64_t moved_ms; /* when it had that first, or began; 0: nothing was heard yet */
	struct job_progress at;
};

/* It says so of its job. If it has had no more for too long it has failed. */
void seat_heard(struct seat *s, const struct job_progress *p, int64_t now_ms);
/* It was silent, or refused: failure r, in words. Too often in a row, and it has failed. */
void seat_silent(struct seat *s, int r, const char *why);
/* Its job is there no more: the job has ended long ago, or its process has. It is to be told again,
 * unless that was so too often. */
void seat_lost(struct seat *s);
/* It has failed. */
void seat_fail(struct seat *s, int r, const char *why);

#endif
