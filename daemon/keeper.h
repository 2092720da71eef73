/* SPDX-License-Identifier: Apache-2.0 */
/* The second face of the core, for those who look after a cache: what it holds, pins, and jobs
 * that pull, pin and scrub. Repositories are named as in paths ("org/name" of a type), revisions
 * as clients do: a branch, a tag, refs/..., or a commit. Threads: any; calls may wait for the
 * disk, none waits for a hub. */
#ifndef MATRIXFS_KEEPER_H
#define MATRIXFS_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/job.h"
#include "daemon/node.h"
#include "daemon/cache/pins.h"

struct keeper;

struct keeper_conf {
	struct node *node; /* borrowed until keeper_free */
	unsigned threads;  /* jobs that work at once */
	/* True if a pull brings this file; NULL: each. Any thread, no lock held. */
	bool (*wants)(void *arg, const struct repo_id *id, const char *path);
	void *arg;
};

/* Starts; all pins that are not complete go on being fetched, some hundreds at once. -ENOMEM,
 * -EAGAIN (no thread): then *ret is NULL. */
MUST_USE int keeper_start(const struct keeper_conf *conf, struct keeper **ret);
/* Ends all jobs (before node_stop); what is known of them stays. NULL is fine, as below. */
void keeper_stop(struct keeper *k);
/* Before node_close. */
void keeper_free(struct keeper *k);

/* Starts a job that fetches all files of a revision. With `pin` it is remembered, never evicted,
 * and tried until it is whole, also after a restart; it stays on the commit that the revision names
 * now, until the same is asked for again. ERR_NOREV for a name that can be none. */
MUST_USE int keeper_pull(struct keeper *k, const struct repo_id *id, const char *revision, bool pin,
			 uint64_t *ret_id);
/* The same for what of it this node is to bring for its peers, of which it must have some: others
 * can have that from here, and it from others the rest. */
MUST_USE int keeper_share(struct keeper *k, const struct repo_id *id, const char *revision,
			  uint64_t *ret_id);
/* Forgets a pin, by the revision it was asked with; its bytes stay until they are evicted.
 * -ENOENT if there is none. */
MUST_USE int keeper_unpin(struct keeper *k, const struct repo_id *id, const char *revision);
/* Starts a job that reads all blobs again, at so many bytes/s (0: as fast as it goes). */
MUST_USE int keeper_scrub(struct keeper *k, uint64_t bytes_per_s, uint64_t *ret_id);

/* Starts a job of others: see jobs_start. */
MUST_USE int keeper_start_job(struct keeper *k, enum job_kind kind, const char *what, job_fn work,
			      void *arg, void (*free_arg)(void *), uint64_t *ret_id);

/* What is known of one job / of each, in the order of their ids, no lock held: see job.h. */
MUST_USE int keeper_job(struct keeper *k, uint64_t id, struct job_progress *ret);
int keeper_each_job(struct keeper *k, int (*fn)(void *arg, const struct job_progress *p),
		    void *arg);
/* Ends a job soon. A canceled pin stays a pin. -ENOENT. */
MUST_USE int keeper_cancel_job(struct keeper *k, uint64_t id);

/* Drops the bytes of a revision's files, but for those that are open or pinned. Its files must be
 * known: else ERR_NOREV. */
MUST_USE int keeper_evict(struct keeper *k, const struct repo_id *id, const char *revision,
			  uint64_t *ret_freed);
/* Calls fn for each pin, no lock held, until it returns non-zero. */
int keeper_each_pin(struct keeper *k, int (*fn)(void *arg, const struct pin *p), void *arg);

/* What the cache holds. Bytes are those its files take on disk. */
struct keeper_cache {
	uint64_t used_bytes, used_blobs;
	uint64_t pinned_bytes, pinned_blobs;
	uint64_t sealed_bytes, sealed_blobs;
	uint64_t incomplete_bytes, incomplete_blobs;
	uint64_t evictable_bytes, evictable_blobs; /* neither open nor pinned */
	struct cache_limits limits;
	uint64_t disk_bytes, disk_free_bytes;
};
/* Looks at every blob: for people, not for loops. */
MUST_USE int keeper_cache(struct keeper *k, struct keeper_cache *ret);

#endif
