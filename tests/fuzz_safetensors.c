/* SPDX-License-Identifier: Apache-2.0 */
/* Input: the first bytes of a safetensors file that is FILE_MORE bytes longer. Extents that come
 * out lie in the file, one after another; "more" is more than there was; of a part, the answer is
 * never another than of the whole. */
#include "daemon/safetensors.h"

#include <assert.h>

#define FILE_MORE 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct extents *e, uint64_t size)
{
	uint64_t at = e->data_start;

	assert(at <= size);
	for (size_t i = 0; i < e->count; i++) {
		assert(e->at[i].start >= at && e->at[i].end > e->at[i].start);
		at = e->at[i].end;
	}
	assert(at <= size);
}

static int parse(const uint8_t *data, size_t len, uint64_t size)
{
	struct extents e;
	uint64_t need;
	int r = safetensors_parse(data, len, size, &e, &need);

	assert(r <= EXTENTS_MORE);
	if (r == 0)
		check(&e, size);
	else
		assert(!e.at);
	assert(r != EXTENTS_MORE || (need > len && need <= size));
	extents_fini(&e);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint64_t size = len + FILE_MORE;
	int whole = parse(data, len, size), part = parse(data, len / 2, size);

	assert(part == EXTENTS_MORE || part == whole);
	return 0;
}
