/* SPDX-License-Identifier: Apache-2.0 */
/* A stream's window starts at PLAN_WINDOW_MIN with the second read that continues it, and doubles
 * each time the reader has come within half a window of what was asked for; asking in halves
 * keeps requests to the hub long. The kernel's readahead sends reads out of order, so a read up
 * to one window behind the stream's front still belongs to it.
 *
 * Where tensors are known, a reader may take some and leave others (a rank of a tensor-parallel
 * group): until it has read PLAN_PROOF bytes in one stretch its window stays at a quarter of them,
 * and within the tensor until it has gone on into the next; if it leaves gaps, for good. Random
 * reads are followed by a sweep through the tensor, or through the file: each lets a little more
 * come, so that few cost little and many soon find all of it there. */
#include "daemon/fetch/plan.h"

#include <stddef.h>

#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"

#define JUMPS_SWEPT 3 /* random reads that begin a sweep */

static bool continues(const struct plan_stream *s, uint64_t off)
{
	uint64_t behind = max_u64(s->window, PLAN_SKIP);

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

bool plan_has_gaps(const struct plan *p)
{
	uint64_t span = p->highest - p->lowest;

	return span > PLAN_PROOF && p->read < span / 8 * 7;
}

static void note(struct plan *p, uint64_t off, uint64_t end)
{
	p->lowest = p->clock ? min_u64(p->lowest, off) : off;
	p->highest = max_u64(p->highest, end);
	p->read += end - off;
	p->clock++;
}

/* The tensor that a stream's reader has come to: it may be the kernel's readahead that has gone
 * further by itself. NULL if it is not known. */
static const struct extent *tensor_of(const struct plan_stream *s, const struct extents *tensors)
{
	uint64_t last = s->next - 1, read = last - min_u64(last - s->start, PLAN_SKIP);

	return extents_find(tensors, min_u64(max_u64(read, tensors->data_start), last));
}

/* True if the stream has gone on from one tensor into the next. */
static bool has_crossed(const struct plan_stream *s, const struct extents *tensors)
{
	const struct extent *tensor = tensor_of(s, tensors);

	return tensor && tensor->start > max_u64(s->start, tensors->data_start);
}

uint64_t plan_ahead_max(uint64_t came)
{
	return max_u64(min_u64(came, PLAN_WINDOW_MAX) * PLAN_AHEAD_CAME, PLAN_AHEAD_MIN);
}

/* The largest window that what is known of the reader bears out. Large reads are the kernel's
 * readahead, which is a window of its own. */
static uint64_t window_cap(const struct plan *p, const struct plan_stream *s, uint64_t len,
			   const struct extents *tensors)
{
	uint64_t stretch = s->next - s->start, cap = max_u64(stretch / 4, CHUNK_BYTES);
	uint64_t kernels = len > PLAN_SMALL ? PLAN_SKIP : 0;

	if (!tensors->count || (!plan_has_gaps(p) && stretch >= PLAN_PROOF))
		return PLAN_WINDOW_MAX;
	return cap > kernels ? chunk_floor(cap - kernels) : 0;
}

/* Where the window of a stream may end. */
static uint64_t border(const struct plan *p, const struct plan_stream *s, uint64_t size,
		       const struct extents *tensors)
{
	const struct extent *tensor = tensor_of(s, tensors);

	return tensor && (plan_has_gaps(p) || !has_crossed(s, tensors)) ? tensor->end : size;
}

/* Moves the stream's front and grows its window when the reader has used half of it. */
static void advance(struct plan *p, struct plan_stream *s, uint64_t len, uint64_t end,
		    uint64_t size, const struct extents *tensors)
{
	uint64_t window, ahead;

	if (end <= s->next)
		return;
	s->next = end;
	if (s->window && s->ahead > s->next + s->window / 2)
		return;
	window = s->window ? s->window * 2 : PLAN_WINDOW_MIN;
	window = min_u64(min_u64(window, PLAN_WINDOW_MAX), window_cap(p, s, len, tensors));
	window = min_u64(window, plan_ahead_max(p->came));
	s->window = window;
	if (window == 0)
		return;
	ahead = min_u64(s->next + window, border(p, s, size, tensors));
	s->ahead = max_u64(s->ahead, chunk_ceil(ahead, size));
}

/* A read that continues no stream: one more jump within the same domain lets the sweep go on. */
static struct plan_range sweep(struct plan *p, uint64_t off, uint64_t size,
			       const struct extents *tensors)
{
	const struct extent *tensor = extents_find(tensors, off);
	uint64_t start = tensor ? tensor->start : 0, end = tensor ? tensor->end : size;
	struct plan_range r = { 0 };

	if (p->domain != start) {
		p->domain = p->swept = start;
		p->jumps = 0;
	}
	if (++p->jumps < JUMPS_SWEPT || p->swept >= end)
		return r;
	r.from = chunk_floor(p->swept);
	p->swept = r.to = chunk_ceil(min_u64(p->swept + PLAN_SWEEP, end), size);
	return r;
}

struct plan_want plan_read(struct plan *p, uint64_t off, uint64_t len, uint64_t size,
			   const struct extents *tensors)
{
	uint64_t end = min_u64(off + len, size), before;
	struct plan_want want = { .need = { chunk_floor(off), chunk_ceil(end, size) } };
	struct plan_stream *s = find_stream(p, off);

	note(p, off, end);
	if (s) {
		before = max_u64(s->ahead, want.need.from);
		advance(p, s, len, end, size, tensors);
	} else {
		before = want.need.to;
		s = oldest_stream(p);
		*s = (struct plan_stream){ .start = off, .next = end, .ahead = want.need.to };
		if (size <= PLAN_WINDOW_MIN) { /* whole */
			before = 0;
			s->ahead = size;
		} else if (len <= PLAN_SMALL) {
			want.sweep = sweep(p, off, size, tensors);
		}
	}
	s->used = p->clock;
	want.ahead = (struct plan_range){ before, s->ahead };
	want.run_max = max_u64(s->window / 8, want.need.to - want.need.from);
	return want;
}
