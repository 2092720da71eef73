/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/rate.h"

#define SLOTS (RATE_SECONDS + 1)

static uint64_t *slot(struct rate *r, int64_t second)
{
	return &r->slots[second % SLOTS];
}

void rate_add(struct rate *r, int64_t now_ms, uint64_t bytes)
{
	int64_t second = now_ms / 1000;

	if (second - r->second > RATE_SECONDS) {
		*r = (struct rate){ .begun_ms = now_ms, .second = second };
	}
	while (r->second < second)
		*slot(r, ++r->second) = 0;
	*slot(r, second) += bytes;
}

uint64_t rate_bytes(const struct rate *r, int64_t now_ms)
{
	int64_t second = now_ms / 1000;
	uint64_t sum = 0;

	for (int64_t s = r->second; s > r->second - SLOTS && s >= second - RATE_SECONDS && s >= 0;
	     s--)
		sum += r->slots[s % SLOTS];
	return sum;
}

uint64_t rate_get(const struct rate *r, int64_t now_ms)
{
	int64_t first_ms = (now_ms / 1000 - RATE_SECONDS) * 1000;
	int64_t span = now_ms - (r->begun_ms > first_ms ? r->begun_ms : first_ms);

	/* The first moments tell little. */
	return rate_bytes(r, now_ms) * 1000 / (uint64_t)(span > 100 ? span : 100);
}
