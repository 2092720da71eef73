/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the cache within its budget. Before blobs take all that the store's limits allow, or the
 * file system has no more left than is to stay free, the blobs used longest ago go, whole, until a
 * margin is free again. If
 * that is not enough, blobs that are open and incomplete lose the chunks their readers are done
 * with. Sealed blobs that are open, and all that are pinned, are left alone. A thread looks every
 * period_ms, and at once when what is used nears the limit. */
#ifndef MATRIXFS_EVICT_H
#define MATRIXFS_EVICT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/metrics.h"
#include "daemon/cache/pins.h"
#include "daemon/cache/store.h"

struct evict;

struct evict_conf {
	struct store *store; /* borrowed until evict_free */
	struct pins *pins;   /* likewise */
	int64_t period_ms;
	struct metrics *metrics; /* counted there; borrowed; or NULL */
	/* A blob is gone from the disk: what the kernel keeps of it would hide that. Any
	 * thread, no lock held, must not wait for readers. May be NULL. */
	void (*on_gone)(void *arg, const char *etag);
	void *arg;
};

/* Starts the thread; stop joins it, once: then blobs go only when that is asked for. NULL is
 * fine. */
MUST_USE int evict_start(const struct evict_conf *conf, struct evict **ret);
void evict_stop(struct evict *e);
void evict_free(struct evict *e);
/* Whom it asks to close a blob that is in the way: let_go closes what is open of it only because it
 * may be wanted again, and is true if that was so. Any thread, no lock held. Set once, and asked
 * until evict_stop and the last of the calls below. */
void evict_ask(struct evict *e, bool (*let_go)(void *arg, const char *etag), void *arg);
/* The store's limits are others now. */
void evict_limits_changed(struct evict *e);
/* Makes room now, on the caller's thread: bytes freed. For a write that found the disk full: then
 * at least `want` bytes go if they can, whatever the limits say. */
uint64_t evict_now(struct evict *e, uint64_t want);
/* Drops one blob, unless it is open or pinned: bytes freed. */
uint64_t evict_blob(struct evict *e, const char *etag);

#endif
