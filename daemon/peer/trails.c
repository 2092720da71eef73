/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/trails.h"

void trails_init(struct trails *t)
{
	*t = (struct trails){ 0 };
	lock_init(&t->lock, LOCK_TRAILS);
}

void trails_fini(struct trails *t)
{
	lock_fini(&t->lock);
}

static struct trail *slot_of(struct trails *t, struct segment segment)
{
	return &t->slots[(segment.blob + segment.index) % TRAILS_MAX];
}

static bool is_of(const struct trail *slot, struct segment segment, int64_t now_ms)
{
	return slot->since_ms && slot->segment.blob == segment.blob &&
	       slot->segment.index == segment.index && now_ms - slot->since_ms < TRAILS_MS;
}

void trails_note(struct trails *t, struct segment segment, uint64_t giver, int64_t now_ms)
{
	struct trail *slot = slot_of(t, segment);

	lock_take(&t->lock);
	if (!is_of(slot, segment, now_ms))
		*slot = (struct trail){ .segment = segment };
	if (giver)
		slot->giver = giver;
	slot->since_ms = now_ms;
	lock_drop(&t->lock);
}

void trails_number(struct trails *t, struct segment segment, uint32_t number, int64_t now_ms)
{
	struct trail *slot = slot_of(t, segment);

	lock_take(&t->lock);
	if (is_of(slot, segment, now_ms))
		slot->number = number < TRAILS_NUMBER_MAX ? number : TRAILS_NUMBER_MAX;
	lock_drop(&t->lock);
}

void trails_moved(struct trails *t, struct segment segment, int64_t moved_ms, int64_t now_ms)
{
	struct trail *slot = slot_of(t, segment);

	lock_take(&t->lock);
	if (is_of(slot, segment, now_ms) && slot->moved_ms < moved_ms)
		slot->moved_ms = moved_ms;
	lock_drop(&t->lock);
}

void trails_failed(struct trails *t, struct segment segment, int64_t now_ms)
{
	struct trail *slot = slot_of(t, segment);

	lock_take(&t->lock);
	if (is_of(slot, segment, now_ms))
		slot->failed_ms = now_ms;
	lock_drop(&t->lock);
}

bool trails_find(struct trails *t, struct segment segment, int64_t now_ms, struct trail *ret)
{
	const struct trail *slot = slot_of(t, segment);
	bool found;

	lock_take(&t->lock);
	found = is_of(slot, segment, now_ms);
	*ret = found ? *slot : (struct trail){ 0 };
	lock_drop(&t->lock);
	return found;
}

bool trail_has_failed(const struct trail *t, int64_t now_ms)
{
	return t->failed_ms && now_ms - t->failed_ms < TRAILS_FAILED_MS;
}

int trails_seek(struct trails *t, struct segment segment, uint64_t pos, int64_t now_ms)
{
	struct trail *slot = slot_of(t, segment);
	int vain = 0;

	lock_take(&t->lock);
	if (is_of(slot, segment, now_ms)) {
		bool lately = slot->sought_ms && now_ms - slot->sought_ms < TRAILS_VAIN_MS;
		bool again = lately && slot->sought == pos;

		slot->vain = again ? slot->vain + 1 : 0;
		vain = lately && !again ? -1 : (int)slot->vain;
		slot->sought = pos;
		slot->sought_ms = now_ms;
	}
	lock_drop(&t->lock);
	return vain;
}

void trails_forget(struct trails *t, uint64_t blob)
{
	lock_take(&t->lock);
	for (struct trail *slot = t->slots; slot < t->slots + TRAILS_MAX; slot++)
		if (slot->segment.blob == blob)
			slot->giver = 0;
	lock_drop(&t->lock);
}
