/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the cache within its budget: when blobs take more than max_bytes, or the file system has
 * less than min_free_bytes left, the blobs used longest ago go, whole, until a margin below the
 * limit is reached. Blobs that are open or pinned never go. A thread looks every few seconds. */
#ifndef MATRIXFS_EVICT_H
#define MATRIXFS_EVICT_H

#include <stdint.h>

#include "daemon/metrics.h"
#include "daemon/pins.h"
#include "daemon/store.h"

struct evict;

struct evict_conf {
	struct store *store; /* borrowed until evict_stop */
	struct pins *pins;   /* likewise */
	uint64_t max_bytes;  /* 0: no limit */
	uint64_t min_free_bytes;
	int64_t period_ms;
	struct metrics *metrics; /* counted there; borrowed; or NULL */
	/* A blob is gone from the disk: what the kernel keeps of it would hide that. Any
	 * thread, no lock held, must not wait for readers. May be NULL. */
	void (*on_gone)(void *arg, const char *etag);
	void *arg;
};

/* Starts the thread; stop joins it. */
MUST_USE int evict_start(const struct evict_conf *conf, struct evict **ret);
void evict_stop(struct evict *e);
/* Makes room now, on the caller's thread: bytes freed. For a write that found the disk full: then
 * at least `want` bytes go if they can, whatever the limits say. */
uint64_t evict_now(struct evict *e, uint64_t want);
/* Drops one blob, unless it is open or pinned: bytes freed. */
uint64_t evict_blob(struct evict *e, const char *etag);

#endif
