/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/member_order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/peer/placement.h"

uint32_t member_order_weight(uint32_t weight)
{
	weight = weight ? weight : 1;
	return weight < PLACEMENT_WEIGHT_MAX ? weight : PLACEMENT_WEIGHT_MAX;
}

static int by_address(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;
	int c = strcmp(x->spec.address, y->spec.address);

	return c ? c : (x->place > y->place) - (x->place < y->place);
}

static struct listed copy_of(const struct member_spec *s, size_t place)
{
	struct listed copy = { *s, place };

	member_address_name(s->address, copy.spec.address);
	copy.spec.weight = member_order_weight(s->weight);
	return copy;
}

int member_order(const struct member_spec *list, size_t *count, struct listed **ret)
{
	struct listed *copy = calloc(*count + 1, sizeof(*copy));
	size_t kept = 0;

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < *count; i++)
		copy[i] = copy_of(&list[i], i);
	qsort(copy, *count, sizeof(*copy), by_address);
	for (size_t i = 0; i < *count; i++)
		if (!kept || strcmp(copy[kept - 1].spec.address, copy[i].spec.address) != 0)
			copy[kept++] = copy[i];
	*count = kept;
	*ret = copy;
	return 0;
}
