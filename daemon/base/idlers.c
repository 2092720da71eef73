/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/idlers.h"

#include <stddef.h>
#include <sys/socket.h>

static struct idlers_row *row_of(struct idlers *all, const struct idler *i)
{
	return i->known ? &all->known : &all->strangers;
}

void idlers_del(struct idlers *all, struct idler *i)
{
	struct idlers_row *row;

	if (!i || !i->listed)
		return;
	row = row_of(all, i);
	*(i->prev ? &i->prev->next : &row->first) = i->next;
	*(i->next ? &i->next->prev : &row->last) = i->prev;
	i->listed = false;
	all->count--;
}

void idlers_add(struct idlers *all, struct idler *i, int64_t now_ms)
{
	struct idlers_row *row;

	if (!i)
		return;
	idlers_del(all, i);
	row = row_of(all, i);
	i->listed = true;
	i->since_ms = now_ms;
	i->next = NULL;
	i->prev = row->last;
	*(i->prev ? &i->prev->next : &row->first) = i;
	row->last = i;
	all->count++;
}

void idlers_know(struct idlers *all, struct idler *i)
{
	if (!i)
		return;
	idlers_del(all, i);
	i->known = true;
}

static void end_one(struct idlers *all, struct idler *i)
{
	idlers_del(all, i);
	shutdown(i->fd, SHUT_RDWR);
}

struct idler *idlers_end_first(struct idlers *all)
{
	struct idler *first = all->strangers.first ? all->strangers.first : all->known.first;

	if (first)
		end_one(all, first);
	return first;
}

static void end_row(struct idlers *all, const struct idlers_row *row, int64_t ms)
{
	while (row->first && row->first->since_ms <= ms)
		end_one(all, row->first);
}

void idlers_end_since(struct idlers *all, int64_t ms, int64_t strangers_ms)
{
	end_row(all, &all->strangers, strangers_ms);
	end_row(all, &all->known, ms);
}

static void hear_no_more(const struct idlers_row *row)
{
	for (const struct idler *i = row->first; i; i = i->next)
		shutdown(i->fd, SHUT_RD);
}

void idlers_hear_no_more(const struct idlers *all)
{
	hear_no_more(&all->strangers);
	hear_no_more(&all->known);
}
