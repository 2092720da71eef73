/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/usage.h"

#include <stdbool.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"

#define BLOCK_BYTES 4096

uint64_t usage_blocks(uint64_t len)
{
	return (len + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

uint64_t usage_bytes(const struct usage *u)
{
	return atomic_load(&u->bytes);
}

static bool take(struct usage *u, uint64_t bytes, uint64_t most)
{
	unsigned long long used = atomic_load(&u->bytes);

	while (!most || (used <= most && bytes <= most - used))
		if (atomic_compare_exchange_weak(&u->bytes, &used, used + bytes))
			return true;
	return false;
}

/* The disk does not know yet of what others are about to write. */
static bool has_space(const struct usage *u, uint64_t coming)
{
	uint64_t total, left, min_free = u->min_free;

	return !min_free || file_space(u->fd, &left, &total) < 0 || left >= min_free + coming;
}

static int take_within(struct usage *u, uint64_t bytes, uint64_t most)
{
	uint64_t coming = atomic_fetch_add(&u->coming, bytes) + bytes;
	bool fits = has_space(u, coming) && take(u, bytes, most);

	if (!fits)
		usage_took(u, bytes);
	if (u->fn && usage_bytes(u) + (fits ? 0 : bytes) > u->above)
		u->fn(u->arg);
	return fits ? 0 : ERR_FULL;
}

int usage_take(struct usage *u, uint64_t bytes)
{
	return take_within(u, bytes, u->most);
}

int usage_take_beyond(struct usage *u, uint64_t bytes)
{
	return take_within(u, bytes, 0);
}

void usage_took(struct usage *u, uint64_t bytes)
{
	atomic_fetch_sub(&u->coming, bytes);
}

void usage_add(struct usage *u, uint64_t bytes)
{
	atomic_fetch_add(&u->bytes, bytes);
}

void usage_sub(struct usage *u, uint64_t bytes)
{
	unsigned long long used = atomic_load(&u->bytes);

	while (!atomic_compare_exchange_weak(&u->bytes, &used, used > bytes ? used - bytes : 0))
		;
}

void usage_limit(struct usage *u, uint64_t most, int fd, uint64_t min_free)
{
	u->most = most;
	u->fd = fd;
	u->min_free = min_free;
}

uint64_t usage_capacity(const struct usage *u)
{
	uint64_t limit = u->most, most = limit ? limit : UINT64_MAX, min_free = u->min_free;
	uint64_t total, left, room;

	if (file_space(u->fd, &left, &total) < 0)
		return most;
	room = usage_bytes(u) + left;
	room = room > min_free ? room - min_free : 0;
	return room < most ? room : most;
}

void usage_watch(struct usage *u, uint64_t above, void (*fn)(void *arg), void *arg)
{
	u->above = above;
	u->arg = arg;
	u->fn = fn;
}

void usage_watch_above(struct usage *u, uint64_t above)
{
	u->above = above;
}
