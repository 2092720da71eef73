/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes are asked for next. A want is a range that somebody would like to have, a run is the
 * part of it that one request brings. A run is cut from a want only when it starts, so that its
 * length, its place and its turn follow from what is known then:
 *
 *   want  -- next turn -->  run  -- brings bytes -->  chunks of the blob
 *
 * Urgent wants come first. Among equals the blob with the fewest runs has its turn, so that one
 * file cannot starve another. Runs of a blob never overlap, and never bring a chunk that is there.
 * Bytes [start, pos) of a run are in the file although their last chunk may not be complete.
 *
 * A run may have to wait at another node, which waits for a run of its own: two nodes that wait for
 * each other with all they have would stand still. So a run that hears that its bytes are coming
 * keeps no demand from starting (what nobody waits for it does: else all that lies ahead would be
 * asked for at once); and there are fewer runs that may wait than there are threads: the rest is
 * for what guests, nodes that ask here, wait for, and for what hubs bring. A guest asks where the
 * hub is asked, so its run ends, then the one that waits for it there, and so on. Only the way
 * back from a hub that has failed to other nodes can exceed that, until those answer otherwise.
 *
 * Nothing here blocks or calls out. Not locked: the owner's lock guards all of it. */
#ifndef MATRIXFS_SCHEDULE_H
#define MATRIXFS_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/httpc.h"
#include "daemon/fetch/pace.h"
#include "daemon/cache/store.h"
#include "daemon/fetch/urgency.h"

#define RUN_BYTES_MIN (UINT64_C(1) << 20)
#define RUN_BYTES_MAX (UINT64_C(8) << 20) /* one request asks for at most this */
#define RUN_NEAR (UINT64_C(2) << 20)      /* a run so close before wanted bytes will bring them */
#define RUN_SOON_MS 1000                  /* as will one that comes to them within so long */
#define RUN_YOUNG_MS 500                  /* before that nobody knows how fast it is */
#define RUN_DIRECT_MAX 16                 /* runs past the cache at once: each holds its bytes */
#define SCHEDULE_HUBS_MAX 64
#define RUN_STALL_MS 1000 /* a run that brought nothing for so long counts no more */

struct want {
	struct want *prev, *next; /* in the queue of its urgency */
	struct fill *fill;
	enum urgency urgency;
	uint64_t from, to; /* chunk borders, or the end of the file */
	uint64_t run_max;  /* one run of it is at most so long */
	bool guest;        /* of who fetches for others */
};

struct run {
	struct run *prev, *next; /* in fill->runs */
	struct fill *fill;
	enum urgency urgency;
	bool paused;              /* it brings nothing because we do not let it */
	bool resting;             /* it failed, and waits to try again: there is no request */
	bool failing;             /* it has rested since it last brought bytes */
	bool guest;               /* see want */
	bool first_hand;          /* who is asked has the bytes from nobody else: */
	bool under_way;           /* he is asked, and has not answered to the end; */
	unsigned hub;             /* he is this one of those that may be asked */
	uint64_t asked;           /* one past what it was asked to send soon, or 0 */
	bool waiting;             /* who is asked has them coming, and has given none since */
	uint64_t start, pos, end; /* chunk borders, but for pos and the end of the file */
	uint64_t demanded;        /* one past what somebody waits for of it, or has; or 0 */
	int64_t began_ms;
	int64_t asked_ms;   /* when somebody was last asked for bytes, or 0 */
	int64_t moved_ms;   /* when it last brought bytes, or word that they come, or began */
	int64_t brought_ms; /* when it last brought bytes, or began */
	struct httpc_cancel cancel;
	/* A run past the cache, for one reader, when the disk takes nothing: exactly his bytes. */
	bool direct;
	char *bytes; /* of a direct one that has ended: owned */
};

/* One blob that is being filled. */
struct fill {
	struct schedule *all;
	struct fill *prev, *next; /* in all->busy, while it has runs */
	struct blob *blob;        /* borrowed */
	struct run *runs;         /* active ones */
	unsigned run_count;
	unsigned want_count;
};

struct want_queue {
	struct want *first, *last;
};

struct schedule {
	struct want_queue wants[URGENCY_COUNT];
	struct run *direct;    /* runs past the cache that have not begun, linked by next */
	unsigned direct_count; /* of those that have */
	struct fill *busy;
	struct pace pace;
	uint64_t soon; /* bytes that one request brought lately within RUN_SOON_MS; 0: unknown */
	int64_t given_ms[SCHEDULE_HUBS_MAX]; /* when each of those that are asked gave bytes */
	uint64_t border;    /* no run goes over a multiple of it; 0: there is none. Set once */
	unsigned waits_max; /* runs at once that may wait at others; 0: no limit. Likewise */
};

/* Nothing is wanted. There is nothing to fini: it ends when its fills have. */
void schedule_init(struct schedule *s);
/* Makes the next run active; NULL if there is none that may start now. Its end may be moved nearer
 * while it runs. */
struct run *schedule_next(struct schedule *s, int64_t now_ms);
/* True if schedule_next would find something, as far as limits go. */
bool schedule_has_next(struct schedule *s, int64_t now_ms);
/* Runs that brought bytes lately, of that urgency or more urgent. */
unsigned schedule_moving(const struct schedule *s, enum urgency least, int64_t now_ms);
/* Blobs that runs bring bytes of. */
unsigned schedule_busy(const struct schedule *s);

/* A zeroed fill becomes one of that blob; it ends without runs and wants. */
void fill_init(struct fill *f, struct schedule *s, struct blob *blob);
/* Wants the absent chunks of [from, to), in runs of at most run_max, less urgently than demand. */
MUST_USE int fill_want(struct fill *f, uint64_t from, uint64_t to, enum urgency u,
		       uint64_t run_max);
/* Demands them: runs that will soon have come to them are left to bring them; of one that will not,
 * the end is moved to `from`. To demand again what has not come yet is how a run that turned out
 * slow is found. */
MUST_USE int fill_demand(struct fill *f, uint64_t from, uint64_t to, uint64_t run_max,
			 int64_t now_ms);
/* The same for a guest. */
MUST_USE int fill_demand_for_guest(struct fill *f, uint64_t from, uint64_t to, uint64_t run_max,
				   int64_t now_ms);
/* One past the last byte from off on that is in the file; off if that byte is not. */
uint64_t fill_until(const struct fill *f, uint64_t off);
/* Takes back what is wanted but not waited for. */
void fill_unwant_ahead(struct fill *f);
/* Who wanted it leaves, and others may follow: takes back all that is wanted; runs end a chunk
 * further, or with what a hub that is asked now sends within RUN_SOON_MS. */
void fill_leave(struct fill *f, int64_t now_ms);
/* There is no place for it, or it may not come: likewise, but runs end a chunk further, whatever is
 * on its way. */
void fill_give_up(struct fill *f);
/* Queues a run past the cache for [off, off + len). */
MUST_USE int fill_direct(struct fill *f, uint64_t off, uint64_t len);
/* That of its want, but that of a demand while somebody waits for what it brings. */
enum urgency run_urgency(const struct run *run);
/* Gives what a run has still to bring back to those who want it, if more run than may: its end
 * moves to where it is. False if it may go on. */
bool run_yield(struct run *run, int64_t now_ms);
/* Ends and frees a run. */
void run_free(struct run *run);

#endif
