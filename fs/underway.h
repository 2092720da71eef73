/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's requests that are on their way, watched for those that take long: a line in the log
 * for slow ones, and for one that outlives its deadline, which is a bug of ours, a count too. The
 * watcher sleeps while nothing is under way. No FUSE in here. Threads: any. */
#ifndef MATRIXFS_UNDERWAY_H
#define MATRIXFS_UNDERWAY_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/base/lock.h"
#include "daemon/metrics.h"

#define UNDERWAY_SHOWN 4       /* slow ones that a line names, oldest first; it counts the rest */
#define UNDERWAY_GRACE_MS 2000 /* behind a deadline until it counts as missed */

/* Embedded in a request. The fields are set before it is added, and stay. */
struct underway_item {
	struct underway_item *prev, *next; /* guarded by the list's lock, as are the two flags */
	bool told, wedged;
	bool listed; /* its owner's */
	int64_t started_us;
	int64_t deadline_ms;
	/* Appends what it is and what it waits for. It stays: the list's lock is held, or its owner
	 * asks. */
	void (*describe)(struct underway_item *i, struct buf *ret);
	/* True if it may wait longer than its deadline says; the same holds. NULL: never. */
	bool (*is_patient)(struct underway_item *i);
};

struct underway {
	struct lock lock;
	struct cond wake;
	/* Guarded by lock. */
	struct underway_item *first;
	bool watching; /* the watcher looks every now and then; else it sleeps */
	bool stop;
	int64_t told_ms; /* the watcher's: when it last named slow ones */
	/* Set at start. */
	int64_t slow_us; /* 0: nothing is too slow to be told */
	struct metrics *metrics;
	pthread_t watcher;
};

/* Starts the watcher; metrics are borrowed. stop joins it: nothing may be under way. */
MUST_USE int underway_start(struct underway *u, int64_t slow_ms, struct metrics *metrics);
void underway_stop(struct underway *u);
/* Lists a request that begins / takes it out when it ends. */
void underway_add(struct underway *u, struct underway_item *i);
void underway_del(struct underway *u, struct underway_item *i);
/* Calls fn for each with the list's lock held, so that it stays meanwhile. */
void underway_each(struct underway *u, void (*fn)(void *arg, struct underway_item *i), void *arg);
/* A request that ends after so long: if that was slow, counts it and says so. */
void underway_ended(struct underway *u, struct underway_item *i, int64_t took_us);
/* How many there are, and for how long the oldest has been under way. */
unsigned underway_count(struct underway *u, int64_t *ret_oldest_ms);

#endif
