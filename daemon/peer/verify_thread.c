/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/verify_thread.h"

#include <assert.h>

#include "daemon/base/clock.h"

#define STOP_MS 2000

void verify_thread_init(struct verify_thread *t, enum lock_rank rank)
{
	*t = (struct verify_thread){ 0 };
	lock_init(&t->lock, rank);
}

int verify_thread_start(struct verify_thread *t, const char *name, unsigned threads,
			unsigned waiting_max, struct httpc *http)
{
	const struct workers_conf conf = { name, threads, waiting_max, true };
	struct workers *w;
	int r;

	assert(threads <= VERIFY_THREADS);
	r = workers_start(&conf, &w);

	if (r < 0)
		return r;
	t->http = http;
	lock_take(&t->lock);
	t->workers = w;
	lock_drop(&t->lock);
	return 0;
}

bool verify_thread_stop(struct verify_thread *t)
{
	struct workers *w;

	lock_take(&t->lock);
	w = steal(t->workers);
	lock_drop(&t->lock);
	for (unsigned i = 0; w && t->http && i < VERIFY_THREADS; i++)
		httpc_cancel(t->http, &t->cancels[i]);
	return workers_stop(w, clock_ms() + STOP_MS);
}

void verify_thread_fini(struct verify_thread *t)
{
	lock_fini(&t->lock);
}

struct httpc_cancel *verify_thread_take_cancel(struct verify_thread *t)
{
	unsigned i = 0;

	lock_take(&t->lock);
	while (t->asking[i]) /* there is one for each thread */
		i++;
	t->asking[i] = true;
	lock_drop(&t->lock);
	return &t->cancels[i];
}

void verify_thread_give_cancel(struct verify_thread *t, const struct httpc_cancel *cancel)
{
	lock_take(&t->lock);
	t->asking[cancel - t->cancels] = false;
	lock_drop(&t->lock);
}

bool verify_thread_add_locked(struct verify_thread *t, const struct work *work)
{
	return t->workers && workers_add(t->workers, work) == 0;
}
