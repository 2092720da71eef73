/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs wait in a queue for a worker; workers are started as needed and end when idle. A job is in
 * the map from its first waiter until it has run, so that joiners find it. One clock thread wakes
 * late waiters; it looks every TICK_MS while anybody waits. */
#include "daemon/names/flight.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"

#define TICK_MS 250

struct job {
	struct job *next; /* in the queue */
	char *key;
	flight_fn work;
	void (*free_arg)(void *);
	struct flight_job pub;
	struct waitlist waiters;
};

struct flight {
	struct flight_conf conf;
	atomic_int stop;
	struct lock lock;
	/* All below is guarded by lock. */
	struct cond work;   /* a job was queued, or stop */
	struct cond ticked; /* a waiter came, or stop */
	struct cond ended;  /* a worker ended */
	struct map jobs;    /* key -> struct job */
	struct job *queue, **queue_end;
	unsigned threads, idle;
	pthread_t clock;
	bool clock_runs;
};

static void job_free(struct job *j)
{
	j->free_arg(j->pub.arg);
	free(j->key);
	free(j);
}

static struct job *pop_locked(struct flight *f)
{
	struct job *j = f->queue;

	if (j) {
		f->queue = j->next;
		if (!f->queue)
			f->queue_end = &f->queue;
	}
	return j;
}

/* The next job, or NULL when this worker should end. */
static struct job *next_job_locked(struct flight *f)
{
	int64_t until = clock_ms() + f->conf.idle_ms;
	struct job *j;

	while (!(j = pop_locked(f)) && !atomic_load(&f->stop)) {
		f->idle++;
		int r = cond_wait(&f->work, &f->lock, until);
		f->idle--;
		if (r == -ETIMEDOUT && !f->queue)
			return NULL;
	}
	return j;
}

static void run_job(struct flight *f, struct job *j)
{
	struct waitlist settled = { 0 };
	int r;

	err_forget_note(); /* the thread's last job may have failed */
	r = atomic_load(&f->stop) ? ERR_STOPPING : j->work(&j->pub);
	lock_take(&f->lock);
	map_del_str(&f->jobs, j->key);
	waitlist_settle_all(&j->waiters, r, &settled);
	lock_drop(&f->lock);
	waitlist_wake(&settled);
	job_free(j);
}

static void *worker(void *arg);

/* Makes sure somebody will take the queue's next job. */
static int need_worker_locked(struct flight *f)
{
	pthread_t thread;
	int r;

	if (f->idle || f->threads == f->conf.threads_max) {
		cond_wake_one(&f->work);
		return 0;
	}
	r = thread_start(&thread, "mfs-meta", worker, f);
	if (r < 0)
		return f->threads ? 0 : r; /* those that run will come to it */
	pthread_detach(thread);
	f->threads++;
	return 0;
}

static void *worker(void *arg)
{
	struct flight *f = arg;
	struct job *j;

	lock_take(&f->lock);
	while ((j = next_job_locked(f))) {
		/* Two who joined may both have counted on this one. */
		if (f->queue)
			(void)need_worker_locked(f);
		lock_drop(&f->lock);
		run_job(f, j);
		lock_take(&f->lock);
	}
	f->threads--;
	cond_wake_all(&f->ended);
	lock_drop(&f->lock);
	return NULL;
}

struct late {
	struct waitlist *settled;
	int64_t now_ms;
};

static int settle_late(void *arg, void *value)
{
	struct late *l = arg;
	struct job *j = value;

	waitlist_settle_late(&j->waiters, l->now_ms, ERR_TIMEOUT, l->settled);
	return 0;
}

static void *clockwork(void *arg)
{
	struct flight *f = arg;

	lock_take(&f->lock);
	while (!atomic_load(&f->stop)) {
		struct waitlist settled = { 0 };
		struct late late = { &settled, clock_ms() };

		map_each(&f->jobs, settle_late, &late);
		lock_drop(&f->lock);
		waitlist_wake(&settled);
		lock_take(&f->lock);
		if (!atomic_load(&f->stop))
			cond_wait(&f->ticked, &f->lock,
				  f->jobs.count ? clock_ms() + TICK_MS : CLOCK_FOREVER);
	}
	lock_drop(&f->lock);
	return NULL;
}

