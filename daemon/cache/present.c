/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/present.h"

#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"

uint64_t present_in(const struct blob *b, uint64_t from, uint64_t to)
{
	uint64_t present = 0, size = blob_size(b);

	to = min_u64(to, size);
	for (uint32_t i = chunk_of(from); chunk_start(i) < to; i++)
		if (blob_may_have(b, i))
			present += chunk_end(i, size) - chunk_start(i);
	return present;
}
