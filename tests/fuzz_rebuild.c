/* SPDX-License-Identifier: Apache-2.0 */
/* Input: how long the range is (three bytes), then what a Xet store says that it is made of. What
 * is believed of it makes sense, and chunks that are as it says become just that range. */
#include <assert.h>
#include <errno.h>

#include "daemon/base/num.h"
#include "daemon/xet/gather.h"
#include "daemon/xet/xorb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int take(void *arg, const void *data UNUSED, size_t len)
{
	uint64_t *left = arg;

	assert(len && len <= *left);
	*left -= len;
	return 0;
}

static void check_plan(const struct rebuild *b, uint64_t len)
{
	uint64_t have = 0;

	for (size_t i = 0; i < rebuild_term_count(b); i++) {
		const struct rebuild_term *t = rebuild_term(b, i);
		const struct rebuild_part *p = rebuild_part(b, t->part);

		assert(t->part < rebuild_part_count(b) && have < b->skip + len);
		assert(t->from < t->to && p->from <= t->from && t->to <= p->to);
		assert(p->url && p->first <= p->last && p->last < XORB_BYTES_MAX);
		have += t->bytes;
		assert(have > b->skip);
	}
	assert(have >= b->skip + len);
}

/* All chunks of a part, each as long as the first term that it is the first one of lets it be. */
static int come(struct gather *g, const struct rebuild *b, uint32_t part)
{
	static const char bytes[XORB_CHUNK_MAX];
	const struct rebuild_part *p = rebuild_part(b, part);
	int r = 0;

	for (uint32_t chunk = p->from; r == 0 && chunk < p->to; chunk++) {
		uint64_t size = 1;

		for (size_t i = 0; i < rebuild_term_count(b); i++) {
			const struct rebuild_term *t = rebuild_term(b, i);

			if (t->part == part && t->from <= chunk && chunk < t->to)
				size = chunk == t->from ? t->bytes - (t->to - t->from - 1) : 1;
		}
		r = gather_add(g, part, chunk, bytes, (size_t)min_u64(size, XORB_CHUNK_MAX),
			       p->from == 0);
	}
	return r < 0 ? r : gather_go(g);
}

static void check_gather(const struct rebuild *b, uint64_t len)
{
	struct gather *g = NULL;
	uint64_t left = len;
	uint32_t part;
	size_t parts = rebuild_part_count(b);
	int r = gather_new(b, len, take, &left, &g);

	while (r == 0 && !gather_done(g, &part)) {
		assert(part < rebuild_part_count(b));
		r = parts-- ? come(g, b, part) : -EBADMSG;
	}
	assert(r == 0 ? !left : r == -EBADMSG || r == -ENOMEM);
	gather_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rebuild b = { 0 };
	uint64_t range;

	if (len < 3)
		return 0;
	range = 1 + (data[0] | (uint64_t)data[1] << 8 | (uint64_t)data[2] << 16);
	if (rebuild_parse((const char *)data + 3, len - 3, range, &b) != 0) {
		assert(!b.doc);
		return 0;
	}
	check_plan(&b, range);
	if (rebuild_part_count(&b) <= 64 && rebuild_term_count(&b) <= 64)
		check_gather(&b, range);
	rebuild_fini(&b);
	return 0;
}
