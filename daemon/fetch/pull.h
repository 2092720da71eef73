/* SPDX-License-Identifier: Apache-2.0 */
/* The state of every blob that is being fetched: who waits for which bytes, and what is wanted
 * and on its way (`schedule`). `stream` carries runs, `seal` digests what arrived, `fetch` is the
 * face. A reader gets the wanted bytes as soon as they are there, be their chunk complete or not.
 *
 * One lock guards everything here; functions named _locked need it. Nothing blocks or calls out. */
#ifndef MATRIXFS_PULL_H
#define MATRIXFS_PULL_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/base/wait.h"
#include "daemon/fetch/distrust.h"
#include "daemon/fetch/origins.h"
#include "daemon/model/extents.h"
#include "daemon/fetch/plan.h"
#include "daemon/rate.h"
#include "daemon/fetch/schedule.h"
#include "daemon/hub/source.h"
#include "daemon/cache/chunk_list.h"
#include "daemon/cache/store.h"

#define FAILED_MS 100  /* so long after a failure a blob is not asked for again */
#define LATE_MS 300    /* so long nobody waits again for what somebody waited for in vain */
#define LATE_RANGES 8  /* as many MiB as the kernel reads ahead */
#define UNKEPT_MS 5000 /* so long after the disk took nothing it is not tried again for a blob */

struct pull {
	struct pulls *all;
	struct pull *hash_next;  /* in the queue of `seal` */
	struct source_blob what; /* as the first of the places is */
	struct origins origins;  /* one that a run asks for stays: that may read it unlocked */
	struct blob *blob;       /* owned */
	unsigned readers;        /* open handles */
	struct waitlist waiters;
	struct fill fill;
	struct plan plan;
	struct rate rate;
	struct extents extents; /* none while unknown */
	/* Sealing. */
	struct chunk_listing *digest; /* of [0, hashed): the thread's that has hash_busy */
	struct chunk_list *list;      /* of all that was digested last, or NULL; likewise */
	uint64_t hashed;
	unsigned rotten_before; /* blob_rotten() when it was begun; likewise */
	bool hash_queued, hash_busy;
	unsigned verified;  /* how often it was looked into since it was last sealed */
	atomic_uint drops;  /* how many there were */
	atomic_uint rotten; /* blob_rotten() when that was last looked at */
	struct distrust distrust;
	bool all_wanted;       /* all that is absent has been wanted */
	bool verified_only;    /* serve nothing before it is sealed */
	bool doubted;          /* some of it is wrong, and it is being found out what */
	int64_t moved_ms;      /* when bytes last came or were digested; 0: never */
	uint64_t sources_used; /* bit i: source i gave bytes since the last drop */
	const char *source;    /* name of the last source that gave bytes, or NULL; static */
	/* Who asks so shortly after a failure gets the same answer: the kernel lets those who wait
	 * for one page ask one after another, and each would wait as long as the first. */
	int failed;
	int64_t failed_until_ms;
	int expelled; /* likewise, for good */
	/* Likewise of bytes that were waited for in vain, while too little came to come to them:
	 * after the error of a large read the kernel asks once more for each page of it. */
	struct late_range {
		uint64_t from, to;
		int64_t until_ms;
	} late[LATE_RANGES];
	int64_t unkept_until_ms; /* until then readers are served past the cache */
	int unkept;              /* why */
};

struct pulls {
	atomic_uint readers_waiting; /* for bytes, but for members of the cluster */
	struct lock lock;
	/* All below is guarded by lock. */
	struct cond work;        /* something is wanted, or stop */
	struct cond hash_work;   /* a pull has bytes to digest, or stop */
	struct map by_etag, own; /* own: of our own, which are all there */
	struct schedule schedule;
	struct pull *hash_first, **hash_end;
	struct distrusts distrusts; /* of blobs that nobody reads now */
	bool strict;                /* all blobs are served only verified; set once */
	int64_t failed_ms;          /* when a hub last failed in a way that passes; 0: never */
	int64_t full_ms;            /* when the disk last took nothing; 0: it takes bytes */
	bool stop;
};

/* An empty table; fini wants it empty again. */
void pulls_init(struct pulls *all);
void pulls_fini(struct pulls *all);

/* One more reader of a blob's pull, made if need be, that holds the blob; or why it is expelled.
 * `guest`: of who has it brought for others. */
MUST_USE int pull_join_locked(struct pulls *all, const struct source_blob *what, bool guest,
			      struct blob *blob, struct pull **ret) NEEDS(all->lock);
/* Its digest was wrong before we started: nothing is served before it is sealed. */
void pull_distrust_locked(struct pull *p);
/* Notes where else it lies: a repository that is gone, or closed, must not keep it from others. */
MUST_USE int pull_add_origin_locked(struct pull *p, const struct source_blob *what, bool guest);
/* True if a waiter may have bytes that nobody has verified. Strict is for those who read here: who
 * fetches for others (w->only) has them, to check them itself, but of what was wrong once or is in
 * doubt: that would be to pass on what is known to be wrong in part. */
bool pull_shows_locked(const struct pull *p, const struct waiter *w);
/* How many of the bytes [off, off + len) it can read now, from the first on. */
uint64_t pull_ready_locked(const struct pull *p, const struct waiter *w, uint64_t off,
			   uint64_t len);
/* Demands what a waiter that has parked waits for, once more. */
MUST_USE int pull_demand_locked(struct pull *p, const struct waiter *w, int64_t now_ms);
/* Wants the absent chunks of the whole file, once: until a run fails or bytes are dropped. */
MUST_USE int pull_want_all_locked(struct pull *p);
/* Moves those waiters whose bytes have come to `settled`. */
void pull_settle_ready_locked(struct pull *p, struct waitlist *settled);
/* The same for those to whom some of them are enough. */
void pull_settle_some_locked(struct pull *p, struct waitlist *settled);
/* Moves those who wait for the verdict, which is r. */
void pull_settle_verdict_locked(struct pull *p, int r, struct waitlist *settled);
/* True if chunks of it have rotted since this was last asked. No lock needed. */
bool pull_has_rotted(struct pull *p);
/* Digesting of all blobs together may lag so far while readers wait: their pages are in memory. */
#define PULL_UNHASHED_MAX (UINT64_C(512) << 20)
/* Queues the pull for `seal` if its next bytes to digest are there, and need not be left: for who
 * waits for the verdict they are not. */
void pull_hash_kick_locked(struct pull *p);
/* Forgets what is kept of a blob that nothing works on. */
void pull_begin_anew_locked(struct pull *p);
/* One reader less; when it was the last, what nobody needs is taken back: see fill_leave, and
 * fill_give_up. */
void pull_leave_locked(struct pull *p);
void pull_give_up_locked(struct pull *p);
/* Takes the pull out of the table if nobody reads it, nothing works on it and it is trusted: then
 * it is the caller's to pull_free() after dropping the lock. NULL otherwise. */
struct pull *pull_if_idle_locked(struct pull *p);
void pull_free(struct pull *p);

/* The pull a run is for. */
struct pull *pull_of(const struct run *run);
/* Ends an active run with result r: waiters who needed the rest get r if it is negative, or are
 * asked to call again if the disk took nothing. Frees it. */
void pull_end_run_locked(struct run *run, int r, struct waitlist *settled);

#endif
