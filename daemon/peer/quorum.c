/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/quorum.h"

#include "daemon/cache/chunk_list.h"

/* NULL says nothing. */
static bool says(const uint8_t *a, const uint8_t *b)
{
	return a && chunk_digest_same(a, b);
}

enum quorum quorum(const struct quorum_sayings *s)
{
	if (s->is_own)
		return s->first && !says(s->first, s->told) ? QUORUM_FIRST_LIED : QUORUM_RIGHT;
	if (s->gave)
		return says(s->first, s->told) ? QUORUM_RIGHT : QUORUM_OPEN;
	return says(s->first, s->told) || says(s->here, s->told) || says(s->vouched, s->told)
		       ? QUORUM_RIGHT
		       : QUORUM_OPEN;
}
