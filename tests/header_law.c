/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/header_law.h"

#include <assert.h>

#define FILE_MORE 100000

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

static int check_one(header_parse_fn parse, const uint8_t *data, size_t len, uint64_t size)
{
	struct extents e;
	uint64_t need;
	int r = parse(data, len, size, &e, &need);

	assert(r <= EXTENTS_MORE);
	if (r == 0)
		check(&e, size);
	else
		assert(!e.at);
	assert(r != EXTENTS_MORE || (need > len && need <= size));
	extents_fini(&e);
	return r;
}

void header_law(header_parse_fn parse, const uint8_t *data, size_t len)
{
	uint64_t size = len + FILE_MORE;
	int whole = check_one(parse, data, len, size);
	int part = check_one(parse, data, len / 2, size);

	assert(part == EXTENTS_MORE || part == whole);
}
