/* SPDX-License-Identifier: Apache-2.0 */
/* Mutexes that know their owner and rank, and conditions with monotonic deadlines. A thread that
 * holds a lock may only take locks of higher rank; a lock is short, and never held while calling
 * out. */
#ifndef MATRIXFS_LOCK_H
#define MATRIXFS_LOCK_H

#include <pthread.h>
#include <stdint.h>

#ifdef __clang__
#define TSA(x) __attribute__((x))
#else
#define TSA(x)
#endif
#define NEEDS(m) TSA(requires_capability(m)) /* on declarations of x_locked() */

/* In the order in which they may be nested. */
enum lock_rank {
	LOCK_UNDERWAY = 1,
	LOCK_PULSE,
	LOCK_RELOAD,
	LOCK_OPENFILES,
	LOCK_INODE,
	LOCK_NFS_OBJECTS,
	LOCK_NFS_KEPT,
	LOCK_NFS_FORMS,
	LOCK_NFS_CLIENTS,
	LOCK_NFS_TRAIL,
	LOCK_RPCD,
	LOCK_RPCD_CONN,
	LOCK_SCRATCH,
	LOCK_ESTATE,
	LOCK_SENDING,
	LOCK_RECEIVE,
	LOCK_PARTS,
	LOCK_DUES,
	LOCK_XET_ROOM,
	LOCK_READY,
	LOCK_ROSTER,
	LOCK_FILTER,
	LOCK_HEARD,
	LOCK_RULEWATCH,
	LOCK_COLLECTOR,
	LOCK_CHUNKER,
	LOCK_DEBTS,
	LOCK_VERIFY_QUEUE,
	LOCK_VERIFY_LISTS,
	LOCK_VERIFY_GIVERS,
	LOCK_DIGEST_ANSWERS,
	LOCK_WORKERS,
	LOCK_RENEWING,
	LOCK_NODE,
	LOCK_WARMUPS,
	LOCK_WARMUP,
	LOCK_WHERE,
	LOCK_JOBS,
	LOCK_KEEPER,
	LOCK_PINS,
	LOCK_DOCS,
	LOCK_FLIGHT,
	LOCK_PREFETCH,
	LOCK_OPENED,
	LOCK_PEER_CERT,
	LOCK_MAKE_WAY,
	LOCK_FETCH,
	LOCK_THROTTLE,
	LOCK_FAIR_QUEUE,
	LOCK_EVICT,
	LOCK_STORE,
	LOCK_BLOB,
	LOCK_HUB,
	LOCK_KV,
	LOCK_PEERS,
	LOCK_HTTPC,
	LOCK_HTTPD,
	LOCK_PLACEMENT_CACHE,
	LOCK_SEGMENT_NOTES,
	LOCK_DIGEST_LISTS,
	LOCK_PROVENANCE,
	LOCK_FANOUT,
	LOCK_CALLERS,
	LOCK_TLS_TROUBLES,
	LOCK_PROBE,
	LOCK_TLS,
	LOCK_CHECKINS,
	LOCK_MEMBER_LIST,
	LOCK_MEMBERS,
	LOCK_CLUSTER_KEY,
	LOCK_FAILURES,
	LOCK_GUESSES,
	LOCK_USES,
	LOCK_AUDIT,
	LOCK_AUDIT_WRITER,
	LOCK_OUTBOX,
	LOCK_TEST,
};

struct TSA(capability("mutex")) lock {
	pthread_mutex_t mutex;
	pthread_t owner; /* valid while held */
	int held;
	enum lock_rank rank;
};

struct cond {
	pthread_cond_t cond;
};

/* A free lock of that rank; fini wants it free. */
void lock_init(struct lock *l, enum lock_rank rank);
void lock_fini(struct lock *l);
/* Takes the lock; asserts that this thread holds none of its rank or above. */
void lock_take(struct lock *l) TSA(acquire_capability(*l)) TSA(no_thread_safety_analysis);
/* Drops the lock; asserts that this thread holds it. */
void lock_drop(struct lock *l) TSA(release_capability(*l)) TSA(no_thread_safety_analysis);
/* True if the calling thread holds it. For assert(). */
int lock_mine(const struct lock *l);

/* A condition; waiting and waking need the lock that guards what is waited for. */
void cond_init(struct cond *c);
void cond_fini(struct cond *c);
void cond_wake_one(struct cond *c);
void cond_wake_all(struct cond *c);
/* Waits until woken or until clock_ms() >= deadline_ms (CLOCK_FOREVER: no deadline). Returns 0, or
 * -ETIMEDOUT. May wake for no reason; the caller looks again. */
int cond_wait(struct cond *c, struct lock *l, int64_t deadline_ms) NEEDS(*l);

/* A joinable thread with a name (at most 15 bytes) and a small stack. 0 or -errno. */
int thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg);
/* The calling thread lets others go first, by 1 ... THREAD_NICE_MAX as for nice(1), for the rest of
 * its life: only root may take that back, so what is to be done so has a thread of its own. With
 * the maximum its disk reads wait for everybody else's, too. As far as the system lets it. */
#define THREAD_NICE_MAX 19
void thread_be_nice(int nice);

#endif
