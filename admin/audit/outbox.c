/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/outbox.h"

#include "daemon/base/clock.h"

void outbox_init(struct outbox *o, const struct outbox_conf *conf)
{
	*o = (struct outbox){ .conf = *conf };
	lock_init(&o->lock, LOCK_OUTBOX);
	cond_init(&o->work);
	cond_init(&o->room);
	cond_init(&o->ended);
}

void outbox_fini(struct outbox *o)
{
	buf_free(&o->queue);
	cond_fini(&o->work);
	cond_fini(&o->room);
	cond_fini(&o->ended);
	lock_fini(&o->lock);
}

/* --- putting in */

static bool is_full_locked(const struct outbox *o)
{
	return o->queue.len > o->conf.max_bytes;
}

/* With a writer that is stuck nobody needs to wait for any. */
static bool has_room_locked(const struct outbox *o)
{
	return !is_full_locked(o) || o->stuck;
}

/* It may not come: the disk is slow, or takes nothing at all. */
static bool wait_for_room_locked(struct outbox *o)
{
	int64_t until_ms;

	if (has_room_locked(o))
		return true;
	until_ms = clock_ms() + o->conf.room_ms;
	while (!has_room_locked(o) && clock_ms() < until_ms)
		cond_wait(&o->room, &o->lock, until_ms);
	return has_room_locked(o);
}

/* The writer is woken by the first, and once more when there are many. */
static uint64_t push_locked(struct outbox *o, const void *data, size_t len)
{
	size_t before = o->queue.len;

	if (!len || (o->stuck && is_full_locked(o)) || buf_add(&o->queue, data, len) < 0) {
		o->queue.failed = 0;
		o->lost++;
		return 0;
	}
	if (!before)
		o->since_ms = clock_ms();
	if (!before || (before <= o->conf.hurry_bytes && o->queue.len > o->conf.hurry_bytes))
		cond_wake_one(&o->work);
	return ++o->put;
}

uint64_t outbox_push(struct outbox *o, const void *data, size_t len)
{
	uint64_t number;

	lock_take(&o->lock);
	number = push_locked(o, data, len);
	lock_drop(&o->lock);
	return number;
}

uint64_t outbox_put(struct outbox *o, const void *data, size_t len)
{
	uint64_t number = 0;

	lock_take(&o->lock);
	if (wait_for_room_locked(o))
		number = push_locked(o, data, len);
	else
		o->lost++;
	lock_drop(&o->lock);
	return number;
}

void outbox_wait_for_room(struct outbox *o)
{
	lock_take(&o->lock);
	wait_for_room_locked(o);
	lock_drop(&o->lock);
}

bool outbox_has_room(struct outbox *o)
{
	bool room;

	lock_take(&o->lock);
	room = has_room_locked(o);
	lock_drop(&o->lock);
	return room;
}

static void wake_writer(struct outbox *o, bool *flag)
{
	lock_take(&o->lock);
	if (!*flag) {
		*flag = true;
		cond_wake_one(&o->work);
	}
	lock_drop(&o->lock);
}

void outbox_hurry(struct outbox *o)
{
	wake_writer(o, &o->hurry);
}

void outbox_nudge(struct outbox *o)
{
	wake_writer(o, &o->nudged);
}

bool outbox_stop(struct outbox *o, int64_t deadline_ms)
{
	bool over;

	wake_writer(o, &o->stop);
	lock_take(&o->lock);
	while (!o->over && clock_ms() < deadline_ms)
		cond_wait(&o->ended, &o->lock, deadline_ms);
	over = o->over;
	lock_drop(&o->lock);
	return over;
}

size_t outbox_bytes(struct outbox *o)
{
	size_t bytes;

	lock_take(&o->lock);
	bytes = o->queue.len;
	lock_drop(&o->lock);
	return bytes;
}

uint64_t outbox_count(struct outbox *o)
{
	uint64_t put;

	lock_take(&o->lock);
	put = o->put;
	lock_drop(&o->lock);
	return put;
}

uint64_t outbox_lost(struct outbox *o)
{
	uint64_t lost;

	lock_take(&o->lock);
	lost = o->lost;
	lock_drop(&o->lock);
	return lost;
}

/* --- the writer */

/* When what is in it is to be taken. */
static int64_t due_locked(const struct outbox *o)
{
	if (!o->queue.len || o->stuck)
		return CLOCK_FOREVER;
	return o->queue.len > o->conf.hurry_bytes ? 0 : o->since_ms + o->conf.flush_ms;
}

bool outbox_wait(struct outbox *o, int64_t until_ms)
{
	bool go_on;

	lock_take(&o->lock);
	while (!o->hurry && !o->nudged && !o->stop) {
		int64_t due_ms = due_locked(o), next_ms = due_ms < until_ms ? due_ms : until_ms;

		if (clock_ms() >= next_ms)
			break;
		cond_wait(&o->work, &o->lock, next_ms);
	}
	o->hurry = o->nudged = false;
	go_on = !o->stop;
	lock_drop(&o->lock);
	return go_on;
}

uint64_t outbox_take(struct outbox *o, struct buf *ret)
{
	uint64_t put;

	lock_take(&o->lock);
	*ret = o->queue;
	o->queue = (struct buf){ 0 };
	put = o->put;
	cond_wake_all(&o->room);
	lock_drop(&o->lock);
	return put;
}

void outbox_stick(struct outbox *o, bool stuck)
{
	lock_take(&o->lock);
	o->stuck = stuck;
	if (stuck)
		cond_wake_all(&o->room);
	lock_drop(&o->lock);
}

void outbox_end(struct outbox *o)
{
	lock_take(&o->lock);
	o->over = true;
	cond_wake_all(&o->ended);
	lock_drop(&o->lock);
}
