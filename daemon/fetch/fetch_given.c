/* SPDX-License-Identifier: Apache-2.0 */
/* What fetch_read gives: bytes of the cache's file, or some that were brought for one reader. */
#include "daemon/fetch/fetch.h"

#include <string.h>

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

bool fetch_keeps(const struct pull *p, const void *data)
{
	uint64_t off;

	return is_in_file(p, data, &off) && blob_fd(p->blob) >= 0;
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
