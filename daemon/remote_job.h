/* SPDX-License-Identifier: Apache-2.0 */
/* One of the nodes that were told to fetch something, as far as who told them knows: how far it is,
 * and when nothing more is hoped of it. Pure; times are clock_ms() values that the caller gives.
 * Threads: one at a time. */
#ifndef MATRIXFS_REMOTE_JOB_H
#define MATRIXFS_REMOTE_JOB_H

#include "daemon/job.h"

#define REMOTE_JOB_SILENCES 3                   /* in a row */
#define REMOTE_JOB_LOSSES 3                     /* so often it may forget its job */
#define REMOTE_JOB_PATIENCE_MS (15 * 60 * 1000) /* of one that does not get on, */
#define REMOTE_JOB_TURN_MS (6 * 3600 * 1000)    /* or not begin: others have their turn before it */

/* Zeroed memory is one that has not been told yet. */
struct remote_job {
	uint64_t job; /* there; 0: it is to be told */
	unsigned silences, losses;
	uint64_t bytes_most, files_most; /* that it ever had */
	bool begun;                      /* it no longer waits for its turn */
	int64_t moved_ms; /* when it had that first, or began; 0: nothing was heard yet */
	struct job_progress at;
};

/* It says so of its job. If it has had no more for too long it has failed. */
void remote_job_heard(struct remote_job *s, const struct job_progress *p, int64_t now_ms);
/* It was silent, or refused: failure r, in words. Too often in a row, and it has failed. */
void remote_job_silent(struct remote_job *s, int r, const char *why);
/* Its job is there no more: the job has ended long ago, or its process has. It is to be told again,
 * unless that was so too often. */
void remote_job_lost(struct remote_job *s);
/* It has failed. */
void remote_job_fail(struct remote_job *s, int r, const char *why);

#endif
