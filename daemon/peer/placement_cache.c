/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/placement_cache.h"

#include "daemon/base/clock.h"

void placement_cache_init(struct placement_cache *p)
{
	*p = (struct placement_cache){ 0 };
	lock_init(&p->lock, LOCK_PLACEMENT_CACHE);
	cond_init(&p->changed);
}

void placement_cache_fini(struct placement_cache *p)
{
	for (unsigned i = 0; i < PLACEMENT_CACHE_MAX; i++)
		placement_free(p->of[i].placement);
	cond_fini(&p->changed);
	lock_fini(&p->lock);
}

static struct placed *find_locked(struct placement_cache *p, const struct membership *members,
				  uint64_t blob, uint64_t size)
{
	for (struct placed *o = p->of; o < p->of + PLACEMENT_CACHE_MAX; o++)
		if (o->used && o->blob == blob && o->size == size && o->version == members->version)
			return o;
	return NULL;
}

static uint64_t weight(uint64_t size)
{
	return (uint64_t)segment_count(size) * PLACEMENT_OWNERS * sizeof(uint32_t);
}

/* The one asked for longest ago. */
static void drop_one_locked(struct placement_cache *p)
{
	struct placed *oldest = NULL;

	for (struct placed *o = p->of; o < p->of + PLACEMENT_CACHE_MAX; o++)
		if (o->used && (!oldest || o->used < oldest->used))
			oldest = o;
	if (!oldest)
		return;
	p->count--;
	p->bytes -= weight(oldest->size);
	placement_free(oldest->placement);
	*oldest = (struct placed){ 0 };
}

/* Keeps it, in the place of others if there is no room. */
static struct placed *keep_locked(struct placement_cache *p, const struct membership *members,
				  uint64_t blob, uint64_t size, struct placement *placement)
{
	struct placed *o = p->of;

	while (p->count == PLACEMENT_CACHE_MAX ||
	       (p->count && p->bytes + weight(size) > PLACEMENT_CACHE_BYTES))
		drop_one_locked(p);
	while (o->used)
		o++;
	*o = (struct placed){ .blob = blob, .size = size, .version = members->version };
	o->placement = placement;
	o->used = ++p->clock;
	p->count++;
	p->bytes += weight(size);
	return o;
}

/* Works it out with the lock let go, so that others are told what is known already. One at a time:
 * a blob of many segments takes long, and who asks for such ones does not have all processors.
 * NULL: no memory. */
static struct placed *work_out_locked(struct placement_cache *p, const struct membership *members,
				      uint64_t blob, uint64_t size)
{
	struct placement *placement;
	struct placed *o = NULL;
	int r;

	while (p->working && !(o = find_locked(p, members, blob, size)))
		cond_wait(&p->changed, &p->lock, CLOCK_FOREVER);
	if (o || (o = find_locked(p, members, blob, size)))
		return o;
	p->working = true;
	lock_drop(&p->lock);
	r = placement_new(members->nodes, members->count, blob, segment_count(size), &placement);
	lock_take(&p->lock);
	p->working = false;
	cond_wake_all(&p->changed);
	return r < 0 ? NULL : keep_locked(p, members, blob, size, placement);
}

unsigned placement_cache_owners(struct placement_cache *p, const struct membership *members,
				struct segment segment, uint64_t size,
				uint32_t ret[static PLACEMENT_OWNERS])
{
	struct placed *o;
	unsigned count = 0;

	lock_take(&p->lock);
	o = find_locked(p, members, segment.blob, size);
	if (!o)
		o = work_out_locked(p, members, segment.blob, size);
	if (o) {
		o->used = ++p->clock;
		count = placement_owners(o->placement, segment.index, ret);
	}
	lock_drop(&p->lock);
	return count;
}
