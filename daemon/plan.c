/* SPDX-License-Identifier: Apache-2.0 */
/* A stream's window starts at PLAN_WINDOW_MIN with the second read that continues it, and doubles
 * each time the reader has come within half a window of what was asked for; asking in halves
 * keeps requests to the hub long. The kernel's readahead sends reads out of order, so a read up
 * to one window behind the stream's front still belongs to it. */
#include "daemon/plan.h"

#include <stdbool.h>
#include <stddef.h>

#include "daemon/chunk.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool continues(const struct plan_stream *s, uint64_t off)
{
	uint64_t behind = s->window > PLAN_SKIP ? s->window : PLAN_SKIP;

	return s->used && off <= s->next + PLAN_SKIP && off + behind >= s->next;
}

static struct plan_stream *find_stream(struct plan *p, uint64_t off)
{
	for (size_t i = 0; i < PLAN_STREAMS; i++)
		if (continues(&p->streams[i], off))
			return &p->streams[i];
	return NULL;
}

static struct plan_stream *oldest_stream(struct plan *p)
{
	struct plan_stream *oldest = &p->streams[0];

	for (size_t i = 1; i < PLAN_STREAMS; i++)
		if (p->streams[i].used < oldest->used)
			oldest = &p->streams[i];
	return oldest;
}

/* Moves the stream's front and grows its window when the reader has used half of it. */
static void advance(struct plan_stream *s, uint64_t end, uint64_t size)
{
	if (end <= s->next)
		return;
	s->next = end;
	if (s->window && s->ahead > s->next + s->window / 2)
		return;
	s->window = s->window ? min_u64(s->window * 2, PLAN_WINDOW_MAX) : PLAN_WINDOW_MIN;
	s->ahead = chunk_ceil(s->next + s->window, size);
}

struct plan_want plan_read(struct plan *p, uint64_t off, uint64_t len, uint64_t size)
{
	uint64_t end = min_u64(off + len, size);
	struct plan_want want = { chunk_floor(off), chunk_ceil(end, size), 0 };
	struct plan_stream *s = find_stream(p, off);

	if (s) {
		advance(s, end, size);
	} else {
		s = oldest_stream(p);
		*s = (struct plan_stream){ .next = end, .ahead = want.need_end };
		if (size <= PLAN_WINDOW_MIN)
			s->ahead = size;
	}
	s->used = ++p->clock;
	want.ahead_end = s->ahead > want.need_end ? s->ahead : want.need_end;
	return want;
}
