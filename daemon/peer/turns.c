/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/turns.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/num.h"

#define DEBT_US 200000 /* what goes out may be ahead of the limit by so much */
#define GUESTS_MAX 64  /* who were served last; who was not among them comes first */

struct served {
	uint64_t guest, at; /* the number of its last turn; 0: nobody */
};

struct turns {
	uint64_t (*rate)(void *arg);
	void *arg;
	pthread_t thread;
	struct lock lock;
	struct cond wake;
	/* Guarded by lock. */
	struct turn *first; /* in the order in which they came */
	int64_t paid_until_us, sent_ms;
	struct served served[GUESTS_MAX];
	uint64_t count; /* turns that were taken */
	bool closed, ends;
};

/* ---- who is next ---- */

/* Its own place, or that of who was served longest ago. */
static struct served *find_served(struct turns *t, uint64_t guest)
{
	struct served *oldest = &t->served[0];

	for (unsigned i = 0; i < GUESTS_MAX; i++) {
		struct served *s = &t->served[i];

		if (s->at && s->guest == guest)
			return s;
		if (s->at < oldest->at)
			oldest = s;
	}
	return oldest;
}

static uint64_t last_turn(struct turns *t, const struct turn *turn)
{
	const struct served *s = find_served(t, turn->guest);

	return s->guest == turn->guest ? s->at : 0;
}

static bool is_before(struct turns *t, const struct turn *a, const struct turn *b)
{
	uint64_t last_a = last_turn(t, a), last_b = last_turn(t, b);

	if (last_a != last_b)
		return last_a < last_b;
	if (a->patient != b->patient)
		return b->patient;
	return t->count % 2 == 0 && a->off < b->off;
}

static struct turn *find_next(struct turns *t)
{
	struct turn *best = t->first;

	for (struct turn *i = best; i; i = i->next)
		if (is_before(t, i, best))
			best = i;
	return best;
}

static struct turn *find_late(struct turns *t, int64_t now_ms)
{
	for (struct turn *i = t->first; i; i = i->next)
		if (i->until_ms <= now_ms)
			return i;
	return NULL;
}

/* ---- one turn ---- */

static void add(struct turns *t, struct turn *turn)
{
	struct turn **at = &t->first;

	while (*at)
		at = &(*at)->next;
	turn->next = NULL;
	*at = turn;
}

static void take_out(struct turns *t, const struct turn *turn)
{
	struct turn **at = &t->first;

	while (*at != turn)
		at = &(*at)->next;
	*at = turn->next;
}

static bool is_free(const struct turns *t, uint64_t rate, int64_t now_us)
{
	return !rate || t->paid_until_us < now_us + DEBT_US;
}

static void book(struct turns *t, const struct turn *turn, uint64_t rate, int64_t now_us)
{
	struct served *s = find_served(t, turn->guest);

	*s = (struct served){ turn->guest, ++t->count };
	t->sent_ms = now_us / 1000;
	if (rate)
		t->paid_until_us = max_i64(t->paid_until_us, now_us) +
				   (int64_t)((double)turn->bytes * 1e6 / (double)rate);
}

/* Who is to hear something now, and what; NULL: nobody. */
static struct turn *next_locked(struct turns *t, uint64_t rate, int *ret_r)
{
	int64_t now_us = clock_us();
	struct turn *turn = t->first;

	*ret_r = ERR_STOPPING;
	if (!t->closed && is_free(t, rate, now_us)) {
		turn = find_next(t);
		*ret_r = 0;
	} else if (!t->closed) {
		turn = find_late(t, now_us / 1000);
		*ret_r = ERR_TIMEOUT;
	}
	if (turn)
		take_out(t, turn);
	if (turn && *ret_r == 0)
		book(t, turn, rate, now_us);
	return turn;
}

/* When somebody is to hear something next. */
static int64_t due_ms_locked(const struct turns *t)
{
	int64_t due_ms = t->first ? (t->paid_until_us - DEBT_US) / 1000 + 1 : CLOCK_FOREVER;

	for (const struct turn *i = t->first; i; i = i->next)
		due_ms = min_i64(due_ms, i->until_ms);
	return due_ms;
}

/* Waits a while if nobody is to hear something now. False: that was all. */
static bool go_on(struct turns *t)
{
	uint64_t rate = t->rate(t->arg);
	struct turn *turn;
	bool ends;
	int r;

	lock_take(&t->lock);
	turn = next_locked(t, rate, &r);
	if (!turn && !t->ends)
		cond_wait(&t->wake, &t->lock, due_ms_locked(t));
	ends = t->ends;
	lock_drop(&t->lock);
	if (turn)
		turn->take(turn, r);
	return turn || !ends;
}

static void *turns_main(void *arg)
{
	while (go_on(arg))
		;
	return NULL;
}

/* ---- all of them ---- */

int turns_start(uint64_t (*rate)(void *arg), void *arg, struct turns **ret)
{
	struct turns *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->rate = rate;
	t->arg = arg;
	lock_init(&t->lock, LOCK_TURNS);
	cond_init(&t->wake);
	r = thread_start(&t->thread, "mfs-turns", turns_main, t);
	if (r < 0) {
		cond_fini(&t->wake);
		lock_fini(&t->lock);
		free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void turns_close(struct turns *t)
{
	if (!t)
		return;
	lock_take(&t->lock);
	t->closed = true;
	cond_wake_all(&t->wake);
	lock_drop(&t->lock);
}

void turns_free(struct turns *t)
{
	if (!t)
		return;
	lock_take(&t->lock);
	t->ends = true;
	cond_wake_all(&t->wake);
	lock_drop(&t->lock);
	pthread_join(t->thread, NULL);
	cond_fini(&t->wake);
	lock_fini(&t->lock);
	free(t);
}

/* False if it waits; else it is to hear *ret_r at once. */
static bool take_or_add_locked(struct turns *t, struct turn *turn, uint64_t rate, int *ret_r)
{
	int64_t now_us = clock_us();

	*ret_r = t->closed ? ERR_STOPPING : 0;
	if (t->closed)
		return true;
	if (t->first || !is_free(t, rate, now_us)) {
		add(t, turn);
		cond_wake_all(&t->wake);
		return false;
	}
	book(t, turn, rate, now_us);
	return true;
}

void turns_wait(struct turns *t, struct turn *turn)
{
	uint64_t rate = t->rate(t->arg);
	bool now;
	int r;

	lock_take(&t->lock);
	now = take_or_add_locked(t, turn, rate, &r);
	lock_drop(&t->lock);
	if (now)
		turn->take(turn, r);
}

bool turns_are_short(struct turns *t)
{
	bool so;

	lock_take(&t->lock);
	so = t->first || t->paid_until_us >= clock_us() + DEBT_US;
	lock_drop(&t->lock);
	return so;
}

int64_t turns_quiet_ms(struct turns *t)
{
	int64_t sent_ms;

	lock_take(&t->lock);
	sent_ms = t->sent_ms;
	lock_drop(&t->lock);
	return sent_ms ? max_i64(clock_ms() - sent_ms, 0) : -1;
}
