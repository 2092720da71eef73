/* SPDX-License-Identifier: Apache-2.0 */
/* A job waits in the list until it is due; a free thread takes the first that is. One that wants
 * to run again later goes back and holds no thread meanwhile. */
#include "daemon/job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"

#define IDLE_MS 10000
#define LIST_MAX (JOBS_RUNNING_MAX + JOBS_ENDED_MAX)

struct job {
	struct job *next;
	struct jobs *all;
	job_fn work;
	void *arg;
	void (*free_arg)(void *);
	/* Guarded by all->lock. */
	struct job_progress progress;
	int64_t due_ms; /* of one that waits; CLOCK_FOREVER while it is worked on */
	bool over;      /* it shall end */
	bool vanishes;  /* and is not listed then */
};

struct jobs {
	unsigned threads_max;
	struct lock lock;
	/* All below is guarded by lock. */
	struct cond changed; /* a job is due, shall end or has ended, a thread has, or stop */
	struct job *first, **end;
	uint64_t last_id;
	unsigned running, ended, threads, idle;
	bool stop;
};

int jobs_new(unsigned threads_max, struct jobs **ret)
{
	struct jobs *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->threads_max = threads_max;
	all->end = &all->first;
	lock_init(&all->lock, LOCK_JOBS);
	cond_init(&all->changed);
	*ret = all;
	return 0;
}

static bool is_running(const struct job *j)
{
	return j->progress.state == JOB_RUNNING;
}

static void drop_locked(struct job *j)
{
	struct job **at = &j->all->first;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	if (!*at)
		j->all->end = at;
	free(j);
}

/* Makes room for one more that has ended. */
static void drop_oldest_locked(struct jobs *all)
{
	struct job *j = all->first;

	while (is_running(j))
		j = j->next;
	drop_locked(j);
	all->ended--;
}

static enum job_state state_after(const struct job *j, int r)
{
	if (j->over || r == ERR_CANCELED || r == ERR_STOPPING)
		return JOB_CANCELED;
	return r < 0 ? JOB_FAILED : JOB_DONE;
}

/* On the thread that met it: that is who noted more of it. */
static void set_error_locked(struct job *j, int r)
{
	const char *more = err_noted(r);

	j->progress.error = r;
	j->progress.why[0] = '\0';
	if (r < 0)
		snprintf(j->progress.why, sizeof(j->progress.why), *more ? "%s (%s)" : "%s",
			 err_text(r), more);
}

static void end_locked(struct job *j, int r)
{
	struct jobs *all = j->all;

	/* Whoever waits for it is to know that it did not end by itself, nor by somebody. */
	if (r < 0 && all->stop)
		r = ERR_STOPPING;
	j->progress.state = r == 0 ? JOB_DONE : state_after(j, r);
	set_error_locked(j, r);
	j->progress.ended_ms = clock_wall_ms();
	j->free_arg(steal(j->arg));
	all->running--;
	if (j->vanishes)
		drop_locked(j);
	else if (++all->ended > JOBS_ENDED_MAX)
		drop_oldest_locked(all);
}

/* The job that is due first, or NULL; *ret_due_ms says when one will be. */
static struct job *next_locked(struct jobs *all, int64_t *ret_due_ms)
{
	struct job *best = NULL;

	*ret_due_ms = CLOCK_FOREVER;
	for (struct job *j = all->first; j; j = j->next)
		if (is_running(j) && j->due_ms < *ret_due_ms) {
			best = j;
			*ret_due_ms = j->due_ms;
		}
	return best && best->due_ms <= clock_ms() ? best : NULL;
}

static void run_locked(struct job *j)
{
	struct jobs *all = j->all;
	bool over = j->over;
	int r = ERR_CANCELED;

	j->due_ms = CLOCK_FOREVER;
	j->progress.waits = false;
	if (!over) {
		lock_drop(&all->lock);
		err_forget_note(); /* what another job noted is not about this one */
		r = j->work(j, j->arg);
		lock_take(&all->lock);
	}
	if (r > 0 && !j->over)
		j->due_ms = clock_ms() + r;
	else
		end_locked(j, r > 0 ? ERR_CANCELED : r);
	cond_wake_all(&all->changed);
}

static void *worker(void *arg)
{
	struct jobs *all = arg;
	int64_t idle_since_ms = clock_ms(), due_ms;

	lock_take(&all->lock);
	while (!all->stop) {
		struct job *j = next_locked(all, &due_ms);
		int64_t until_ms = idle_since_ms + IDLE_MS;

		if (j) {
			run_locked(j);
			idle_since_ms = clock_ms();
			continue;
		}
		/* While a job waits for its time, one thread waits with it. */
		if (clock_ms() >= until_ms && (due_ms == CLOCK_FOREVER || all->idle > 0))
			break;
		all->idle++;
		cond_wait(&all->changed, &all->lock, due_ms < until_ms ? due_ms : until_ms);
		all->idle--;
		if (due_ms != CLOCK_FOREVER && clock_ms() >= until_ms)
			idle_since_ms = clock_ms();
	}
	all->threads--;
	cond_wake_all(&all->changed);
	lock_drop(&all->lock);
	return NULL;
}

static int need_worker_locked(struct jobs *all)
{
	pthread_t thread;
	int r;

	cond_wake_all(&all->changed);
	if (all->idle || all->threads == all->threads_max)
		return 0;
	r = thread_start(&thread, "mfs-job", worker, all);
	if (r < 0)
		return all->threads ? 0 : r; /* those that run will come to it */
	pthread_detach(thread);
	all->threads++;
	return 0;
}

