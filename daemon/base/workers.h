/* SPDX-License-Identifier: Apache-2.0 */
/* Things to do, and a few threads that do them: those who ask for what is slow, or may wait for
 * them, do not. In the order they came, as far as there are threads. Threads: any. */
#ifndef MATRIXFS_WORKERS_H
#define MATRIXFS_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"

struct workers;

#define WORKERS_THREADS_MAX 16

struct workers_conf {
	const char *name;     /* of its threads, at most 15 bytes; borrowed for ever */
	unsigned threads;     /* at most WORKERS_THREADS_MAX */
	unsigned waiting_max; /* more are refused */
	bool drops;           /* a stop leaves out what waits, instead of doing it still */
};

struct work {
	void (*fn)(void *arg, uint64_t number); /* called once, with no lock held */
	void *arg;
	uint64_t number;
	uint64_t lane;    /* of one lane but 0 one is done after another, in their order */
	int64_t delay_ms; /* it begins so much later, or at the stop; only without a lane */
};

/* -ENOMEM, -EAGAIN (no thread). */
MUST_USE int workers_start(const struct workers_conf *conf, struct workers **ret);
/* -EAGAIN if too many wait, or too many in its lane, or it is stopped; -ENOMEM. */
MUST_USE int workers_add(struct workers *w, const struct work *work);
/* True on a thread of any workers: it may wait for a disk. */
bool workers_run_here(void);
/* Takes no more, waits for what waits and what is under way, joins and frees. False if something is
 * still under way at deadline_ms (clock_ms()): then all stays, and what it uses must, too. NULL is
 * none. */
MUST_USE bool workers_stop(struct workers *w, int64_t deadline_ms);

#endif
