/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/decide.h"

#include "daemon/base/num.h"
#include "daemon/peer/crowd.h"
#include "daemon/peer/route.h"

#define SMALL_BYTES 65536 /* a segment of so little is given to everybody by its owner */
#define SLOW_MS 1000      /* who waits for bytes does so as long at least before another is asked */
#define HOPE_MS 5000      /* who hears that bytes are coming believes it as long at least */
#define PROMISES 3        /* and so many times as long if they do come to whom it waits for */
#define DRY 4             /* and all together, whoever promises, so many times; for a reader once */
#define SLOW_RATE 16384   /* bytes a second: a member that gives less is left */
#define TWICE_SHARE 50    /* of so many bytes one may be asked for twice */

/* ---- who is asked ---- */

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
	unsigned count =
		places_owners(here->places, here->members, ask->segment, ask->size, owners);

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

static struct trail find_trail(struct trails *trails, struct segment segment, int64_t now_ms)
{
	struct trail trail;

	trails_find(trails, segment, now_ms, &trail);
	return trail;
}

/* Those that are no members any more are left out. */
static unsigned keep_members(const struct membership *members, uint64_t *keys, unsigned count)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < count; i++)
		if (placement_find(members->nodes, members->count, keys[i]) >= 0)
			keys[kept++] = keys[i];
	return kept;
}

unsigned decide_others(const struct decide_here *here, const struct decide_ask *ask, int64_t now_ms,
		       uint64_t ret[static CROWD_NAMES_MAX], uint32_t *ret_number)
{
	const struct membership *members = here->members;
	const struct crowd_guest guest = { ask->guest, ask->zone, ask->failed, ask->failed_count };
	uint64_t home = placement_key(member_zone(members->members[members->self]));
	uint32_t place;
	unsigned count;

	if (ask->number || is_small(ask) || !arranges(here, ask))
		return 0;
	count = crowd_ask(here->crowd, ask->segment, home, &guest, now_ms, ret, &place);
	*ret_number = find_trail(here->trails, ask->segment, now_ms).number + place;
	return keep_members(members, ret, count);
}

/* It is brought for a guest if it is this node's to bring, or wanted here, too; but not from the
 * guest itself, nor when this node may wait for it by whatever way. */
static bool may_bring(const struct decide_here *here, const struct decide_ask *ask,
		      const struct trail *trail)
{
	bool wanted = trail->since_ms;

	if (!ask->bring || (wanted && trail->giver == ask->guest) ||
	    (ask->number && trail->number >= ask->number))
		return false;
	return wanted || is_close(here->members, ask->segment);
}

enum decision decide_bytes(const struct decide_here *here, const struct decide_ask *ask,
			   const struct decide_held *held, bool late, int64_t now_ms,
			   uint32_t *ret_number)
{
	struct trail trail = find_trail(here->trails, ask->segment, now_ms);

	*ret_number = trail.number + 1;
	if (held->hidden)
		return DECIDE_NOT_HERE;
	if (held->present)
		return DECIDE_GIVE;
	if (ask->bring && trail_has_failed(&trail, now_ms))
		return DECIDE_FAILED;
	if (!may_bring(here, ask, &trail))
		return DECIDE_NOT_HERE;
	if (late)
		return DECIDE_COMING;
	return held->full ? DECIDE_FULL : DECIDE_WAIT;
}

int64_t decide_quiet_ms(struct trails *trails, struct segment segment, int64_t run_ms,
			int64_t now_ms)
{
	int64_t moved_ms = max_i64(find_trail(trails, segment, now_ms).moved_ms, run_ms);

	return moved_ms ? max_i64(now_ms - moved_ms, 0) : -1;
}

/* ---- who asks ---- */

int64_t decide_wait_ms(int64_t hoped_ms, bool demand)
{
	return min_i64(max_i64(hoped_ms, DECIDE_WAIT_MS),
		       demand ? DECIDE_DEMAND_MS : DECIDE_WAIT_MAX_MS);
}

/* True if a reader waits longer than usual, and to ask another is not too dear. */
static bool may_race(const struct decide_way *w)
{
	return w->demand && w->waited_ms > max_i64(4 * w->usual_ms, SLOW_MS) &&
	       (w->twice + w->left) * TWICE_SHARE < w->in;
}

/* Who gets on is believed for so long. A reader must have time for another who does not lie, before
 * all is dry, unless all are as slow. */
static int64_t promise_ms(const struct decide_way *w)
{
	int64_t most_ms = PROMISES * w->give_up_ms;

	return w->demand ? min_i64(max_i64(4 * w->usual_ms, w->give_up_ms / 2), most_ms) : most_ms;
}

int64_t decide_usual_ms(int64_t usual_ms, int64_t took_ms)
{
	return usual_ms ? usual_ms + (took_ms - usual_ms) / 8 : took_ms;
}

/* What is heard of bytes that move is as old as all polls on the way from them: one for each floor
 * of the tree in which so many hang. */
static int64_t polls_ms(uint32_t number)
{
	int64_t ms = 0;

	for (; number; number /= CROWD_FANOUT)
		ms += DECIDE_WAIT_MAX_MS;
	return ms;
}

bool decide_is_late(const struct decide_way *w)
{
	int64_t hope_ms = min_i64(max_i64(4 * w->usual_ms, HOPE_MS), w->give_up_ms);
	int64_t fresh_ms = min_i64(hope_ms + polls_ms(w->number), w->give_up_ms);
	bool moves = w->quiet_ms >= 0 && w->quiet_ms <= fresh_ms;

	return w->waited_ms > (moves ? promise_ms(w) : hope_ms) || may_race(w);
}

bool decide_is_dry(const struct decide_way *w)
{
	int64_t most_ms = DRY * w->give_up_ms;

	if (w->demand)
		most_ms = min_i64(max_i64(4 * w->usual_ms, w->give_up_ms), most_ms);
	return w->waited_ms > most_ms;
}

bool decide_is_trickle(const struct decide_way *w, int64_t patience_ms, uint64_t came,
		       uint64_t chunk)
{
	uint64_t took_ms = (uint64_t)w->waited_ms;

	if (w->waited_ms > patience_ms + SLOW_MS &&
	    (came * 1000 < SLOW_RATE * took_ms || came * (uint64_t)w->give_up_ms < chunk * took_ms))
		return true;
	return may_race(w);
}
