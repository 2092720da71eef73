/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/route.h"

#include <string.h>

#include "daemon/base/num.h"

#define HOPS_MAX 6      /* names that lead to names lead nowhere after so many */
#define AGAIN_MAX 3     /* an owner that named only those who fail */
#define MISPLACED_MAX 2 /* who say that it is not where it was said to be: others would, too */
#define RESTS_MAX 8     /* a busy owner is waited for so often */
#define REST_MS 50      /* the first time; then twice as long each time */
#define REST_MAX 800
#define RESTED_MAX 2000 /* while a reader waits: of all rests together, whoever is busy */

void route_init(struct route *r, const struct membership *members,
		const struct route_target *target, uint32_t before)
{
	*r = (struct route){ .members = members, .target = *target, .below = UINT64_MAX };
	r->asked = r->owner = ROUTE_NOBODY;
	if (before != ROUTE_NOBODY)
		r->others[r->other_count++] = before;
}

void route_to_source(struct route *r)
{
	r->asked = ROUTE_NOBODY;
	r->other_count = 0;
	r->turn = ROUTE_REACH;
}

void route_goes_on(struct route *r, uint32_t member, bool named)
{
	r->asked = member;
	r->named = named;
	r->rest_ms = 0;
}

static bool has_failed(const struct route *r, uint32_t member)
{
	for (unsigned i = 0; i < r->failed_count; i++)
		if (r->failed[i] == member)
			return true;
	return false;
}

static void note_failed(struct route *r, uint32_t member)
{
	if (has_failed(r, member))
		return;
	if (r->failed_count == ROUTE_OTHERS_MAX) /* the oldest may have come to itself */
		memmove(r->failed, r->failed + 1, --r->failed_count * sizeof(*r->failed));
	r->failed[r->failed_count++] = member;
}

static struct route_step ask(struct route *r, uint32_t member)
{
	r->asked = member;
	return (struct route_step){ .kind = ROUTE_ASK, .member = member };
}

static bool may_ask(const struct route *r, uint32_t member, int64_t now_ms)
{
	return member != r->members->self && member_may_ask(r->members->members[member], now_ms);
}

/* The first of the others that may be asked, of those who lag only if there is nobody else: who
 * named it names it again. ROUTE_NOBODY if none is left. */
static uint32_t take_other(struct route *r, int64_t now_ms)
{
	uint32_t slow = ROUTE_NOBODY;

	while (r->other_count) {
		uint32_t member = r->others[0];

		memmove(r->others, r->others + 1, --r->other_count * sizeof(*r->others));
		if (has_failed(r, member))
			continue;
		if (member_lags(r->members->members[member], now_ms))
			slow = slow == ROUTE_NOBODY ? member : slow;
		else if (may_ask(r, member, now_ms)) /* it is this one then: ask last */
			return member;
	}
	return slow != ROUTE_NOBODY && may_ask(r, slow, now_ms) ? slow : ROUTE_NOBODY;
}

/* ---- owners, and who comes after them ---- */

static void next_owner(struct route *r)
{
	r->owner = ROUTE_NOBODY;
	r->turn++;
	r->hops = r->again = r->rests = 0;
}

static bool is_one_of_the_owners(const struct route *r, uint32_t member)
{
	for (unsigned i = 0; i < r->target.owner_count; i++)
		if (r->target.owners[i] == member)
			return true;
	return false;
}

/* Of all but the owners, the one with the best score below the last one's. */
static uint32_t next_best(struct route *r)
{
	uint32_t best = ROUTE_NOBODY;
	uint64_t most = 0;

	for (uint32_t i = 0; i < r->members->count; i++) {
		uint64_t score = placement_score(&r->members->nodes[i], r->target.segment);

		if (score < r->below && score >= most && !is_one_of_the_owners(r, i)) {
			most = score;
			best = i;
		}
	}
	r->below = most;
	return best;
}

/* Whose turn it is, be it fast or not, for a second one would bring it a second time; ROUTE_NOBODY
 * if there is none any more, or this node itself is meant. */
