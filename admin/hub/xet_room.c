/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet_room.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/lock.h"

#define STEP_BYTES (UINT64_C(64) << 10) /* it is asked for room as seldom */

struct xet_room {
	struct lock lock;
	/* Guarded by lock. */
	struct xet_hold *all;
	uint64_t bytes; /* of them */
};

int xet_room_new(struct xet_room **ret)
{
	struct xet_room *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	lock_init(&r->lock, LOCK_XET_ROOM);
	*ret = r;
	return 0;
}

void xet_room_free(struct xet_room *r)
{
	if (!r)
		return;
	lock_fini(&r->lock);
	free(r);
}

static uint64_t of_user_locked(const struct xet_room *r, const char *user)
{
	uint64_t bytes = 0;

	for (const struct xet_hold *h = r->all; h; h = h->next)
		if (!strcmp(h->user, user))
			bytes += h->bytes;
	return bytes;
}

static bool fits_locked(const struct xet_room *r, const char *user, uint64_t more)
{
	uint64_t mine = of_user_locked(r, user) + more, all = r->bytes + more;

	return mine <= XET_ROOM_USER_BYTES &&
	       all <= (mine > XET_ROOM_SMALL_BYTES ? XET_ROOM_LARGE_BYTES : XET_ROOM_BYTES);
}

static void link_locked(struct xet_room *r, struct xet_hold *h)
{
	h->next = r->all;
	h->prev = NULL;
	if (r->all)
		r->all->prev = h;
	r->all = h;
}

int xet_room_take(struct xet_room *r, struct xet_hold *h, uint64_t bytes)
{
	uint64_t more;
	bool fits;

	if (bytes <= h->bytes)
		return 0;
	more = (bytes - h->bytes + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
	lock_take(&r->lock);
	fits = fits_locked(r, h->user, more);
	if (fits && !h->bytes)
		link_locked(r, h);
	if (fits) {
		h->bytes += more;
		r->bytes += more;
	}
	lock_drop(&r->lock);
	return fits ? 0 : -EAGAIN;
}

void xet_room_leave(struct xet_room *r, struct xet_hold *h)
{
	if (!h->bytes)
		return;
	lock_take(&r->lock);
	*(h->prev ? &h->prev->next : &r->all) = h->next;
	if (h->next)
		h->next->prev = h->prev;
	r->bytes -= h->bytes;
	lock_drop(&r->lock);
	*h = (struct xet_hold){ .user = h->user };
}
