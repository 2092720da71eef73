/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/likely_holders.h"

#include <errno.h>
#include <stdlib.h>

#define DOUBLED_MAX 16 /* that is everybody */

uint32_t likely_holders_width(unsigned vain)
{
	return (uint32_t)LIKELY_HOLDERS_FIRST << (vain < DOUBLED_MAX ? vain : DOUBLED_MAX);
}

struct candidate {
	uint64_t score;
	uint32_t member;
};

static int by_score(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (y->score > x->score) - (y->score < x->score);
}

int likely_holders_list(const struct membership *members, struct segment segment, uint32_t max,
			uint32_t **ret)
{
	CLEANUP(freep) struct candidate *all = calloc(members->count, sizeof(*all));
	uint32_t *list = calloc(members->count, sizeof(*list)), count = 0;

	if (!all || !list) {
		free(list);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < members->count; i++) {
		if (i == members->self)
			continue;
		all[count].score = placement_score(&members->nodes[i], segment);
		all[count++].member = i;
	}
	qsort(all, count, sizeof(*all), by_score);
	count = count < max ? count : max;
	for (uint32_t i = 0; i < count; i++)
		list[i] = all[i].member;
	*ret = list;
	return (int)count;
}