static uint32_t whose_turn(struct route *r, int64_t now_ms)
{
	for (; r->turn < ROUTE_REACH; next_owner(r)) {
		uint32_t owner = r->owner;

		if (owner == ROUTE_NOBODY)
			owner = r->turn < r->target.owner_count ? r->target.owners[r->turn]
								: next_best(r);
		if (owner == ROUTE_NOBODY || owner == r->members->self)
			break;
		r->owner = owner;
		if (!has_failed(r, owner) && may_ask(r, owner, now_ms))
			return owner;
	}
	r->turn = ROUTE_REACH;
	return ROUTE_NOBODY;
}

/* ---- steps ---- */

struct route_step route_next(struct route *r, int64_t now_ms)
{
	struct route_step step = { .kind = ROUTE_REST, .rest_ms = r->rest_ms };
	uint32_t other, owner;

	r->rest_ms = 0;
	if (step.rest_ms)
		return step;
	if (r->asked != ROUTE_NOBODY)
		return ask(r, r->asked);
	other = take_other(r, now_ms);
	r->named = other != ROUTE_NOBODY;
	if (r->named)
		return ask(r, other);
	owner = whose_turn(r, now_ms);
	if (owner != ROUTE_NOBODY)
		return ask(r, owner);
	return (struct route_step){ .kind = ROUTE_SOURCE };
}

bool route_was_named(const struct route *r)
{
	return r->named;
}

/* Those that were named are asked first; false if there are none worth asking: who names itself
 * names nobody. */
static bool take_names(struct route *r, uint32_t by, const uint32_t *others, unsigned count)
{
	unsigned kept = 0;

	if (++r->hops > HOPS_MAX)
		return false;
	r->other_count = 0;
	for (unsigned i = 0; i < count && kept < ROUTE_OTHERS_MAX; i++)
		if (others[i] != r->members->self && others[i] != by && !has_failed(r, others[i]))
			r->others[kept++] = others[i];
	r->other_count = kept;
	return kept;
}

static bool is_owner(const struct route *r, uint32_t member)
{
	return r->owner == member;
}

static int64_t next_rest_ms(const struct route *r)
{
	return min_i64(REST_MS << (r->rests + 1), REST_MAX);
}

static bool has_rested(const struct route *r)
{
	return r->rests == RESTS_MAX || (r->demand && r->rested_ms + next_rest_ms(r) > RESTED_MAX);
}

bool route_is_tired(const struct route *r)
{
	return is_owner(r, r->asked) && has_rested(r);
}

/* It is as busy as it may be, and names nobody else. */
static void come_again(struct route *r)
{
	if (has_rested(r)) {
		next_owner(r);
		return;
	}
	r->rest_ms = next_rest_ms(r);
	r->rested_ms += r->rest_ms;
	r->rests++;
}

/* Whoever it was gives nothing now. When the last of those an owner named has failed, the owner is
 * asked again: it learns of it, and has others, or gives the bytes itself. */
static void give_up(struct route *r, uint32_t member)
{
	note_failed(r, member);
	if (is_owner(r, member) || (!r->other_count && ++r->again > AGAIN_MAX))
		next_owner(r);
}

void route_heard(struct route *r, enum route_answer answer, const uint32_t *others, unsigned count)
{
	uint32_t member = r->asked;

	if (answer == ROUTE_GAVE || answer == ROUTE_COMING) {
		r->rests = 0;
		r->rested_ms = 0;
		return;
	}
	r->asked = ROUTE_NOBODY;
	r->misplaced += answer == ROUTE_MISPLACED;
	if (r->misplaced >= MISPLACED_MAX) {
		route_to_source(r);
		return;
	}
	if (answer == ROUTE_ELSEWHERE && take_names(r, member, others, count))
		return;
	if (answer == ROUTE_BUSY && is_owner(r, member))
		come_again(r);
	else
		give_up(r, member);
}

const char *route_answer_name(enum route_answer answer)
{
	static const char *const names[ROUTE_ANSWER_COUNT] = {
#define NAME(answer, word) [ROUTE_##answer] = word,
		ROUTE_ANSWERS(NAME)
#undef NAME
	};

	return names[answer];
}
