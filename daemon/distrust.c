/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/distrust.h"

#include <stdio.h>
#include <string.h>

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

	if (what->strikes == 0) {
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
