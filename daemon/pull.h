/* SPDX-License-Identifier: Apache-2.0 */
/* The state of every blob that is being fetched: who waits for which bytes, and which runs of
 * chunks are queued or on their way. `stream` carries runs, `seal` digests what arrived,
 * `fetch` is the face.
 *
 * A run is one range for one request. Runs of a pull never overlap, and bytes [start, pos) of
 * an active run are in the file although their last chunk may not be complete, so that a reader
 * gets the wanted bytes as soon as they are there.
 *
 *   run state   in pull->runs   in a queue   moved on by
 *   queued      yes             yes          stream thread that takes it; or pull_leave
 *   active      yes             no           its stream thread alone (pos); end may be moved nearer
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
#include "daemon/source.h"
#include "daemon/store.h"

#define RUN_BYTES_MAX (UINT64_C(32) << 20) /* one request asks for at most this */
#define RUN_JUMP (UINT64_C(16) << 20) /* a demand this far ahead of a run gets one of its own */
#define PULL_AHEAD_MAX 4              /* active runs of one pull that nobody waits for */

enum run_state { RUN_QUEUED, RUN_ACTIVE };

struct run {
	struct run *prev, *next; /* in pull->runs */
	struct run *qnext;       /* in a queue */
	struct pull *pull;
	enum run_state state;
	bool demand;              /* somebody waits for its first bytes */
	uint64_t start, pos, end; /* chunk borders, but for pos and the end of the file */
	int64_t moved_ms;         /* of an active run: when it last brought bytes, or began */
	struct httpc_cancel cancel;
};

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
	unsigned busy;     /* active runs and a digest at work */
	struct waitlist waiters;
	struct run *runs;
	struct plan plan;
	struct rate rate;
	struct extents extents; /* none while unknown */
	/* Sealing. */
	struct digest *digest; /* of [0, hashed); touched only by the thread that has hash_busy */
	uint64_t hashed;
	bool hash_queued, hash_busy;
	/* Distrust, after a wrong digest. */
	struct distrust distrust;
	bool all_wanted;       /* runs for all that is absent have been queued */
	bool verified_only;    /* serve nothing before it is sealed */
	uint64_t sources_used; /* bit i: source i gave bytes since the last drop */
	const char *source;    /* name of the last source that gave bytes, or NULL; static */
};

struct run_queue {
	struct run *first, **end;
};

struct pulls {
	struct lock lock;
	/* All below is guarded by lock. */
	struct cond work;      /* a run was queued, or stop */
	struct cond hash_work; /* a pull has bytes to digest, or stop */
	struct map by_etag;
	struct run_queue demand, ahead;
	struct pull *hash_first, **hash_end;
	struct distrusts distrusts; /* of blobs that nobody reads now */
	bool stop;
};

/* An empty table; fini wants it empty again. */
void pulls_init(struct pulls *all);
void pulls_fini(struct pulls *all);

/* The pull of a blob, made if need be, with one more reader. The pull holds the blob for
 * itself. */
MUST_USE int pull_join_locked(struct pulls *all, const struct source_blob *what, struct blob *blob,
			      struct pull **ret) NEEDS(all->lock);
/* Notes where else the blob lies: a repository that is gone or closed to us must not keep it from
 * those who read it through another. */
MUST_USE int pull_add_origin_locked(struct pull *p, const struct source_blob *what);
/* Where else the blob lies: the place after `at` (first &p->what), or NULL. Borrowed until
 * pull_free. */
const struct source_blob *pull_origin_after_locked(const struct pull *p,
						   const struct source_blob *at);
/* True if [off, off + len) can be read from the file now. */
bool pull_has_locked(const struct pull *p, uint64_t off, uint64_t len);
/* Queues runs for the absent chunks of [from, to). Somebody waits for those before need_end: runs
 * that are under way are moved or split so that they come next. */
MUST_USE int pull_want_locked(struct pull *p, uint64_t from, uint64_t need_end, uint64_t to);
/* The same for the whole file, once: until a run fails or bytes are dropped. */
MUST_USE int pull_want_all_locked(struct pull *p);
/* Moves those waiters whose bytes have come to `settled`. */
void pull_settle_ready_locked(struct pull *p, struct waitlist *settled);
/* Queues the pull for `seal` if its next bytes to digest are there. */
void pull_hash_kick_locked(struct pull *p);
/* One reader less; when it was the last, runs that nobody needs are taken back. */
void pull_leave_locked(struct pull *p);
/* Takes the pull out of the table if nobody reads it, nothing works on it and it is trusted: then
 * it is the caller's to pull_free() after dropping the lock. NULL otherwise. */
struct pull *pull_if_idle_locked(struct pull *p);
void pull_free(struct pull *p);

/* The next run to carry, made active; NULL if there is none that may start now. */
struct run *run_next_locked(struct pulls *all);
/* How many active runs have brought nothing since then. */
unsigned pulls_stalled_locked(struct pulls *all, int64_t since_ms);
/* Ends an active run with result r: waiters who needed the rest get r if it is negative. Frees
 * it. */
void run_end_locked(struct run *run, int r, struct waitlist *settled);

#endif
