/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/yield.h"

#include "daemon/base/clock.h"

void yield_init(struct yield *y)
{
	*y = (struct yield){ .fn = NULL };
	lock_init(&y->lock, LOCK_FETCH);
	cond_init(&y->asked);
}

void yield_fini(struct yield *y)
{
	cond_fini(&y->asked);
	lock_fini(&y->lock);
}

void yield_set(struct yield *y, bool (*fn)(void *arg, const char *etag, bool in_use), void *arg)
{
	lock_take(&y->lock);
	y->fn = fn;
	y->arg = arg;
	while (y->asking)
		cond_wait(&y->asked, &y->lock, CLOCK_FOREVER);
	lock_drop(&y->lock);
}

bool yield_ask(struct yield *y, const char *etag, bool in_use)
{
	bool (*fn)(void *arg, const char *etag, bool in_use), so;
	void *arg;

	lock_take(&y->lock);
	fn = y->fn;
	arg = y->arg;
	y->asking += fn != NULL;
	lock_drop(&y->lock);
	if (!fn)
		return false;
	so = fn(arg, etag, in_use);
	lock_take(&y->lock);
	y->asking--;
	cond_wake_all(&y->asked);
	lock_drop(&y->lock);
	return so;
}
