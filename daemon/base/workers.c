/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/workers.h"

#include <assert.h>
#include <errno.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"

struct item {
	struct item *next;
	struct work work;
	int64_t due_ms;
};

struct workers {
	struct workers_conf conf;
	pthread_t threads[WORKERS_THREADS_MAX];
	unsigned started;
	struct lock lock;
	/* Guarded by lock. */
	struct cond changed; /* work has come or was done, a thread has ended, or stop */
	struct item *waiting, **end;
	struct item *running;
	unsigned count; /* that wait */
	unsigned alive; /* threads */
	bool stop;
};

static _Thread_local bool is_worker;

bool workers_run_here(void)
{
	return is_worker;
}

static bool is_taken_locked(const struct workers *w, uint64_t lane)
{
	for (const struct item *i = w->running; lane && i; i = i->next)
		if (i->work.lane == lane)
			return true;
	return false;
}

/* Where the first stands that may begin now, or NULL; *ret_until_ms says when one may by its
 * delay. */
static struct item **first_locked(struct workers *w, int64_t *ret_until_ms)
{
	int64_t now_ms = clock_ms();

	*ret_until_ms = CLOCK_FOREVER;
	for (struct item **at = &w->waiting; *at; at = &(*at)->next) {
		bool due = w->stop || (*at)->due_ms <= now_ms;

		if (due && !is_taken_locked(w, (*at)->work.lane))
			return at;
		if (!due && (*at)->due_ms < *ret_until_ms)
			*ret_until_ms = (*at)->due_ms;
	}
	return NULL;
}

/* NULL when there will be no more. */
static struct item *next_locked(struct workers *w)
{
	struct item **at, *i;
	int64_t until_ms;

	while (!(at = first_locked(w, &until_ms))) {
		if (w->stop && !w->waiting)
			return NULL;
		cond_wait(&w->changed, &w->lock, until_ms);
	}
	i = *at;
	*at = i->next;
	if (!*at)
		w->end = at;
	w->count--;
	if (w->waiting) /* who waited for its time may be this one */
		cond_wake_one(&w->changed);
	return i;
}

static void run_locked(struct workers *w, struct item *i)
{
	struct item **at = &w->running;

	i->next = w->running;
	w->running = i;
	lock_drop(&w->lock);
	i->work.fn(i->work.arg, i->work.number);
	lock_take(&w->lock);
	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	if (i->work.lane)
		cond_wake_all(&w->changed);
	free(i);
}

static void *work(void *arg)
{
	struct workers *w = arg;
	struct item *i;

	is_worker = true;
	lock_take(&w->lock);
	while ((i = next_locked(w)))
		run_locked(w, i);
	w->alive--;
	cond_wake_all(&w->changed);
	lock_drop(&w->lock);
	return NULL;
}

static int start_thread(struct workers *w)
{
	int r;

	lock_take(&w->lock);
	w->alive++;
	lock_drop(&w->lock);
	r = thread_start(&w->threads[w->started], w->conf.name, work, w);
	if (r == 0) {
		w->started++;
		return 0;
	}
	lock_take(&w->lock);
	w->alive--;
	lock_drop(&w->lock);
	return r;
}

int workers_start(const struct workers_conf *conf, struct workers **ret)
{
	struct workers *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return -ENOMEM;
	assert(conf->threads <= WORKERS_THREADS_MAX);
	w->conf = *conf;
	w->end = &w->waiting;
	lock_init(&w->lock, LOCK_WORKERS);
	cond_init(&w->changed);
	while (r == 0 && w->started < conf->threads)
		r = start_thread(w);
	if (r == 0)
		*ret = w;
	else
		(void)!workers_stop(w, CLOCK_FOREVER);
	return r;
}

/* Who fills one lane does not shut out all others: it has half the places, and one at least. */
static bool has_place_locked(const struct workers *w, uint64_t lane)
{
	unsigned in_lane = 0;

	for (const struct item *i = w->waiting; lane && i; i = i->next)
		in_lane += i->work.lane == lane;
	return w->count < w->conf.waiting_max &&
	       in_lane < w->conf.waiting_max - w->conf.waiting_max / 2;
}

int workers_add(struct workers *w, const struct work *work)
{
	struct item *i = malloc(sizeof(*i));
	bool taken;

	if (!i)
		return -ENOMEM;
	assert(!work->lane || !work->delay_ms);
	*i = (struct item){ NULL, *work, work->delay_ms ? clock_ms() + work->delay_ms : 0 };
	lock_take(&w->lock);
	taken = !w->stop && has_place_locked(w, work->lane);
	if (taken) {
		*w->end = i;
		w->end = &i->next;
		w->count++;
		cond_wake_one(&w->changed);
	}
	lock_drop(&w->lock);
	if (!taken)
		free(i);
	return taken ? 0 : -EAGAIN;
}

static void drop_locked(struct workers *w)
{
	struct item *i;

	while ((i = w->waiting)) {
		w->waiting = i->next;
		free(i);
	}
	w->end = &w->waiting;
	w->count = 0;
}

bool workers_stop(struct workers *w, int64_t deadline_ms)
{
	bool over;

	if (!w)
		return true;
	lock_take(&w->lock);
	w->stop = true;
	if (w->conf.drops)
		drop_locked(w);
	cond_wake_all(&w->changed);
	while (w->alive && clock_ms() < deadline_ms)
		cond_wait(&w->changed, &w->lock, deadline_ms);
	over = !w->alive;
	lock_drop(&w->lock);
	if (!over) {
		while (w->started)
			pthread_detach(w->threads[--w->started]);
		return false;
	}
	while (w->started)
		pthread_join(w->threads[--w->started], NULL);
	cond_fini(&w->changed);
	lock_fini(&w->lock);
	free(w);
	return true;
}
