/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/share.h"

#include <errno.h>

static void fill(struct share *s, const struct membership *ms, const struct placement *p)
{
	uint32_t owners[PLACEMENT_OWNERS];

	for (uint32_t i = 0; i < s->count; i++) {
		s->mine[i] = placement_owners(p, i, owners) > 0 && owners[0] == ms->self;
		if (s->mine[i])
			s->bytes += segment_end(i, s->size) - segment_start(i);
	}
}

int share_of(struct members *m, const char *etag, uint64_t size, struct share **ret)
{
	uint32_t count = segment_count(size);
	struct share *s = calloc(1, sizeof(*s) + count * sizeof(s->mine[0]));
	const struct membership *ms = members_now(m);
	struct placement *placement = NULL;
	int r = s ? placement_new(ms->nodes, ms->count, placement_key(etag), count, &placement)
		  : -ENOMEM;

	if (r == 0) {
		s->size = size;
		s->count = count;
		fill(s, ms, placement);
		*ret = s;
	} else {
		free(s);
	}
	placement_free(placement);
	membership_unref(ms);
	return r;
}

bool share_next(const struct share *s, uint64_t *from, uint64_t *to)
{
	uint32_t i = segment_of(*from), begin;

	while (i < s->count && !s->mine[i])
		i++;
	begin = i;
	while (i < s->count && s->mine[i])
		i++;
	if (begin == i)
		return false;
	if (*from < segment_start(begin))
		*from = segment_start(begin);
	*to = segment_end(i - 1, s->size);
	return *from < *to;
}
