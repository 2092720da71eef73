/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a row of what a file has of a xorb. Each of its chunks is found by its number and by each
 * end of its bytes, no two overlap, and what was read is written as it was. */
#include "admin/registry/recipe_xorb.h"

#include <assert.h>
#include <string.h>

#include "daemon/xet/xorb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_chunk(const struct recipe_xorb *x, const struct recipe_chunk *c)
{
	uint64_t from = recipe_chunk_byte(c), to = from + RECIPE_HEADER + c->bytes;
	struct recipe_chunk same;

	assert(c->bytes && c->bytes <= XORB_CHUNK_MAX);
	assert(recipe_chunk_at(x, from, &same) && same.chunk == c->chunk);
	assert(recipe_chunk_at(x, to - 1, &same) && same.chunk == c->chunk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(recipe_xorb_fini) struct recipe_xorb x = { .pieces = { 0 } };
	CLEANUP(buf_free) struct buf again = { 0 };
	struct recipe_chunk c;
	int r = recipe_xorb_unpack(data, len, &x);

	for (uint32_t i = 0; i < XORB_CHUNKS_MAX; i++)
		if (recipe_chunk(&x, i, &c))
			check_chunk(&x, &c);
	if (r < 0)
		return 0;
	r = recipe_xorb_pack(&x, &again);
	assert(r == 0 && again.len == len && (!len || !memcmp(again.data, data, len)));
	return 0;
}