static struct job *find_named_locked(struct jobs *all, enum job_kind kind, const char *what)
{
	for (struct job *j = all->first; j; j = j->next)
		if (is_running(j) && !j->over && j->progress.kind == kind &&
		    strcmp(j->progress.what, what) == 0)
			return j;
	return NULL;
}

static int add_locked(struct jobs *all, struct job *j)
{
	int r;

	if (all->stop)
		return ERR_STOPPING;
	if (all->running == JOBS_RUNNING_MAX)
		return -EAGAIN;
	r = need_worker_locked(all);
	if (r < 0)
		return r;
	j->progress.id = ++all->last_id;
	*all->end = j;
	all->end = &j->next;
	all->running++;
	return 0;
}

int jobs_start(struct jobs *all, enum job_kind kind, const char *what, job_fn work, void *arg,
	       void (*free_arg)(void *), uint64_t *ret_id)
{
	CLEANUP(freep) struct job *j = calloc(1, sizeof(*j));
	struct job *same;
	int r = j ? 0 : -ENOMEM;

	if (r == 0) {
		*j = (struct job){ .all = all, .work = work, .arg = arg, .free_arg = free_arg };
		j->progress.kind = kind;
		j->progress.waits = true;
		j->progress.started_ms = clock_wall_ms();
		snprintf(j->progress.what, sizeof(j->progress.what), "%s", what);
	}
	lock_take(&all->lock);
	same = find_named_locked(all, kind, what);
	if (same)
		*ret_id = same->progress.id;
	else if (r == 0)
		r = add_locked(all, j);
	if (!same && r == 0)
		*ret_id = steal(j)->progress.id;
	lock_drop(&all->lock);
	if (same || r < 0)
		free_arg(arg);
	return same ? 0 : r;
}

int jobs_get(struct jobs *all, uint64_t id, struct job_progress *ret)
{
	int r = -ENOENT;

	lock_take(&all->lock);
	for (struct job *j = all->first; j && r < 0; j = j->next)
		if (j->progress.id == id) {
			*ret = j->progress;
			r = 0;
		}
	lock_drop(&all->lock);
	return r;
}

int jobs_each(struct jobs *all, int (*fn)(void *arg, const struct job_progress *p), void *arg)
{
	CLEANUP(freep) struct job_progress *list = calloc(LIST_MAX, sizeof(*list));
	size_t count = 0;
	int r = 0;

	if (!list)
		return -ENOMEM;
	lock_take(&all->lock);
	for (struct job *j = all->first; j && count < LIST_MAX; j = j->next)
		list[count++] = j->progress;
	lock_drop(&all->lock);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = fn(arg, &list[i]);
	return r;
}

static void cancel_locked(struct job *j)
{
	j->over = true;
	if (j->due_ms != CLOCK_FOREVER)
		j->due_ms = 0;
	cond_wake_all(&j->all->changed);
}

int jobs_cancel(struct jobs *all, uint64_t id)
{
	int r = -ENOENT;

	lock_take(&all->lock);
	for (struct job *j = all->first; j && r < 0; j = j->next)
		if (j->progress.id == id && is_running(j)) {
			cancel_locked(j);
			r = 0;
		}
	lock_drop(&all->lock);
	return r;
}

void jobs_cancel_named(struct jobs *all, enum job_kind kind, const char *what)
{
	struct job *j;

	lock_take(&all->lock);
	j = find_named_locked(all, kind, what);
	if (j)
		cancel_locked(j);
	lock_drop(&all->lock);
}

void job_vanish(struct job *j)
{
	lock_take(&j->all->lock);
	j->vanishes = true;
	lock_drop(&j->all->lock);
}

bool job_is_over(struct job *j)
{
	bool over;

	lock_take(&j->all->lock);
	over = j->over;
	lock_drop(&j->all->lock);
	return over;
}

int job_sleep(struct job *j, int64_t ms)
{
	int64_t until_ms = clock_ms() + ms;
	bool over;

	lock_take(&j->all->lock);
	while (!j->over && clock_ms() < until_ms)
		cond_wait(&j->all->changed, &j->all->lock, until_ms);
	over = j->over;
	lock_drop(&j->all->lock);
	return over ? ERR_CANCELED : 0;
}

void job_tell(struct job *j, const struct job_progress *p)
{
	struct job_progress *to = &j->progress;

	lock_take(&j->all->lock);
	to->files_done = p->files_done;
	to->files_total = p->files_total;
	to->bytes_done = p->bytes_done;
	to->bytes_total = p->bytes_total;
	to->repaired = p->repaired;
	to->bad = p->bad;
	set_error_locked(j, p->error);
	lock_drop(&j->all->lock);
}

void jobs_stop(struct jobs *all)
{
	if (!all)
		return;
	lock_take(&all->lock);
	all->stop = true;
	for (struct job *j = all->first; j; j = j->next)
		if (is_running(j))
			cancel_locked(j);
	cond_wake_all(&all->changed);
	while (all->threads)
		cond_wait(&all->changed, &all->lock, CLOCK_FOREVER);
	for (struct job *j = all->first; j; j = j->next)
		if (is_running(j)) { /* nobody came to it */
			j->progress.state = JOB_CANCELED;
			j->progress.waits = false;
			set_error_locked(j, ERR_STOPPING);
			j->free_arg(steal(j->arg));
		}
	lock_drop(&all->lock);
}

void jobs_free(struct jobs *all)
{
	struct job *j;

	if (!all)
		return;
	while ((j = all->first)) {
		all->first = j->next;
		free(j);
	}
	cond_fini(&all->changed);
	lock_fini(&all->lock);
	free(all);
}
