/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/doubts.h"

#include <errno.h>

#include "daemon/base/clock.h"

#define NICE 10 /* readers come first */

struct doubts {
	struct doubts_conf conf;
	pthread_t thread;
	struct httpc_cancel cancel;
	/* Guarded by conf.pulls->lock. */
	struct cond some;
	struct pull *first, **end; /* by hash_next: none of them is in the queue of `seal` */
	struct pull *now;          /* is looked into */
};

static struct pull *pop_locked(struct doubts *d)
{
	struct pull *p = d->first;

	d->first = p->hash_next;
	if (!d->first)
		d->end = &d->first;
	return p;
}

/* Those that wait for their turn come nearer to it as well: their readers wait on. */
static void note_moved(void *arg)
{
	struct doubts *d = arg;
	int64_t now_ms = clock_ms();

	lock_take(&d->conf.pulls->lock);
	d->now->moved_ms = now_ms;
	for (struct pull *p = d->first; p; p = p->hash_next)
		p->moved_ms = now_ms;
	lock_drop(&d->conf.pulls->lock);
}

static int look_into(struct doubts *d, struct pull *p)
{
	struct doubt doubt = {
		.what = &p->what,
		.blob = p->blob,
		.cancel = &d->cancel,
		.moved = note_moved,
		.arg = d,
	};

	return d->conf.verifier.look(d->conf.verifier.arg, &doubt);
}

static void *doubts_main(void *arg)
{
	struct doubts *d = arg;
	struct pulls *pulls = d->conf.pulls;

	thread_be_nice(NICE);
	lock_take(&pulls->lock);
	while (!pulls->stop) {
		struct pull *p;

		if (!d->first) {
			cond_wait(&d->some, &pulls->lock, CLOCK_FOREVER);
			continue;
		}
		p = d->now = pop_locked(d);
		lock_drop(&pulls->lock);
		d->conf.end(d->conf.arg, p, look_into(d, p));
		lock_take(&pulls->lock);
	}
	lock_drop(&pulls->lock);
	return NULL;
}

int doubts_start(const struct doubts_conf *conf, struct doubts **ret)
{
	struct doubts *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->conf = *conf;
	d->end = &d->first;
	cond_init(&d->some);
	r = thread_start(&d->thread, "mfs-doubts", doubts_main, d);
	if (r < 0) {
		cond_fini(&d->some);
		free(d);
		return r;
	}
	*ret = d;
	return 0;
}

void doubts_add(struct doubts *d, struct pull *p)
{
	lock_take(&d->conf.pulls->lock);
	p->hash_next = NULL;
	*d->end = p;
	d->end = &p->hash_next;
	cond_wake_one(&d->some);
	lock_drop(&d->conf.pulls->lock);
}

void doubts_stop(struct doubts *d)
{
	if (!d)
		return;
	lock_take(&d->conf.pulls->lock);
	cond_wake_all(&d->some);
	lock_drop(&d->conf.pulls->lock);
	httpc_cancel(d->conf.http, &d->cancel);
	pthread_join(d->thread, NULL);
	cond_fini(&d->some);
	free(d);
}