int flight_new(const struct flight_conf *conf, struct flight **ret)
{
	struct flight *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->conf = *conf;
	f->queue_end = &f->queue;
	lock_init(&f->lock, LOCK_FLIGHT);
	cond_init(&f->work);
	cond_init(&f->ticked);
	cond_init(&f->ended);
	r = thread_start(&f->clock, "mfs-clock", clockwork, f);
	if (r < 0) {
		flight_free(f);
		return r;
	}
	f->clock_runs = true;
	*ret = f;
	return 0;
}

struct stopping {
	struct flight *f;
	struct waitlist settled;
};

static int stop_job(void *arg, void *value)
{
	struct stopping *s = arg;
	struct job *j = value;

	waitlist_settle_all(&j->waiters, ERR_STOPPING, &s->settled);
	httpc_cancel(s->f->conf.http, &j->pub.cancel);
	return 0;
}

void flight_stop(struct flight *f)
{
	struct stopping s = { .f = f };

	lock_take(&f->lock);
	atomic_store(&f->stop, 1);
	map_each(&f->jobs, stop_job, &s);
	cond_wake_all(&f->work);
	cond_wake_all(&f->ticked);
	lock_drop(&f->lock);
	waitlist_wake(&s.settled);
	lock_take(&f->lock);
	while (f->threads)
		cond_wait(&f->ended, &f->lock, CLOCK_FOREVER);
	lock_drop(&f->lock);
	if (f->clock_runs)
		pthread_join(f->clock, NULL);
	f->clock_runs = false;
}

void flight_free(struct flight *f)
{
	if (!f)
		return;
	assert(!f->clock_runs && f->threads == 0);
	map_fini(&f->jobs);
	cond_fini(&f->ended);
	cond_fini(&f->ticked);
	cond_fini(&f->work);
	lock_fini(&f->lock);
	free(f);
}

static int add_job_locked(struct flight *f, struct job *j)
{
	int r = map_put_str(&f->jobs, j->key, j);

	if (r < 0)
		return r;
	r = need_worker_locked(f);
	if (r < 0) {
		map_del_str(&f->jobs, j->key);
		return r;
	}
	*f->queue_end = j;
	f->queue_end = &j->next;
	return 0;
}

static int join_locked(struct flight *f, const char *key, struct job **fresh, struct waiter *w)
{
	struct job *j = map_find_str(&f->jobs, key);
	int r = 0;

	if (atomic_load(&f->stop))
		return ERR_STOPPING;
	if (atomic_load(&w->canceled))
		return ERR_CANCELED;
	if (!j) {
		j = *fresh;
		r = add_job_locked(f, j);
		if (r < 0)
			return r;
		*fresh = NULL;
	}
	waitlist_add(&j->waiters, w);
	cond_wake_one(&f->ticked);
	return PARKED;
}

int flight_join(struct flight *f, const char *key, flight_fn work, void *arg,
		void (*free_arg)(void *), int64_t until_ms, struct waiter *w)
{
	struct job *fresh = calloc(1, sizeof(*fresh));
	int r = -ENOMEM;

	if (!fresh) {
		free_arg(arg);
		return -ENOMEM;
	}
	fresh->work = work;
	fresh->free_arg = free_arg;
	fresh->pub.arg = arg;
	fresh->pub.stop = &f->stop;
	fresh->key = strdup(key);
	w->patient_until_ms = until_ms;
	if (fresh->key) {
		lock_take(&f->lock);
		r = join_locked(f, key, &fresh, w);
		lock_drop(&f->lock);
	}
	if (fresh)
		job_free(fresh);
	return r;
}

int flight_leave(struct flight *f, struct waiter *w)
{
	int found = 0;

	lock_take(&f->lock);
	if (w->list) {
		waitlist_del(w);
		found = 1;
	}
	lock_drop(&f->lock);
	return found;
}
