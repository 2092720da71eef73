/* SPDX-License-Identifier: Apache-2.0 */
/* Long work that somebody asked for and may watch: pulls, pins, scrubs, collecting. A job has an
 * id and a progress, runs on one of a few threads, can be canceled, and stays listed for a while
 * after its end. Threads: any; a job_ function is for the thread that runs the job, or for one
 * that it waits for. */
#ifndef MATRIXFS_JOB_H
#define MATRIXFS_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"

#define JOB_WHAT_MAX 511
#define JOB_WHY_MAX 511
#define JOBS_RUNNING_MAX 1024 /* more are refused */
#define JOBS_ENDED_MAX 64     /* kept for those who ask later; the oldest goes first */

enum job_kind { JOB_PULL, JOB_PIN, JOB_SCRUB, JOB_COLLECT, JOB_SHARE, JOB_WARMUP };
enum job_state { JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELED };

struct job_progress {
	uint64_t id;
	enum job_kind kind;
	enum job_state state;
	bool waits;                  /* for a thread: it has not begun */
	char what[JOB_WHAT_MAX + 1]; /* "models/ORG/NAME@REVISION", or "" for the whole cache */
	uint32_t files_done, files_total;
	uint64_t bytes_done, bytes_total;
	uint64_t repaired, bad;    /* scrub: chunks that were wrong and were, or were not, mended */
	int error;                 /* why it failed; of a running one, why it had to try again */
	char why[JOB_WHY_MAX + 1]; /* that error in words, with what its thread noted (err_note) */
	int64_t started_ms, ended_ms; /* wall clock, since 1970; ended_ms 0: it runs */
};

struct jobs;
struct job;

/* One turn of a job: 0 (done), negative (failed), or how many ms later it wants to run again. What
 * more it knows of a failure (sizes, names, what to do) it says by err_note(), and then returns or
 * tells that error. */
typedef int (*job_fn)(struct job *j, void *arg);

/* Makes an empty list; threads come with the first job, at most so many at once. */
MUST_USE int jobs_new(unsigned threads_max, struct jobs **ret);
/* Cancels all and joins the threads; what is known of the jobs stays. */
void jobs_stop(struct jobs *all);
void jobs_free(struct jobs *all);
/* Starts a job; `arg` is taken, and freed by free_arg at its end, also on failure. If one of this
 * kind and name runs already, that one's id is returned and nothing is started. -EAGAIN when too
 * many run, ERR_STOPPING. */
MUST_USE int jobs_start(struct jobs *all, enum job_kind kind, const char *what, job_fn work,
			void *arg, void (*free_arg)(void *), uint64_t *ret_id);
/* What is known of a job; -ENOENT. */
MUST_USE int jobs_get(struct jobs *all, uint64_t id, struct job_progress *ret);
/* Calls fn on a copy of each, in the order of their ids, no lock held, until it returns
 * non-zero. */
int jobs_each(struct jobs *all, int (*fn)(void *arg, const struct job_progress *p), void *arg);
/* Asks a job to end; it does so soon. -ENOENT if no such job runs. */
MUST_USE int jobs_cancel(struct jobs *all, uint64_t id);
/* The same for the running job of this kind and name, if there is one. */
void jobs_cancel_named(struct jobs *all, enum job_kind kind, const char *what);

/* When this turn ends the job, it was never there: another goes on with its work. */
void job_vanish(struct job *j);
/* True if the job shall end: it returns ERR_CANCELED then. */
bool job_is_over(struct job *j);
/* Sleeps, but wakes when the job shall end: ERR_CANCELED then, else 0. */
MUST_USE int job_sleep(struct job *j, int64_t ms);
/* Tells the counters (files, bytes, repaired, bad, error) of *p to those who watch. */
void job_tell(struct job *j, const struct job_progress *p);

#endif
