/* SPDX-License-Identifier: Apache-2.0 */
/* The state of every blob that is being fetched: who waits for which bytes, and what is wanted
 * and on its way (`schedule`). `stream` carries runs, `seal` digests what arrived, `fetch` is the
 * face. A reader gets the wanted bytes as soon as they are there, be their chunk complete or not.
 *
 * One lock guards everything here; functions named _locked need it. Nothing here blocks or
 * calls out. */
#ifndef MATRIXFS_PULL_H
#define MATRIXFS_PULL_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/digest.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/base/wait.h"
#include "daemon/distrust.h"
#include "daemon/extents.h"
#include "daemon/plan.h"
#include "daemon/rate.h"
#include "daemon/schedule.h"
#include "daemon/source.h"
#include "daemon/store.h"

#define FAILED_MS 100  /* so long after a failure a blob is not asked for again */
#define UNKEPT_MS 5000 /* so long after the disk took nothing it is not tried again for a blob */

/* One more place where a blob that is being fetched lies. */
struct pull_origin {
	struct pull_origin *next;
	struct source_blob what; /* what.path is the path below */
	char path[];
};

struct pull {
	struct pulls *all;
	struct pull *hash_next;  /* in the queue of `seal` */
	struct source_blob what; /* what.path is owned */
	struct pull_origin
		*origins;  /* others than `what`; only grows, so that they may be read unlocked */
	struct blob *blob; /* owned */
	unsigned readers;  /* open handles */
	struct waitlist waiters;
	struct fill fill;
	struct plan plan;
	struct rate rate;
	struct extents extents; /* none while unknown */
	/* Sealing. */
	struct digest *digest; /* of [0, hashed); touched only by the thread that has hash_busy */
	uint64_t hashed;
	bool hash_queued, hash_busy;
	/* Distrust, after a wrong digest. */
	struct distrust distrust;
	bool all_wanted;       /* all that is absent has been wanted */
	bool verified_only;    /* serve nothing before it is sealed */
	int64_t moved_ms;      /* when bytes last came or were digested; 0: never */
	uint64_t sources_used; /* bit i: source i gave bytes since the last drop */
	const char *source;    /* name of the last source that gave bytes, or NULL; static */
	/* Who asks so shortly after a failure gets the same answer: the kernel lets those who wait
	 * for one page ask one after another, and each would wait as long as the first. */
	int failed;
	int64_t failed_until_ms;
	/* Until then the disk takes nothing, and readers are served past the cache. */
	int64_t unkept_until_ms;
};

struct pulls {
	struct lock lock;
	/* All below is guarded by lock. */
	struct cond work;      /* something is wanted, or stop */
	struct cond hash_work; /* a pull has bytes to digest, or stop */
	struct map by_etag;
	struct schedule schedule;
	struct pull *hash_first, **hash_end;
	struct distrusts distrusts; /* of blobs that nobody reads now */
	bool strict;                /* all blobs are served only verified; set once */
	int64_t full_ms;            /* when the disk last took nothing; 0: it takes bytes */
	bool stop;
};

/* An empty table; fini wants it empty again. */
void pulls_init(struct pulls *all);
void pulls_fini(struct pulls *all);

/* The pull of a blob, made if need be, with one more reader. The pull holds the blob for
 * itself. */
MUST_USE int pull_join_locked(struct pulls *all, const struct source_blob *what, struct blob *blob,
			      struct pull **ret) NEEDS(all->lock);
/* Its digest was wrong before we started: nothing is served before it is sealed. */
void pull_distrust_locked(struct pull *p);
/* Notes where else the blob lies: a repository that is gone or closed to us must not keep it from
 * those who read it through another. */
MUST_USE int pull_add_origin_locked(struct pull *p, const struct source_blob *what);
/* Where else the blob lies: the place after `at` (first &p->what), or NULL. Borrowed until
 * pull_free. */
const struct source_blob *pull_origin_after_locked(const struct pull *p,
						   const struct source_blob *at);
/* True if [off, off + len) can be read from the file now. */
bool pull_has_locked(const struct pull *p, uint64_t off, uint64_t len);
/* Wants the absent chunks of the whole file, once: until a run fails or bytes are dropped. */
MUST_USE int pull_want_all_locked(struct pull *p);
/* Moves those waiters whose bytes have come to `settled`. */
void pull_settle_ready_locked(struct pull *p, struct waitlist *settled);
/* The time by which waiters' deadlines are judged at now_ms. Who waits for verified bytes waits for
 * the whole file: he is late after timeout_ms of silence, or when its average is below
 * PULL_VERIFY_BYTES_S. */
#define PULL_VERIFY_BYTES_S (UINT64_C(1) << 20)
int64_t pull_late_ms_locked(const struct pull *p, int64_t now_ms, int64_t timeout_ms);
/* Queues the pull for `seal` if its next bytes to digest are there. */
void pull_hash_kick_locked(struct pull *p);
/* One reader less; when it was the last, what nobody needs is taken back. */
void pull_leave_locked(struct pull *p);
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
