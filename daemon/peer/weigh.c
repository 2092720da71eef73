/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/weigh.h"

#include "daemon/cache/chunk_list.h"

/* NULL says nothing. */
static bool says(const uint8_t *a, const uint8_t *b)
{
	return a && chunk_digest_same(a, b);
}

enum weighed weigh(const struct sayings *s)
{
	if (s->is_own)
		return s->first && !says(s->first, s->told) ? WEIGH_FIRST_LIED : WEIGH_RIGHT;
	if (s->gave)
		return says(s->first, s->told) ? WEIGH_RIGHT : WEIGH_OPEN;
	return says(s->first, s->told) || says(s->here, s->told) || says(s->vouched, s->told)
		       ? WEIGH_RIGHT
		       : WEIGH_OPEN;
}
