/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/forget.h"

#include <errno.h>
#include <stdbool.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"

#define QUEUE_MAX 1024 /* wrong blobs at once; more are told by their next wrong digest */

struct forget {
	void (*fn)(void *arg, uint64_t number);
	void *arg;
	pthread_t thread;
	struct lock lock;
	/* Guarded by lock. */
	struct cond work;
	uint64_t queue[QUEUE_MAX];
	unsigned first, count;
	bool stop;
};

static uint64_t pop_locked(struct forget *f)
{
	uint64_t number = f->queue[f->first];

	f->first = (f->first + 1) % QUEUE_MAX;
	f->count--;
	return number;
}

static void *forget_main(void *arg)
{
	struct forget *f = arg;

	lock_take(&f->lock);
	while (!f->stop) {
		uint64_t number;

		if (!f->count) {
			cond_wait(&f->work, &f->lock, CLOCK_FOREVER);
			continue;
		}
		number = pop_locked(f);
		lock_drop(&f->lock);
		f->fn(f->arg, number);
		lock_take(&f->lock);
	}
	lock_drop(&f->lock);
	return NULL;
}

int forget_start(void (*fn)(void *arg, uint64_t number), void *arg, struct forget **ret)
{
	struct forget *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->fn = fn;
	f->arg = arg;
	lock_init(&f->lock, LOCK_OPENFILES);
	cond_init(&f->work);
	r = thread_start(&f->thread, "mfs-forget", forget_main, f);
	if (r < 0) {
		free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void forget_add(struct forget *f, uint64_t number)
{
	lock_take(&f->lock);
	if (f->count < QUEUE_MAX)
		f->queue[(f->first + f->count++) % QUEUE_MAX] = number;
	cond_wake_one(&f->work);
	lock_drop(&f->lock);
}

void forget_stop(struct forget *f)
{
	if (!f)
		return;
	lock_take(&f->lock);
	f->stop = true;
	cond_wake_all(&f->work);
	lock_drop(&f->lock);
	pthread_join(f->thread, NULL);
	cond_fini(&f->work);
	lock_fini(&f->lock);
	free(f);
}
