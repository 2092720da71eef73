/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/make_way.h"

#include "daemon/base/clock.h"

void make_way_init(struct make_way *w)
{
	*w = (struct make_way){ .fn = NULL };
	lock_init(&w->lock, LOCK_MAKE_WAY);
	cond_init(&w->asked);
}

void make_way_fini(struct make_way *w)
{
	cond_fini(&w->asked);
	lock_fini(&w->lock);
}

void make_way_set(struct make_way *w, bool (*fn)(void *arg, const char *etag, bool in_use),
		  void *arg)
{
	lock_take(&w->lock);
	w->fn = fn;
	w->arg = arg;
	while (w->asking)
		cond_wait(&w->asked, &w->lock, CLOCK_FOREVER);
	lock_drop(&w->lock);
}

bool make_way_ask(struct make_way *w, const char *etag, bool in_use)
{
	bool (*fn)(void *arg, const char *etag, bool in_use), so;
	void *arg;

	lock_take(&w->lock);
	fn = w->fn;
	arg = w->arg;
	w->asking += fn != NULL;
	lock_drop(&w->lock);
	if (!fn)
		return false;
	so = fn(arg, etag, in_use);
	lock_take(&w->lock);
	w->asking--;
	cond_wake_all(&w->asked);
	lock_drop(&w->lock);
	return so;
}
