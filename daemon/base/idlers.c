/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/idlers.h"

#include <stddef.h>
#include <sys/socket.h>

void idlers_del(struct idlers *all, struct idler *i)
{
	if (!i || !i->listed)
		return;
	*(i->prev ? &i->prev->next : &all->first) = i->next;
	*(i->next ? &i->next->prev : &all->last) = i->prev;
	i->listed = false;
	all->count--;
}

void idlers_add(struct idlers *all, struct idler *i, int64_t now_ms)
{
	if (!i)
		return;
	idlers_del(all, i);
	i->listed = true;
	i->since_ms = now_ms;
	i->next = NULL;
	i->prev = all->last;
	*(i->prev ? &i->prev->next : &all->first) = i;
	all->last = i;
	all->count++;
}

struct idler *idlers_end_first(struct idlers *all)
{
	struct idler *first = all->first;

	if (!first)
		return NULL;
	idlers_del(all, first);
	shutdown(first->fd, SHUT_RDWR);
	return first;
}

void idlers_end_since(struct idlers *all, int64_t ms)
{
	while (all->first && all->first->since_ms <= ms)
		idlers_end_first(all);
}

void idlers_hear_no_more(const struct idlers *all)
{
	for (const struct idler *i = all->first; i; i = i->next)
		shutdown(i->fd, SHUT_RD);
}
