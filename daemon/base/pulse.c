/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/pulse.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"

#define PERIOD_MS 10000 /* at most, from one look to the next */
#define TIMES 3         /* so often in the time of the watchdog: one may be late */

struct pulse {
	struct pulse_conf conf;
	struct notify notify;
	int64_t period_ms;
	struct buf said; /* of the thread: the last status */
	pthread_t thread;
	struct lock lock;
	/* Guarded by lock. */
	struct cond changed;
	bool ready, stop, ended;
};

/* False if it is to stop; true when it is ready and now_ms has come. */
static bool wait_until(struct pulse *p, int64_t due_ms)
{
	bool stop;

	lock_take(&p->lock);
	while (!p->stop && (!p->ready || clock_ms() < due_ms))
		cond_wait(&p->changed, &p->lock, p->ready ? due_ms : CLOCK_FOREVER);
	stop = p->stop;
	lock_drop(&p->lock);
	return !stop;
}

static void tell(struct pulse *p, int r)
{
	CLEANUP(buf_free) struct buf line = { 0 };

	if (r < 0)
		buf_printf(&line, "not well: %s; ", err_text(r));
	p->conf.tell(p->conf.arg, &line);
	if (strcmp(buf_str(&line), buf_str(&p->said)) == 0)
		return;
	if (notify_status(&p->notify, buf_str(&line)) == 0) {
		buf_free(&p->said);
		p->said = line;
		line = (struct buf){ 0 };
	}
}

static void look(struct pulse *p)
{
	int r = p->conf.check(p->conf.arg);

	if (r < 0)
		log_err(r, "this process does not do what it is for");
	else
		r = notify_alive(&p->notify);
	if (r == -EAGAIN || r == -ECONNREFUSED || r == -ENOENT)
		log_warn(r, "the service manager does not listen");
	tell(p, r);
}

/* False if that is over at due_ms. */
static bool begins_still(struct pulse *p, int64_t due_ms)
{
	bool r;

	lock_take(&p->lock);
	while (!p->stop && !p->ready && cond_wait(&p->changed, &p->lock, due_ms) == 0)
		continue;
	r = !p->stop && !p->ready;
	lock_drop(&p->lock);
	return r;
}

static void begin(struct pulse *p)
{
	int64_t end_ms = clock_ms() + p->conf.begin_ms;

	while (clock_ms() < end_ms) {
		notify_alive(&p->notify);
		if (!begins_still(p, min_i64(clock_ms() + p->period_ms, end_ms)))
			break;
	}
}

static void *run(void *arg)
{
	struct pulse *p = arg;

	begin(p);
	for (int64_t due_ms = 0; wait_until(p, due_ms); due_ms = clock_ms() + p->period_ms)
		look(p);
	lock_take(&p->lock);
	p->ended = true;
	cond_wake_all(&p->changed);
	lock_drop(&p->lock);
	return NULL;
}

static void drop(struct pulse *p)
{
	notify_close(&p->notify);
	buf_free(&p->said);
	cond_fini(&p->changed);
	lock_fini(&p->lock);
	free(p);
}

int pulse_start(const struct pulse_conf *conf, struct pulse **ret)
{
	struct pulse *p = calloc(1, sizeof(*p));
	int64_t watchdog_ms = notify_watchdog_ms(conf->env);
	int r;

	*ret = NULL;
	if (!p)
		return -ENOMEM;
	p->conf = *conf;
	p->period_ms = watchdog_ms ? min_i64(PERIOD_MS, watchdog_ms / TIMES) : PERIOD_MS;
	lock_init(&p->lock, LOCK_PULSE);
	cond_init(&p->changed);
	r = notify_open(&p->notify, conf->env);
	if (r == 0 && notify_heard(&p->notify)) {
		notify_status(&p->notify, "starting");
		r = thread_start(&p->thread, "mfs-pulse", run, p);
		if (r == 0) {
			*ret = p;
			return 0;
		}
	}
	drop(p);
	return r;
}

static void set(struct pulse *p, bool *what)
{
	lock_take(&p->lock);
	*what = true;
	cond_wake_all(&p->changed);
	lock_drop(&p->lock);
}

void pulse_ready(struct pulse *p)
{
	int r = p ? notify_ready(&p->notify) : 0;

	if (r < 0)
		log_warn(r, "the service manager does not listen");
	if (p)
		set(p, &p->ready);
}

void pulse_stopping(struct pulse *p)
{
	if (!p)
		return;
	set(p, &p->stop);
	notify_status(&p->notify, "stopping");
	notify_stopping(&p->notify);
}

void pulse_reloading(struct pulse *p)
{
	if (!p)
		return;
	set(p, &p->stop);
	notify_status(&p->notify, "reading its configuration again");
	notify_reloading(&p->notify);
	notify_alive(&p->notify);
}

bool pulse_free(struct pulse *p, int64_t deadline_ms)
{
	bool ended;

	if (!p)
		return true;
	lock_take(&p->lock);
	while (!p->ended && cond_wait(&p->changed, &p->lock, deadline_ms) == 0)
		continue;
	ended = p->ended;
	lock_drop(&p->lock);
	if (!ended)
		return false;
	pthread_join(p->thread, NULL);
	drop(p);
	return true;
}
