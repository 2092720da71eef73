/* SPDX-License-Identifier: Apache-2.0 */
/* Parked requests. A request that cannot be answered yet leaves a waiter behind and its thread
 * goes on; whoever brings the answer, the deadline or an interrupt wakes it, exactly once, with
 * no lock held.
 *
 * A waiter is embedded in the request that waits (container_of finds it). It is on at most one
 * waitlist, and the lock of that list's owner guards all its fields but `canceled`. */
#ifndef MATRIXFS_WAIT_H
#define MATRIXFS_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"

/* What a function answers when it has parked the waiter it was given. */
#define PARKED 1

struct waitlist;

struct waiter {
	struct waiter *prev, *next;
	struct waitlist *list; /* NULL while not parked */
	int64_t started_ms;    /* when the request came; answers younger than this are fresh */
	int64_t deadline_ms;
	int64_t patient_until_ms; /* it is woken then to ask again, once; 0: never */
	int result;               /* handed to wake */
	uint64_t off, len;        /* the range waited for; unused by metadata */
	void *held;               /* bytes brought for this waiter alone; see fetch.h */
	uint64_t only;       /* of bytes: not more than so many from off on are fetched; 0: what the
			      * plan of the file says */
	bool some;           /* the first bytes of it are enough, if the others are slow to come */
	bool verdict;        /* waits until the whole file is known to be right, or wrong */
	atomic_int canceled; /* set by an interrupt that came before parking */
	/* Called exactly once after PARKED, from any thread, no lock held. r is 0 ("ask again") or
	 * negative ("answer this"). The waiter may be freed inside. */
	void (*wake)(struct waiter *w, int r);
};

struct waitlist {
	struct waiter *first, *last;
	atomic_uint *readers; /* how many wait, here and on other lists that share it, with no
			       * `only`; or NULL: nobody counts. Outlives the list */
};

/* Prepares a waiter: now, a deadline from now, and what to call. */
void waiter_init(struct waiter *w, int64_t timeout_ms, void (*wake)(struct waiter *, int));
/* Appends; the waiter must not be parked. */
void waitlist_add(struct waitlist *l, struct waiter *w);
/* Unlinks w from its list. */
void waitlist_del(struct waiter *w);
/* Moves w from its list to `to`, noting the result it shall be woken with. */
void waitlist_settle(struct waiter *w, int r, struct waitlist *to);
/* Settles all with result r. */
void waitlist_settle_all(struct waitlist *from, int r, struct waitlist *to);
/* Settles those whose deadline has passed, with result r, and with 0 those whose patience is
 * over. */
void waitlist_settle_late(struct waitlist *from, int64_t now_ms, int r, struct waitlist *to);
/* Wakes each with its result and leaves the list empty. Call with no lock held. */
void waitlist_wake(struct waitlist *settled);

#endif
