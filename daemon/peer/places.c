/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/places.h"

#include "daemon/base/clock.h"

void places_init(struct places *p)
{
	*p = (struct places){ 0 };
	lock_init(&p->lock, LOCK_PLACES);
	cond_init(&p->changed);
}

void places_fini(struct places *p)
{
	for (unsigned i = 0; i < PLACES_MAX; i++)
		placement_free(p->of[i].placement);
	cond_fini(&p->changed);
	lock_fini(&p->lock);
}

static struct place_of *find_locked(struct places *p, const struct membership *members,
				    uint64_t blob, uint64_t size)
{
	for (struct place_of *o = p->of; o < p->of + PLACES_MAX; o++)
		if (o->used && o->blob == blob && o->size == size && o->version == members->version)
			return o;
	return NULL;
}

static uint64_t weight(uint64_t size)
{
	return (uint64_t)segment_count(size) * PLACEMENT_OWNERS * sizeof(uint32_t);
}

/* The one asked for longest ago. */
static void drop_one_locked(struct places *p)
{
	struct place_of *oldest = NULL;

	for (struct place_of *o = p->of; o < p->of + PLACES_MAX; o++)
		if (o->used && (!oldest || o->used < oldest->used))
			oldest = o;
	if (!oldest)
		return;
	p->count--;
	p->bytes -= weight(oldest->size);
	placement_free(oldest->placement);
	*oldest = (struct place_of){ 0 };
}

/* Keeps it, in the place of others if there is no room. */
static struct place_of *keep_locked(struct places *p, const struct membership *members,
				    uint64_t blob, uint64_t size, struct placement *placement)
{
	struct place_of *o = p->of;

	while (p->count == PLACES_MAX || (p->count && p->bytes + weight(size) > PLACES_BYTES))
		drop_one_locked(p);
	while (o->used)
		o++;
	*o = (struct place_of){ .blob = blob, .size = size, .version = members->version };
	o->placement = placement;
	o->used = ++p->clock;
	p->count++;
	p->bytes += weight(size);
	return o;
}

/* Works it out with the lock let go, so that others are told what is known already. One at a time:
 * a blob of many segments takes long, and who asks for such ones does not have all processors.
 * NULL: no memory. */
static struct place_of *work_out_locked(struct places *p, const struct membership *members,
					uint64_t blob, uint64_t size)
{
	struct placement *placement;
	struct place_of *o = NULL;
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

unsigned places_owners(struct places *p, const struct membership *members, struct segment segment,
		       uint64_t size, uint32_t ret[static PLACEMENT_OWNERS])
{
	struct place_of *o;
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
