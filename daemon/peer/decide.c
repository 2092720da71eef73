/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/decide.h"

#include "daemon/base/num.h"
#include "daemon/peer/fanout.h"
#include "daemon/peer/route.h"

#define SMALL_BYTES 65536 /* a segment of so little is given to everybody by its owner */

/* True if this node would be asked for the segment by those who find nobody nearer to it. */
static bool is_close(const struct membership *members, struct segment segment)
{
	uint64_t own = placement_score(&members->nodes[members->self], segment);
	unsigned closer = 0;

	for (uint32_t i = 0; i < members->count && closer < ROUTE_REACH; i++)
		closer += placement_score(&members->nodes[i], segment) > own;
	return closer < ROUTE_REACH;
}

static bool arranges(const struct decide_here *here, const struct decide_ask *ask)
{
	uint32_t owners[PLACEMENT_OWNERS];
	unsigned count = placement_cache_owners(here->placement, here->members, ask->segment,
						ask->size, owners);

	for (unsigned i = 0; i < count; i++)
		if (owners[i] == here->members->self)
			return true;
	return is_close(here->members, ask->segment);
}

static bool is_small(const struct decide_ask *ask)
{
	uint32_t index = ask->segment.index;

	return segment_end(index, ask->size) - segment_start(index) <= SMALL_BYTES;
}

static struct segment_note find_note(struct segment_notes *notes, struct segment segment,
				     int64_t now_ms)
{
	struct segment_note note;

	segment_notes_find(notes, segment, now_ms, &note);
	return note;
}

/* Those that are no members any more are left out. */
static unsigned find_members(const struct membership *members, const uint64_t *keys, unsigned count,
			     uint32_t *ret)
{
	unsigned found = 0;

	for (unsigned i = 0; i < count; i++) {
		int at = placement_find(members->nodes, members->count, keys[i]);

		if (at >= 0)
			ret[found++] = (uint32_t)at;
	}
	return found;
}

unsigned decide_others(const struct decide_here *here, const struct decide_ask *ask, int64_t now_ms,
		       uint32_t ret[static FANOUT_NAMES_MAX], uint32_t *ret_number)
{
	const struct membership *members = here->members;
	const struct fanout_guest guest = {
		.node = ask->guest,
		.zone = ask->zone,
		.failed = ask->failed,
		.failed_count = ask->failed_count,
		.looks = !ask->bring,
	};
	uint64_t home = placement_key(member_zone(members->members[members->self]));
	uint64_t keys[FANOUT_NAMES_MAX];
	uint32_t rank;
	unsigned count;

	if (ask->number || is_small(ask) || !arranges(here, ask))
		return 0;
	count = fanout_ask(here->fanout, ask->segment, home, &guest, now_ms, keys, &rank);
	*ret_number = find_note(here->notes, ask->segment, now_ms).number + rank;
	return find_members(members, keys, count, ret);
}

/* It is brought for a guest if it is this node's to bring, or wanted here, too; but not from the
 * guest itself, nor when this node may wait for it by whatever way. */
static bool may_bring(const struct decide_here *here, const struct decide_ask *ask,
		      const struct segment_note *note)
{
	bool wanted = note->since_ms;

	if (!ask->bring || (wanted && note->giver == ask->guest) ||
	    (ask->number && note->number >= ask->number))
		return false;
	return wanted || is_close(here->members, ask->segment);
}

enum decision decide_bytes(const struct decide_here *here, const struct decide_ask *ask,
			   const struct decide_held *held, bool late, int64_t now_ms,
			   uint32_t *ret_number)
{
	struct segment_note note = find_note(here->notes, ask->segment, now_ms);

	*ret_number = note.number + 1;
	if (held->hidden)
		return DECIDE_NOT_HERE;
	if (held->present)
		return DECIDE_GIVE;
	if (!may_bring(here, ask, &note))
		return DECIDE_NOT_HERE;
	if (late && (held->failing || segment_note_has_failed(&note, ask->origin, now_ms)))
		return DECIDE_FAILED;
	if (late)
		return DECIDE_COMING;
	return held->full ? DECIDE_FULL : DECIDE_WAIT;
}

int64_t decide_quiet_ms(struct segment_notes *notes, struct segment segment, int64_t run_ms,
			int64_t now_ms)
{
	int64_t moved_ms = max_i64(find_note(notes, segment, now_ms).moved_ms, run_ms);

	return moved_ms ? max_i64(now_ms - moved_ms, 0) : -1;
}
