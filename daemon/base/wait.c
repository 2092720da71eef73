/* SPDX-License-Identifier: Apache-2.0 */
/* A settled waiter is linked to the settling thread's own list, but its `list` is NULL already:
 * whoever looks at it under the owner's lock sees that it is no longer parked, and waking, which
 * happens with no lock held, touches nothing that an interrupt may read. */
#include "daemon/base/wait.h"

#include <assert.h>

#include "daemon/base/clock.h"

static void link_last(struct waitlist *l, struct waiter *w)
{
	w->prev = l->last;
	w->next = NULL;
	if (l->last)
		l->last->next = w;
	else
		l->first = w;
	l->last = w;
}

static void unlink_from(struct waitlist *l, struct waiter *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		l->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		l->last = w->prev;
	w->prev = w->next = NULL;
}

void waiter_init(struct waiter *w, int64_t timeout_ms, void (*wake)(struct waiter *, int))
{
	int64_t now = clock_ms();

	*w = (struct waiter){
		.started_ms = now,
		.deadline_ms = timeout_ms < CLOCK_FOREVER - now ? now + timeout_ms : CLOCK_FOREVER,
		.wake = wake,
	};
}

/* Those who read here are counted; who asks for others is none of them. */
static bool counts(const struct waitlist *l, const struct waiter *w)
{
	return l->readers && !w->only;
}

void waitlist_add(struct waitlist *l, struct waiter *w)
{
	assert(!w->list);
	link_last(l, w);
	if (counts(l, w))
		atomic_fetch_add(l->readers, 1);
	w->list = l;
}

void waitlist_del(struct waiter *w)
{
	assert(w->list);
	unlink_from(w->list, w);
	if (counts(w->list, w))
		atomic_fetch_sub(w->list->readers, 1);
	w->list = NULL;
}

void waitlist_settle(struct waiter *w, int r, struct waitlist *to)
{
	waitlist_del(w);
	w->patient_until_ms = 0;
	w->result = r;
	link_last(to, w);
}

void waitlist_settle_all(struct waitlist *from, int r, struct waitlist *to)
{
	while (from->first)
		waitlist_settle(from->first, r, to);
}

void waitlist_settle_late(struct waitlist *from, int64_t now_ms, int r, struct waitlist *to)
{
	struct waiter *w, *next;

	for (w = from->first; w; w = next) {
		next = w->next;
		if (w->deadline_ms <= now_ms)
			waitlist_settle(w, r, to);
		else if (w->patient_until_ms && w->patient_until_ms <= now_ms)
			waitlist_settle(w, 0, to);
	}
}

void waitlist_wake(struct waitlist *settled)
{
	struct waiter *w;

	/* The waiter may be freed or parked again inside: it is off the list before it is woken. */
	while ((w = settled->first)) {
		unlink_from(settled, w);
		w->wake(w, w->result);
	}
}
