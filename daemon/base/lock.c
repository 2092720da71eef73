/* SPDX-License-Identifier: Apache-2.0 */
/* Each thread remembers the ranks it holds as bits of one number: at most one lock of a rank can
 * be held, so that says it all. A wrong order is found the first time it happens, not when
 * it deadlocks. */
#include "daemon/base/lock.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/clock.h"

/* Room for name resolution (glibc's resolver is the hungriest), and no more. */
#ifdef __SANITIZE_THREAD__ /* takes most of that for itself */
#define STACK_BYTES (4 * 1024 * 1024)
#else
#define STACK_BYTES (512 * 1024)
#endif
#define NAME_MAX_BYTES 15
#define IOPRIO_IDLE (3 << 13) /* linux/ioprio.h: IOPRIO_CLASS_IDLE */
#define IOPRIO_WHO_PROCESS 1

__extension__ typedef unsigned __int128 rank_set;
static _Thread_local rank_set held_ranks;
static_assert(LOCK_TEST < 128, "a rank is a bit of the set");

void lock_init(struct lock *l, enum lock_rank rank)
{
	int r = pthread_mutex_init(&l->mutex, NULL);

	assert(r == 0);
	l->held = 0;
	l->rank = rank;
}

void lock_fini(struct lock *l)
{
	int r = pthread_mutex_destroy(&l->mutex);

	assert(r == 0);
}

/* lock_mine() may look while another thread takes or drops: owner is written before held and
 * read after it, so a thread that sees held set sees the owner that set it, or a later one,
 * never its own old self. */
static void set_owner(struct lock *l)
{
	__atomic_store_n(&l->owner, pthread_self(), __ATOMIC_RELAXED);
	__atomic_store_n(&l->held, 1, __ATOMIC_RELEASE);
}

static void clear_owner(struct lock *l)
{
	__atomic_store_n(&l->held, 0, __ATOMIC_RELAXED);
}

int lock_mine(const struct lock *l)
{
	return __atomic_load_n(&l->held, __ATOMIC_ACQUIRE) &&
	       pthread_equal(__atomic_load_n(&l->owner, __ATOMIC_RELAXED), pthread_self());
}

void lock_take(struct lock *l)
{
	int r;

	assert(held_ranks >> l->rank == 0);
	r = pthread_mutex_lock(&l->mutex);
	assert(r == 0);
	set_owner(l);
	held_ranks |= (rank_set)1 << l->rank;
}

void lock_drop(struct lock *l)
{
	int r;

	assert(lock_mine(l));
	held_ranks &= ~((rank_set)1 << l->rank);
	clear_owner(l);
	r = pthread_mutex_unlock(&l->mutex);
	assert(r == 0);
}

void cond_init(struct cond *c)
{
	pthread_condattr_t attr;
	int r = pthread_condattr_init(&attr);

	assert(r == 0);
	r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	assert(r == 0);
	r = pthread_cond_init(&c->cond, &attr);
	assert(r == 0);
	pthread_condattr_destroy(&attr);
}

void cond_fini(struct cond *c)
{
	int r = pthread_cond_destroy(&c->cond);

	assert(r == 0);
}

void cond_wake_one(struct cond *c)
{
	pthread_cond_signal(&c->cond);
}

void cond_wake_all(struct cond *c)
{
	pthread_cond_broadcast(&c->cond);
}

int cond_wait(struct cond *c, struct lock *l, int64_t deadline_ms)
{
	struct timespec ts = { .tv_sec = deadline_ms / 1000,
			       .tv_nsec = deadline_ms % 1000 * 1000000 };
	int r;

	assert(lock_mine(l));
	clear_owner(l);
	if (deadline_ms == CLOCK_FOREVER)
		r = pthread_cond_wait(&c->cond, &l->mutex);
	else
		r = pthread_cond_timedwait(&c->cond, &l->mutex, &ts);
	set_owner(l);
	assert(r == 0 || r == ETIMEDOUT);
	return -r;
}

/* As libfuse does for its workers: the signals that end the program interrupt the main thread
 * only. */
static int block_signals(pthread_attr_t *attr)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	return pthread_attr_setsigmask_np(attr, &set);
}

int thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	int r;

	assert(strlen(name) <= NAME_MAX_BYTES);
	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	r = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (!r)
		r = block_signals(&attr);
	if (!r)
		r = pthread_create(ret, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	/* The name only helps people; a thread that has already ended cannot take it. */
	if (!r)
		pthread_setname_np(*ret, name);
	return -r;
}

void thread_be_nice(int nice)
{
	setpriority(PRIO_PROCESS, 0, nice); /* of this thread alone, on Linux */
	if (nice == THREAD_NICE_MAX)
		syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}
