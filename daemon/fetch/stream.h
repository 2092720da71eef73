/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that carry runs: each takes one, asks the sources for it in turn, writes what
 * arrives and wakes those whose bytes have come. This is where bytes are tried again, and where
 * sources change. Started as needed, ended when idle. */
#ifndef MATRIXFS_STREAM_H
#define MATRIXFS_STREAM_H

#include "daemon/failures.h"
#include "daemon/fetch/pull.h"
#include "daemon/fetch/throttle.h"

struct streams;

struct streams_conf {
	struct pulls *pulls;           /* borrowed until streams_free */
	struct httpc *http;            /* borrowed; to end running requests at stop */
	struct source *const *sources; /* in order of preference; borrowed; at most 64 */
	unsigned source_count;
	struct failures *failures; /* noted there; borrowed; or NULL */
	struct throttle *throttle; /* borrowed */
	unsigned threads_max;      /* runs at once, stalled ones included */
	int64_t idle_ms;           /* a thread without work ends after this */
	int64_t give_up_ms;        /* a run fails after so long without progress */
	/* The cache refused bytes with r: 1 if room was made and the write should be tried
	 * again. No lock held. */
	int (*make_room)(void *arg, int r);
	void *arg;
};

/* Makes the pool; threads come with the first run. */
MUST_USE int streams_new(const struct streams_conf *conf, struct streams **ret);
/* Starts a thread if a run may start and none is free to take it. The pulls' lock is held. */
MUST_USE int streams_kick_locked(struct streams *s);
/* After pulls->stop was set: ends running requests and joins the threads. */
void streams_stop(struct streams *s);
void streams_free(struct streams *s);

#endif
