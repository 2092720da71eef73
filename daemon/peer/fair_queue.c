/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/fair_queue.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/bucket.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/num.h"

#define DEBT_US 200000 /* what goes out may be ahead of the limit by so much */
#define GUESTS_MAX 64  /* who were served last; who was not among them comes first */

struct served {
	uint64_t guest, at; /* the number of its last turn; 0: nobody */
};

struct fair_queue {
	uint64_t (*rate)(void *arg);
	void *arg;
	pthread_t thread;
	struct lock lock;
	struct cond wake;
	/* Guarded by lock. */
	struct turn *first; /* in the order in which they came */
	struct bucket bucket;
	int64_t sent_ms;
	struct served served[GUESTS_MAX];
	uint64_t count; /* turns that were taken */
	bool closed, ends;
};

/* ---- who is next ---- */

/* Its own place, or that of who was served longest ago. */
static struct served *find_served(struct fair_queue *q, uint64_t guest)
{
	struct served *oldest = &q->served[0];

	for (unsigned i = 0; i < GUESTS_MAX; i++) {
		struct served *s = &q->served[i];

		if (s->at && s->guest == guest)
			return s;
		if (s->at < oldest->at)
			oldest = s;
	}
	return oldest;
}

static uint64_t last_turn(struct fair_queue *q, const struct turn *turn)
{
	const struct served *s = find_served(q, turn->guest);

	return s->guest == turn->guest ? s->at : 0;
}

static bool is_before(struct fair_queue *q, const struct turn *a, const struct turn *b)
{
	uint64_t last_a = last_turn(q, a), last_b = last_turn(q, b);

	if (last_a != last_b)
		return last_a < last_b;
	if (a->patient != b->patient)
		return b->patient;
	return q->count % 2 == 0 && a->off < b->off;
}

static struct turn *find_next(struct fair_queue *q)
{
	struct turn *best = q->first;

	for (struct turn *i = best; i; i = i->next)
		if (is_before(q, i, best))
			best = i;
	return best;
}

static struct turn *find_late(struct fair_queue *q, int64_t now_ms)
{
	for (struct turn *i = q->first; i; i = i->next)
		if (i->until_ms <= now_ms)
			return i;
	return NULL;
}

/* ---- one turn ---- */

static void add(struct fair_queue *q, struct turn *turn)
{
	struct turn **at = &q->first;

	while (*at)
		at = &(*at)->next;
	turn->next = NULL;
	*at = turn;
}

static void take_out(struct fair_queue *q, const struct turn *turn)
{
	struct turn **at = &q->first;

	while (*at != turn)
		at = &(*at)->next;
	*at = turn->next;
}

static bool is_free(const struct fair_queue *q, uint64_t rate, int64_t now_us)
{
	return !rate || bucket_owed_us(&q->bucket, now_us) < DEBT_US;
}

static void book(struct fair_queue *q, const struct turn *turn, uint64_t rate, int64_t now_us)
{
	struct served *s = find_served(q, turn->guest);

	*s = (struct served){ turn->guest, ++q->count };
	q->sent_ms = now_us / 1000;
	if (rate)
		bucket_book(&q->bucket, turn->bytes, rate, 0, now_us);
}

/* Who is to hear something now, and what; NULL: nobody. */
static struct turn *next_locked(struct fair_queue *q, uint64_t rate, int *ret_r)
{
	int64_t now_us = clock_us();
	struct turn *turn = q->first;

	*ret_r = ERR_STOPPING;
	if (!q->closed && is_free(q, rate, now_us)) {
		turn = find_next(q);
		*ret_r = 0;
	} else if (!q->closed) {
		turn = find_late(q, now_us / 1000);
		*ret_r = ERR_TIMEOUT;
	}
	if (turn)
		take_out(q, turn);
	if (turn && *ret_r == 0)
		book(q, turn, rate, now_us);
	return turn;
}

/* When somebody is to hear something next. */
static int64_t due_ms_locked(const struct fair_queue *q)
{
	int64_t due_ms = q->first ? (q->bucket.paid_us - DEBT_US) / 1000 + 1 : CLOCK_FOREVER;

	for (const struct turn *i = q->first; i; i = i->next)
		due_ms = min_i64(due_ms, i->until_ms);
	return due_ms;
}

/* Waits a while if nobody is to hear something now. False: that was all. */
static bool go_on(struct fair_queue *q)
{
	uint64_t rate = q->rate(q->arg);
	struct turn *turn;
	bool ends;
	int r;

	lock_take(&q->lock);
	turn = next_locked(q, rate, &r);
	if (!turn && !q->ends)
		cond_wait(&q->wake, &q->lock, due_ms_locked(q));
	ends = q->ends;
	lock_drop(&q->lock);
	if (turn)
		turn->take(turn, r);
	return turn || !ends;
}

static void *queue_main(void *arg)
{
	while (go_on(arg))
		;
	return NULL;
}

/* ---- all of them ---- */

int fair_queue_start(uint64_t (*rate)(void *arg), void *arg, struct fair_queue **ret)
{
	struct fair_queue *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	q->rate = rate;
	q->arg = arg;
	lock_init(&q->lock, LOCK_FAIR_QUEUE);
	cond_init(&q->wake);
	r = thread_start(&q->thread, "mfs-fair-queue", queue_main, q);
	if (r < 0) {
		cond_fini(&q->wake);
		lock_fini(&q->lock);
		free(q);
		return r;
	}
	*ret = q;
	return 0;
}

void fair_queue_close(struct fair_queue *q)
{
	if (!q)
		return;
	lock_take(&q->lock);
	q->closed = true;
	cond_wake_all(&q->wake);
	lock_drop(&q->lock);
}

void fair_queue_free(struct fair_queue *q)
{
	if (!q)
		return;
	lock_take(&q->lock);
	q->ends = true;
	cond_wake_all(&q->wake);
	lock_drop(&q->lock);
	pthread_join(q->thread, NULL);
	cond_fini(&q->wake);
	lock_fini(&q->lock);
	free(q);
}

/* False if it waits; else it is to hear *ret_r at once. */
static bool take_or_add_locked(struct fair_queue *q, struct turn *turn, uint64_t rate, int *ret_r)
{
	int64_t now_us = clock_us();

	*ret_r = q->closed ? ERR_STOPPING : 0;
	if (q->closed)
		return true;
	if (q->first || !is_free(q, rate, now_us)) {
		add(q, turn);
		cond_wake_all(&q->wake);
		return false;
	}
	book(q, turn, rate, now_us);
	return true;
}

void fair_queue_wait(struct fair_queue *q, struct turn *turn)
{
	uint64_t rate = q->rate(q->arg);
	bool now;
	int r;

	lock_take(&q->lock);
	now = take_or_add_locked(q, turn, rate, &r);
	lock_drop(&q->lock);
	if (now)
		turn->take(turn, r);
}

bool fair_queue_is_short(struct fair_queue *q)
{
	bool so;

	lock_take(&q->lock);
	so = q->first || bucket_owed_us(&q->bucket, clock_us()) >= DEBT_US;
	lock_drop(&q->lock);
	return so;
}

int64_t fair_queue_quiet_ms(struct fair_queue *q)
{
	int64_t sent_ms;

	lock_take(&q->lock);
	sent_ms = q->sent_ms;
	lock_drop(&q->lock);
	return sent_ms ? max_i64(clock_ms() - sent_ms, 0) : -1;
}
