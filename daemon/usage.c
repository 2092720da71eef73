/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/usage.h"

#define BLOCK_BYTES 4096

uint64_t usage_blocks(uint64_t len)
{
	return (len + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

uint64_t usage_bytes(const struct usage *u)
{
	return atomic_load(&u->bytes);
}

void usage_add(struct usage *u, uint64_t bytes)
{
	unsigned long long now = atomic_fetch_add(&u->bytes, bytes) + bytes;

	if (u->fn && now > u->above)
		u->fn(u->arg);
}

void usage_watch(struct usage *u, uint64_t above, void (*fn)(void *arg), void *arg)
{
	u->above = above;
	u->arg = arg;
	u->fn = fn;
}

void usage_sub(struct usage *u, uint64_t bytes)
{
	unsigned long long used = atomic_load(&u->bytes);

	while (!atomic_compare_exchange_weak(&u->bytes, &used, used > bytes ? used - bytes : 0))
		;
}
