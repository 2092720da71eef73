/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/distrust.h"

#include <stdio.h>
#include <string.h>

static uint64_t all_of(unsigned source_count)
{
	return source_count >= 64 ? UINT64_MAX : (UINT64_C(1) << source_count) - 1;
}

void distrust_blame(struct distrust *d, uint64_t used, unsigned source_count, int64_t now_ms)
{
	uint64_t all = all_of(source_count);

	d->strikes++;
	if (used & d->once)
		d->twice_until_ms = now_ms + DISTRUST_BAR_MS;
	d->twice |= used & d->once;
	d->once |= used;
	if ((d->twice & all) != all)
		return;
	d->barred_until_ms = now_ms + DISTRUST_BAR_MS;
	d->twice = 0; /* after that each has one more try */
}

uint64_t distrust_twice(const struct distrust *d, unsigned source_count, int64_t now_ms)
{
	if (now_ms < d->barred_until_ms)
		return all_of(source_count);
	return now_ms < d->twice_until_ms ? d->twice : 0;
}

uint64_t distrust_shunned(const struct distrust *d, unsigned source_count, int64_t now_ms)
{
	uint64_t all = all_of(source_count), twice = distrust_twice(d, source_count, now_ms);

	return (d->once & all) == all || twice == all ? twice : d->once;
}

static int find(const struct distrusts *all, const char *etag)
{
	for (int i = 0; all->live && i < DISTRUST_MAX; i++)
		if (strcmp(all->entries[i].etag, etag) == 0)
			return i;
	return -1;
}

struct distrust distrusts_get(const struct distrusts *all, const char *etag)
{
	int i = find(all, etag);

	return i < 0 ? (struct distrust){ 0 } : all->entries[i].what;
}

void distrusts_put(struct distrusts *all, const char *etag, const struct distrust *what)
{
	int i = find(all, etag);

	if (what->strikes == 0 && !what->unverified && !what->trimmed) {
		if (i >= 0) {
			all->entries[i].etag[0] = '\0';
			all->live--;
		}
		return;
	}
	if (i < 0) {
		i = (int)(all->next++ % DISTRUST_MAX);
		all->live += !all->entries[i].etag[0];
		snprintf(all->entries[i].etag, sizeof(all->entries[i].etag), "%s", etag);
	}
	all->entries[i].what = *what;
}
