/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/segment_notes.h"

void segment_notes_init(struct segment_notes *t)
{
	*t = (struct segment_notes){ 0 };
	lock_init(&t->lock, LOCK_SEGMENT_NOTES);
}

void segment_notes_fini(struct segment_notes *t)
{
	lock_fini(&t->lock);
}

/* Where it is, or else may be: where nothing is, or what was asked for longest ago. Those of a file
 * that are asked for at once lie in a row. */
static struct segment_note *slot_of_locked(struct segment_notes *t, struct segment segment)
{
	const uint64_t set =
		(segment.blob + segment.index) % (SEGMENT_NOTES_MAX / SEGMENT_NOTES_WAYS);
	struct segment_note *first = &t->slots[set * SEGMENT_NOTES_WAYS], *oldest = first;

	for (struct segment_note *slot = first; slot < first + SEGMENT_NOTES_WAYS; slot++) {
		if (slot->segment.blob == segment.blob && slot->segment.index == segment.index)
			return slot;
		if (slot->since_ms < oldest->since_ms)
			oldest = slot;
	}
	return oldest;
}

static bool is_of(const struct segment_note *slot, struct segment segment, int64_t now_ms)
{
	return slot->since_ms && slot->segment.blob == segment.blob &&
	       slot->segment.index == segment.index && now_ms - slot->since_ms < SEGMENT_NOTES_MS;
}

void segment_notes_put(struct segment_notes *t, struct segment segment, uint64_t giver,
		       int64_t now_ms)
{
	struct segment_note *slot;

	lock_take(&t->lock);
	slot = slot_of_locked(t, segment);
	if (!is_of(slot, segment, now_ms))
		*slot = (struct segment_note){ .segment = segment };
	if (giver) {
		slot->giver = giver;
		slot->failed_ms = 0;
	}
	slot->since_ms = now_ms;
	lock_drop(&t->lock);
}

void segment_notes_number(struct segment_notes *t, struct segment segment, uint32_t number,
			  int64_t now_ms)
{
	struct segment_note *slot;

	lock_take(&t->lock);
	slot = slot_of_locked(t, segment);
	if (is_of(slot, segment, now_ms)) {
		slot->number = number < SEGMENT_NOTES_NUMBER_MAX ? number
								 : SEGMENT_NOTES_NUMBER_MAX;
		slot->missed_ms = number ? slot->missed_ms : now_ms;
	}
	lock_drop(&t->lock);
}

void segment_notes_moved(struct segment_notes *t, struct segment segment, int64_t moved_ms,
			 int64_t now_ms)
{
	struct segment_note *slot;

	lock_take(&t->lock);
	slot = slot_of_locked(t, segment);
	if (is_of(slot, segment, now_ms) && slot->moved_ms < moved_ms)
		slot->moved_ms = moved_ms;
	lock_drop(&t->lock);
}

void segment_notes_failed(struct segment_notes *t, struct segment segment, uint64_t origin,
			  int64_t now_ms)
{
	struct segment_note *slot;

	lock_take(&t->lock);
	slot = slot_of_locked(t, segment);
	if (is_of(slot, segment, now_ms)) {
		slot->failed_ms = now_ms;
		slot->failed_at = origin;
	}
	lock_drop(&t->lock);
}

void segment_notes_well(struct segment_notes *t, struct segment segment, int64_t now_ms)
{
	struct segment_note *slot;

	lock_take(&t->lock);
	slot = slot_of_locked(t, segment);
	if (is_of(slot, segment, now_ms))
		slot->failed_ms = 0;
	lock_drop(&t->lock);
}

bool segment_notes_find(struct segment_notes *t, struct segment segment, int64_t now_ms,
			struct segment_note *ret)
{
	const struct segment_note *slot;
	bool found;

	lock_take(&t->lock);
	slot = slot_of_locked(t, segment);
	found = is_of(slot, segment, now_ms);
	*ret = found ? *slot : (struct segment_note){ 0 };
	lock_drop(&t->lock);
	return found;
}

bool segment_note_has_failed(const struct segment_note *t, uint64_t origin, int64_t now_ms)
{
	return t->failed_ms && t->failed_at == origin &&
	       now_ms - t->failed_ms < SEGMENT_NOTES_FAILED_MS;
}

/* What was sought last nobody had: not so if that is being found out, or somebody gave it. */
static bool was_missed(const struct segment_note *slot)
{
	return slot->missed_ms >= slot->sought_ms;
}

int segment_notes_seek(struct segment_notes *t, struct segment segment, uint64_t pos,
		       uint64_t origin, int64_t now_ms)
{
	struct segment_note *slot;
	int vain = 0;

	lock_take(&t->lock);
	slot = slot_of_locked(t, segment);
	if (is_of(slot, segment, now_ms)) {
		bool lately = slot->sought_ms && now_ms - slot->sought_ms < SEGMENT_NOTES_VAIN_MS;
		bool again = lately && slot->sought == pos && slot->sought_at == origin;

		if (again && now_ms - slot->sought_ms < SEGMENT_NOTES_AGAIN_MS * slot->vain) {
			vain = -1;
		} else {
			slot->vain = again ? slot->vain + 1 : 0;
			vain = lately && !again && was_missed(slot) ? -1 : (int)slot->vain;
			slot->sought = pos;
			slot->sought_at = origin;
			slot->sought_ms = now_ms;
		}
	}
	lock_drop(&t->lock);
	return vain;
}

void segment_notes_forget(struct segment_notes *t, uint64_t blob)
{
	lock_take(&t->lock);
	for (struct segment_note *slot = t->slots; slot < t->slots + SEGMENT_NOTES_MAX; slot++)
		if (slot->segment.blob == blob)
			slot->giver = 0;
	lock_drop(&t->lock);
}
