/* SPDX-License-Identifier: Apache-2.0 */
/* What fetch_read gives, and what comes: bytes of the file, or some brought for one reader. */
#include "daemon/fetch/fetch.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/num.h"
#include "daemon/fetch/asking.h"
#include "daemon/fetch/pull.h"

/* True if the bytes lie in the blob's file, and where; else they were brought past the cache. */
static bool is_in_file(const struct pull *p, const void *data, uint64_t *ret_off)
{
	uintptr_t at = (uintptr_t)data, base = (uintptr_t)blob_data(p->blob, 0);

	*ret_off = at - base;
	return at >= base && *ret_off < blob_size(p->blob);
}

bool fetch_shows(const struct pull *p, const struct waiter *w)
{
	bool so;

	lock_take(&p->all->lock);
	so = blob_is_sealed(p->blob) || pull_shows_locked(p, w);
	lock_drop(&p->all->lock);
	return so;
}

/* Of the run of that byte, or (UINT64_MAX) of any: 0 if there is none. */
static int64_t last_brought_ms(const struct fill *fill, uint64_t off)
{
	int64_t last = 0;

	for (const struct run *r = fill->runs; r; r = r->next)
		if (off == UINT64_MAX || (r->start <= off && off < r->end))
			last = max_i64(last, r->brought_ms);
	return last;
}

int64_t fetch_moved_ms(struct pull *p, uint64_t off)
{
	struct pulls *pulls = p->all;
	int64_t last;

	lock_take(&pulls->lock);
	last = last_brought_ms(&p->fill, off);
	if (!last)
		for (struct fill *fill = pulls->schedule.busy; fill; fill = fill->next)
			last = max_i64(last, last_brought_ms(fill, UINT64_MAX));
	lock_drop(&pulls->lock);
	return last;
}

/* Of the runs of that byte, or (UINT64_MAX) of any. */
static bool fails(const struct fill *fill, uint64_t off)
{
	int64_t now_ms = clock_ms();
	bool so = false;

	for (const struct run *r = fill->runs; r; r = r->next)
		so |= (off == UINT64_MAX || (r->start <= off && off < r->end)) &&
		      asking_fails(r, now_ms);
	return so;
}

bool fetch_is_failing(struct pull *p, uint64_t off)
{
	struct pulls *pulls = p->all;
	bool so;

	lock_take(&pulls->lock);
	so = fails(&p->fill, off);
	if (!last_brought_ms(&p->fill, off))
		for (struct fill *fill = pulls->schedule.busy; fill && !so; fill = fill->next)
			so = fails(fill, UINT64_MAX);
	lock_drop(&pulls->lock);
	return so;
}

bool fetch_is_refused(struct pull *p)
{
	bool so;

	lock_take(&p->all->lock);
	so = p->unkept_until_ms > clock_ms();
	lock_drop(&p->all->lock);
	return so;
}

bool fetch_keeps(const struct pull *p, const void *data)
{
	uint64_t off;

	return is_in_file(p, data, &off) && blob_fd(p->blob) >= 0;
}

bool fetch_reaches(const struct pull *p, const void *data, uint64_t len)
{
	uint64_t off;

	return !is_in_file(p, data, &off) || blob_reaches(p->blob, off + len);
}

int fetch_copy(const struct pull *p, const void *data, uint64_t len, void *to)
{
	uint64_t off;

	if (is_in_file(p, data, &off) && blob_fd(p->blob) >= 0)
		return blob_read(p->blob, to, len, off);
	memcpy(to, data, len);
	return 0;
}

void fetch_done(const struct pull *p, const void *data, uint64_t len)
{
	uint64_t off;

	if (!is_in_file(p, data, &off)) {
		free((void *)(uintptr_t)data);
		return;
	}
	blob_release_pages(p->blob, off, len);
	blob_let_go(p->blob);
}
