/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/underway.h"

#include <assert.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"

#define PERIOD_MS 1000
#define TELL_MS 10000 /* from one line about slow ones to the next */

/* What a look has found. */
struct found {
	struct underway_item
		*slow[UNDERWAY_SHOWN]; /* the oldest that were not told, oldest first */
	unsigned slow_count;           /* of all of them */
	struct buf wedged;             /* the last one */
};

static void add_slow(struct found *f, struct underway_item *i)
{
	unsigned at = f->slow_count++;

	if (at >= UNDERWAY_SHOWN) {
		at = UNDERWAY_SHOWN - 1;
		if (i->started_us >= f->slow[at]->started_us)
			return;
	}
	for (; at > 0 && i->started_us < f->slow[at - 1]->started_us; at--)
		f->slow[at] = f->slow[at - 1];
	f->slow[at] = i;
}

/* Notes an item that has become too old since the last look; a slow one only if it can be told. */
static void look_at(struct underway *u, struct underway_item *i, int64_t now_us, bool tell,
		    struct found *ret)
{
	if (!i->wedged && i->deadline_ms < now_us / 1000 - UNDERWAY_GRACE_MS &&
	    !(i->is_patient && i->is_patient(i))) {
		i->wedged = true;
		metrics_add(&u->metrics->wedged, 1);
		buf_clear(&ret->wedged);
		i->describe(i, &ret->wedged);
	}
	if (tell && !i->told && u->slow_us && now_us - i->started_us >= u->slow_us) {
		i->told = true;
		add_slow(ret, i);
	}
}

static void describe_slow(const struct found *f, int64_t now_us, struct buf *ret)
{
	for (unsigned n = 0; n < f->slow_count && n < UNDERWAY_SHOWN; n++) {
		buf_printf(ret, "%sseconds=%.1f ", n ? "; " : "",
			   (double)(now_us - f->slow[n]->started_us) / 1e6);
		f->slow[n]->describe(f->slow[n], ret);
	}
	if (f->slow_count > UNDERWAY_SHOWN)
		buf_printf(ret, "; and %u more", f->slow_count - UNDERWAY_SHOWN);
}

/* Those that become slow between two lines are told by the next one, if they still wait. */
static void look(struct underway *u)
{
	CLEANUP(buf_free) struct buf slow = { 0 };
	struct found found = { .slow_count = 0 };
	int64_t now_us = clock_us();
	bool tell = !u->told_ms || now_us / 1000 - u->told_ms >= TELL_MS;

	lock_take(&u->lock);
	for (struct underway_item *i = u->first; i; i = i->next)
		look_at(u, i, now_us, tell, &found);
	describe_slow(&found, now_us, &slow);
	lock_drop(&u->lock);
	if (slow.len) {
		u->told_ms = now_us / 1000;
		log_line(LOG_LEVEL_WARN, NULL, "slow, still waiting: %s", buf_str(&slow));
	}
	if (found.wedged.len)
		log_line(LOG_LEVEL_ERR, LOG_ONCE_A_PERIOD_,
			 "a request was not answered at its deadline: %s", buf_str(&found.wedged));
	buf_free(&found.wedged);
}

static void *watch(void *arg)
{
	struct underway *u = arg;

	lock_take(&u->lock);
	while (!u->stop) {
		u->watching = u->first != NULL;
		cond_wait(&u->wake, &u->lock, u->watching ? clock_ms() + PERIOD_MS : CLOCK_FOREVER);
		lock_drop(&u->lock);
		look(u);
		lock_take(&u->lock);
	}
	lock_drop(&u->lock);
	return NULL;
}

int underway_start(struct underway *u, int64_t slow_ms, struct metrics *metrics)
{
	int r;

	*u = (struct underway){ .slow_us = slow_ms * 1000, .metrics = metrics };
	lock_init(&u->lock, LOCK_UNDERWAY);
	cond_init(&u->wake);
	r = thread_start(&u->watcher, "mfs-watch", watch, u);
	if (r < 0)
		u->metrics = NULL;
	return r;
}

void underway_stop(struct underway *u)
{
	if (!u->metrics)
		return;
	lock_take(&u->lock);
	u->stop = true;
	cond_wake_all(&u->wake);
	lock_drop(&u->lock);
	pthread_join(u->watcher, NULL);
	assert(!u->first);
	cond_fini(&u->wake);
	lock_fini(&u->lock);
	u->metrics = NULL;
}

void underway_add(struct underway *u, struct underway_item *i)
{
	i->prev = NULL;
	i->listed = true;
	lock_take(&u->lock);
	i->next = u->first;
	if (u->first)
		u->first->prev = i;
	u->first = i;
	if (!u->watching)
		cond_wake_one(&u->wake);
	u->watching = true;
	lock_drop(&u->lock);
}

void underway_del(struct underway *u, struct underway_item *i)
{
	lock_take(&u->lock);
	if (i->prev)
		i->prev->next = i->next;
	else
		u->first = i->next;
	if (i->next)
		i->next->prev = i->prev;
	lock_drop(&u->lock);
	i->listed = false;
}

void underway_each(struct underway *u, void (*fn)(void *arg, struct underway_item *i), void *arg)
{
	lock_take(&u->lock);
	for (struct underway_item *i = u->first; i; i = i->next)
		fn(arg, i);
	lock_drop(&u->lock);
}

void underway_ended(struct underway *u, struct underway_item *i, int64_t took_us)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	if (!u->slow_us || took_us < u->slow_us)
		return;
	metrics_add(&u->metrics->slow_ops, 1);
	i->describe(i, &text);
	log_line(LOG_LEVEL_WARN, LOG_ONCE_A_PERIOD_, "slow: seconds=%.1f %s", (double)took_us / 1e6,
		 buf_str(&text));
}

unsigned underway_count(struct underway *u, int64_t *ret_oldest_ms)
{
	int64_t now_us = clock_us(), oldest_us = now_us;
	unsigned count = 0;

	lock_take(&u->lock);
	for (const struct underway_item *i = u->first; i; i = i->next) {
		count++;
		if (i->started_us < oldest_us)
			oldest_us = i->started_us;
	}
	lock_drop(&u->lock);
	*ret_oldest_ms = (now_us - oldest_us) / 1000;
	return count;
}
